/** Published rows as an Arrow IPC stream, batch by batch. Reads what the manifest names, no more. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { AsyncByteQueue, RecordBatchStreamWriter } from 'apache-arrow';
import { arrowBatch, arrowSchema } from '../shared/arrow-columns.js';
import { fail } from '../shared/failure.js';
import type { Manifest } from '../shared/manifest.js';
import { manifestPath } from '../shared/storage/paths.js';

const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;

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

  /** @throws WindrowError E_NO_RESULT when nothing is published there */
  async *output(directory: string, maxRows: number | undefined): AsyncGenerator<Uint8Array> {
    const path = manifestPath(directory);
    if (!existsSync(path)) {
      fail('io', 'E_NO_RESULT', `${directory} has no manifest`, { hint: 'run the job again' });
    }
    const manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
    const instance = await DuckDBInstance.create(':memory:', {
      threads: '1',
      memory_limit: '128MB',
      temp_directory: this.scratch,
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
    const connection = await instance.connect();
    try {
      await connection.run(`set TimeZone = 'UTC'`);
      const files = manifest.files.map(({ name }) => text(join(directory, name))).join(', ');
      const columns = manifest.columns
        .map(({ name }) => `"${name.replaceAll('"', '""')}"`)
        .join(', ');
      const hive = manifest.partitionBy.length > 0 ? ', hive_partitioning = true' : '';
      const limit = maxRows === undefined ? '' : ` limit ${maxRows}`;
      const result = await connection.stream(
        `select ${columns} from read_parquet([${files}]${hive})${limit}`,
      );
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
