/**
 * One POST to a webhook. It connects to no address that it has not judged itself, follows no
 * redirect, reads no answer beyond its status, and never takes longer than it may.
 */
import { lookup, type LookupAddress } from 'node:dns';
import { Agent as HttpAgent, type ClientRequest, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { fail, WindrowError } from '../../shared/failure.js';
import { unlessAborted } from '../../shared/unless-aborted.js';
import { checkWebhookHost, denial, isPublicAddress } from './webhook-address.js';

export interface WebhookPost {
  readonly url: string;
  /** JSON. */
  readonly body: string;
  readonly timeoutMs: number;
  /** Whether addresses that are not public may be called as well. */
  readonly allowPrivate: boolean;
  readonly signal: AbortSignal;
  /** Names to addresses; default the system's own way. */
  readonly resolve?: typeof lookup;
}

/** @throws WindrowError E_WEBHOOK | E_WEBHOOK_DENIED */
export async function postWebhook(post: WebhookPost): Promise<void> {
  const { url, body, timeoutMs, allowPrivate, signal } = post;
  if (!allowPrivate) checkWebhookHost(url);
  const secure = new URL(url).protocol === 'https:';
  // A connection of its own each time: one that is kept open would not be judged again.
  const agent = secure ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false });
  const send = secure ? httpsRequest : httpRequest;
  const call = send(url, {
    method: 'POST',
    agent,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
      'user-agent': 'windrow',
    },
    ...(allowPrivate ? {} : { lookup: publicLookup(post.resolve ?? lookup) }),
  });
  // A call that was taken over or torn down emits nothing any more: what ends it waits for no event.
  const ending = new AbortController();
  const end = (why: string) => (): void => ending.abort(new Error(why));
  const timer = setTimeout(end(`no answer within ${timeoutMs} ms`), timeoutMs);
  const aborted = end('the coordinator stops');
  signal.addEventListener('abort', aborted);
  try {
    const status = await unlessAborted(answerOf(call, body), ending.signal);
    if (status < 200 || status > 299) failed(url, `it answered with status ${status}`);
  } catch (error) {
    if (error instanceof WindrowError) throw error;
    failed(url, reasonOf(error));
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', aborted);
    call.destroy();
  }
}

function answerOf(call: ClientRequest, body: string): Promise<number> {
  return new Promise((answered, failed) => {
    call.on('error', failed);
    // As after 101, which is no response to those who asked for no other protocol.
    call.on('close', () => failed(new Error('it closed the connection without an answer')));
    call.on('response', (response) => {
      // Its status is all that is asked for; what else it sends may be endless.
      response.destroy();
      answered(response.statusCode ?? 0);
    });
    call.end(body);
  });
}

/** Resolves as the system does; where any address of the name is not public, there is none. */
function publicLookup(resolve: typeof lookup): LookupFunction {
  return (host, options, done) => {
    resolve(host, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error) return done(error, []);
      const wrong = addresses.find(({ address }) => !isPublicAddress(address));
      const [first] = addresses;
      if (wrong || !first) return done(denial(host, wrong?.address), []);
      if (options.all === true) return done(null, addresses);
      done(null, first.address, first.family);
    });
  };
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}

/** Of the address only its host: the rest may be what keeps others out. */
function failed(url: string, why: string): never {
  return fail('io', 'E_WEBHOOK', `the webhook at ${new URL(url).host} could not be told: ${why}`, {
    hint: 'look at its own log; it gets the same id again at the next try',
  });
}
