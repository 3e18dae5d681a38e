/** Schedules and backfills through a real coordinator, a real worker and the published client. */
import { rmSync } from 'node:fs';
import { credentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Failure } from '../../shared/failure.js';
import { CreateBackfillRequest, ScheduleServiceClient } from '../../shared/gen/windrow.js';
import { statusToError } from '../../shared/rpc.js';
import type { RunView } from '../../shared/schedule-views.js';
import { failureOf } from '../client/job-server.js';
import { verbHere } from '../verb-here.js';
import { dayJob, Scheduled } from './scheduled.js';

let world: Scheduled;
beforeEach(async () => {
  world = new Scheduled();
  await world.data();
});
afterEach(() => world.close());

const days = (from: string, to: string): string =>
  `trigger: { cronInterval: '@daily', startDate: '${from}', endDate: '${to}', catchup: true }`;
/** A schedule whose time is far ahead. */
const idle = "trigger: { cronInterval: '@daily', startDate: '2999-01-01' }";
const all =
  (count: number, state: RunView['state']) =>
  (runs: readonly RunView[]): boolean =>
    runs.filter((run) => run.state === state).length === count;
const statesOf = (runs: readonly RunView[]): string[] =>
  runs.map((run) => `${run.run} ${run.state}`);
const range = (from: string, to: string) => ({ from: new Date(from), to: new Date(to) });

describe('a schedule', () => {
  it('runs every interval once, each with its own variables, and each run is a job', async () => {
    await world.start();
    await world.create('daily', days('2026-01-02', '2026-01-04'));
    const runs = await world.runs('daily', all(3, 'succeeded'));
    expect(statesOf(runs)).toEqual([
      'daily-20260102T000000 succeeded',
      'daily-20260103T000000 succeeded',
      'daily-20260104T000000 succeeded',
    ]);
    const out = world.place.path('out/*/*.parquet');
    expect(
      await world.place.sql(
        `select run, before, count(*)::int as rows, min(n)::int as low from '${out}' group by all order by run`,
      ),
    ).toEqual([
      { run: 'daily-20260102T000000', before: 'none', rows: 3, low: 3 },
      { run: 'daily-20260103T000000', before: '2026-01-02T00:00:00+00:00', rows: 3, low: 6 },
      { run: 'daily-20260104T000000', before: '2026-01-03T00:00:00+00:00', rows: 3, low: 9 },
    ]);
    const job = await world.client.get('daily-20260103T000000');
    expect(job).toMatchObject({ job: runs[1]?.job, state: 'succeeded', rows: { in: 90, out: 3 } });
    expect((await world.client.list()).map(({ name }) => name)).toHaveLength(3);
  });

  it('goes on after a restart with what was under way, and makes no run twice', async () => {
    await world.start();
    await world.create('daily', `maxActiveRuns: 2\n${days('2026-01-01', '2026-01-08')}`);
    await world.runs('daily', (runs) => runs.some(({ state }) => state === 'succeeded'));
    await world.stop();
    await world.start();
    const runs = await world.runs('daily', all(8, 'succeeded'));
    expect(runs.map(({ tries }) => tries)).toEqual(Array(8).fill(1));
    expect(await world.client.list()).toHaveLength(8);
  });

  it('tries a failed run again, which succeeds once its data is there', async () => {
    await world.start();
    const job = dayJob().replace('rows.parquet', 'late.parquet');
    const more = `retries: { count: 100, delay: PT0.2S }\n${days('2026-01-01', '2026-01-01')}`;
    await world.create('patient', more, job);
    const [waiting] = await world.runs('patient', all(1, 'retrying'));
    expect(waiting).toMatchObject({ failure: { code: 'E_NO_FILES' } });
    expect(waiting?.job).toBeUndefined();
    const waited = world.client.wait(waiting!.run);
    await world.data('late.parquet');
    const [done] = await world.runs('patient', all(1, 'succeeded'));
    expect(done?.tries).toBeGreaterThan(1);
    expect(await waited).toMatchObject({ job: done?.job, state: 'succeeded' });
  });

  it('takes a new spec under its old name, and its runs stay', async () => {
    await world.start();
    await world.create('daily', days('2026-01-01', '2026-01-01'));
    await world.runs('daily', all(1, 'succeeded'));
    const again = `params: { least: 5 }\n${days('2026-01-01', '2026-01-02')}`;
    await world.create('daily', again, dayJob('other'));
    expect(await world.runs('daily', all(2, 'succeeded'))).toHaveLength(2);
    const rows = await world.place.sql(
      `select n::int as n from '${world.place.path('other/*/*.parquet')}'`,
    );
    expect(rows).toEqual([{ n: 5 }]);
  });

  it('that is deleted and made again is another one: it runs its intervals itself', async () => {
    await world.start();
    await world.create('daily', days('2026-01-01', '2026-01-01'));
    await world.runs('daily', all(1, 'succeeded'));
    await world.client.schedules.delete('daily');
    expect(await world.client.schedules.list()).toEqual([]);
    await world.create('daily', days('2026-01-01', '2026-01-01'), dayJob('second'));
    await world.runs('daily', all(1, 'succeeded'));
    expect(await world.client.list()).toHaveLength(2);
  });
});

describe('a run by hand', () => {
  it('covers what it was told to, waits while the schedule is paused, and is one a request', async () => {
    await world.start();
    const { schedules } = world.client;
    await world.create('daily', idle);
    expect((await schedules.pause('daily')).state).toBe('paused');
    const coming = await schedules.next('daily', { from: new Date('2999-01-05'), count: 2 });
    expect(coming.map(({ runAt }) => runAt.slice(0, 10))).toEqual(['2999-01-06', '2999-01-07']);
    const options = {
      interval: { start: new Date('2026-01-05T00:00:00Z'), end: new Date('2026-01-06T00:00:00Z') },
      requestId: 'mine',
    };
    const run = await schedules.trigger('daily', options);
    expect(run).toMatchObject({
      state: 'queued',
      kind: 'manual',
      because: 'schedule daily is paused',
    });
    expect((await schedules.trigger('daily', options)).run).toBe(run.run);
    expect((await world.client.why(run.run)).answer).toContain('is paused');
    const other = schedules.trigger('daily', { ...options, requestId: 'yours' });
    expect(await failureOf(other)).toMatchObject({ code: 'E_RUN_EXISTS' });
    await schedules.resume('daily');
    await world.runs('daily', all(1, 'succeeded'));
    const job = await world.client.get(run.run);
    expect(job).toMatchObject({ state: 'succeeded', rows: { out: 3 } });
  });
});

describe('a backfill', () => {
  it('runs a range, leaves out what was run, and runs failures again when asked to', async () => {
    await world.start();
    const { schedules } = world.client;
    const job = dayJob().replace(
      'n >= $least',
      "n >= $least and if($ds in ('2026-01-02', '2026-01-03'), error('no'), true)",
    );
    await world.create('daily', idle, job);
    const preview = await schedules.previewBackfill('daily', range('2026-01-01', '2026-01-04'));
    expect(preview).toMatchObject({ total: 4, passed: 0 });
    expect(preview.runs.map(({ logicalDate }) => logicalDate.slice(0, 10))).toEqual([
      '2026-01-01',
      '2026-01-02',
      '2026-01-03',
      '2026-01-04',
    ]);
    const asked = { ...range('2026-01-01', '2026-01-04'), maxActiveRuns: 2, requestId: 'r1' };
    const { backfill } = await schedules.backfill('daily', asked);
    expect((await schedules.backfill('daily', asked)).backfill).toBe(backfill);
    await ended(backfill);
    expect(await schedules.getBackfill(backfill)).toMatchObject({
      state: 'failed',
      runs: { total: 4, passed: 0, unfinished: 0, succeeded: 2, failed: 2, cancelled: 0 },
    });
    await world.create('daily', idle);
    const { jobId: run } = await world.client.retry('daily-20260102T000000');
    expect(run).toBe('daily-20260102T000000');
    expect(await world.client.wait(run)).toMatchObject({ state: 'succeeded', rows: { out: 3 } });
    expect(await world.runs('daily', all(3, 'succeeded'))).toHaveLength(4);
    const again = await schedules.backfill('daily', {
      ...range('2026-01-01', '2026-01-05'),
      reprocess: 'failed',
    });
    await ended(again.backfill);
    expect(await schedules.getBackfill(again.backfill)).toMatchObject({
      state: 'succeeded',
      runs: { total: 5, passed: 3, succeeded: 2 },
    });
    expect(await schedules.backfills('daily')).toHaveLength(2);
  });

  it('that is very long, backwards in time, or of nothing, is not started', async () => {
    await world.start();
    const { schedules } = world.client;
    await world.create('often', "trigger: { delta: PT1S, startDate: '2999-01-01' }");
    const years = range('2020-01-01', '2025-01-01');
    expect(await failureOf(schedules.backfill('often', years))).toMatchObject({
      kind: 'invalidSpec',
      code: 'E_BACKFILL_LARGE',
    });
    const tooMany = schedules.backfill('often', { ...years, many: true });
    expect(await failureOf(tooMany)).toMatchObject({ code: 'E_BACKFILL_LARGE' });
    const invalid = [range('2026-01-02', '2026-01-01'), range('2990-01-01', '2991-01-01')];
    for (const wrong of invalid) {
      const refused = await failureOf(schedules.backfill('often', wrong));
      expect(refused).toMatchObject({ code: 'E_BACKFILL_INVALID' });
    }
    expect(await schedules.backfills()).toEqual([]);
  });

  it('that is cancelled stops', async () => {
    await world.start();
    const { schedules } = world.client;
    await world.create('daily', `paused: true\n${idle}`);
    const { backfill } = await schedules.backfill('daily', range('2026-01-01', '2026-01-20'));
    expect(await schedules.cancelBackfill(backfill)).toMatchObject({ state: 'cancelled' });
    expect((await schedules.get('daily')).runs).toEqual([]);
  });

  async function ended(id: string): Promise<void> {
    while ((await world.client.schedules.getBackfill(id)).state === 'running') {
      await new Promise((go) => setTimeout(go, 25));
    }
  }
});

it('a schedule keeps the model it was created with, whatever becomes of the file', async () => {
  await world.start();
  const model = world.place.model();
  const infer =
    '{ id: told, infer: { from: own, model: model.onnx, inputs: { x: [n, n] }, outputs: { y: score } } }';
  const job = dayJob().replace(/ {2}- id: told[\s\S]*?(?=outputs)/, `  - ${infer}\n`);
  await world.create('scored', `paused: true\n${days('2026-01-01', '2026-01-01')}`, job);
  rmSync(model);
  await world.client.schedules.resume('scored');
  await world.runs('scored', all(1, 'succeeded'));
  expect(await world.client.get('scored-20260101T000000')).toMatchObject({ rowsInferred: 3 });
});

it('a call that could start something twice, or that makes no sense, is refused', async () => {
  await world.start();
  await world.create('daily', idle);
  const address = `unix:${world.place.path('state/windrow.sock')}`;
  const raw = new ScheduleServiceClient(address, credentials.createInsecure());
  const call = (change: Partial<CreateBackfillRequest>): Promise<Failure> =>
    failureOf(
      new Promise((done, reject) => {
        const request = CreateBackfillRequest.fromPartial({
          schedule: 'daily',
          toMs: 1,
          ...change,
        });
        raw.createBackfill(request, (error, reply) =>
          error ? reject(statusToError(error)) : done(reply),
        );
      }),
    );
  expect(await call({})).toMatchObject({ code: 'E_REQUEST_ID' });
  expect(await call({ requestId: 'r', reprocess: 'some' })).toMatchObject({
    code: 'E_BACKFILL_INVALID',
  });
  raw.close();
});

it('what does not exist is named with the nearest name', async () => {
  await world.start();
  await world.create('daily', idle);
  expect(await failureOf(world.client.schedules.get('dayly'))).toMatchObject({
    code: 'E_NO_SCHEDULE',
    hint: "did you mean 'daily'",
  });
  expect(await failureOf(world.client.schedules.getBackfill('b'))).toMatchObject({
    code: 'E_NO_BACKFILL',
  });
});

it('verbs that read say the same of a journal that nobody owns any more', async () => {
  await world.start();
  const { schedules } = world.client;
  await world.create('daily', `paused: true\n${idle}`);
  const { run } = await schedules.trigger('daily');
  const { backfill } = await schedules.backfill('daily', range('2026-01-01', '2026-01-20'));
  const said = [
    [['schedule', 'list'], await schedules.list()],
    [['schedule', 'get', 'daily'], await schedules.get('daily')],
    [['schedule', 'next', 'daily', '--count', '3'], await schedules.next('daily', { count: 3 })],
    [['backfill', 'list'], await schedules.backfills()],
    [['backfill', 'get', backfill], await schedules.getBackfill(backfill)],
    [['why', run], await world.client.why(run)],
  ] as const;
  await world.stop();
  const flags = ['--state', world.place.path('state'), '-o', 'json'];
  for (const [verb, live] of said) {
    const { code, stdout } = await verbHere([...verb, ...flags]);
    expect(code, verb.join(' ')).toBe(0);
    expect(JSON.parse(stdout), verb.join(' ')).toEqual(JSON.parse(JSON.stringify(live)));
  }
  const pause = await verbHere(['schedule', 'pause', 'daily', '--state', flags[1]!]);
  expect(pause).toMatchObject({ code: 4, stderr: expect.stringContaining('E_UNREACHABLE') });
});

it('a coordinator that ends with its job takes no schedule', async () => {
  await world.start(true);
  expect(await failureOf(world.create('daily', idle))).toMatchObject({ code: 'E_SCHEDULES_OFF' });
});
