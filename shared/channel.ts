/**
 * How a channel to a coordinator is made: TLS, or plaintext where nothing leaves the machine, not by
 * way of a proxy either. Never: connections; who calls makes its own.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { type ChannelCredentials, type ChannelOptions, credentials } from '@grpc/grpc-js';
import { staysOnMachine } from './endpoints.js';
import { fail } from './failure.js';
import { channelOptions } from './rpc.js';

/** Paths of PEM files. */
export interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface Channel {
  readonly target: string;
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
}

/**
 * @param target `unix:PATH` or HOST:PORT
 * @param tls `{}` trusts the system's authorities, absent means plaintext
 * @throws WindrowError E_INSECURE_TARGET, E_TLS_FILE
 */
export function channelTo(target: string, tls?: TlsFiles): Channel {
  if (tls) {
    const { ca = null, cert = null, key = null } = readTls(tls);
    const secured = credentials.createSsl(ca, key, cert);
    return { target, credentials: secured, options: channelOptions };
  }
  if (!staysOnMachine(target.replace(/^(dns|ipv4|ipv6):/, ''))) {
    fail('invalidSpec', 'E_INSECURE_TARGET', `${target} is another machine and TLS is off`, {
      hint: 'give the authority that signed its certificate (--tls-ca)',
    });
  }
  // gRPC follows http_proxy even to loopback, and what the proxy hears has left the machine.
  const options = { ...channelOptions, 'grpc.enable_http_proxy': 0 };
  return { target, credentials: credentials.createInsecure(), options };
}

export interface Pems {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/**
 * What the files hold, once it is known to go together: Node takes an authority without any
 * certificate for none, and tells of a key that is another's only when it connects.
 * @throws WindrowError E_TLS_FILE
 */
export function readTls({ ca, cert, key }: TlsFiles): Pems {
  const pems: Pems = {
    ...(ca === undefined ? {} : { ca: readPem(ca) }),
    ...(cert === undefined ? {} : { cert: readPem(cert) }),
    ...(key === undefined ? {} : { key: readPem(key) }),
  };
  const hint = 'name a certificate, its own key and an authority, each in PEM';
  if (pems.ca && !/-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/.test(pems.ca.toString())) {
    fail('invalidSpec', 'E_TLS_FILE', `${ca} holds no certificate`, { hint });
  }
  try {
    createSecureContext(pems);
  } catch (error) {
    const names = [cert, key, ca].filter((name) => name !== undefined).join(', ');
    const message = `cannot use ${names}: ${(error as Error).message}`;
    fail('invalidSpec', 'E_TLS_FILE', message, { hint, cause: error });
  }
  return pems;
}

/**
 * What is to be said of certificates that nobody who looks at their dates will take: those that are
 * shown, and authorities of which none is left.
 * @throws WindrowError E_TLS_FILE
 */
export function tlsWarnings(files: TlsFiles, nowMs: number): string[] {
  const { cert, ca } = readTls(files);
  const shown = troublesOf(cert, nowMs);
  const trusted = troublesOf(ca, nowMs);
  return [
    [files.cert, shown.find((trouble) => trouble !== undefined)],
    [files.ca, trusted.includes(undefined) ? undefined : trusted[0]],
  ].flatMap(([file, trouble]) =>
    trouble === undefined ? [] : [`the certificate ${file} ${trouble}`],
  );
}

/** Of each certificate in a file, what is wrong with its dates; undefined where nothing is. */
function troublesOf(pem: Buffer | undefined, nowMs: number): (string | undefined)[] {
  const blocks = pem
    ?.toString()
    .match(/-----BEGIN (X509 )?CERTIFICATE-----[^-]+-----END \1CERTIFICATE-----/g);
  return (blocks ?? []).map((block) => {
    const certificate = parsedCertificate(block);
    // Whoever trusts none of it has nothing to fear of its dates.
    if (!certificate) return undefined;
    const { validFrom, validTo } = certificate;
    if (nowMs > Date.parse(validTo)) {
      return `expired on ${timeText(validTo)}: renew it`;
    }
    if (nowMs >= Date.parse(validFrom)) return undefined;
    return `is not valid before ${timeText(validFrom)}: look at the clock of this machine`;
  });
}

function parsedCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function timeText(date: string): string {
  return new Date(date).toISOString();
}

/** @throws WindrowError E_TLS_FILE */
function readPem(path: string): Buffer {
  const hint = 'give the path of a PEM file';
  // It may be a key: neither the message nor its cause may show it.
  if (path.includes('-----BEGIN ')) {
    fail('invalidSpec', 'E_TLS_FILE', 'this is the text of a PEM file and not its path', { hint });
  }
  try {
    return readFileSync(path);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return fail('invalidSpec', 'E_TLS_FILE', `cannot read ${path}: ${message}`, {
      hint,
      cause: error,
    });
  }
}
