/**
 * Who may ask at all. Where no token is wanted, the door is for programs of this machine: a web page
 * that a browser of this machine shows must not reach it, neither from its own origin nor under a
 * name that it made lead here.
 */
import type { IncomingMessage } from 'node:http';
import { bearerIn, staysOnMachine, tokenMatches } from '../../shared/endpoints.js';
import { fail } from '../../shared/failure.js';

/**
 * @param wanted the client token; undefined where none is wanted
 * @throws WindrowError E_UNAUTHENTICATED, E_BROWSER_DENIED, E_MEDIA_TYPE
 */
export function checkRequest({ headers }: IncomingMessage, wanted: string | undefined): void {
  if (wanted === undefined) checkBrowser(headers);
  else checkToken(headers.authorization, wanted);
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

function checkBrowser(headers: IncomingMessage['headers']): void {
  const { host = '', origin } = headers;
  const site = headers['sec-fetch-site'];
  if (!staysOnMachine(host.toLowerCase())) {
    deny(`a request to the host '${cut(host)}'`, 'call it 127.0.0.1 or localhost');
  }
  if (origin !== undefined || (site !== undefined && site !== 'none')) {
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
