/** Plans and events for tests of the core: small, valid, and explicit about what matters. */
import type {
  Event,
  JobSubmitted,
  QueryPlanned,
  RunSettings,
} from '../../../coordinator/core/events.js';
import { emptyState, type JobState, type State } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';
import type { Effect } from '../../../coordinator/core/effects.js';
import { jobId, stageId, workerId, type AttemptRef } from '../../../shared/ids.js';
import type { Failure, FailureKind } from '../../../shared/failure.js';
import { exchangeChunkCount } from '../../../coordinator/planner/exchange-chunks.js';
import type {
  ChunkRecord,
  ExchangeInput,
  JobPlan,
  ProgramStep,
  QueryInput,
  StagePlan,
} from '../../../shared/plan.js';

export const J = jobId('j1');
export const S0 = stageId('s0');
export const S1 = stageId('s1');
export const W = workerId('w1');

export interface StageShape {
  readonly id?: string;
  /** Rows of each row group (= chunk) of one file; a number makes an `empty` input of that size. */
  readonly rows?: readonly number[] | number;
  readonly over?: string;
  /** The stage is a query over these stages. */
  readonly query?: readonly string[];
  readonly starts?: readonly number[];
  readonly pool?: string;
  readonly devices?: StagePlan['devices'];
  readonly deadLetter?: boolean;
}

export function stagePlan(shape: StageShape): StagePlan {
  const rows = shape.rows ?? [10, 10, 10, 10];
  const steps: ProgramStep[] = shape.deadLetter
    ? [
        {
          kind: 'map',
          id: 'm',
          bundle: { digest: 'd', bytes: 1, name: 'm.js' },
          export: 'row',
          style: 'row',
          rowwise: true,
          reads: [],
          columns: [],
          onError: 'deadLetter',
        },
      ]
    : [];
  // A source without rows has one chunk of none.
  const chunks = typeof rows === 'number' ? rows : Math.max(1, rows.length);
  const input: StagePlan['input'] = shape.query
    ? queryOver(shape.query)
    : shape.over !== undefined
      ? { kind: 'stage', stage: stageId(shape.over) }
      : typeof rows === 'number'
        ? { kind: 'empty', chunks: rows }
        : {
            kind: 'source',
            source: 'orders',
            files: [
              {
                path: '/data/a.parquet',
                bytes: 1000,
                mtimeMs: 1,
                footerHash: 'f',
                rowGroupRows: rows,
                prunedRowGroups: [],
                hive: {},
                missingColumns: [],
              },
            ],
          };
  const isSized = input.kind === 'source' || input.kind === 'empty';
  const scan = isSized ? input.kind : 'chunks';
  return {
    id: stageId(shape.id ?? 's0'),
    input,
    program: {
      scan: { kind: scan, columns: [], hive: [] },
      steps,
      sink: { columns: [], compression: 'snappy', partitionBy: [] },
      rowwise: true,
    },
    digest: 'digest',
    deterministic: true,
    taskStarts: isSized ? (shape.starts ?? Array.from({ length: chunks }, (_, k) => k)) : [],
    pool: shape.pool ?? 'cpu',
    devices: shape.devices ?? [],
    rows: isSized && typeof rows !== 'number' ? rows.reduce((sum, each) => sum + each, 0) : 0,
  };
}

function queryOver(stages: readonly string[]): QueryInput {
  const tables = stages.map((id) => [
    `t_${id}`,
    { kind: 'stages', stages: [stageId(id)], columns: [] } as const,
  ]);
  const versions = { duckdb: 'v', onnxruntime: 'v' };
  return {
    kind: 'query',
    sql: 'select 1',
    tables: Object.fromEntries(tables),
    partitions: 4,
    versions,
  };
}

/** A stage of a query, laid out: one task a chunk. */
export function laidOut(
  id: string,
  input: ExchangeInput,
  more: { of?: string; rows?: number } = {},
): StagePlan {
  return {
    ...stagePlan({ id, rows: exchangeChunkCount(input) }),
    input,
    ...(more.of === undefined ? {} : { part: { of: stageId(more.of), key: `key of ${id}` } }),
    rows: more.rows ?? 0,
  };
}

/** Chunks of these stages, dealt out to so many chunks. */
export function splitOver(
  stages: readonly string[],
  units: number,
  starts: readonly number[],
): ExchangeInput {
  const table = { kind: 'stages', stages: stages.map(stageId) } as const;
  return {
    kind: 'exchange',
    driving: { kind: 'split', leaf: 'l', table, units, starts },
    whole: [],
  };
}

export function queryPlanned(
  stages: readonly StagePlan[],
  final?: StagePlan,
  more: Partial<QueryPlanned> = {},
): QueryPlanned {
  return {
    type: 'query.planned',
    jobId: J,
    stageId: S1,
    stages,
    ...(final ? { final } : {}),
    reused: [],
    rowsReused: 0,
    notes: [],
    nowMs: 4,
    ...more,
  };
}

export function jobPlan(
  shapes: readonly StageShape[],
  deadLetters: JobPlan['deadLetters'] = {},
): JobPlan {
  const stages = shapes.map(stagePlan);
  return {
    format: 1,
    stages,
    outputs: [
      {
        name: 'out',
        path: '/out',
        mode: 'error',
        stage: stages.at(-1)?.id ?? S0,
        columns: [],
        partitionBy: [],
        deadLetterPath: '/out.dead',
        identity: 'identity',
        rowCounts: [],
      },
    ],
    notes: [],
    chunkLocation: '/out/_windrow/chunks',

    chunkKeepMs: 604_800_000,
    deadLetters,
    constants: { jobId: J, nowMs: 0 },
  };
}

export const defaultRun: RunSettings = { priority: 0, weight: 1, attempts: 4 };

export function submitted(
  options: {
    readonly id?: string;
    readonly stages?: readonly StageShape[];
    readonly run?: Partial<RunSettings>;
    readonly reused?: JobSubmitted['reused'];
    readonly deadLetters?: JobPlan['deadLetters'];
    readonly nowMs?: number;
  } = {},
): JobSubmitted {
  const plan = jobPlan(options.stages ?? [{}], options.deadLetters);
  const rowsReused = 10 * (options.reused?.[0]?.chunks.length ?? 0);
  return {
    type: 'job.submitted',
    jobId: jobId(options.id ?? J),
    requestId: `request-${options.id ?? J}`,
    name: `name-${options.id ?? J}`,
    spec: '{}',
    plan,
    run: { ...defaultRun, ...options.run },
    reused: options.reused ?? [],
    counts: {
      rowsTotal: plan.stages[0]?.rows ?? 0,
      rowsReused,
      rowsPruned: 0,
      reusedOut: rowsReused,
      reusedFiltered: 0,
      reusedDead: 0,
    },
    nowMs: options.nowMs ?? 0,
  };
}

export function ref(task = 0, attempt = 1, stage = S0, job = J): AttemptRef {
  return { jobId: job, stageId: stage, task, attempt };
}

export function started(
  attempt: AttemptRef,
  more: { worker?: string; nowMs?: number } = {},
): Event {
  return {
    type: 'attempt.started',
    attempt,
    workerId: workerId(more.worker ?? W),
    nowMs: more.nowMs ?? 1,
  };
}

export function record(path: string, rows = 10, dead = 0): ChunkRecord {
  return {
    identity: `identity of ${path}`,
    files: [{ path, rows: rows - dead, bytes: 1, sha256: 's', partition: [] }],
    counts: { rowsIn: rows, rowsOut: rows - dead, filtered: 0, dead, inferred: rows, warnings: {} },
  };
}

export function chunkDone(
  attempt: AttemptRef,
  chunk: number,
  more: { worker?: string; dead?: number; nowMs?: number } = {},
): Event {
  const path = `/c/${attempt.stageId}/${chunk}/${attempt.task}.${attempt.attempt}`;
  return {
    type: 'chunk.done',
    attempt,
    workerId: workerId(more.worker ?? W),
    chunk,
    record: record(path, 10, more.dead ?? 0),
    nowMs: more.nowMs ?? 2,
  };
}

export function failure(kind: FailureKind, code = `E_TEST_${kind.toUpperCase()}`): Failure {
  return { kind, code, message: 'made by a test' };
}

export function ended(
  attempt: AttemptRef,
  more: { worker?: string; failure?: Failure; crashed?: boolean; nowMs?: number } = {},
): Event {
  return {
    type: 'attempt.ended',
    attempt,
    workerId: workerId(more.worker ?? W),
    ...(more.failure ? { failure: more.failure } : {}),
    ...(more.crashed !== undefined ? { crashed: more.crashed } : {}),
    nowMs: more.nowMs ?? 3,
  };
}

export function hello(
  more: {
    worker?: string;
    incarnation?: string;
    slots?: number;
    pools?: readonly string[];
    devices?: readonly string[];
    running?: readonly AttemptRef[];
    nowMs?: number;
  } = {},
): Event {
  return {
    type: 'worker.hello',
    workerId: workerId(more.worker ?? W),
    incarnation: more.incarnation ?? 'i1',
    pools: more.pools ?? ['cpu'],
    slots: more.slots ?? 1,
    devices: more.devices ?? ['cpu'],
    host: 'h',
    pid: 1,
    running: more.running ?? [],
    nowMs: more.nowMs ?? 0,
  };
}

export const frozen = (nowMs = 5): Event => ({
  type: 'commit.frozen',
  jobId: J,
  manifests: [{ output: 'out', manifest: '{}' }],
  nowMs,
});

export const committed = (nowMs = 6): Event => ({
  type: 'commit.done',
  jobId: J,
  summary: {
    rows: { in: 40, out: 40, filtered: 0, deadLettered: 0 },
    upToDate: false,
    outputs: [{ name: 'out', path: '/out', rows: 40, files: 4, manifestHash: 'h' }],
  },
  nowMs,
});

/** Feeds events to a fresh state. */
export function after(...events: readonly Event[]): State {
  const state = emptyState();
  for (const event of events) transition(state, event);
  return state;
}

export function jobOf(state: State, id = J): JobState {
  const job = state.jobs.get(id);
  if (!job) throw new Error(`no job ${id}`);
  return job;
}

/** Effects by type, without what is told to users. */
export function kinds(effects: readonly Effect[]): string[] {
  return effects.filter((effect) => effect.type !== 'notify').map((effect) => effect.type);
}

export function notices(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => (effect.type === 'notify' ? [effect.kind] : []));
}
