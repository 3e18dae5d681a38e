/** Published rows as an Arrow IPC stream, batch by batch. Reads what the manifest names, no more. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../shared/failure.js';
import type { Manifest } from '../shared/manifest.js';
import { manifestPath } from '../shared/storage/paths.js';

const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;

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
    // Few coordinators are asked for rows: only those load what reads them.
    const [{ DuckDBInstance }, { RecordBatchStreamWriter }, { arrowBatch, arrowSchema }] =
      await Promise.all([
        import('@duckdb/node-api'),
        import('apache-arrow'),
        import('../shared/arrow-columns.js'),
      ]);
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
      const writer = new RecordBatchStreamWriter();
      const parts = writer[Symbol.asyncIterator]();
      writer.reset(undefined, schema);
      const batches = async (): Promise<void> => {
        for (;;) {
          const chunk = await result.fetchChunk();
          if (!chunk || chunk.rowCount === 0) break;
          writer.write(arrowBatch(schema, types, chunk));
        }
        writer.finish();
      };
      const written = batches();
      for (let next = await parts.next(); !next.done; next = await parts.next()) yield next.value;
      await written;
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  }
}
