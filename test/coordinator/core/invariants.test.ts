/** Each invariant notices a state that breaks it, and nothing else is broken before it. */
import { expect, it } from 'vitest';
import { checkInvariants } from '../../../coordinator/core/invariants.js';
import type { StageState, State, WorkerState } from '../../../coordinator/core/state.js';
import { after, ended, failure, hello, jobOf, ref, started, submitted, W } from './fixtures.js';
import {
  after as afterSchedule,
  asset,
  awaiting,
  backfill,
  callId,
  defined,
  ended as endedRun,
  keyOf,
  made,
  madeByAssets,
  runId,
  scheduleOf,
  seen,
  tell,
  webhook,
} from './schedule-fixtures.js';

/** Task 0 runs on w1, task 1 waits for its second try, tasks 2 and 3 are untouched. */
function sound(): State {
  return after(
    hello({ slots: 4 }),
    submitted(),
    started(ref(0)),
    started(ref(1)),
    ended(ref(1), { failure: failure('io') }),
  );
}
const stageOf = (state: State) => jobOf(state).stages[0] as StageState;
const workerOf = (state: State) => state.workers.get(W) as WorkerState;

function expectBroken(number: number, state: State): void {
  expect(() => checkInvariants(state)).toThrow(new RegExp(`invariant ${number} does not hold`));
}

it('a sound state passes', () => {
  expect(() => checkInvariants(sound())).not.toThrow();
});

it('invariant 1 notices a chunk that is counted but not done', () => {
  const state = sound();
  stageOf(state).chunksDoneCount += 1;
  expectBroken(1, state);
});

it('invariant 2 notices a task that is counted but not done', () => {
  const state = sound();
  stageOf(state).tasksDone += 1;
  expectBroken(2, state);
});

it('invariant 3 notices a task that is nowhere', () => {
  const state = sound();
  stageOf(state).untouched = [];
  expectBroken(3, state);
});

it('invariant 4 notices a wrong count of missing chunks', () => {
  const state = sound();
  (stageOf(state).tasks.get(0) as { history: { missing: number } }).history.missing = 2;
  expectBroken(4, state);
});

it('invariant 5 notices an attempt that is not counted', () => {
  const state = sound();
  jobOf(state).running = 0;
  expectBroken(5, state);
});

it('invariant 6 notices a worker that lost an attempt', () => {
  const state = sound();
  workerOf(state).attempts.clear();
  expectBroken(6, state);
});

it('invariant 7 notices a job that ended while it runs', () => {
  const state = sound();
  jobOf(state).phase = { kind: 'cancelled', reason: 'user' };
  expectBroken(7, state);
});

it('invariant 8 notices a stage that is done too early', () => {
  const state = sound();
  stageOf(state).phase = 'done';
  expectBroken(8, state);
});

it('invariant 8 notices a stage that is sized while what it reads is not done', () => {
  const state = after(submitted({ stages: [{}, { id: 's1', over: 's0' }] }));
  const [, above] = jobOf(state).stages as [StageState, StageState];
  above.phase = 'sizing';
  expectBroken(8, state);
});

it('invariant 9 notices company on an exclusive worker', () => {
  const state = after(hello({ slots: 4 }), submitted(), started(ref(0)), started(ref(1)));
  workerOf(state).exclusive = true;
  expectBroken(9, state);
});

it('invariant 10 notices chunks that are counted twice', () => {
  const state = sound();
  jobOf(state).counts.chunksDone += 1;
  expectBroken(10, state);
});

it('invariant 11 notices a task that would wait for ever', () => {
  const state = sound();
  stageOf(state).waiting = [];
  expectBroken(11, state);
});

it('invariant 12 notices an old attempt', () => {
  const state = sound();
  (stageOf(state).tasks.get(0) as { history: { attempts: number } }).history.attempts = 5;
  expectBroken(12, state);
});

it('invariant 13 notices stages that are not those of the plan, or there twice', () => {
  const state = sound();
  const job = jobOf(state);
  const { plan } = job;
  job.plan = { ...plan, stages: [] };
  expectBroken(13, state);
  job.plan = { ...plan, stages: [...plan.stages, ...plan.stages] };
  job.stages.push(stageOf(state));
  expectBroken(13, state);
});

/** The first hour is done, the second one runs; a backfill of three hours has its first under way. */
function soundSchedule(): State {
  const first = made(9, { kind: 'backfill', backfill: { id: 'b1', passed: 0 } });
  return afterSchedule(
    defined(),
    made(0),
    endedRun(0, 'succeeded'),
    made(1),
    backfill(9, 11),
    first,
  );
}

it('a sound schedule passes', () => {
  expect(() => checkInvariants(soundSchedule())).not.toThrow();
});

it('invariant 14 notices a run of another interval', () => {
  const state = soundSchedule();
  const { runs } = scheduleOf(state);
  runs.set(runId(5), { ...runs.get(runId(1))!, id: runId(5) });
  expectBroken(14, state);
});

it('invariant 15 notices a run that ended without a time', () => {
  const state = soundSchedule();
  delete scheduleOf(state).runs.get(runId(0))!.endedMs;
  expectBroken(15, state);
  const other = soundSchedule();
  delete scheduleOf(other).runs.get(runId(1))!.startedMs;
  expectBroken(15, other);
});

it('invariant 16 notices a run that waits for nothing', () => {
  const state = soundSchedule();
  scheduleOf(state).runs.get(runId(1))!.phase = { kind: 'queued' };
  expectBroken(16, state);
});

it('invariant 17 notices a run that its schedule would make again', () => {
  const state = soundSchedule();
  delete scheduleOf(state).last;
  expectBroken(17, state);
});

it('invariant 18 notices a backfill that miscounts, or never ends', () => {
  const state = soundSchedule();
  scheduleOf(state).backfills.get('b1')!.counts.unfinished = 2;
  expectBroken(18, state);
  const other = soundSchedule();
  const own = scheduleOf(other).backfills.get('b1')!;
  own.exhausted = true;
  tell(other, endedRun(9, 'succeeded'));
  own.phase = 'running';
  expectBroken(18, other);
});

it('invariant 19 notices a change that is lost, or there for two runs', () => {
  const orders = awaiting(asset('orders'));
  const lost = afterSchedule(orders, seen('orders', 'v1', 1));
  scheduleOf(lost).assets!.seen[keyOf('orders')]!.version = 'v2';
  expectBroken(19, lost);
  const forgotten = afterSchedule(orders);
  delete scheduleOf(forgotten).assets!.seen[keyOf('orders')];
  expectBroken(19, forgotten);
  const twice = afterSchedule(orders, seen('orders', 'v1', 1), madeByAssets(1));
  delete scheduleOf(twice).lastAssetMs;
  expectBroken(19, twice);
});

it('invariant 20 notices a webhook that is called for ever', () => {
  const state = afterSchedule(defined({ onFailure: webhook }), made(0), endedRun(0, 'failed'));
  scheduleOf(state).calls.get(callId(0))!.tries = 2;
  expectBroken(20, state);
});
