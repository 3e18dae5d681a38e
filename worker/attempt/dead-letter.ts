/**
 * The dead-letter file of a chunk: one row for each row that was dropped as bad, with where it came
 * from, why, and what it was. Written row by row; never on the path of good rows.
 */
import { createRequire } from 'node:module';
import type { DeadRow } from './scope.js';

interface ParquetWriter {
  appendRow(row: Record<string, unknown>): Promise<void>;
  close(): Promise<void>;
}
interface ParquetJs {
  readonly ParquetSchema: new (fields: Record<string, unknown>) => unknown;
  readonly ParquetWriter: {
    openFile(schema: unknown, path: string, options?: object): Promise<ParquetWriter>;
  };
}

const columns = {
  source_file: { type: 'UTF8', optional: true },
  row_group: { type: 'INT32', optional: true },
  row: { type: 'INT64', optional: true },
  step: { type: 'UTF8' },
  code: { type: 'UTF8' },
  message: { type: 'UTF8' },
  row_json: { type: 'UTF8', optional: true },
};

/** CommonJS without types; loaded when the first row dies, as in most jobs none does. */
function parquetJs(): ParquetJs {
  return createRequire(import.meta.url)('parquetjs-lite') as ParquetJs;
}

export interface DeadLetterOrigin {
  readonly file?: string;
  readonly rowGroup?: number;
}

/** @param rowJson the row as it entered the step, by `step` and number of the row */
export async function writeDeadLetters(
  path: string,
  origin: DeadLetterOrigin,
  dead: readonly DeadRow[],
  rowJson: (row: DeadRow) => string | undefined,
): Promise<void> {
  const { ParquetSchema, ParquetWriter } = parquetJs();
  const writer = await ParquetWriter.openFile(new ParquetSchema(columns), path);
  try {
    for (const row of [...dead].sort((a, b) => a.row - b.row)) {
      const json = rowJson(row);
      await writer.appendRow({
        ...(origin.file === undefined ? {} : { source_file: origin.file }),
        ...(origin.rowGroup === undefined ? {} : { row_group: origin.rowGroup }),
        // Without its file a number says nothing: it counts rows of chunks.
        ...(row.row < 0 || origin.file === undefined ? {} : { row: row.row }),
        step: row.step,
        code: row.code,
        message: row.message,
        ...(json === undefined ? {} : { row_json: json }),
      });
    }
  } finally {
    await writer.close();
  }
}
