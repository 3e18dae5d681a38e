/** What is said of addresses that cannot be had, before anything is made for them. */
import { existsSync, mkdtempSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { startCoordinator } from '../../coordinator/main.js';
import { checkListenable } from '../../shared/listening.js';
import { startWorker } from '../../worker/main.js';
import { freePort } from '../servers.js';

const held = createServer();
let taken: string;
beforeAll(async () => {
  const port = await freePort();
  await new Promise<void>((listens) => held.listen(port, '127.0.0.1', () => listens()));
  taken = `127.0.0.1:${port}`;
});
afterAll(() => void held.close());

const place = (): string => mkdtempSync(join(tmpdir(), 'windrow-listening-'));
const refused = (flag: string, address = taken) => ({
  failure: {
    code: 'E_LISTEN',
    message: expect.stringContaining(address) as string,
    hint: expect.stringContaining(flag) as string,
  },
});

it('names the address that is taken, and the flag for another', async () => {
  const wanted = { '--listen': '127.0.0.1:0', '--http': taken, '--health-listen': undefined };
  await expect(checkListenable(wanted)).rejects.toMatchObject(refused('--http'));
  const nowhere = { '--listen': 'host.invalid:7433' };
  await expect(checkListenable(nowhere)).rejects.toMatchObject(refused('--listen', 'host.invalid'));
});

it('lets go of what is free, and finds that two want the same', async () => {
  const free = `localhost:${await freePort()}`;
  for (let time = 0; time < 3; time += 1) await checkListenable({ '--listen': free });
  const both = { '--listen': free, '--http': free };
  await expect(checkListenable(both)).rejects.toMatchObject(refused('--http', free));
});

it.each([
  ['--listen', (at: string) => ({ listen: at })],
  ['--http', (at: string) => ({ listen: '127.0.0.1:0', http: at })],
  ['--health-listen', (at: string) => ({ healthListen: at })],
])('a coordinator that cannot have its %s leaves nothing', async (flag, options) => {
  const error = vi.spyOn(console, 'error');
  const stateDirectory = join(place(), 'state');
  const start = startCoordinator({ stateDirectory, embedded: false, ...options(taken) });
  await expect(start).rejects.toMatchObject(refused(flag));
  expect(existsSync(stateDirectory)).toBe(false);
  expect(error).not.toHaveBeenCalled();
  error.mockRestore();
});

it.each([
  ['--shuffle-listen', (at: string) => ({ shuffleListen: at })],
  ['--health-listen', (at: string) => ({ healthListen: at })],
])('a worker that cannot have its %s leaves nothing', async (flag, options) => {
  const spillDirectory = join(place(), 'spill');
  const about = { coordinator: 'unix:/nowhere', slots: 1, pools: ['*'], spillDirectory };
  await expect(startWorker({ ...about, ...options(taken) })).rejects.toMatchObject(refused(flag));
  expect(existsSync(spillDirectory)).toBe(false);
});

it('a coordinator whose door is taken at the last moment closes the others', async () => {
  const stateDirectory = place();
  const options = { stateDirectory, embedded: true };
  await expect(startCoordinator({ ...options, http: taken })).rejects.toMatchObject(
    refused('--http'),
  );
  expect(readdirSync(stateDirectory)).not.toContain('windrow.sock');
  const again = await startCoordinator(options);
  if ('busy' in again) throw new Error('it is still held');
  await again.stop();
});
