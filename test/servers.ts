/** What tests of servers need: free ports, certificates, the question that probes ask. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import {
  type ChannelCredentials,
  type Client,
  credentials,
  loadPackageDefinition,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import * as health from 'grpc-health-check';

/** A port of loopback that nobody listens on at the moment. */
export function freePort(): Promise<number> {
  return new Promise((found, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => found(port));
    });
  });
}

/** Paths of PEM files. */
export interface Certificates {
  readonly ca: string;
  readonly caKey: string;
  readonly cert: string;
  readonly key: string;
}

/**
 * An authority of that name, and a certificate of its for these hosts that serves clients as well.
 * @param days that the certificate is good for; negative: it has expired
 */
export function certificates(
  directory: string,
  hosts: readonly string[] = ['localhost'],
  name = 'own',
  days = 2,
): Certificates {
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const files = {
    ca: `${name}.ca.pem`,
    caKey: `${name}.ca.key`,
    cert: `${name}.pem`,
    key: `${name}.key`,
  };
  const authority = ['-x509', ...curve, '-keyout', files.caKey, '-out', files.ca];
  openssl('req', ...authority, '-days', '2', '-subj', `/CN=${name}`);
  openssl('req', ...curve, '-keyout', files.key, '-out', `${name}.csr`, '-subj', '/CN=windrow');
  const names = hosts.map((host) => `DNS:${host}`).join(',');
  writeFileSync(join(directory, `${name}.san`), `subjectAltName=${names}\n`);
  const signer = ['-CA', files.ca, '-CAkey', files.caKey, '-CAcreateserial'];
  const signed = ['-in', `${name}.csr`, '-out', files.cert, '-extfile', `${name}.san`];
  openssl('x509', '-req', ...signed, '-days', String(days), ...signer);
  return {
    ca: join(directory, files.ca),
    caKey: join(directory, files.caKey),
    cert: join(directory, files.cert),
    key: join(directory, files.key),
  };
}

type HealthClient = Client & {
  check(
    request: { service: string },
    done: (error: Error | null, answer: { status: string }) => void,
  ): void;
};
const { grpc } = loadPackageDefinition(
  loadSync(health.protoPath, { enums: String, defaults: true }),
) as unknown as {
  grpc: { health: { v1: { Health: new (...given: unknown[]) => HealthClient } } };
};

/** `SERVING` or what else the health service at that address says; rejects where nobody answers. */
export function healthOf(
  address: string,
  service = '',
  channel: ChannelCredentials = credentials.createInsecure(),
): Promise<string> {
  const client = new grpc.health.v1.Health(address, channel);
  return new Promise<string>((resolve, reject) =>
    client.check({ service }, (error, answer) => (error ? reject(error) : resolve(answer.status))),
  ).finally(() => client.close());
}
