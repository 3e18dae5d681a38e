/** What is known of devices when a job is planned, by the pool that it runs in. */
import { expect, it } from 'vitest';
import { KnownDevices } from '../../coordinator/known-devices.js';

const cpu = { devices: ['cpu'], hardware: ['cpu'], pools: ['cpu'] };
const gpu = { devices: ['cpu', 'cuda'], hardware: ['cpu', 'cuda'], pools: ['gpu'] };

it('of a pool that has no worker nothing is known, whatever the workers of others have', async () => {
  const devices = new KnownDevices(undefined);
  devices.heard('w1', cpu);
  expect(await devices.facts('gpu')).toEqual({ known: false, devices: [], hardware: [] });
  expect(await devices.facts('cpu')).toMatchObject({ known: true, devices: ['cpu'] });
  devices.heard('w2', gpu);
  expect(await devices.facts('gpu')).toMatchObject({ known: true, devices: ['cpu', 'cuda'] });
  expect(await devices.facts('cpu')).toMatchObject({ devices: ['cpu'] });
  devices.gone('w2');
  expect(await devices.facts('gpu')).toMatchObject({ known: false });
});

it('a worker of all pools counts in each', async () => {
  const devices = new KnownDevices(undefined);
  devices.heard('w1', { ...gpu, pools: ['*'] });
  expect(await devices.facts('any')).toMatchObject({ known: true, devices: ['cpu', 'cuda'] });
});

it('where all workers are of this machine, it is asked when none of them speaks in time', async () => {
  const local = { devices: ['cpu', 'webgpu'], hardware: ['cpu'] };
  const devices = new KnownDevices({ waitMs: 0, local: () => Promise.resolve(local) });
  expect(await devices.facts('cpu')).toEqual({ known: true, ...local });
});
