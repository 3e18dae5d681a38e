import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TlsFiles } from '../../../shared/channel.js';
import { fetchFiles } from '../../../worker/shuffle/fetch.js';
import { shuffleLimits } from '../../../worker/shuffle/limits.js';
import {
  checkShuffleListen,
  type PeerAccess,
  peerServer,
  peerTls,
} from '../../../worker/shuffle/peers.js';
import { socketAddress } from '../../../worker/shuffle/shuffle-door.js';
import { certificates } from '../../servers.js';
import { OtherMachine, rangesOf, wantedOf, writeChunk } from './machines.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-door-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const tls: TlsFiles = { cert: '/c.pem', key: '/k.pem' };

describe('where a worker may listen', () => {
  it.each(['unix:/tmp/x.sock', '127.0.0.1:0', '127.9.9.9:1', 'localhost:7500', '[::1]:0'])(
    'is %s, without more',
    (address) => {
      expect(() => checkShuffleListen(address, {})).not.toThrow();
    },
  );

  it.each<[PeerAccess, string]>([
    [{}, '--tls-cert and --tls-key, --token-file'],
    [{ tls }, '--token-file'],
    [{ token: 't' }, '--tls-cert and --tls-key'],
    [{ token: 't', tls: { ca: '/ca.pem' } }, '--tls-cert and --tls-key'],
  ])('is no address of others with %j', (access, lacking) => {
    for (const address of ['10.0.0.5:7500', 'worker-1.local:7500', '[fd00::1]:7500']) {
      expect(() => checkShuffleListen(address, access)).toThrowError(
        expect.objectContaining({
          failure: expect.objectContaining({
            code: 'E_INSECURE_BIND',
            message: expect.stringContaining(`lacks ${lacking}`),
          }),
        }),
      );
      expect(() => checkShuffleListen(address, { token: 't', tls })).not.toThrow();
    }
  });

  it.each(['0.0.0.0:7500', '[::]:7500', '0:7500', 'worker', ':1', 'a:70000', 'a:b'])(
    'is not %s, which nobody can be told',
    (address) => {
      expect(() => checkShuffleListen(address, { token: 't', tls })).toThrowError(
        expect.objectContaining({ failure: expect.objectContaining({ code: 'E_LISTEN' }) }),
      );
    },
  );

  it('is not an address that somebody has', async () => {
    const first = await OtherMachine.start(directory);
    await expect(OtherMachine.start(directory, { listen: first.address })).rejects.toMatchObject({
      failure: { code: 'E_LISTEN' },
    });
    first.close();
  });

  it('is a socket that only its owner can open, also where a dead process left one', async () => {
    const listen = socketAddress(directory, 'x');
    expect(listen).toBe(`unix:${directory}/x.sock`);
    writeFileSync(listen.slice(5), '');
    const machine = await OtherMachine.start(directory, { listen });
    expect(statSync(listen.slice(5)).mode & 0o777).toBe(0o600);
    machine.close();
  });

  it('is a socket elsewhere when the directory lies too deep for one', () => {
    expect(socketAddress(join(directory, 'd'.repeat(100)), 'name')).toBe(
      `unix:${join(tmpdir(), 'name.sock')}`,
    );
  });
});

describe('what leaves the machine', () => {
  it('is TLS, believed only with a certificate of the authority that a worker trusts', async () => {
    const certificatesOf = (name: string): TlsFiles => certificates(directory, [hostname()], name);
    const [ours, theirs] = [certificatesOf('ours'), certificatesOf('theirs')];
    const path = writeChunk(directory, 100_000);
    const content = readFileSync(path);
    // A name that is not known to stay on this machine, though it does.
    const listen = `${hostname()}:0`;
    const machine = await OtherMachine.start(directory, { listen, token: 't', tls: ours });
    const fetched = async (access: PeerAccess, name: string): Promise<unknown> => {
      mkdirSync(join(directory, name));
      return fetchFiles(
        wantedOf(rangesOf(machine.nameOf(path), content, 30_000, machine.address)),
        join(directory, name),
        {
          throwIfCancelled: () => undefined,
          access,
          limits: { ...shuffleLimits, reconnects: 1, reconnectMs: 1 },
        },
      ).catch((error: unknown) => error);
    };
    try {
      const paths = await fetched({ token: 't', tls: ours }, 'a');
      const came = Buffer.concat((paths as string[]).map((each) => readFileSync(each)));
      expect(came.equals(content)).toBe(true);
      for (const [name, access] of Object.entries({ b: { tls: theirs }, c: {} })) {
        expect(await fetched({ token: 't', ...access }, name)).toMatchObject({
          failure: { kind: 'fetchFailed', message: expect.stringMatching(/certificate/) },
        });
      }
      expect(await fetched({ tls: ours }, 'd')).toMatchObject({
        failure: { code: 'E_UNAUTHENTICATED' },
      });
    } finally {
      machine.close();
    }
  });

  it('cannot be secured with files that are not there, or are something else', () => {
    const access = { token: 't', tls: { ca: '/none.pem' } };
    expect(() => peerTls('10.0.0.5:7500', access)).toThrow(/E_TLS_FILE/);
    const file = join(directory, 'no.pem');
    writeFileSync(file, 'no certificate');
    const serving = { token: 't', tls: { cert: file, key: file } };
    expect(() => peerServer('10.0.0.5:7500', serving, () => undefined)).toThrow(/E_TLS_FILE/);
  });
});
