/**
 * Whether a worker may join, and keep its stream: its token, its hello, its turn to speak. Never:
 * looks at what it reports; worker-reports.ts does.
 */
import { isAbsolute } from 'node:path';
import { tokenMatches } from '../../shared/endpoints.js';
import { fail } from '../../shared/failure.js';
import type { Hello } from '../../shared/gen/windrow.js';

/** A name of ours or of the user. */
const nameShape = /^[^\p{Cc}]{1,200}$/u;
/** It stands in file names, too. */
const incarnationShape = /^[\w-]{1,64}$/;

/** @throws WindrowError E_UNAUTHENTICATED; nobody is turned away where no token is wanted */
export function authorizeWorker(wanted: string | undefined, given: string): void {
  if (wanted === undefined || tokenMatches(given, wanted)) return;
  // The worker prints the message alone: it says what to do by itself.
  const message = 'the worker token is missing or wrong; start the worker with --token-file';
  fail('invalidSpec', 'E_UNAUTHENTICATED', message);
}

/** A host's name has at most 253 characters, a socket's path 107; it stands in every assignment. */
const addressShape = /^[^\p{Cc}]{1,300}$/u;
const directoryShape = /^[^\p{Cc}]{1,2000}$/u;

/** @throws WindrowError E_WORKER_PROTOCOL */
export function checkHello(hello: Hello): void {
  const { workerId, incarnation, slots, shuffleAddress, shuffleDirectory } = hello;
  if (!nameShape.test(workerId) || !incarnationShape.test(incarnation) || !(slots >= 0)) {
    outOfTurn('a worker says hello without a name, an incarnation and slots');
  }
  if (shuffleAddress !== undefined && !addressShape.test(shuffleAddress)) {
    outOfTurn('a worker says hello with a shuffle address that is none');
  }
  if (shuffleDirectory === undefined) return;
  if (isAbsolute(shuffleDirectory) && directoryShape.test(shuffleDirectory)) return;
  outOfTurn('a worker says hello with a shuffle directory that is no absolute path');
}

/** @throws WindrowError E_WORKER_PROTOCOL, which no reconnecting mends */
export function outOfTurn(message: string): never {
  fail('invalidSpec', 'E_WORKER_PROTOCOL', message, {
    hint: 'use the same version of windrow on all machines',
  });
}
