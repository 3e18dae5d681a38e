/** Plans, records and an index for commit tests: small, whole, and the same every time. */
import { sha256Hex } from '../../../shared/chunk-identity.js';
import { jobId, stageId, type StageId } from '../../../shared/ids.js';
import type {
  ChunkFile,
  ChunkRecord,
  JobPlan,
  OutputMode,
  OutputPlan,
  StagePlan,
} from '../../../shared/plan.js';
import type { ObjectStore } from '../../../shared/storage/object-store.js';
import { chunkFilePath, deadLetterFilePath } from '../../../shared/storage/paths.js';
import { freezeOutput } from '../../../coordinator/commit/freeze.js';
import { StageLedger, type Ledgers } from '../../../coordinator/commit/ledger.js';
import type { FrozenManifest } from '../../../coordinator/core/events.js';
import type { Claim } from '../../../coordinator/commit/claims.js';
import type { ChunkIndex } from '../../../coordinator/journal/journal.js';
import { manifestBytes, type Manifest } from '../../../shared/manifest.js';

export const s0 = stageId('s0');

export interface ChunkSpec {
  readonly name: string;
  readonly rows: number;
  readonly dead?: number;
  readonly partition?: string;
}

export const identityOf = (name: string): string => sha256Hex(name);
export const contentOf = (name: string): Buffer => Buffer.from(`rows of ${name}`, 'utf8');

export function plan(
  root: string,
  chunks: readonly ChunkSpec[],
  mode: OutputMode = 'overwrite',
): JobPlan {
  const rows = chunks.reduce((sum, { rows: out, dead = 0 }) => sum + out + dead, 0);
  const stage: StagePlan = {
    id: s0,
    input: {
      kind: 'source',
      source: 'a',
      files: [
        {
          path: '/in/a.parquet',
          bytes: 1,
          mtimeMs: 1,
          footerHash: 'h',
          rowGroupRows: [rows, 7],
          prunedRowGroups: [1],
          hive: {},
          missingColumns: [],
        },
      ],
    },
    program: {
      scan: { kind: 'source', columns: [], hive: [] },
      steps: [],
      sink: { columns: [], compression: 'snappy', partitionBy: [] },
      rowwise: true,
    },
    digest: 'd',
    deterministic: true,
    taskStarts: [0],
    pool: 'cpu',
    devices: ['cpu'],
    rows: rows + 7,
  };
  const output: OutputPlan = {
    name: 'o',
    path: `${root}/out`,
    mode,
    stage: s0,
    columns: [{ name: 'x', type: 'INTEGER' }],
    partitionBy: [],
    deadLetterPath: `${root}/out.dead`,
    identity: sha256Hex(JSON.stringify(chunks)),
    rowCounts: [],
  };
  return {
    format: 1,
    stages: [stage],
    outputs: [output],
    notes: [],
    chunkLocation: `${root}/out/_windrow/chunks`,

    chunkKeepMs: 604_800_000,
    deadLetters: {},
    constants: { jobId: jobId('j'), nowMs: 0 },
  };
}

export const outputOf = (of: JobPlan): OutputPlan => of.outputs[0] as OutputPlan;

/** Puts a chunk's files where an attempt leaves them and says so as the attempt would. */
export async function stage(
  store: ObjectStore,
  directory: string,
  chunk: ChunkSpec,
): Promise<ChunkRecord> {
  const identity = identityOf(chunk.name);
  const file = async (path: string, content: Buffer, rows: number): Promise<ChunkFile> => {
    await store.create(path, content);
    return {
      path,
      rows,
      bytes: content.length,
      sha256: sha256Hex(content),
      partition:
        chunk.partition === undefined || path.endsWith('.dead')
          ? []
          : [{ column: 'k', value: chunk.partition }],
    };
  };
  const dead = chunk.dead ?? 0;
  return {
    identity,
    files: [
      await file(chunkFilePath(directory, identity, 'w-1'), contentOf(chunk.name), chunk.rows),
    ],
    counts: {
      rowsIn: chunk.rows + dead,
      rowsOut: chunk.rows,
      filtered: 0,
      dead,
      inferred: 0,
      warnings: {},
    },
    ...(dead > 0
      ? {
          deadLetters: await file(
            deadLetterFilePath(directory, identity, 'w-1'),
            contentOf(`dead of ${chunk.name}`),
            dead,
          ),
        }
      : {}),
  };
}

/** What a commit keeps of these records. */
export function ledgers(
  of: JobPlan,
  records: ReadonlyMap<StageId, readonly ChunkRecord[]>,
): Ledgers {
  return new Map(
    of.stages.map((stage) => {
      const published = of.outputs.some((output) => output.stage === stage.id);
      const ledger = new StageLedger(stage, published);
      for (const record of records.get(stage.id) ?? []) ledger.add(record);
      return [stage.id, ledger];
    }),
  );
}

export function frozen(
  of: JobPlan,
  records: readonly ChunkRecord[],
  previous?: Manifest,
): FrozenManifest[] {
  const { manifest, kept } = freezeOutput(
    'n',
    of,
    outputOf(of),
    ledgers(of, new Map([[s0, records]])),
    previous,
  );
  const replaces = previous && sha256Hex(manifestBytes(previous));
  const text = manifestBytes(manifest).toString('utf8');
  return [{ output: 'o', manifest: text, kept, ...(replaces === undefined ? {} : { replaces }) }];
}

export const claimOf = (job: string, stateDirectory = '/state'): Claim => ({
  job,
  name: 'n',
  stateDirectory,
  host: 'here',
  pid: 1,
  sinceMs: 0,
});

/** A chunk index in memory, with a crash of its own: `failing` makes the next update throw. */
export class MemoryIndex implements ChunkIndex {
  readonly records = new Map<string, ChunkRecord>();
  beforeUpdate: () => void = () => undefined;

  put(records: readonly ChunkRecord[]): void {
    for (const record of records) this.records.set(record.identity, record);
  }

  async lookup(identities: readonly string[]) {
    return new Map(
      identities.flatMap((identity) => {
        const record = this.records.get(identity);
        return record ? [[identity, record] as const] : [];
      }),
    );
  }

  async relocate(_: number, moves: readonly { identity: string; record: ChunkRecord }[]) {
    this.beforeUpdate();
    for (const { identity, record } of moves) this.records.set(identity, record);
  }

  async forget(_: number, identities: readonly string[]) {
    for (const identity of identities) this.records.delete(identity);
  }

  async expired(): Promise<ChunkRecord[]> {
    return [...this.records.values()];
  }

  async keep(): Promise<void> {}
}
