/**
 * A coordinator that dies at any write of a schedule's life: runs made and started, jobs accepted and
 * ended, tries that fail, a backfill, a run that is reopened, snapshots. The next one goes on, and
 * whatever the first had done, each interval has one run in the end and each try at most one job.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { isFinished, type ScheduleState } from '../../../coordinator/core/schedule-state.js';
import { readStored } from '../../../coordinator/stored-spec.js';
import { type Death, type Fate, MortalCoordinator } from './mortal-coordinator.js';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'windrow-killed-'));
  vi.useFakeTimers({
    toFake: ['Date', 'setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'],
  });
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(home, { recursive: true, force: true });
});

const schedule = JSON.stringify({
  apiVersion: 'windrow/v1',
  kind: 'Schedule',
  metadata: { name: 'daily' },
  job: 'job.yaml',
  trigger: {
    cronInterval: '@daily',
    startDate: '2026-01-01',
    endDate: '2026-01-02',
    catchup: true,
  },
  retries: { count: 1, delay: 'PT5S' },
});
const job = JSON.stringify({
  apiVersion: 'windrow/v1',
  kind: 'Job',
  metadata: { name: 'day' },
  sources: { rows: { parquet: '/data/{{ ds }}.parquet' } },
  outputs: [{ from: 'rows', parquet: '/out/{{ ds }}' }],
});

const reopened = 'daily-20251231T000000';

/**
 * The first tries of the schedule's own runs fail: one as a job, the other has not even files. The
 * backfill's run has none until somebody wants it once more.
 */
const fate: Fate = (run, tried) => {
  if (run === reopened) return tried > 2 ? 'succeeds' : 'hasNoFiles';
  if (tried > 1) return 'succeeds';
  return run === 'daily-20260101T000000' ? 'timesOut' : 'hasNoFiles';
};

/** What users ask for, and ask for again where they were not heard. */
async function ask(coordinator: MortalCoordinator): Promise<void> {
  const { room } = coordinator;
  await room.schedules.put(schedule, { specJson: job, files: {} });
  await room.backfills.create({
    schedule: 'daily',
    fromMs: Date.parse('2025-12-31'),
    toMs: Date.parse('2026-01-01'),
    reprocess: 'none',
    maxActiveRuns: 1,
    reverse: false,
    many: false,
    requestId: 'once',
  });
  await coordinator.live(() => {
    const run = daily(coordinator)?.runs.get(reopened);
    return run !== undefined && isFinished(run);
  });
  await room.runs.reopen(reopened, 'again', false);
}

function daily({ state }: MortalCoordinator): ScheduleState | undefined {
  return [...state.schedules.values()].find(({ name }) => name === 'daily');
}

function isOver(coordinator: MortalCoordinator): boolean {
  const found = daily(coordinator);
  if (!found || coordinator.state.jobs.size > 0 || found.backfills.size === 0) return false;
  if ([...found.backfills.values()].some(({ phase }) => phase === 'running')) return false;
  if (!found.runs.get(reopened)?.reopened) return false;
  return found.runs.size === 3 && [...found.runs.values()].every(isFinished);
}

/** A life to its end, with a death in it; false where that came first. */
async function life(directory: string, death: { at: number; how: Death }): Promise<boolean> {
  vi.setSystemTime(new Date('2026-01-03T00:00:00Z'));
  const first = await MortalCoordinator.start(directory, fate, death);
  // It may die before it answers.
  void ask(first).catch(() => undefined);
  await first.live(() => isOver(first));
  const died = first.dead;
  const codes = first.fatal.map((error) => (error as { failure?: { code: string } }).failure?.code);
  expect(codes).toEqual(died && death.how === 'takenOver' ? ['E_FENCED'] : []);
  await first.bury();

  const second = await MortalCoordinator.start(directory, fate);
  const asked = ask(second);
  await second.live(() => isOver(second));
  await asked;
  expect(second.fatal).toEqual([]);
  await check(second);
  await second.bury();
  return died;
}

async function check(coordinator: MortalCoordinator): Promise<void> {
  const { runs, backfills } = daily(coordinator)!;
  expect(
    [...runs.values()].map(({ id, phase, tries }) => `${id} ${phase.kind} ${tries}`).sort(),
  ).toEqual([
    'daily-20251231T000000 succeeded 3',
    'daily-20260101T000000 succeeded 2',
    'daily-20260102T000000 succeeded 2',
  ]);
  // It had counted its run when that was reopened.
  expect([...backfills.values()].map(({ phase }) => phase)).toEqual(['failed']);
  const jobs = await coordinator.archived();
  expect(jobs.map(({ name, state }) => `${name} ${state}`).sort()).toEqual([
    'daily-20251231T000000 succeeded',
    'daily-20260101T000000 failed',
    'daily-20260101T000000 succeeded',
    'daily-20260102T000000 succeeded',
  ]);
  expect(new Set(jobs.map(({ requestId }) => requestId)).size).toBe(jobs.length);
  // A try is the same run once more, at the time of the first.
  const tried = jobs.filter(({ name }) => name === 'daily-20260101T000000');
  const [one, other] = tried.map(({ spec }) => readStored(spec).constants);
  expect(one?.jobId).toBe(tried.find(({ state }) => state === 'failed')!.jobId);
  expect(other).toEqual(one);
}

it.each<Death>(['before', 'after', 'takenOver'])(
  'a coordinator that dies at any of its writes (%s) leaves one run an interval and one job a try',
  async (how) => {
    let at = 1;
    while (await life(join(home, `${how}-${at}`), { at, how })) at += 1;
    // So many writes an undisturbed life has: made, accepted, started, ended and put away.
    expect(at).toBeGreaterThan(25);
  },
);
