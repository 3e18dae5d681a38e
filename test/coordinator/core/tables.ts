/** How to reach each state of each machine, one event of each type, and how to read where it went. */
import type { Event } from '../../../coordinator/core/events.js';
import type { ScheduleEvent } from '../../../coordinator/core/schedule-events.js';
import { isChunkDone } from '../../../coordinator/core/stage.js';
import type { State, WorkerPhase } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';
import { IllegalTransition } from '../../../coordinator/core/illegal.js';
import { stageId, type AttemptRef } from '../../../shared/ids.js';
import {
  after,
  chunkDone,
  committed,
  ended,
  failure,
  frozen,
  hello,
  J,
  jobOf,
  kinds,
  laidOut,
  queryPlanned,
  ref,
  S0,
  S1,
  splitOver,
  started,
  submitted,
  W,
} from './fixtures.js';

/** Events of jobs and workers; those of schedules have tables of their own. */
export type EventType = Exclude<Event, ScheduleEvent>['type'];
/** `state` or `state: effects`, or `illegal`; effects without what is told to users. */
export type Table<S extends string, E extends string = EventType> = Record<S, Record<E, string>>;

export interface Machine<S extends string, E extends string = EventType> {
  readonly reach: Record<S, () => State>;
  readonly events: Record<E, Event>;
  read(state: State): string;
}

export function outcome<S extends string, E extends string>(
  machine: Machine<S, E>,
  from: S,
  type: E,
): string {
  const state = machine.reach[from]();
  try {
    const effects = kinds(transition(state, machine.events[type]));
    const to = machine.read(state);
    return effects.length > 0 ? `${to}: ${effects.join(' ')}` : to;
  } catch (error) {
    if (error instanceof IllegalTransition) return 'illegal';
    throw error;
  }
}

/** Two tasks of two chunks; task 0 runs on w1 as attempt 1. */
const shape = { rows: [10, 10, 10, 10], starts: [0, 2] };
const one = [hello({ slots: 4 }), submitted({ stages: [shape] }), started(ref(0))];
const all = [
  ...one,
  chunkDone(ref(0), 0),
  chunkDone(ref(0), 1),
  ended(ref(0)),
  started(ref(1)),
  chunkDone(ref(1), 2),
  chunkDone(ref(1), 3),
  ended(ref(1)),
];
const cancel: Event = { type: 'job.cancel', jobId: J, reason: 'user', nowMs: 4 };
const failed: Event = { type: 'job.failed', jobId: J, failure: failure('badData'), nowMs: 4 };
const planned: Event = {
  type: 'stage.planned',
  jobId: J,
  stageId: S1,
  groups: [
    { from: 0, to: 2 },
    { from: 2, to: 4 },
  ],
  taskStarts: [0, 1],
  reused: [],
  nowMs: 4,
};

/** The query's stage is s1; its part reads two chunks of s0 with each of its own. */
const parted = queryPlanned([laidOut('s1_1', splitOver(['s0'], 4, [0, 2]), { of: 's1' })]);
const laid = queryPlanned([], laidOut('s1', splitOver(['s0'], 4, [0, 2])));

const common: Record<EventType, Event> = {
  'job.submitted': submitted({ stages: [shape] }),
  'stage.planned': planned,
  'query.planned': parted,
  'attempt.started': started(ref(1)),
  'chunk.done': chunkDone(ref(0), 0),
  'attempt.ended': ended(ref(0), { failure: failure('workerLost') }),
  'chunk.lost': { type: 'chunk.lost', jobId: J, stageId: S0, chunk: 0, nowMs: 4 },
  'worker.hello': hello({ slots: 4, incarnation: 'i2' }),
  'worker.exited': {
    type: 'worker.exited',
    workerId: W,
    incarnation: 'i1',
    crashed: true,
    nowMs: 4,
  },
  'worker.leaseExpired': { type: 'worker.leaseExpired', workerId: W, incarnation: 'i1', nowMs: 4 },
  'worker.disconnected': { type: 'worker.disconnected', workerId: W, incarnation: 'i1', nowMs: 4 },
  'worker.drain': { type: 'worker.drain', workerId: W, nowMs: 4 },
  'job.cancel': cancel,
  'job.failed': failed,
  'attempt.timedOut': { type: 'attempt.timedOut', attempt: ref(0), nowMs: 4 },
  'commit.frozen': frozen(),
  'commit.done': committed(),
};

export type JobRow =
  | 'unknown'
  | 'running'
  | 'stopping'
  | 'committing'
  | 'frozen'
  | 'succeeded'
  | 'failed'
  | 'cancelled';
export const jobMachine: Machine<JobRow> = {
  reach: {
    unknown: () => after(hello({ slots: 4 })),
    running: () => after(...one),
    stopping: () => after(...one, cancel),
    committing: () => after(...all),
    frozen: () => after(...all, frozen()),
    succeeded: () => after(...all, frozen(), committed()),
    failed: () => after(submitted({ stages: [shape] }), failed),
    cancelled: () => after(submitted({ stages: [shape] }), cancel),
  },
  events: {
    ...common,
    'stage.planned': { ...planned, stageId: S0 },
    'query.planned': { ...parted, stageId: S0 },
  },
  read: (state) => {
    const phase = state.jobs.get(J)?.phase;
    if (!phase) return 'unknown';
    return phase.kind === 'committing' && phase.manifests ? 'frozen' : phase.kind;
  },
};

export type StageRow = 'blocked' | 'sizing' | 'running' | 'done';
const two = [hello({ slots: 4 }), submitted({ stages: [shape, { id: 's1', over: 's0' }] })];
const [, , ...tasksOfS0] = all;
const onS1 = (task: number, attempt = 1) => ref(task, attempt, S1);
const done = (attempt: AttemptRef): Event[] => [
  started(attempt),
  chunkDone(attempt, attempt.task),
  ended(attempt),
];
/** The machine of stage s1, which reads s0. */
export const stageMachine: Machine<StageRow> = {
  reach: {
    blocked: () => after(...two),
    sizing: () => after(...two, ...tasksOfS0),
    running: () => after(...two, ...tasksOfS0, planned, started(onS1(0))),
    done: () => after(...two, ...tasksOfS0, planned, ...[0, 1].flatMap((task) => done(onS1(task)))),
  },
  events: {
    ...common,
    'attempt.started': started(onS1(1)),
    'chunk.done': { ...chunkDone(onS1(0), 0) },
    'attempt.ended': ended(onS1(0), { failure: failure('workerLost') }),
    'chunk.lost': { type: 'chunk.lost', jobId: J, stageId: S1, chunk: 0, nowMs: 4 },
    'attempt.timedOut': { type: 'attempt.timedOut', attempt: onS1(0), nowMs: 4 },
  },
  read: (state) => jobOf(state).stages[1]?.phase ?? 'none',
};

export type QueryRow =
  'blocked' | 'sizing' | 'blocked on a part' | 'sizing again' | 'running' | 'done';
/** The last answer is another event than the ones before: it lays out the query's own stage. */
export type QueryEvent = EventType | 'query.planned, final';
const querying = [hello({ slots: 4 }), submitted({ stages: [shape, { id: 's1', query: ['s0'] }] })];
const S1_1 = stageId('s1_1');
const part = [0, 1].flatMap((task) => done(ref(task, 1, S1_1)));
/** The machine of stage s1, a query over s0 that needs one stage before its own. */
export const queryMachine: Machine<QueryRow, QueryEvent> = {
  reach: {
    blocked: () => after(...querying),
    sizing: () => after(...querying, ...tasksOfS0),
    'blocked on a part': () => after(...querying, ...tasksOfS0, parted),
    'sizing again': () => after(...querying, ...tasksOfS0, parted, ...part),
    running: () => after(...querying, ...tasksOfS0, parted, ...part, laid, started(onS1(0))),
    done: () =>
      after(
        ...querying,
        ...tasksOfS0,
        parted,
        ...part,
        laid,
        ...[0, 1].flatMap((task) => done(onS1(task))),
      ),
  },
  events: { ...stageMachine.events, 'query.planned, final': laid },
  read: (state) => {
    const { plan, stages } = jobOf(state);
    const phase = stages.find(({ id }) => id === S1)?.phase ?? 'none';
    const hasPart = plan.stages.some(({ part }) => part?.of === S1);
    if (phase === 'blocked') return hasPart ? 'blocked on a part' : 'blocked';
    return phase === 'sizing' && hasPart ? 'sizing again' : phase;
  },
};

export type TaskRow = 'untouched' | 'running' | 'cancelling' | 'waiting' | 'done';
/** The machine of task 0, whose attempt 1 is on w1; task 1 is untouched and keeps the job going. */
export const taskMachine: Machine<TaskRow> = {
  reach: {
    untouched: () => after(hello({ slots: 4 }), submitted({ stages: [shape] })),
    running: () => after(...one),
    cancelling: () => after(...one, common['attempt.timedOut']),
    waiting: () => after(...one, ended(ref(0), { failure: failure('io') })),
    done: () => after(...one, chunkDone(ref(0), 0), chunkDone(ref(0), 1), ended(ref(0))),
  },
  events: {
    ...common,
    'attempt.started': started(ref(0, 2)),
    'attempt.ended': ended(ref(0), { failure: failure('io') }),
  },
  read: (state) => {
    const stage = jobOf(state).stages[0];
    const task = stage?.tasks.get(0);
    if (task?.kind === 'running') return task.cancelling ? 'cancelling' : 'running';
    if (task) return 'waiting';
    return stage && isChunkDone(stage, 0) && isChunkDone(stage, 1) ? 'done' : 'untouched';
  },
};

export type WorkerRow = 'unknown' | WorkerPhase;
/** The machine of w1, which runs attempt 1 of task 0. */
export const workerMachine: Machine<WorkerRow> = {
  reach: {
    unknown: () => after(submitted({ stages: [shape] }), started(ref(0))),
    connected: () => after(...one),
    draining: () => after(...one, common['worker.drain']),
    disconnected: () => after(...one, common['worker.disconnected']),
  },
  events: {
    ...common,
    'worker.hello': hello({ slots: 4, running: [ref(0)] }),
    'job.submitted': submitted({ id: 'j2', stages: [shape] }),
    'commit.done': { ...committed(), jobId: 'j9' as never } as Event,
    'stage.planned': { ...planned, jobId: 'j9' as never },
    'query.planned': { ...parted, jobId: 'j9' as never },
  },
  read: (state) => state.workers.get(W)?.phase ?? 'unknown',
};
