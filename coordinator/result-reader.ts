/**
 * Published rows as an Arrow IPC stream, batch by batch. Reads what the manifest names, no more: the
 * kernel it reads with can reach nothing outside the output.
 */
import { existsSync, readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { AsyncByteQueue, RecordBatchStreamWriter } from 'apache-arrow';
import { arrowBatch, arrowSchema } from '../shared/arrow-columns.js';
import { fail } from '../shared/failure.js';
import type { Manifest } from '../shared/manifest.js';
import { hiveDirectory, manifestPath, nullPartition } from '../shared/storage/paths.js';
import { parseManifest } from './commit/output-files.js';
import { quoteName, quoteText } from '../shared/sql-text.js';

/** A path where DuckDB would expand globs. */
const literally = (path: string): string => path.replace(/[*?[]/g, (character) => `[${character}]`);

/** What the writer has made since it was last asked: nothing gathers while a reader is slow. */
class Written extends AsyncByteQueue {
  private parts: Uint8Array[] = [];

  override write(part: ArrayBufferLike | ArrayBufferView): void {
    const view = ArrayBuffer.isView(part)
      ? new Uint8Array(part.buffer, part.byteOffset, part.byteLength)
      : new Uint8Array(part);
    if (view.byteLength > 0) this.parts.push(view);
  }

  take(): Uint8Array[] {
    return this.parts.splice(0);
  }
}

export class ResultReader {
  /** @param scratch directory DuckDB may spill to */
  constructor(private readonly scratch: string) {}

  /** @throws WindrowError E_NO_RESULT when nothing is published there, E_MANIFEST when it is damaged */
  async *output(directory: string, maxRows: number | undefined): AsyncGenerator<Uint8Array> {
    const manifest = manifestOf(directory);
    const instance = await DuckDBInstance.create(':memory:', {
      threads: '1',
      memory_limit: '128MB',
      temp_directory: this.scratch,
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
    const connection = await instance.connect();
    try {
      await lockDown(connection, directory);
      const result = await connection.stream(selectAll(directory, manifest, maxRows));
      const types = result.columnTypes();
      const schema = arrowSchema(result.columnNames(), types);
      const written = new Written();
      const writer = new RecordBatchStreamWriter();
      writer.reset(written, schema);
      for (;;) {
        const chunk = await result.fetchChunk();
        if (!chunk || chunk.rowCount === 0) break;
        writer.write(arrowBatch(schema, types, chunk));
        yield* written.take();
      }
      writer.finish();
      yield* written.take();
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  }
}

function manifestOf(directory: string): Manifest {
  const path = manifestPath(directory);
  if (!existsSync(path)) {
    fail('io', 'E_NO_RESULT', `${directory} has no manifest`, { hint: 'run the job again' });
  }
  const manifest = parseManifest(readFileSync(path, 'utf8'));
  if (!manifest) return damaged(path, 'it is not a manifest');
  const outside = manifest.files.find(
    (file) => isAbsolute(file.name) || file.name.split('/').includes('..'),
  );
  return outside ? damaged(path, `it names ${outside.name}, which is outside`) : manifest;
}

function damaged(path: string, why: string): never {
  return fail('badData', 'E_MANIFEST', `the manifest of an output is damaged: ${why}`, {
    at: { file: path },
    hint: 'run the job again',
  });
}

async function lockDown(connection: DuckDBConnection, directory: string): Promise<void> {
  await connection.run(`set TimeZone = 'UTC'`);
  // With its separator: DuckDB compares prefixes, and `/out` would open `/out2` as well. The pattern
  // that stands for a path is compared before it is expanded.
  const inside = join(directory, '/');
  const allowed = [inside, literally(inside)].map(quoteText).join(', ');
  await connection.run(`set allowed_directories = [${allowed}]`);
  await connection.run('set enable_external_access = false');
  await connection.run('set lock_configuration = true');
}

/** Which file a row is of. */
const fileColumn = '__windrow_file';

/**
 * Partition values are text in the paths, and are given the types they had. (DuckDB's own way of
 * reading them takes the text `NULL` for NULL.)
 */
function selectAll(
  directory: string,
  { files, columns, partitionBy }: Manifest,
  maxRows: number | undefined,
): string {
  const limit = maxRows === undefined ? '' : ` limit ${maxRows}`;
  if (files.length === 0) {
    const nulls = columns.map((column) => `null::${column.type} as ${quoteName(column.name)}`);
    return `select ${nulls.join(', ')} where false`;
  }
  const partitions = new Set(partitionBy);
  const values = columns.map(({ name, type }) =>
    partitions.has(name)
      ? `${partitionValue(directory, name)}::${type} as ${quoteName(name)}`
      : quoteName(name),
  );
  const paths = files.map((file) => quoteText(literally(join(directory, file.name))));
  const options = `hive_partitioning = false, filename = ${quoteText(fileColumn)}`;
  return `select ${values.join(', ')} from read_parquet([${paths.join(', ')}], ${options})${limit}`;
}

function partitionValue(directory: string, column: string): string {
  // From the slash before the first folder on: the directory's own path may have such folders, too.
  const inside = `substr(${fileColumn}, length(${quoteText(join(directory, '/'))}))`;
  const begin = quoteText(`/${hiveDirectory(column, '')}`);
  const text = `split_part(split_part(${inside}, ${begin}, 2), '/', 1)`;
  return `url_decode(nullif(${text}, ${quoteText(nullPartition)}))`;
}
