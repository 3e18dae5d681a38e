/** Rows that travel between workers on machines of their own, and what is lost with one of them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { connect } from '../../client/client.js';
import { loadJob } from '../../client/load.js';
import type { Client } from '../../client/types.js';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/main.js';
import type { EventView } from '../../shared/views.js';
import { duckdb, filesBelow } from './engine.js';
import { Machine } from './machines.js';

const files = 8;
const rowsPerFile = 60_000;
const leaseMs = 4_000;
const slow = { timeout: 30_000, interval: 50 };

let home: string;
let directory: string;
let expected: unknown;
let coordinator: RunningCoordinator;
let client: Client;
let machines: Machine[];

const digest = (rows: string) => `
  select count(*)::int as n, sum(hash(t))::varchar as sum, bit_xor(hash(t))::varchar as xor
  from (${rows}) t`;
/** Each user with what was paid, by country: an aggregation of more than can be read by everybody. */
const query = (orders: string, users: string) => `
  select u.user_id, u.country, o.n, o.paid
  from (select user_id, count(*) as n, sum(amount) as paid from ${orders} group by user_id) o
  join ${users} u on u.user_id = o.user_id`;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'windrow-shuffle-'));
  for (let file = 0; file < files; file += 1) {
    await duckdb(`copy (
      select i as id, (hash(i) % 50000)::int as user_id, (hash(i * 3) % 100000)::bigint as amount,
        uuid() as note
      from range(${file * rowsPerFile}, ${(file + 1) * rowsPerFile}) t(i)
    ) to '${home}/orders-${file}.parquet' (format parquet)`);
  }
  await duckdb(`copy (
    select i::int as user_id, 'country-' || (i % 30) as country from range(40000) t(i)
  ) to '${home}/users.parquet' (format parquet)`);
  const table = (name: string) => `read_parquet('${home}/${name}.parquet')`;
  [expected] = await duckdb(digest(query(table('orders-*'), table('users'))));
}, 120_000);
afterAll(() => rmSync(home, { recursive: true, force: true }));

beforeEach(async () => {
  directory = mkdtempSync(join(home, 'case-'));
  machines = [];
  await open();
});
afterEach(async () => {
  await close();
  for (const machine of machines) await machine.kill();
});

async function open(): Promise<void> {
  const started = await startCoordinator({
    stateDirectory: join(directory, 'state'),
    embedded: false,
    allowRoots: [home],
    leaseMs,
  });
  if ('busy' in started) throw new Error('the state directory is busy');
  coordinator = started;
  client = connect(coordinator.endpoint);
}

async function close(): Promise<void> {
  client.close();
  await coordinator.stop();
}

function machine(name: string): Machine {
  const made = new Machine(join(directory, name), coordinator.endpoint);
  machines.push(made);
  return made;
}

async function submit(more = ''): Promise<string> {
  const spec = join(directory, 'job.yaml');
  writeFileSync(
    spec,
    `apiVersion: windrow/v1
kind: Job
metadata: { name: paid }
sources:
  orders: { parquet: ../orders-*.parquet }
  users: { parquet: ../users.parquet }
steps:
  - id: paid
    sql: { query: ${JSON.stringify(query('orders', 'users'))} }
${more}outputs: [{ from: paid, parquet: out }]
`,
  );
  return (await client.submit(await loadJob(spec))).jobId;
}

/**
 * The identities of the finished chunks of one stage that lie there (what is still being written is
 * named otherwise); one that was made twice stands twice.
 */
function partsOf(stage: string, ...directories: string[]): string[] {
  return directories
    .flatMap(filesBelow)
    .filter((name) => name.endsWith('.chunk') && name.includes(`-${stage}-`))
    .flatMap((name) => /^[0-9a-f]{64}/.exec(basename(name)) ?? [])
    .sort();
}

/** Follows the job until `found` is true of an event, or to its end. */
async function until(job: string, found: (event: EventView) => boolean): Promise<void> {
  const events = client.events(job, { follow: true });
  for await (const event of events) if (found(event)) return;
}

const done = (stage: string) => (event: EventView) =>
  event.event === 'stage' && event['stage'] === stage && event['state'] === 'done';

async function workersHere(count: number): Promise<void> {
  await vi.waitFor(async () => expect(await client.workers()).toHaveLength(count), slow);
}

/** The job's rows are right, and no part is left where anybody could remove it. */
async function expectWhole(job: string, ...directories: string[]): Promise<void> {
  await until(job, () => false);
  const view = await client.get(job);
  expect(view.failure).toBeUndefined();
  expect(view.state).toBe('succeeded');
  const [rows] = await duckdb(digest(`select * from read_parquet('${directory}/out/*.parquet')`));
  expect(rows).toEqual(expected);
  const left = () => directories.flatMap(filesBelow).filter((name) => name.endsWith('.chunk'));
  await vi.waitFor(() => expect(left()).toEqual([]), slow);
}

/** Sums of what orders of several files have in common, and what reads these. */
const [first, second] = ['s0_1', 's0_2'] as const;

describe('two workers, neither of which reads the disk of the other', () => {
  let a: Machine;
  let b: Machine;
  beforeEach(async () => {
    [a, b] = [machine('a').start(), machine('b').start()];
    await workersHere(2);
  });

  it('fetch from one another what they need', async () => {
    const job = await submit();
    await until(job, done(first));
    const parts = [a, b].map(({ shuffle }) => partsOf(first, shuffle));
    expect(parts.map(({ length }) => length)).toEqual([expect.any(Number), expect.any(Number)]);
    expect(parts.every(({ length }) => length > 0)).toBe(true);
    await expectWhole(job, a.shuffle, b.shuffle);
    expect((await client.get(job)).retries).toBe(0);
  });

  it('make again what one of them took along, and no other chunk', async () => {
    const job = await submit();
    await until(job, done(first));
    const lost = partsOf(first, a.shuffle);
    const kept = partsOf(first, b.shuffle);
    expect(lost.length).toBeGreaterThan(0);
    await a.kill(true);
    const seen = new Map<string, number>();
    await until(job, () => {
      for (const identity of partsOf(first, b.shuffle)) {
        seen.set(identity, partsOf(first, b.shuffle).filter((each) => each === identity).length);
      }
      return false;
    });
    expect([...seen.keys()].sort()).toEqual([...new Set([...lost, ...kept])].sort());
    expect([...seen.values()].every((files) => files === 1)).toBe(true);
    await expectWhole(job, a.shuffle, b.shuffle);
  });

  it('do nothing again because the coordinator was gone for a while', async () => {
    const job = await submit();
    await until(job, done(first));
    const before = partsOf(first, a.shuffle, b.shuffle);
    await close();
    await open();
    await until(job, done(second));
    expect(partsOf(first, a.shuffle, b.shuffle)).toEqual(before);
    await expectWhole(job, a.shuffle, b.shuffle);
  });
});

describe('a worker that is killed', () => {
  it('has nothing of its work done again where shuffle.location is on a disk that all reach', async () => {
    const shared = join(directory, 'shared');
    const a = machine('a').start();
    const job = await submit(`shuffle: { location: shared }\n`);
    await until(job, done(first));
    const before = partsOf(first, shared);
    expect(before.length).toBeGreaterThan(1);
    await a.kill(true);
    expect(filesBelow(a.shuffle)).toEqual([]);
    const b = machine('b').start();
    await until(job, done(second));
    expect(partsOf(first, shared)).toEqual(before);
    await expectWhole(job, shared, b.shuffle);
  });

  it('leaves what the next run reads on the same machine, and not on another', async () => {
    const own = join(directory, 'disk');
    const a = machine('a').start('--shuffle-dir', own);
    const killed = await submit();
    await until(killed, done(first));
    await a.kill();
    await client.cancel(killed);
    await until(killed, () => false);
    const before = partsOf(first, own);
    expect(before.length).toBeGreaterThan(1);

    await machine('same').start('--shuffle-dir', own);
    const again = await submit();
    await until(again, done(second));
    expect(partsOf(first, own)).toEqual(before);
    await expectWhole(again, own);
  });

  it('takes along what the next run makes again on another machine', async () => {
    const a = machine('a').start();
    const killed = await submit();
    await until(killed, done(first));
    await a.kill();
    await client.cancel(killed);
    await until(killed, () => false);
    const before = partsOf(first, a.shuffle);
    const b = machine('b').start();
    const again = await submit();
    await until(again, done(first));
    expect(partsOf(first, b.shuffle)).toEqual(before);
    await expectWhole(again, b.shuffle);
  });
});
