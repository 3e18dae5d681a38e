/**
 * Whether a worker may join, and keep its stream: its token, its hello, its turn to speak. Never:
 * looks at what it reports; worker-reports.ts does.
 */
import { fail } from '../../shared/failure.js';
import type { Hello } from '../../shared/gen/windrow.js';
import { tokenMatches } from './servers.js';

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

/** @throws WindrowError E_WORKER_PROTOCOL */
export function checkHello({ workerId, incarnation, slots }: Hello): void {
  if (nameShape.test(workerId) && incarnationShape.test(incarnation) && slots >= 0) return;
  outOfTurn('a worker says hello without a name, an incarnation and slots');
}

/** @throws WindrowError E_WORKER_PROTOCOL, which no reconnecting mends */
export function outOfTurn(message: string): never {
  fail('invalidSpec', 'E_WORKER_PROTOCOL', message, {
    hint: 'use the same version of windrow on all machines',
  });
}
