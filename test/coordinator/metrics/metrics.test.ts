/** What metrics say of events that the core applies, in a text that Prometheus' own tool accepts. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Metrics } from '../../../coordinator/metrics/metrics.js';
import { emptyState } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';
import type { Event } from '../../../coordinator/core/events.js';
import { jobId } from '../../../shared/ids.js';
import { openJournal } from '../../../coordinator/journal/sqlite-journal.js';
import { ModelRunsTally } from '../../../shared/model-runs.js';
import { modelRunsFromWire, modelRunsToWire } from '../../../shared/wire.js';
import {
  defined,
  ended as runEnded,
  hour,
  made,
  runId,
  S,
  started as runStarted,
} from '../core/schedule-fixtures.js';
import { chunkDone, ended, failure, hello, ref, started, submitted } from '../core/fixtures.js';

/** Values by name and labels, as they stand in the text. */
async function read(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => /^[a-z]/.test(line));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

function observed(...events: Event[]) {
  const state = emptyState();
  let nowMs = 0;
  const metrics = new Metrics({ state, held: new Set(), nowMs: () => nowMs });
  for (const event of events) metrics.transition(state, event);
  return { metrics, state, setNow: (ms: number) => void (nowMs = ms) };
}

const job = submitted({ stages: [{ rows: [10, 10, 10, 10] }] });

describe('events', () => {
  it('are applied as the core applies them', () => {
    const events = [job, hello(), started(ref(0)), chunkDone(ref(0), 0), ended(ref(0))];
    const { state } = observed(...events);
    const plain = emptyState();
    for (const event of events) transition(plain, event);
    expect(state).toEqual(plain);
  });

  it('are counted, a chunk once however often it is reported', async () => {
    const { metrics } = observed(
      { ...job, nowMs: 1_000 },
      hello(),
      { ...started(ref(0)), nowMs: 3_000 },
      chunkDone(ref(0), 0),
      chunkDone(ref(0), 0),
      ended(ref(0)),
    );
    const values = await read(metrics);
    expect(values.get('windrow_jobs_submitted_total')).toBe(1);
    expect(values.get('windrow_jobs{state="running"}')).toBe(1);
    expect(values.get('windrow_jobs{state="queued"}')).toBe(0);
    expect(values.get('windrow_chunks_done_total')).toBe(1);
    expect(values.get('windrow_rows_read_total{from="source"}')).toBe(10);
    expect(values.get('windrow_tasks{state="done"}')).toBe(1);
    expect(values.get('windrow_tasks{state="waiting"}')).toBe(3);
    expect(values.get('windrow_attempts_total{outcome="succeeded"}')).toBe(1);
    expect(values.get('windrow_workers{state="connected"}')).toBe(1);
    expect(values.get('windrow_job_queue_seconds_sum')).toBe(2);
    expect(values.get('windrow_task_queue_seconds_sum')).toBe(2);
    expect(values.get('windrow_task_queue_seconds_count')).toBe(1);
  });

  it('retries are counted by the kind of failure, those that follow from a lost worker as well', async () => {
    const { metrics, state } = observed(job, hello(), started(ref(0)), started(ref(1)));
    metrics.transition(state, ended(ref(0), { failure: failure('io') }));
    metrics.transition(state, {
      type: 'worker.leaseExpired',
      workerId: [...state.workers.keys()][0]!,
      incarnation: [...state.workers.values()][0]!.incarnation,
      nowMs: 5,
    });
    const values = await read(metrics);
    expect(values.get('windrow_retries_total{kind="io"}')).toBe(1);
    expect(values.get('windrow_retries_total{kind="workerLost"}')).toBe(1);
    expect(values.get('windrow_retries_total{kind="resource"}')).toBe(0);
    expect(values.get('windrow_attempts_total{outcome="workerLost"}')).toBe(1);
    expect(values.get('windrow_workers_left_total{how="leaseExpired"}')).toBe(1);
    expect(values.get('windrow_workers{state="connected"}')).toBe(0);
  });

  it('the end of a job is counted by its state', async () => {
    const { metrics, state } = observed({ ...job, nowMs: 1_000 });
    const cancel = { type: 'job.cancel', jobId: job.jobId, reason: 'user', nowMs: 4_000 } as const;
    metrics.transition(state, cancel);
    const values = await read(metrics);
    expect(values.get('windrow_jobs_ended_total{state="cancelled"}')).toBe(1);
    expect(values.get('windrow_job_duration_seconds_sum{state="cancelled"}')).toBe(3);
    expect(values.get('windrow_jobs{state="queued"}')).toBe(0);
  });
});

it('a scheduled run is as late as its first try, one that was asked for by hand is not late', async () => {
  const about = { maxActiveRuns: 1, retries: 1, retryDelayMs: 1 };
  const late = (at: number) => (at + 1) * hour + 7_000;
  const { metrics, state } = observed(
    defined(about),
    made(0, { nowMs: late(0) }),
    // Waits for the one before.
    made(1, { nowMs: late(1) }),
    made(1, { nowMs: late(1) }),
    { ...runEnded(0, 'failed'), nowMs: late(1) },
    { type: 'run.retried', scheduleId: S, runId: runId(0), nowMs: late(1) },
    { ...runEnded(0, 'succeeded', 2), nowMs: late(1) + 1_000 },
    { ...runEnded(1, 'succeeded'), nowMs: late(1) + 1_000 },
    made(2, { kind: 'manual', nowMs: late(9) }),
  );
  expect(state.schedules.get(S)!.runs.get(runId(2))?.phase.kind).toBe('running');
  const values = await read(metrics);
  expect(values.get('windrow_schedule_lag_seconds_count')).toBe(2);
  expect(values.get('windrow_schedule_lag_seconds_sum')).toBe(7 + 8);
});

it('runs are counted by state as they live, and once each as they end', async () => {
  const { metrics, state, setNow } = observed(
    defined({ maxActiveRuns: 1, retries: 1, retryDelayMs: 1 }),
    made(0),
    runStarted(0),
    { ...runEnded(0, 'failed') },
  );
  const runs = async () => {
    const values = await read(metrics);
    const told = [...values].filter(([name]) => name.startsWith('windrow_schedule_runs'));
    return Object.fromEntries(
      told.flatMap(([name, value]) => (value ? [[/"(\w+)"/.exec(name)![1], value]] : [])),
    );
  };
  expect(await runs()).toEqual({ retrying: 1 });
  metrics.transition(state, { type: 'run.retried', scheduleId: S, runId: runId(0), nowMs: 9 });
  metrics.transition(state, made(1));
  metrics.transition(state, made(2, { skipped: 'late' }));
  expect(await runs()).toEqual({ running: 1, queued: 1, skipped: 1 });
  // The second has been due since its interval ended; the first was tried before.
  setNow(2 * hour + 60_000);
  expect((await read(metrics)).get('windrow_schedule_behind_seconds')).toBe(60);
  metrics.transition(state, runEnded(0, 'succeeded', 2));
  metrics.transition(state, runEnded(0, 'succeeded', 2));
  expect(await runs()).toEqual({ running: 1, skipped: 1, succeeded: 1 });
  // The next one is due, though nobody has made it yet; while the schedule is paused it is not.
  setNow(4 * hour + 5_000);
  expect((await read(metrics)).get('windrow_schedule_behind_seconds')).toBe(5);
  metrics.transition(state, { type: 'schedule.paused', scheduleId: S, nowMs: 9 });
  expect((await read(metrics)).get('windrow_schedule_behind_seconds')).toBe(0);
});

it('leases that were granted are those that live and those that ended, each for one reason', async () => {
  const { metrics, state } = observed(
    hello({ worker: 'a' }),
    // Back in time, with what it had.
    hello({ worker: 'a' }),
    hello({ worker: 'b' }),
    hello({ worker: 'c' }),
    hello({ worker: 'd' }),
    hello({ worker: 'e' }),
  );
  const known = [...state.workers.values()];
  const gone = (at: number) => {
    const { id: workerId, incarnation } = known[at]!;
    return { workerId, incarnation, nowMs: 5 };
  };
  metrics.transition(state, hello({ worker: 'a', incarnation: 'another process' }));
  metrics.transition(state, { type: 'worker.exited', crashed: false, ...gone(1) });
  metrics.transition(state, { type: 'worker.exited', crashed: true, ...gone(2) });
  metrics.transition(state, { type: 'worker.leaseExpired', ...gone(3) });
  // Of the process before, which holds nothing any more.
  metrics.transition(state, { type: 'worker.leaseExpired', ...gone(0) });
  const values = await read(metrics);
  const ended = (how: string) => values.get(`windrow_leases_ended_total{how="${how}"}`);
  expect(values.get('windrow_leases_granted_total')).toBe(6);
  expect([ended('released'), ended('expired'), ended('lost')]).toEqual([1, 1, 2]);
  expect(values.get('windrow_leases')).toBe(2);
});

describe('runs of models', () => {
  it('are added up over threads, workers and the wire', async () => {
    const thread = new ModelRunsTally();
    thread.ran('cpu', 512, 0.002);
    thread.ran('cpu', 100, 0.004);
    const worker = new ModelRunsTally();
    for (const runs of thread.take()) worker.add(runs);
    expect(thread.take()).toEqual([]);
    worker.ran('cpu', 512, 20);
    const { metrics } = observed();
    for (let times = 0; times < 2; times += 1) {
      metrics.modelRuns(worker.take().map(modelRunsToWire).map(modelRunsFromWire));
    }
    const values = await read(metrics);
    const runs = (rest: string) => values.get(`windrow_model_run_${rest}`);
    expect(runs('seconds_count{device="cpu"}')).toBe(3);
    expect(runs('seconds_sum{device="cpu"}')).toBeCloseTo(20.006, 9);
    expect(runs('seconds_bucket{le="0.0025",device="cpu"}')).toBe(1);
    expect(runs('seconds_bucket{le="10",device="cpu"}')).toBe(2);
    expect(runs('seconds_bucket{le="+Inf",device="cpu"}')).toBe(3);
    expect(runs('rows_sum{device="cpu"}')).toBe(1124);
    expect(runs('rows_bucket{le="128",device="cpu"}')).toBe(1);
    expect(runs('rows_bucket{le="512",device="cpu"}')).toBe(3);
  });

  it('from workers that tell nonsense change nothing, and devices of their own are others', async () => {
    const { metrics } = observed();
    const sound = { counts: new Array<number>(17).fill(0), sum: 0 };
    const rows = { counts: new Array<number>(14).fill(1), sum: 5 };
    for (const seconds of [
      { counts: [1], sum: 1 },
      { ...sound, sum: Number.NaN },
      { ...sound, sum: -1 },
      { counts: sound.counts.map(() => Infinity), sum: 1 },
    ]) {
      metrics.modelRuns([{ device: 'cpu', seconds, rows: { counts: [], sum: 0 } }]);
    }
    for (let k = 0; k < 50; k += 1) metrics.modelRuns([{ device: `d${k}`, seconds: sound, rows }]);
    const names = [...(await read(metrics)).keys()].filter((name) => name.includes('device='));
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !name.includes('device="other"'))).toEqual([]);
  });
});

it('what the journal keeps is counted and timed, and a refusal stays one', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'windrow-metrics-'));
  const journal = openJournal(directory);
  try {
    const epoch = await journal.acquire();
    const { metrics } = observed();
    const timed = metrics.journal(journal);
    await timed.append(epoch, [job, started(ref(0))]);
    const late = timed.append(epoch - 1, [ended(ref(0))]);
    await expect(late).rejects.toMatchObject({ failure: { code: 'E_FENCED' } });
    expect((await journal.load()).events).toHaveLength(2);
    const values = await read(metrics);
    expect(values.get('windrow_journal_events_total')).toBe(3);
    expect(values.get('windrow_journal_append_seconds_count')).toBe(1);
    expect(values.get('windrow_journal_append_seconds_sum')).toBeGreaterThan(0);
  } finally {
    await journal.close();
    rmSync(directory, { recursive: true, force: true });
  }
});

it('every name has its help, its type and the form that Prometheus wants', async () => {
  const text = await observed(job, hello()).metrics.text();
  const names = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [
    name!,
    type!,
  ]);
  expect(names.length).toBeGreaterThan(20);
  for (const [name, type] of names) {
    expect(text, name).toMatch(new RegExp(`^# HELP ${name!} \\S`, 'm'));
    expect(name!.endsWith('_total'), `${name!} is a ${type!}`).toBe(type === 'counter');
    if (name!.startsWith('windrow_')) expect(name).not.toMatch(/_(ms|millis|mb|percent)(_|$)/);
  }
});

it('the documentation lists what there is, with type and labels, and no more', async () => {
  const { metrics } = observed(job, hello());
  const text = await metrics.text();
  const shown = [...text.matchAll(/^# TYPE (windrow_\S+) (\S+)$/gm)].map(([, name, type]) => {
    return `${name!} ${type!}`;
  });
  const document = readFileSync(new URL('../../../docs/METRICS.md', import.meta.url), 'utf8');
  const listed = [...document.matchAll(/^\| `(windrow_\w+)` \| (\w+) \|/gm)].map(
    ([, name, type]) => `${name!} ${type!}`,
  );
  expect(listed.sort()).toEqual(shown.sort());
});

it('the number of series is bounded, whatever jobs and workers there are', async () => {
  const { metrics, state } = observed();
  const runs = new ModelRunsTally();
  for (let k = 0; k < 30; k += 1) {
    const id = jobId(`j${k}`);
    metrics.transition(state, { ...job, jobId: id, name: `job ${k}` });
    metrics.transition(state, hello({ worker: `w${k}` }));
    const cancel = { type: 'job.cancel', jobId: id, reason: 'user', nowMs: 9 } as const;
    metrics.transition(state, cancel);
    runs.ran(['cpu', 'cuda', 'webgpu', `d${k}`][k % 4]!, k, 1);
  }
  metrics.modelRuns(runs.take());
  const values = [...(await read(metrics)).keys()].filter((name) => name.startsWith('windrow_'));
  expect(values.length).toBeGreaterThan(150);
  expect(values.length).toBeLessThan(400);
});
