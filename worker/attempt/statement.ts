/**
 * From a chunk and a stage's program to SQL: each step wraps the relation before it. Pure text in,
 * text out; never runs anything. Order of evaluation is part of the contract (see `fence`).
 */
import type { ColumnDef, ExpectCheck, ProgramStep, SinkProgram } from '../../shared/plan.js';
import type { StageProgram } from '../../shared/plan.js';
import { enclosed, quotePath } from '../kernel/sql-text.js';
import { partitionColumn, partitionNumber } from '../shuffle/divide.js';
import type { SourceWork } from './protocol.js';
import { quoteName, quoteText } from '../../shared/sql-text.js';
import { hiveDirectory, nameBytesMax, nullPartition } from '../../shared/storage/paths.js';

/** Reserved column: number of the row in its file, carried while some step may have to name it. */
export const rowColumn = '__windrow_row';
const outcomeColumn = '__windrow_outcome';

/**
 * Rows of a row group in a file that is divided: few enough that who reads one partition reads little
 * of its neighbours, and enough to be packed well. Text and nested values make rows long.
 */
function dividedGroupRows({ columns }: SinkProgram): number {
  const long = columns.some(({ type }) => /^(VARCHAR|BLOB|STRUCT|MAP)|\]$/i.test(type));
  return long ? 16_384 : 32_768;
}

/** DuckDB's own. */
const rowGroupRowsUsual = 122_880;

/** Verdict of a row that every condition lets through. */
export const passedVerdict = 65_535;

export interface Relation {
  readonly sql: string;
  /** Without the row column. */
  readonly columns: readonly string[];
  readonly carriesRow: boolean;
  /** A filter stands in this relation that later filters could be merged with. */
  readonly open: boolean;
}

/** Which rows of a file are scanned. */
export interface RowSelection {
  readonly rowStart: number;
  readonly rowEnd: number;
  /** Only these of the range. */
  readonly only?: readonly number[];
  /** All of the range but these. */
  readonly without?: readonly number[];
}

/** @param rows absent: all of the file, which is then read without counting */
export function scanSource(
  scan: StageProgram['scan'],
  source: Pick<SourceWork, 'path' | 'hive' | 'missingColumns'>,
  rows: RowSelection | undefined,
  carryRow: boolean,
): Relation {
  const missing = new Set(source.missingColumns);
  const items = [
    ...scan.columns.map((column) =>
      typed(missing.has(column.name) ? 'null' : quoteName(column.name), column),
    ),
    ...scan.hive.map((column) => typed(literal(source.hive[column.name] ?? null), column)),
    ...(carryRow ? [`file_row_number as ${rowColumn}`] : []),
  ];
  const options = ['hive_partitioning = false'];
  if (rows || carryRow) options.push('file_row_number = true');
  const where = rows ? ` where ${rowConditions(rows).join(' and ')}` : '';
  return {
    sql: `select ${selectList(items)} from read_parquet(${[quotePath(source.path), ...options].join(', ')})${where}`,
    columns: [...scan.columns, ...scan.hive].map(({ name }) => name),
    carriesRow: carryRow,
    // The range alone is pushed into the scan; a list of rows may stay behind as a filter.
    open: rows?.only !== undefined || (rows?.without?.length ?? 0) > 0,
  };
}

function rowConditions(rows: RowSelection): string[] {
  return [
    `file_row_number >= ${rows.rowStart}`,
    `file_row_number < ${rows.rowEnd}`,
    ...(rows.only ? [`file_row_number in (${rows.only.join(', ')})`] : []),
    ...(rows.without?.length ? [`file_row_number not in (${rows.without.join(', ')})`] : []),
  ];
}

/**
 * Finished chunks, in order. Rows count through all of them.
 * @param partitions of divided files only those in [from, to)
 */
export function scanChunks(
  scan: StageProgram['scan'],
  paths: readonly string[],
  carryRow: boolean,
  partitions?: { readonly from: number; readonly to: number },
): Relation {
  const items = [
    ...scan.columns.map((column) => typed(quoteName(column.name), column)),
    ...(carryRow ? [`row_number() over () - 1 as ${rowColumn}`] : []),
  ];
  const where = partitions
    ? ` where ${partitionColumn} between ${partitions.from} and ${partitions.to - 1}`
    : '';
  return {
    sql: `select ${selectList(items)} from read_parquet([${paths.map(quotePath).join(', ')}], hive_partitioning = false)${where}`,
    columns: scan.columns.map(({ name }) => name),
    carriesRow: carryRow,
    open: false,
  };
}

/** The scan's columns without rows: for binding. */
export function scanNothing(scan: StageProgram['scan'], carryRow: boolean): Relation {
  const columns = [...scan.columns, ...scan.hive];
  const items = [
    ...columns.map((column) => typed('null', column)),
    ...(carryRow ? [`0::bigint as ${rowColumn}`] : []),
  ];
  return {
    sql: `select ${selectList(items)} where false`,
    columns: columns.map(({ name }) => name),
    carriesRow: carryRow,
    open: false,
  };
}

/** One way in which a row can be refused, in the order of the steps. */
export interface Condition {
  readonly step: string;
  readonly check?: string;
  readonly predicate: string;
  readonly action: 'filter' | ExpectCheck['action'];
}

/** Conditions of a run of filter and expect steps. */
export function conditionsOf(steps: readonly ProgramStep[]): Condition[] {
  return steps.flatMap((step): Condition[] => {
    if (step.kind === 'filter') {
      return [{ step: step.id, predicate: step.where, action: 'filter' }];
    }
    if (step.kind !== 'expect') return [];
    return step.checks.map(({ name, predicate, action }) => ({
      step: step.id,
      check: name,
      predicate,
      action,
    }));
  });
}

/**
 * Rows that all conditions let through. One volatile function sees the number of the first condition
 * that refuses the row and so counts by condition; a CASE evaluates a condition only on rows that
 * passed the ones before it, which separate filters would not promise (DuckDB merges and reorders).
 */
export function verdicts(
  input: Relation,
  conditions: readonly Condition[],
  names: { readonly verdict: string; readonly warn: (condition: number) => string },
): Relation {
  const from = fence(input);
  const branches = conditions.map(({ predicate, action }, index) =>
    action === 'warn'
      ? `when ${names.warn(index)}(${enclosed(predicate)} is true) then ${passedVerdict}`
      : `when ${enclosed(predicate)} is not true then ${index}`,
  );
  const verdict = `cast(case ${branches.join(' ')} else ${passedVerdict} end as usmallint)`;
  const row = input.carriesRow ? `, ${rowColumn}` : '';
  return {
    ...from,
    sql: `select * from (${from.sql}) where ${names.verdict}(${verdict}${row})`,
    open: true,
  };
}

interface Computed {
  readonly name: string;
  readonly expr: string;
}

/** @param added for the step after it alone, which is not told among the columns */
export function project(
  input: Relation,
  columns: readonly Computed[],
  added: readonly Computed[] = [],
): Relation {
  const items = [...columns, ...added].map(
    ({ name, expr }) => `${enclosed(expr)} as ${quoteName(name)}`,
  );
  return {
    ...input,
    sql: `select ${selectList([...items, ...rowItem(input)])} from (${input.sql})`,
    columns: columns.map(({ name }) => name),
  };
}

/** A user's query over the relation before it; `query` keeps the row column where it is carried. */
export function query(
  input: Relation,
  step: { readonly input: string },
  bound: { readonly query: string; readonly columns: readonly string[] },
): Relation {
  return {
    ...input,
    sql: `select * from (with ${quoteName(step.input)} as not materialized (${input.sql}) select * from (${bound.query}\n))`,
    columns: bound.columns,
    open: true,
  };
}

export interface Call {
  readonly name: string;
  readonly argumentSql: readonly string[];
  readonly outputs: readonly string[];
  readonly shape: 'scalar' | 'struct';
  readonly hasOk: boolean;
  readonly rowIds: boolean;
}

/** Adds or replaces the outputs of a model; rows that it refuses are dropped. */
export function predicted(input: Relation, call: Call): Relation {
  const replaced = new Set(call.outputs.map((name) => name.toLowerCase()));
  const kept = input.columns.filter((name) => !replaced.has(name.toLowerCase()));
  const columns = [...kept, ...call.outputs];
  const args = [...call.argumentSql, ...(call.rowIds ? [rowColumn] : [])];
  const called = `${call.name}(${args.join(', ')})`;
  const keptItems = [...kept.map(quoteName), ...rowItem(input)];
  if (call.shape === 'scalar') {
    const items = [...keptItems, `${called} as ${quoteName(call.outputs[0] ?? '')}`];
    return { ...input, sql: `select ${items.join(', ')} from (${input.sql})`, columns };
  }
  const inner = `select ${[...keptItems, `${called} as ${outcomeColumn}`].join(', ')} from (${input.sql})`;
  const items = [
    ...keptItems,
    ...call.outputs.map((name, index) => `${outcomeColumn}.o${index} as ${quoteName(name)}`),
  ];
  const where = call.hasOk ? ` where ${outcomeColumn}.ok` : '';
  return {
    ...input,
    sql: `select ${items.join(', ')} from (${inner})${where}`,
    columns,
    open: input.open || call.hasOk,
  };
}

/** Function of a thread's kernel: fails on a value that no folder can have (refuse-folder.ts). */
export const refuseFolder = 'windrow_refuse_folder';

/** The columns that land in the file, in order and with their types. */
export function sinkQuery(input: Relation, sink: SinkProgram): string {
  return `select ${selectList(landing(sink))} from (${input.sql})`;
}

function landing({ columns, partitionBy }: SinkProgram): string[] {
  const folders = new Set(partitionBy.map((name) => name.toLowerCase()));
  return columns.map(({ name, type }) => {
    const value = `cast(${quoteName(name)} as ${type})`;
    const isChecked = folders.has(name.toLowerCase()) && mayBeNoFolder(name, type);
    return `${isChecked ? checkedFolder(name, type, value) : value} as ${quoteName(name)}`;
  });
}

/** Bytes that no number, date or time comes to, encoded. */
const shortBytes = 128;

function mayBeNoFolder(column: string, type: string): boolean {
  return /^(VARCHAR|ENUM|JSON|BIT|BIGNUM)\b/.test(type) || folderBytes(column) < shortBytes;
}

/** What a column's name leaves for its values in the names of folders. */
function folderBytes(column: string): number {
  return nameBytesMax - hiveDirectory(column, '').length;
}

function checkedFolder(column: string, type: string, value: string): string {
  const text = `cast(${value} as varchar)`;
  const refused = `cast(${refuseFolder}(${quoteText(column)}, ${text}) as ${type})`;
  return `case when ${noFolder(column, text)} then ${refused} else ${value} end`;
}

/** Whether the text would be read as NULL, or makes a name that file systems do not take. */
function noFolder(column: string, text: string): string {
  const bytes = folderBytes(column);
  // To encode makes a byte three at most, and is not needed for most values.
  return `${text} = ${quoteText(nullPartition)} or (3 * strlen(${text}) > ${bytes} and strlen(url_encode(${text})) > ${bytes})`;
}

/** @param target a file; a directory where the sink partitions */
/** @param fileRows the target is a directory: about so many rows go to each of its files, in order */
export function copyStatement(
  input: Relation,
  sink: SinkProgram,
  target: string,
  fileRows?: number,
): string {
  const { compression, divide, partitionBy } = sink;
  const rowGroupSize = divide ? dividedGroupRows(sink) : sink.rowGroupSize;
  const groupRows = fileRows === undefined ? rowGroupSize : rowsOfGroups(fileRows, rowGroupSize);
  const groups = fileRows && groupRows && Math.ceil(fileRows / groupRows);
  const options = [
    'format parquet',
    `compression ${compression}`,
    ...(sink.columns.some(isFloating) ? ['write_bloom_filter false'] : []),
    ...(groupRows === undefined ? [] : [`row_group_size ${groupRows}`]),
    ...(groups ? [`row_groups_per_file ${groups}`, `file_extension 'chunk'`] : []),
    ...(partitionBy.length === 0
      ? []
      : [`partition_by (${partitionBy.map(quoteName).join(', ')})`, `file_extension 'chunk'`]),
  ];
  // Keys are compared as the query has them: a cast for the file may change their hash.
  const rows = divide
    ? `select ${[...landing(sink), `${partitionNumber(divide)} as ${partitionColumn}`].join(', ')} from (${input.sql}) order by ${partitionColumn}`
    : sinkQuery(input, sink);
  return `copy (${rows}) to ${quoteText(target)} (${options.join(', ')})`;
}

/** A Bloom filter is over bytes: one that has met -0 only says that no row is 0, and DuckDB believes it. */
function isFloating({ type }: ColumnDef): boolean {
  return /\b(FLOAT|DOUBLE)\b/.test(type);
}

/** As large as the user wants them; else equal ones, so that a file has about its rows. */
function rowsOfGroups(fileRows: number, wanted: number | undefined): number {
  if (wanted !== undefined) return Math.min(wanted, fileRows);
  return Math.ceil(fileRows / Math.ceil(fileRows / rowGroupRowsUsual));
}

/** Rows of each partition in a divided file. */
export function partsStatement(file: string): string {
  return `select ${partitionColumn} as partition, count(*) as rows from read_parquet(${quotePath(file)}, hive_partitioning = false) group by ${partitionColumn} order by ${partitionColumn}`;
}

/** Computes everything and keeps nothing: the hash is there so that no column can be left out. */
export function probeStatement(input: Relation, sink: SinkProgram): string {
  const columns = sink.columns.map(({ name }) => quoteName(name)).join(', ') || '1';
  return `select count(*) as n, bit_xor(hash(${columns})) as h from (${sinkQuery(input, sink)})`;
}

/**
 * Keeps a later filter above an earlier one. Without it DuckDB pushes filters down, merges them and
 * picks their order itself, and rows would be counted at the wrong step. Streams; costs nothing.
 */
export function fence(input: Relation): Relation {
  if (!input.open) return input;
  return {
    ...input,
    sql: `select * from (${input.sql}) limit 9223372036854775807`,
    open: false,
  };
}

function typed(expression: string, column: ColumnDef): string {
  return `cast(${expression} as ${column.type}) as ${quoteName(column.name)}`;
}

function literal(value: string | null): string {
  return value === null ? 'null' : quoteText(value);
}

function rowItem(input: Relation): string[] {
  return input.carriesRow ? [rowColumn] : [];
}

/** A relation needs a column even where nothing of it is read (as below `count`-like models). */
function selectList(items: readonly string[]): string {
  return items.length === 0 ? 'null as __windrow_none' : items.join(', ');
}
