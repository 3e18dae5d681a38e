/** Schedules and backfills at the HTTP door of a real coordinator that has no worker. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type RunningCoordinator, startCoordinator } from '../../../coordinator/main.js';
import type { BackfillView, RunView, ScheduleView } from '../../../shared/schedule-views.js';
import { duckdb } from '../../bad-input/place.js';
import { type Answered, CheckedApi } from './checked-api.js';

const directory = mkdtempSync(join(tmpdir(), 'windrow-http-schedules-'));
const state = join(directory, 'state');
let coordinator: RunningCoordinator;
let api: CheckedApi;

beforeAll(async () => {
  const data = join(directory, 'rows.parquet');
  await duckdb(`copy (select i as n from range(10) t(i)) to '${data}'`);
  const started = await startCoordinator({
    stateDirectory: state,
    embedded: false,
    allowRoots: [directory],
    http: '127.0.0.1:0',
  });
  if ('busy' in started) throw new Error('the state directory is new');
  coordinator = started;
  api = new CheckedApi(coordinator.httpAddress!);
});
afterAll(async () => {
  await coordinator.stop();
  rmSync(directory, { recursive: true, force: true });
});

const job = (change: object = {}) => ({
  apiVersion: 'windrow/v1',
  kind: 'Job',
  metadata: { name: 'day' },
  params: { least: 0 },
  sources: { rows: { parquet: join(directory, 'rows.parquet') } },
  steps: [{ id: 'own', filter: { from: 'rows', where: 'n >= $least and $ds is not null' } }],
  outputs: [{ from: 'own', parquet: join(directory, 'out/{{ ds }}') }],
  ...change,
});
/** A schedule whose time is far ahead. */
const spec = (name: string, change: object = {}) => ({
  apiVersion: 'windrow/v1',
  kind: 'Schedule',
  metadata: { name },
  job: 'day.yaml',
  trigger: { cronInterval: '@daily', startDate: '2999-01-01' },
  ...change,
});

const codeOf = ({ json }: Answered): string => (json as { code: string }).code;

async function created(name: string, change: object = {}): Promise<ScheduleView> {
  const answer = await api.post('/v1/schedules', { spec: spec(name, change), job: job() });
  expect(answer.status, answer.body.toString()).toBe(200);
  return answer.json as ScheduleView;
}

/** The latest run, once it is as it should be. */
function latest(name: string, wanted: Partial<RunView>): Promise<RunView> {
  return vi.waitFor(
    async () => {
      const { runs } = (await api.get(`/v1/schedules/${name}`)).json as ScheduleView;
      expect(runs[0]).toMatchObject(wanted);
      return runs[0]!;
    },
    { timeout: 60_000 },
  );
}

describe('a schedule', () => {
  it('is made, made anew under its name, listed, and tells its coming runs', async () => {
    const made = await created('daily', { params: { least: 5 } });
    expect(made).toMatchObject({ schedule: 'daily', state: 'active', params: { least: 5 } });
    const again = await created('daily', { maxActiveRuns: 3 });
    expect(again).toMatchObject({ maxActiveRuns: 3, params: {} });
    const { schedules } = (await api.get('/v1/schedules')).json as { schedules: ScheduleView[] };
    expect(schedules.filter(({ schedule }) => schedule === 'daily')).toEqual([again]);
    const next = await api.get('/v1/schedules/daily/next?from=2999-02-27&count=2');
    expect(next.json).toMatchObject({
      runs: [
        { logicalDate: '2999-02-27T00:00:00.000Z', runAt: '2999-02-28T00:00:00.000Z' },
        { logicalDate: '2999-02-28T00:00:00.000Z', runAt: '2999-03-01T00:00:00.000Z' },
      ],
    });
    const first = (await api.get('/v1/schedules/daily/next?count=1')).json as { runs: object[] };
    expect(first.runs).toEqual([again.next]);
  });

  it('waits while it is paused, says why, runs its job after that, and is deleted once that ended', async () => {
    await created('byHand', { params: { least: 2 } });
    const paused = await api.post('/v1/schedules/byHand/pause');
    expect(paused.json).toMatchObject({ state: 'paused' });
    const asked = { start: '2026-01-05', end: '2026-01-06T00:00:00Z', requestId: 'mine' };
    const { json } = await api.post('/v1/schedules/byHand/trigger', asked);
    const { run } = json as RunView;
    expect(json).toMatchObject({
      kind: 'manual',
      state: 'queued',
      runAt: '2026-01-06T00:00:00.000Z',
    });
    expect((await api.post('/v1/schedules/byHand/trigger', asked)).json).toMatchObject({ run });
    const other = await api.post('/v1/schedules/byHand/trigger', { ...asked, requestId: '' });
    expect([other.status, codeOf(other)]).toEqual([409, 'E_RUN_EXISTS']);
    const why = await api.get(`/v1/jobs/${run}/why`);
    expect(why.json).toMatchObject({ detail: { reason: 'queued', schedule: 'byHand' } });

    const resumed = await api.post('/v1/schedules/byHand/resume');
    expect(resumed.json).toMatchObject({ state: 'active' });
    await latest('byHand', { run, state: 'running', job: expect.any(String) as string });
    const view = await api.get(`/v1/jobs/${run}`);
    expect(view.json).toMatchObject({
      name: run,
      outputs: [{ path: join(directory, 'out/2026-01-05') }],
    });
    const busy = await api.call('DELETE', '/v1/schedules/byHand');
    expect([busy.status, codeOf(busy)]).toEqual([409, 'E_SCHEDULE_BUSY']);
    await api.post(`/v1/jobs/${run}/cancel`);
    await latest('byHand', { state: 'cancelled' });
    expect((await api.call('DELETE', '/v1/schedules/byHand')).status).toBe(204);
    const gone = await api.get('/v1/schedules/byHand');
    expect([gone.status, codeOf(gone)]).toEqual([404, 'E_NO_SCHEDULE']);
  });

  it('has runs that are cancelled before they have a job, and run once more when asked to', async () => {
    await created('asked', { paused: true });
    const day = { start: '2026-01-05', end: '2026-01-06' };
    const { run } = (await api.post('/v1/schedules/asked/trigger', day)).json as RunView;
    const none = await api.get(`/v1/jobs/${run}`);
    expect([none.status, codeOf(none)]).toEqual([404, 'E_RUN_NO_JOB']);
    expect((none.json as { message: string }).message).toMatch(
      /^there is no job: run .* is paused$/,
    );
    // A call that was not answered is made again.
    for (let times = 0; times < 2; times += 1) {
      const cancelled = await api.post(`/v1/jobs/${run}/cancel`);
      expect(cancelled.json).toMatchObject({ run, state: 'cancelled', tries: 0 });
    }
    const retry = (requestId: string) => api.post(`/v1/jobs/${run}/retry`, { requestId });
    const [first, same, other] = [await retry('r1'), await retry('r1'), await retry('r2')];
    expect([first.status, first.json]).toEqual([201, { job: run, existing: false }]);
    expect([same.status, same.json]).toEqual([200, { job: run, existing: true }]);
    expect([other.status, codeOf(other)]).toEqual([409, 'E_NOT_FINISHED']);

    await api.post('/v1/schedules/asked/resume');
    const { job: one } = await latest('asked', {
      state: 'running',
      job: expect.any(String) as string,
    });
    const stopped = await api.post(`/v1/jobs/${run}/cancel`);
    expect(stopped.json).toMatchObject({ run, job: one });
    await latest('asked', { run, state: 'cancelled', tries: 1 });
    // By the job's own id, too, it is the run that is tried again.
    expect((await api.post(`/v1/jobs/${one}/resubmit`)).json).toMatchObject({ job: run });
    const { job: two } = await latest('asked', { tries: 2, job: expect.any(String) as string });
    expect(two).not.toBe(one);
    const described = await api.get(`/v1/jobs/${run}/description`);
    expect(described.json).toMatchObject({ job: two, name: run });
    const why = await api.get('/v1/jobs/asked/why');
    expect(why.json).toMatchObject({ detail: { reason: 'calendar', schedule: 'asked' } });
    await api.post(`/v1/jobs/${run}/cancel`);
  });

  it('keeps what was uploaded for it as long as it is there, and no longer', async () => {
    const bytes = Buffer.from('a model, let us say');
    const digest = await uploaded(bytes);
    const path = join(directory, 'model.onnx');
    const infer = { from: 'rows', model: path, inputs: { x: ['n'] }, outputs: { y: 'score' } };
    const request = {
      spec: spec('scored'),
      job: job({ steps: [{ id: 'own', infer }] }),
      files: { [path]: { digest, bytes: bytes.length, name: 'model.onnx' } },
    };
    expect((await api.post('/v1/schedules', request)).status).toBe(200);
    age(digest);
    const orphan = await uploaded(Buffer.from('nobody names this'));
    age(orphan);
    await swept(orphan);
    expect(existsSync(blob(digest))).toBe(true);
    expect((await api.call('DELETE', '/v1/schedules/scored')).status).toBe(204);
    await swept(digest);
  });
});

const blob = (digest: string): string => join(state, 'blobs', digest);

async function uploaded(bytes: Buffer): Promise<string> {
  const digest = createHash('sha256').update(bytes).digest('hex');
  const type = { headers: { 'content-type': 'application/octet-stream' } };
  expect((await api.call('PUT', `/v1/blobs/${digest}`, bytes, type)).status).toBe(201);
  return digest;
}

/** Last named more than a year ago. */
function age(digest: string): void {
  const then = new Date(Date.now() - 400 * 24 * 3_600_000);
  utimesSync(blob(digest), then, then);
}

/** Blobs are looked through when a job has ended. */
async function swept(digest: string): Promise<void> {
  const ends = {
    ...job({ metadata: { name: `ends-${digest.slice(0, 5)}` } }),
    params: { ds: 'x' },
  };
  const steps = [{ id: 'own', filter: { from: 'rows', where: '$ds is not null' } }];
  const { json } = await api.post('/v1/jobs', { spec: { ...ends, steps } });
  await api.post(`/v1/jobs/${(json as { job: string }).job}/cancel`);
  await vi.waitFor(() => expect(existsSync(blob(digest))).toBe(false), { timeout: 60_000 });
}

describe('a backfill', () => {
  it('is looked at, made once a request, listed, and cancelled', async () => {
    await created('filled', { paused: true });
    const range = { schedule: 'filled', from: '2026-01-01', to: '2026-01-04', reverse: true };
    const preview = await api.post('/v1/backfills/preview', range);
    expect(preview.json).toMatchObject({
      total: 4,
      passed: 0,
      runs: [{ logicalDate: '2026-01-04T00:00:00.000Z' }, {}, {}, {}],
    });
    expect((await api.get('/v1/backfills')).json).toEqual({ backfills: [] });
    const asked = { ...range, maxActiveRuns: 2, requestId: 'b1' };
    const { backfill, ...made } = (await api.post('/v1/backfills', asked)).json as BackfillView;
    expect(made).toMatchObject({ state: 'running', maxActiveRuns: 2, runs: { total: 4 } });
    expect((await api.post('/v1/backfills', asked)).json).toMatchObject({ backfill });
    const of = async (name: string) => {
      const { json } = await api.get(`/v1/backfills?schedule=${name}`);
      return (json as { backfills: BackfillView[] }).backfills.map((each) => each.backfill);
    };
    expect([await of('filled'), await of('daily')]).toEqual([[backfill], []]);
    const cancelled = await api.post(`/v1/backfills/${backfill}/cancel`);
    expect(cancelled.json).toMatchObject({ backfill, state: 'cancelled' });
    const seen = await api.get(`/v1/backfills/${backfill}`);
    expect(seen.json).toEqual(cancelled.json);
  });

  it('of more than 1000 runs wants to be told so, of more than a million is refused', async () => {
    await created('often', { trigger: { delta: 'PT1S', startDate: '2999-01-01' }, paused: true });
    const from = '2020-01-01T00:00:00Z';
    // Both logical dates are included.
    const ask = (to: string, more: object = {}) =>
      api.post('/v1/backfills', { schedule: 'often', from, to, ...more });
    const thousand = await ask('2020-01-01T00:16:39Z');
    expect(thousand.json).toMatchObject({ runs: { total: 1000 } });
    const more = await ask('2020-01-01T00:16:40Z');
    expect([more.status, codeOf(more)]).toEqual([422, 'E_BACKFILL_LARGE']);
    const told = await ask('2020-01-01T00:16:40Z', { many: true });
    expect(told.json).toMatchObject({ runs: { total: 1001 } });
    const tooMany = await ask('2020-01-12T13:46:40Z', { many: true });
    expect([tooMany.status, codeOf(tooMany)]).toEqual([422, 'E_BACKFILL_LARGE']);
  });
});

const outside = [{ from: 'own', parquet: '/etc/windrow/{{ ds }}' }];
const map = { from: 'rows', module: '/m.js', export: 'f', columns: { y: 'DOUBLE' } };
const model = { from: 'rows', model: '/m.onnx', inputs: { x: ['n'] }, outputs: { y: 'score' } };
const files = { '/m.onnx': { digest: '0'.repeat(64), bytes: 1, name: 'm.onnx' } };
const inferring = { job: job({ steps: [{ id: 'own', infer: model }] }) };

describe('refused are', () => {
  it.each([
    ['an output outside the roots', { job: job({ outputs: outside }) }, 403, 'E_URI_DENIED'],
    [
      'a relative path',
      { job: job({ outputs: [{ from: 'own', parquet: 'o' }] }) },
      403,
      'E_URI_DENIED',
    ],
    ['user code', { job: job({ steps: [{ id: 'own', map }] }) }, 403, 'E_CODE_DENIED'],
    ['a model that nobody named', inferring, 422, 'E_MODEL_MISSING'],
    ['a model that was not uploaded', { ...inferring, files }, 400, 'E_BLOB'],
    ['a bad trigger', { spec: spec('s', { trigger: {} }) }, 422, 'E_SPEC_INVALID'],
    [
      'a param that the job lacks',
      { spec: spec('s', { params: { most: 1 } }) },
      422,
      'E_UNKNOWN_PARAM',
    ],
    [
      'SQL of a variable that no run has',
      { job: job({ steps: [{ id: 'own', filter: { from: 'rows', where: 'day = $dss' } }] }) },
      422,
      'E_UNKNOWN_PARAM',
    ],
    ['a job that reads nothing', { job: job({ sources: {} }) }, 422, 'E_SPEC_INVALID'],
    ['no job at all', { job: undefined }, 400, 'E_REQUEST'],
  ])('a schedule with %s', async (_what, change, status, code) => {
    const answer = await api.post('/v1/schedules', { spec: spec('bad'), job: job(), ...change });
    expect([answer.status, codeOf(answer)], answer.body.toString()).toEqual([status, code]);
    expect((await api.get('/v1/schedules/bad')).status).toBe(404);
  });

  it.each([
    ['GET', '/v1/schedules/nobody', undefined, 404, 'E_NO_SCHEDULE'],
    ['GET', '/v1/schedules/nobody/next', undefined, 404, 'E_NO_SCHEDULE'],
    ['GET', '/v1/schedules/x/next?from=2026-02-30', undefined, 400, 'E_REQUEST'],
    ['GET', '/v1/schedules/x/next?count=100000', undefined, 400, 'E_REQUEST'],
    ['DELETE', '/v1/schedules/nobody', undefined, 404, 'E_NO_SCHEDULE'],
    ['POST', '/v1/schedules/x/trigger', { start: '2026-01-01' }, 400, 'E_REQUEST'],
    [
      'POST',
      '/v1/schedules/x/trigger',
      { start: '2026-01-02', end: '2026-01-01' },
      400,
      'E_REQUEST',
    ],
    ['PUT', '/v1/schedules/x', undefined, 405, 'E_METHOD'],
    ['GET', '/v1/backfills/b0', undefined, 404, 'E_NO_BACKFILL'],
    [
      'POST',
      '/v1/backfills',
      { schedule: 'nobody', from: 'noon', to: '2026-01-01' },
      400,
      'E_REQUEST',
    ],
    [
      'POST',
      '/v1/backfills',
      { schedule: 'nobody', from: '2026-01-01', to: '2026-01-01' },
      404,
      'E_NO_SCHEDULE',
    ],
  ])('%s %s %j', async (method, path, body, status, code) => {
    const answer = await api.call(method, path, body);
    expect([answer.status, codeOf(answer)], answer.body.toString()).toEqual([status, code]);
    expect((answer.json as { hint?: string }).hint).toBeTruthy();
  });
});
