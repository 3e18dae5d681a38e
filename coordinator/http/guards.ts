/**
 * Who may ask at all. Where no token is wanted, the door is for programs of this machine: a web page
 * that a browser of this machine shows must not reach it, neither from its own origin nor under a
 * name that it made lead here. It may lead its reader to a document, which it cannot read itself.
 */
import type { IncomingMessage } from 'node:http';
import { bearerIn, staysOnMachine, tokenMatches } from '../../shared/endpoints.js';
import { fail } from '../../shared/failure.js';

/** Of every answer: nobody keeps it, frames it, guesses its type or holds on to its window. */
export const answerHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const;

/**
 * @param wanted the client token; undefined where none is wanted
 * @param page whether what is asked for is a document that browsers show
 * @throws WindrowError E_UNAUTHENTICATED, E_BROWSER_DENIED, E_MEDIA_TYPE
 */
export function checkRequest(
  { method, headers }: IncomingMessage,
  wanted: string | undefined,
  page: boolean,
): void {
  if (wanted === undefined) checkBrowser(headers, page && method === 'GET');
  else checkToken(headers.authorization, wanted);
  const charset = /;\s*charset="?([^";\s]*)/i.exec(headers['content-type'] ?? '')?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) {
    fail('invalidSpec', 'E_MEDIA_TYPE', `a body in ${cut(charset)} is not taken`, {
      hint: 'send JSON as UTF-8',
    });
  }
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding.toLowerCase() !== 'identity') {
    fail('invalidSpec', 'E_MEDIA_TYPE', `a body encoded as ${cut(encoding)} is not taken`, {
      hint: 'send it as it is: nothing is unpacked here',
    });
  }
}

function checkToken(authorization: string | undefined, wanted: string): void {
  if (tokenMatches(bearerIn(authorization), wanted)) return;
  fail('invalidSpec', 'E_UNAUTHENTICATED', 'the client token is missing or wrong', {
    hint: 'send it as Authorization: Bearer TOKEN',
  });
}

function checkBrowser(headers: IncomingMessage['headers'], page: boolean): void {
  const { host = '', origin } = headers;
  const site = headers['sec-fetch-site'];
  // A link that somebody follows: what it shows changes nothing, and the page that has the link sees
  // neither the answer nor whether there was one.
  const followed =
    page && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  if (!staysOnMachine(host.toLowerCase())) {
    deny(`a request to the host '${cut(host)}'`, 'call it 127.0.0.1 or localhost');
  }
  if (origin !== undefined || (site !== undefined && site !== 'none' && !followed)) {
    deny('a request that a web page made', 'start the coordinator with a client token');
  }
}

function deny(what: string, hint: string): never {
  fail('invalidSpec', 'E_BROWSER_DENIED', `${what} is refused, as no token is wanted here`, {
    hint,
  });
}

function cut(text: string): string {
  return text.slice(0, 100);
}
