/**
 * Which hosts a webhook may call: public addresses of the internet, and no others, since whoever may
 * make a schedule must not get to call what only the coordinator can reach. Never: resolves a name.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { WindrowError } from '../../shared/failure.js';

/** Addresses that look public and are a cloud's own, for the machines in it. */
const metadata = new Set(['168.63.129.16']);
/** What is routed of IPv6; all else is special in one way or another. */
const globalIPv6 = ipaddr.parseCIDR('2000::/3');

/** Whether an address, of either family, is one of the public internet. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  // An IPv4 address written as IPv6 is what it is.
  const parsed = ipaddr.process(address);
  if (parsed.range() !== 'unicast' || metadata.has(parsed.toString())) return false;
  return parsed.kind() === 'ipv4' || parsed.match(globalIPv6);
}

/**
 * Whether a URL's host may be called as far as its text tells: one that is a name is judged by what
 * it resolves to, each time it is called.
 * @throws WindrowError E_WEBHOOK_DENIED
 */
export function checkWebhookHost(url: string): void {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  const literal = isIP(host) !== 0;
  const isLocal = /(^|\.)localhost$/.test(host);
  if (isLocal || (literal && !isPublicAddress(host))) throw denial(host);
}

/** @param address what the host resolved to, where it did */
export function denial(host: string, address = host): WindrowError {
  const what = address === host ? host : `${host} (${address})`;
  return new WindrowError({
    kind: 'invalidSpec',
    code: 'E_WEBHOOK_DENIED',
    message: `webhooks may not call ${what}: not a public address`,
    hint: 'call a public host, or start the coordinator with --allow-private-webhooks',
  });
}
