/**
 * Addresses that servers listen on, and the secret that callers bring. Never: connections; who listens
 * or calls makes its own.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import type { Metadata } from '@grpc/grpc-js';
import { fail } from './failure.js';

/** @throws WindrowError E_LISTEN for what is not HOST:PORT */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    fail('invalidSpec', 'E_LISTEN', `'${address}' is not HOST:PORT`, {
      hint: 'such as 127.0.0.1:7420',
    });
  }
  return { host: match[1] ?? match[2]!, port };
}

export function joinAddress(host: string, port: number): string {
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

/** Whether what is said to that address (`unix:PATH`, HOST:PORT or HOST) never leaves the machine. */
export function staysOnMachine(address: string): boolean {
  if (address.startsWith('unix:')) return true;
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::\d{1,5})?$/.exec(address);
  const host = match?.[1] ?? match?.[2] ?? '';
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** Whether it stands for all addresses of a machine, so that nobody can be told to call it. */
export function isWildcard(host: string): boolean {
  return /^[0.]+$/.test(host) || (isIP(host) === 6 && /^[0:]+$/.test(host));
}

/** Compares in constant time; no token matches none. */
export function tokenMatches(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return given !== '' && timingSafeEqual(digest(given), digest(wanted));
}

/** The token that a call brings; empty where there is none. */
export function bearerToken(metadata: Metadata): string {
  return bearerIn(String(metadata.get('authorization')[0] ?? ''));
}

/** What is sent to show a token. @throws WindrowError E_USAGE, which does not show it */
export function bearer(token: string): string {
  if (!isToken(token)) {
    fail('invalidSpec', 'E_USAGE', 'the token has a character that cannot be sent', {
      hint: 'write it on one line, in letters, digits and signs of ASCII',
    });
  }
  return `Bearer ${token}`;
}

/** Whether it can stand in a header. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text);
}

/** The token in an `authorization` header; empty where there is none. */
export function bearerIn(header = ''): string {
  return /^bearer (.*)$/i.exec(header)?.[1] ?? '';
}
