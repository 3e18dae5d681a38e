/** How a channel is secured: TLS, or plaintext where nothing leaves the machine. */
import { readFileSync } from 'node:fs';
import { credentials, type ChannelCredentials } from '@grpc/grpc-js';
import { staysOnMachine } from '../shared/endpoints.js';
import { fail } from '../shared/failure.js';

interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/**
 * @param tls paths of PEM files; `{}` trusts the system's authorities, absent means plaintext
 * @throws WindrowError E_INSECURE_TARGET, E_TLS_FILE
 */
export function credentialsFor(target: string, tls?: TlsFiles): ChannelCredentials {
  if (tls) return credentials.createSsl(read(tls.ca), read(tls.key), read(tls.cert));
  if (!staysOnMachine(target.replace(/^(dns|ipv4|ipv6):/, ''))) {
    fail('invalidSpec', 'E_INSECURE_TARGET', `${target} is another machine and TLS is off`, {
      hint: 'give the authority that signed its certificate',
    });
  }
  return credentials.createInsecure();
}

function read(path: string | undefined): Buffer | null {
  if (path === undefined) return null;
  try {
    return readFileSync(path);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    fail('invalidSpec', 'E_TLS_FILE', `cannot read ${path}: ${message}`, {
      hint: 'give the path of a PEM file',
      cause: error,
    });
  }
}
