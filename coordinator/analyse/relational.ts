/**
 * DuckDB's own binder and optimiser as the front end of the relational planner: what a query over
 * several inputs means, as a serialised plan. It sees made-up rows that stand for the inputs'
 * sizes; never a row or a file of the user's.
 */
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import type { ColumnDef } from '../../shared/plan.js';
import { messageOf } from './bind-database.js';
import { quoteName, quoteText } from '../../shared/sql-text.js';

/** An input that a query names. */
export interface RelationalInput {
  readonly name: string;
  readonly columns: readonly ColumnDef[];
  readonly rows: number;
  /** Estimates by column name; a column without one counts as a key. */
  readonly distinct?: ReadonlyMap<string, number>;
}

export type SerialisedQuery =
  | {
      readonly ok: true;
      /** What `json_serialize_plan` gave. */
      readonly json: string;
      /** The result's columns as DuckDB names and types them; names may repeat. */
      readonly columns: readonly ColumnDef[];
      /** Whether a function may give another value for the same arguments, `now()` included. */
      readonly isVolatile: (functionName: string) => boolean;
    }
  | {
      readonly ok: false;
      /** The query is wrong (`binder`, `parser`, …), or DuckDB cannot serialise it (`internal`). */
      readonly type: string;
      readonly message: string;
      /** From 0 in the text. */
      readonly position?: number;
    };

/**
 * The optimisers that run. All others stay off: they depend on the rows in the tables, which are
 * made up here, or give plans that DuckDB's serialiser cannot write or that SQL cannot express.
 */
const optimisers = new Set([
  'cte_inlining',
  'deliminator',
  'expression_rewriter',
  'filter_pullup',
  'filter_pushdown',
  'join_order',
]);

/** Rows of the largest made-up table; the others keep their proportion to it. */
const rowsMax = 10_000;
/** A table is not made smaller than this: the small ones keep their true size. */
const rowsKept = 100;
const memoryLimit = '512MB';
const planTimeMsMax = 30_000;

/** A query under a name that others read; its text stands in theirs as a subquery. */
export interface NamedQuery {
  readonly name: string;
  readonly sql: string;
}

/**
 * Plans one SELECT statement.
 * @param named each after those that it reads. Not WITH: the optimiser inlines that only after it has
 *   bound correlated subqueries, and fails over them
 * @throws Error where the inputs themselves cannot be made
 */
export async function serialiseQuery(
  inputs: readonly RelationalInput[],
  sql: string,
  named: readonly NamedQuery[] = [],
): Promise<SerialisedQuery> {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    memory_limit: memoryLimit,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  try {
    const connection = await instance.connect();
    const timer = setTimeout(() => connection.interrupt(), planTimeMsMax);
    try {
      return await planned(connection, inputs, sql, named);
    } finally {
      clearTimeout(timer);
      connection.closeSync();
    }
  } finally {
    instance.closeSync();
  }
}

async function planned(
  connection: DuckDBConnection,
  inputs: readonly RelationalInput[],
  sql: string,
  named: readonly NamedQuery[],
): Promise<SerialisedQuery> {
  await connection.run(`set TimeZone = 'UTC'; set temp_directory = ''`);
  const scale = Math.max(1, ...inputs.map(({ rows }) => rows / rowsMax));
  for (const input of inputs) await connection.run(tableText(input, scale));
  for (const each of named) {
    await connection.run(`create view ${quoteName(each.name)} as ${each.sql}`);
  }
  const volatile = await rowsOf(
    connection,
    `select distinct lower(function_name) from duckdb_functions()
     where stability in ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')`,
  );
  const known = await rowsOf(connection, `select distinct name from duckdb_optimizers()`);
  const off = known.flatMap(([name]) => (optimisers.has(String(name)) ? [] : [String(name)]));
  await connection.run(
    `set disabled_optimizers = ${quoteText(off.join(','))};
     set enable_external_access = false; set lock_configuration = true`,
  );
  const names = new Set(volatile.map(([name]) => String(name)));
  try {
    const [row] = await rowsOf(
      connection,
      `select json_serialize_plan(${quoteText(sql)}, optimize := true)`,
    );
    const json = String(row?.[0]);
    const refused = refusal(json);
    if (refused) return refused;
    // Text with a NUL in it, as bits have, comes cut off there.
    if (!json.endsWith('}')) {
      return { ok: false, type: 'internal', message: 'its plan holds a value that JSON cannot' };
    }
    const described = await rowsOf(connection, `describe ${sql}`);
    const columns = described.map(([name, type]) => ({ name: String(name), type: String(type) }));
    return { ok: true, json, columns, isVolatile: (name) => names.has(name.toLowerCase()) };
  } catch (error) {
    // The statement above is right by itself, so what failed is writing the plan.
    return { ok: false, type: 'internal', message: messageOf(error) };
  }
}

/** `{"error":true, …}` is short and stands first; a plan may hold numbers that JSON has no word for. */
function refusal(json: string): SerialisedQuery | undefined {
  if (!json.startsWith('{"error":true')) return undefined;
  const said = JSON.parse(json) as Record<string, unknown>;
  const position = Number(said['position']);
  return {
    ok: false,
    type: String(said['error_type']),
    message: String(said['error_message']),
    ...(said['position'] !== undefined && Number.isInteger(position) ? { position } : {}),
  };
}

async function rowsOf(connection: DuckDBConnection, sql: string): Promise<unknown[][]> {
  return (await connection.runAndReadAll(sql)).getRows();
}

/** A small table with about the input's proportions: rows and distinct values are scaled alike. */
function tableText(input: RelationalInput, scale: number): string {
  const scaled = (count: number) =>
    Math.max(1, Math.ceil(Math.min(count, Math.max(rowsKept, count / scale))));
  const rows = input.rows < 1 ? 0 : scaled(input.rows);
  const columns = input.columns.map(({ name, type }, index) => {
    const distinct = Math.min(rows, scaled(input.distinct?.get(name) ?? input.rows));
    return `${valueText(type, Math.max(1, distinct), index)} as ${quoteName(name)}`;
  });
  return `create table ${quoteName(input.name)} as select ${columns.join(', ')} from range(${rows}) as t(i)`;
}

/** An expression of `distinct` different values over the row number `i`; NULL where there is none. */
function valueText(type: string, distinct: number, column: number): string {
  // Columns of one table must not run side by side, or their combinations would seem few.
  const number = column === 0 ? `i % ${distinct}` : `hash(i + ${column * 7919}) % ${distinct}`;
  const bare = /^[A-Z_]+( WITH TIME ZONE)?/.exec(type)?.[0] ?? '';
  switch (type.endsWith(']') || type.startsWith('STRUCT') || type.startsWith('MAP') ? '' : bare) {
    case 'TINYINT':
    case 'SMALLINT':
    case 'INTEGER':
    case 'BIGINT':
    case 'HUGEINT':
    case 'UTINYINT':
    case 'USMALLINT':
    case 'UINTEGER':
    case 'UBIGINT':
    case 'UHUGEINT':
    case 'FLOAT':
    case 'DOUBLE':
    case 'DECIMAL':
    case 'VARCHAR':
      return `try_cast(${number} as ${type})`;
    case 'DATE':
      return `date '1992-01-01' + cast(${number} as INTEGER)`;
    case 'TIMESTAMP':
    case 'TIMESTAMP WITH TIME ZONE':
    case 'TIMESTAMP_S':
    case 'TIMESTAMP_MS':
    case 'TIMESTAMP_NS':
      return `cast(timestamp '1992-01-01' + to_seconds(${number}) as ${type})`;
    default:
      return `cast(NULL as ${type})`;
  }
}
