/** What probes hear on a health door, and that nothing else can be asked there. */
import { credentials, status } from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import { JobServiceClient } from '../../shared/gen/windrow.js';
import { HealthDoor } from '../../shared/health-door.js';
import { healthOf } from '../servers.js';

const opened: { close(): void }[] = [];
afterEach(() => opened.splice(0).forEach((each) => each.close()));

async function open(address = '127.0.0.1:0'): Promise<HealthDoor> {
  const door = await HealthDoor.open(address);
  opened.push(door);
  return door;
}

const ask = ({ address }: HealthDoor, service?: string): Promise<string> =>
  healthOf(address, service);

it('says that it serves, until it is told to stop', async () => {
  const door = await open();
  expect(await ask(door)).toBe('SERVING');
  door.stopServing();
  expect(await ask(door)).toBe('NOT_SERVING');
});

it('tells of services one by one, and of none that it was not told of', async () => {
  const door = await open();
  await expect(ask(door, 'work')).rejects.toMatchObject({ code: status.NOT_FOUND });
  door.tell('work', false);
  expect(await ask(door, 'work')).toBe('NOT_SERVING');
  door.tell('work', true);
  expect(await ask(door, 'work')).toBe('SERVING');
  expect(await ask(door)).toBe('SERVING');
});

it('has no other service, as anybody may reach it', async () => {
  const { address } = await open();
  const client = new JobServiceClient(address, credentials.createInsecure());
  opened.push(client);
  const called = new Promise((resolve, reject) =>
    client.listJobs({ state: '', limit: 1 }, (error, answer) =>
      error ? reject(error) : resolve(answer),
    ),
  );
  await expect(called).rejects.toMatchObject({ code: status.UNIMPLEMENTED });
});

it('refuses an address that is taken, or is none', async () => {
  const { address } = await open();
  for (const wrong of [address, 'nowhere', '127.0.0.1:99999']) {
    await expect(HealthDoor.open(wrong)).rejects.toMatchObject({
      failure: { code: 'E_LISTEN' },
    });
  }
});
