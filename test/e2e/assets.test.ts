/** Runs that another job's output and dropped files lead to, and whom their ends are told to. */
import { createServer, type Server } from 'node:http';
import { mkdirSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadJob } from '../../client/load.js';
import type { AssetEvents } from '../../shared/asset-condition.js';
import type { RunView } from '../../shared/schedule-views.js';
import { failureOf } from '../client/job-server.js';
import { Scheduled } from './scheduled.js';

let world: Scheduled;
let receiver: Server;
let told: Record<string, unknown>[];
beforeEach(async () => {
  world = new Scheduled();
  await world.data();
  mkdirSync(world.place.path('drops'));
  told = [];
  receiver = createServer((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString()));
    request.on('end', () => {
      told.push(JSON.parse(body) as Record<string, unknown>);
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((done) => receiver.listen(0, '127.0.0.1', done));
});
afterEach(async () => {
  await world.close();
  receiver.closeAllConnections();
  await new Promise((done) => receiver.close(done));
});

const consumer = `apiVersion: windrow/v1
kind: Job
metadata: { name: consumer }
sources: { rows: { parquet: up/*.parquet } }
steps:
  - { id: told, select: { from: rows, columns: { '*': true, events: $triggering_asset_events, version: "$triggering_asset_events::json ->> '$.up[0].extra.version'" } } }
outputs: [{ from: told, parquet: 'down/{{ ts_nodash }}' }]
`;
const trigger = `trigger:
  asset: { all: [{ name: up, output: up }, { name: drops, files: drops/* }] }
  checkEvery: PT0.2S`;
const webhook = (): string =>
  `onSuccess: { url: 'http://127.0.0.1:${(receiver.address() as AddressInfo).port}/runs' }`;

/** A job of its own, as somebody else's would be. */
async function publish(least: number): Promise<void> {
  const spec = `apiVersion: windrow/v1
kind: Job
metadata: { name: upstream }
sources: { rows: { parquet: rows.parquet } }
steps: [{ id: some, filter: { from: rows, where: 'n >= ${least}' } }]
outputs: [{ from: some, parquet: up, mode: overwrite }]
`;
  const { jobId } = await world.client.submit(await loadJob(world.place.write('up.yaml', spec)));
  await world.client.wait(jobId);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((go) => setTimeout(go, 25));
}
const get = () => world.client.schedules.get('consumer');
const awaits = (what: string) => (): Promise<boolean> => get().then((view) => view.awaits === what);
const succeeded = (count: number) => (runs: readonly RunView[]) =>
  runs.filter(({ state }) => state === 'succeeded').length === count;
const shapeOf = (events: AssetEvents | undefined) =>
  Object.entries(events ?? {}).map(([name, list]) => [name, list.map(({ extra }) => extra)]);

it('a run is made once for what another job published and for files that came, and is told of', async () => {
  await world.start(false, { allowPrivateWebhooks: true });
  await world.create('consumer', `${webhook()}\n${trigger}`, consumer);
  expect((await world.client.why('consumer')).answer).toContain(
    'waits for changes of up and drops',
  );
  await publish(80);
  await until(awaits('drops'));
  world.place.write('drops/one.csv', '1');
  const [first] = await world.runs('consumer', succeeded(1));
  expect(first).toMatchObject({ kind: 'asset', tries: 1, dataIntervalEnd: first?.logicalDate });
  const events = first?.triggeringAssetEvents;
  expect(shapeOf(events)).toEqual([
    ['up', [expect.objectContaining({ job: 'upstream', rows: 10 })]],
    ['drops', [expect.objectContaining({ files: 1, bytes: 1 })]],
  ]);
  const rows = (await world.place.sql(
    `select distinct events, version from '${world.place.path('down/*/*.parquet')}'`,
  )) as { events: string; version: string }[];
  expect(rows.map((row) => JSON.parse(row.events) as unknown)).toEqual([events]);
  expect(rows[0]?.version).toBe(events?.['up']?.[0]?.extra['version']);
  await until(async () => (await get()).runs[0]?.webhook?.state === 'delivered');
  expect(told).toMatchObject([{ schedule: 'consumer', run: first?.run, state: 'succeeded' }]);

  // Whoever comes after a restart knows what was seen; and without the flag calls nobody here.
  await world.stop();
  await world.start();
  await publish(80);
  world.place.write('drops/two.csv', '22');
  await until(awaits('up'));
  await publish(60);
  const [, second] = await world.runs('consumer', succeeded(2));
  expect(shapeOf(second?.triggeringAssetEvents)).toEqual([
    ['drops', [expect.objectContaining({ files: 2, bytes: 3 })]],
    ['up', [expect.objectContaining({ rows: 30 })]],
  ]);
  await until(async () => (await get()).runs[0]?.webhook?.state === 'givenUp');
  expect((await get()).runs[0]?.webhook?.failure).toMatchObject({ code: 'E_WEBHOOK_DENIED' });
  expect(told).toHaveLength(1);
});

it('what a schedule of data sets may not be, wait for, or tell is refused', async () => {
  await world.start();
  const refused = async (more: string, job = consumer) =>
    (await failureOf(world.create('consumer', more, job))).code;
  expect(await refused(`${webhook()}\n${trigger}`)).toBe('E_WEBHOOK_DENIED');
  expect(await refused('trigger: { asset: { files: /etc/passwd } }')).toBe('E_URI_DENIED');
  expect(await refused(trigger, consumer.replace('ts_nodash', 'triggering_asset_events'))).toBe(
    'E_SPEC_INVALID',
  );
  expect(await world.client.schedules.list()).toEqual([]);
  await world.create('consumer', trigger, consumer);
  const range = { from: new Date('2026-01-01'), to: new Date('2026-01-02') };
  expect(await failureOf(world.client.schedules.backfill('consumer', range))).toMatchObject({
    code: 'E_BACKFILL_INVALID',
    hint: 'start a run by hand: windrow schedule trigger consumer',
  });
});
