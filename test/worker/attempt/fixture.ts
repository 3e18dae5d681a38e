/** A temporary place with Parquet files, and attempts run in it as a thread would run them. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { sha256Hex } from '../../../shared/chunk-identity.js';
import { readFooter } from '../../../shared/parquet-footer.js';
import { jobId, stageId } from '../../../shared/ids.js';
import type {
  ChunkRecord,
  ColumnDef,
  ProgramStep,
  QueryLeaf,
  StageProgram,
} from '../../../shared/plan.js';
import { type Attempt, runChunks } from '../../../worker/attempt/attempt.js';
import type { AttemptMessage, ChunkWork, LeafRead } from '../../../worker/attempt/protocol.js';
import { Runtime } from '../../../worker/attempt/runtime.js';
import { preparePredict } from '../../../worker/inference/predict.js';

export class Place {
  readonly root = realpathSync(mkdtempSync(join(tmpdir(), 'windrow-attempt-')));
  readonly chunks = join(this.root, 'chunks');
  readonly runtime = new Runtime(preparePredict);
  private instance: DuckDBInstance | undefined;
  private connection: DuckDBConnection | undefined;
  private attempts = 0;

  async sql(text: string): Promise<Record<string, unknown>[]> {
    this.instance ??= await DuckDBInstance.create(':memory:');
    this.connection ??= await this.instance.connect();
    return (await this.connection.runAndReadAll(text)).getRowObjectsJS();
  }

  /** Writes a Parquet file from a query. */
  async parquet(name: string, query: string, options = ''): Promise<string> {
    const path = join(this.root, 'data', name);
    mkdirSync(join(path, '..'), { recursive: true });
    await this.sql(`copy (${query}) to '${path.replaceAll("'", "''")}' (format parquet${options})`);
    return path;
  }

  link(name: string, target: string): string {
    const path = join(this.root, name);
    mkdirSync(join(path, '..'), { recursive: true });
    symlinkSync(target, path);
    return path;
  }

  file(name: string, bytes: string | Uint8Array): string {
    const path = join(this.root, name);
    writeFileSync(path, bytes);
    return path;
  }

  /** The chunks that the planner would make of a file: one a row group. */
  async worksOf(path: string, more: Partial<ChunkWork['source']> = {}): Promise<ChunkWork[]> {
    const footer = await readFooter(path);
    let at = 0;
    return footer.rowGroupRows.map((rows, rowGroup) => {
      const [rowStart, rowEnd] = [at, at + rows];
      at = rowEnd;
      const { mtimeMs, size } = statSync(path);
      return {
        chunk: rowGroup,
        identity: sha256Hex(`${path} ${rowGroup}`),
        source: {
          path,
          bytes: size,
          mtimeMs,
          footerHash: footer.footerHash,
          rowGroup,
          rowStart,
          rowEnd,
          hive: {},
          missingColumns: [],
          ...more,
        },
        inputs: [],
        poisonRows: [],
      };
    });
  }

  attempt(
    program: StageProgram,
    chunks: readonly ChunkWork[],
    more: Partial<Attempt> = {},
  ): Attempt {
    this.attempts += 1;
    return {
      ref: { jobId: jobId('j1'), stageId: stageId('s0'), task: 0, attempt: this.attempts },
      program,
      programDigest: sha256Hex(JSON.stringify(program)),
      chunks,
      chunkDirectory: this.chunks,
      attemptTag: `a${this.attempts}`,
      probe: false,
      blobs: {},
      memoryLimitBytes: 1 << 30,
      spillDirectory: join(this.root, 'spill'),
      ...more,
    };
  }

  async run(
    program: StageProgram,
    chunks: readonly ChunkWork[],
    more: Partial<Attempt> = {},
    onMessage: (message: AttemptMessage) => void = () => undefined,
  ) {
    const messages: AttemptMessage[] = [];
    const failure = await runChunks(
      this.attempt(program, chunks, more),
      this.runtime,
      (message) => {
        messages.push(message);
        onMessage(message);
      },
    );
    const records = messages.flatMap((message): ChunkRecord[] =>
      message.type === 'chunk' ? [message.record] : [],
    );
    return { failure, records, messages };
  }

  /** Rows of staged files, which DuckDB reads whatever their names are. */
  rowsOf(records: readonly ChunkRecord[], select = '*'): Promise<Record<string, unknown>[]> {
    const files = records.flatMap(({ files }) => files.map(({ path }) => `'${path}'`));
    return this.sql(`select ${select} from read_parquet([${files.join(', ')}])`);
  }

  deadOf(record: ChunkRecord | undefined): Promise<Record<string, unknown>[]> {
    return this.sql(`select * from read_parquet('${record?.deadLetters?.path}') order by row`);
  }

  /** Every file that lies in the chunk directory. */
  leftFiles(): string[] {
    try {
      return readdirSync(this.chunks, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => entry.name);
    } catch {
      return [];
    }
  }

  close(): void {
    this.runtime.close();
    this.connection?.closeSync();
    this.instance?.closeSync();
    rmSync(this.root, { recursive: true, force: true });
  }
}

export function columns(definition: Record<string, string>): ColumnDef[] {
  return Object.entries(definition).map(([name, type]) => ({ name, type }));
}

export function programOf(
  scan: Record<string, string>,
  steps: readonly ProgramStep[],
  sink: Record<string, string>,
  more: Partial<StageProgram['sink']> & { hive?: Record<string, string>; rowwise?: boolean } = {},
): StageProgram {
  const { hive = {}, rowwise = true, ...sinkMore } = more;
  return {
    scan: { kind: 'source', columns: columns(scan), hive: columns(hive) },
    steps,
    sink: { columns: columns(sink), compression: 'snappy', partitionBy: [], ...sinkMore },
    rowwise,
  };
}

export function leaf(name: string, definition: Record<string, string>, driving = true): QueryLeaf {
  return { leaf: name, columns: columns(definition), driving };
}

export function queryProgram(
  sql: string,
  leaves: readonly QueryLeaf[],
  result: Record<string, string>,
  sink: Partial<StageProgram['sink']> = {},
): StageProgram {
  return {
    query: { sql, leaves, columns: columns(result) },
    scan: { kind: 'chunks', columns: [], hive: [] },
    steps: [],
    sink: { columns: columns(result), compression: 'uncompressed', partitionBy: [], ...sink },
    rowwise: false,
  };
}

export function read(name: string, more: Partial<LeafRead> = {}): LeafRead {
  return { leaf: name, sources: [], files: [], slices: [], ...more };
}

export function work(chunk: number, ...reads: LeafRead[]): ChunkWork {
  const identity = sha256Hex(`${chunk} ${JSON.stringify(reads)}`);
  return { chunk, identity, inputs: [], poisonRows: [], reads };
}
