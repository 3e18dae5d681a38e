/**
 * One DuckDB instance of a thread: its limits, its lock-down and how a running statement is
 * interrupted. Never runs two statements at once, and is closed before its thread may end.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import type { DuckDBMaterializedResult, DuckDBScalarFunction } from '@duckdb/node-api';
import { quotePath } from './sql-text.js';
import { quoteText } from '../../shared/sql-text.js';

export interface KernelOptions {
  /** Directories that statements may read and write; nothing else of the machine is reachable. */
  readonly directories: readonly string[];
  readonly memoryLimitBytes: number;
  /** A directory of this kernel alone; removed when it closes. */
  readonly spillDirectory: string;
}

/**
 * It fails ("access index 0 within vector of size 0") on a `row_number() … <= n` whose partition and
 * order a join makes equal, which takes the whole database along; windows do without, and can spill.
 */
export const brokenOptimizers = 'top_n_window_elimination';

/** Below this DuckDB cannot hold a row group and its write buffers. */
const memoryFloorBytes = 64 * 1024 * 1024;

export class Kernel {
  private running = false;
  private closed = false;

  private constructor(
    readonly options: KernelOptions,
    private readonly instance: DuckDBInstance,
    readonly connection: DuckDBConnection,
  ) {}

  static async open(options: KernelOptions): Promise<Kernel> {
    mkdirSync(options.spillDirectory, { recursive: true });
    const instance = await DuckDBInstance.create(':memory:', {
      threads: '1',
      memory_limit: `${Math.max(memoryFloorBytes, options.memoryLimitBytes)}B`,
      temp_directory: options.spillDirectory,
      preserve_insertion_order: 'true',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
    try {
      const connection = await instance.connect();
      // The pattern that stands for a path is compared, too, before it is expanded.
      const allowed = options.directories
        .map(asDirectory)
        .flatMap((path) => [...new Set([quoteText(path), quotePath(path)])])
        .join(', ');
      await connection.run(`set TimeZone = 'UTC'`);
      await connection.run(`set disabled_optimizers = '${brokenOptimizers}'`);
      await connection.run(`set allowed_directories = [${allowed}]`);
      await connection.run('set enable_external_access = false');
      await connection.run('set lock_configuration = true');
      return new Kernel(options, instance, connection);
    } catch (error) {
      instance.closeSync();
      throw error;
    }
  }

  register(scalar: DuckDBScalarFunction): void {
    this.connection.registerScalarFunction(scalar);
    scalar.destroySync();
  }

  async run(sql: string): Promise<DuckDBMaterializedResult> {
    this.running = true;
    try {
      return await this.connection.run(sql);
    } finally {
      this.running = false;
    }
  }

  /** Rows of a small result, as plain JavaScript values. */
  async rows(sql: string): Promise<Record<string, unknown>[]> {
    return (await this.run(sql)).getRowObjectsJS();
  }

  /** Ends the running statement within a millisecond or so; does nothing where none runs. */
  interrupt(): void {
    if (this.running && !this.closed) this.connection.interrupt();
  }

  /** Call only when nothing runs. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.connection.closeSync();
    this.instance.closeSync();
    rmSync(this.options.spillDirectory, { recursive: true, force: true });
  }
}

/** DuckDB compares prefixes: without the separator `/data` would open `/data2` as well. */
function asDirectory(path: string): string {
  return path.endsWith('/') ? path : `${path}/`;
}
