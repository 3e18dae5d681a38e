/** DuckDB by itself, in this process: for making data, as the limit to compare with, and as the judge. */
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';

export interface DuckdbOptions {
  readonly threads: number;
  readonly memoryBytes?: number;
  readonly spillDirectory?: string;
}

const open = new Set<DuckDBConnection>();

/** A database in memory as long as `use` takes; `connect` gives more connections to it. */
export async function withDuckdb<T>(
  { threads, memoryBytes, spillDirectory }: DuckdbOptions,
  use: (connection: DuckDBConnection, connect: () => Promise<DuckDBConnection>) => Promise<T>,
): Promise<T> {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(threads),
    ...(memoryBytes === undefined ? {} : { memory_limit: `${memoryBytes}B` }),
    ...(spillDirectory === undefined ? {} : { temp_directory: spillDirectory }),
  });
  const mine: DuckDBConnection[] = [];
  const connect = async (): Promise<DuckDBConnection> => {
    const connection = await instance.connect();
    mine.push(connection);
    open.add(connection);
    return connection;
  };
  try {
    return await use(await connect(), connect);
  } finally {
    for (const connection of mine) {
      open.delete(connection);
      connection.closeSync();
    }
    instance.closeSync();
  }
}

/** What runs ends within milliseconds, as a failure: a process cannot leave while a statement runs. */
export function interruptDuckdb(): void {
  for (const connection of open) connection.interrupt();
}
