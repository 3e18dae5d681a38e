/**
 * The steps of a job, each kind with its fields, as zod schemas; job-spec.ts makes a spec of them.
 * Never: anything that needs data or a model to decide.
 */
import * as z from 'zod';
import { limits } from './limits.js';
import { byteSize, identifier, paramValue, path, sqlText } from './spec-values.js';

const action = z.enum(['fail', 'warn', 'deadLetter']);

const filter = z.strictObject({ from: identifier, where: sqlText });
const select = z.strictObject({
  from: identifier,
  columns: z
    .record(z.string().min(1), z.union([sqlText, z.literal(true)]))
    .describe('"*": true keeps what is there; name: expression adds or replaces'),
});
const sql = z.strictObject({ query: sqlText });
const map = z.strictObject({
  from: identifier,
  module: path,
  export: z
    .string()
    .min(1)
    .optional()
    .describe('default: batch if exported, else row; a name that begins with row takes a row'),
  rowwise: z
    .boolean()
    .optional()
    .describe(
      'one output row for each input row, in order; default true for a row function, false for a batch function',
    ),
  deterministic: z.boolean().optional().describe('default true'),
  reads: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('columns the function gets; default all'),
  columns: z
    .record(z.string().min(1), z.string().min(1))
    .describe('columns it returns, with their DuckDB types'),
  onError: z.enum(['fail', 'deadLetter']).optional().describe('deadLetter needs rowwise'),
});
const infer = z.strictObject({
  from: identifier,
  model: path,
  inputs: z
    .record(z.string().min(1), z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]))
    .describe('tensor <- columns'),
  outputs: z.record(z.string().min(1), z.string().min(1)).describe('tensor -> column'),
  device: z.enum(['auto', 'cpu', 'gpu', 'cuda', 'webgpu']).default('auto'),
  batchSize: z.union([z.literal('auto'), z.int().min(1).max(limits.batchSize)]).default('auto'),
  onNull: z.enum(['fail', 'deadLetter', 'null']).default('fail'),
  onError: z.enum(['fail', 'deadLetter']).default('fail'),
});
const columnName = z.string().min(1);
const columnList = z.array(columnName).min(1).max(200);

export const check = z.union([
  z.strictObject({
    name: identifier.optional(),
    notNull: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
    onFail: action.optional(),
  }),
  z.strictObject({
    name: identifier.optional(),
    unique: z
      .union([columnName, columnList])
      .describe('no two rows have the same values there; a row with NULL in one of them passes'),
    onFail: action.optional(),
  }),
  z.strictObject({
    name: identifier.optional(),
    column: z.string().min(1),
    between: z.tuple([paramValue, paramValue]),
    onFail: action.optional(),
  }),
  z.strictObject({
    name: identifier.optional(),
    column: z.string().min(1),
    in: z.array(paramValue).min(1).max(10_000),
    onFail: action.optional(),
  }),
  z.strictObject({
    name: identifier.optional(),
    column: z.string().min(1),
    matches: z.string().min(1),
    onFail: action.optional(),
  }),
  z.strictObject({ name: identifier.optional(), predicate: sqlText, onFail: action.optional() }),
  z.strictObject({
    name: identifier.optional(),
    rowCount: z.strictObject({ min: z.int().min(0).optional(), max: z.int().min(0).optional() }),
    onFail: z.enum(['fail', 'warn']).optional(),
  }),
]);
const expect = z.strictObject({
  from: identifier,
  checks: z.array(check).min(1).max(200),
  onFail: action.default('fail'),
});

const orderList = z
  .array(sqlText)
  .min(1)
  .max(200)
  .describe('expressions, each with asc or desc and nulls first or nulls last where wanted');
const columnExpressions = z.record(columnName, sqlText);

const join = z.strictObject({
  left: identifier,
  right: identifier,
  keys: z
    .union([columnList, z.record(columnName, columnName)])
    .optional()
    .describe('columns of both sides, or left column: right column'),
  how: z.enum(['inner', 'left', 'right', 'full', 'semi', 'anti', 'cross']).default('inner'),
  where: sqlText.optional().describe('must hold for a pair besides the keys; part of the join'),
  nullSafe: z.boolean().optional().describe('keys that are NULL meet each other; default false'),
  suffix: columnName
    .max(100)
    .optional()
    .describe('added to columns of the right whose names the left has too'),
});
const aggregate = z.strictObject({
  from: identifier,
  by: z
    .array(z.union([columnName, columnExpressions]))
    .min(1)
    .max(200)
    .optional()
    .describe('columns, or name: expression; absent gives one row'),
  measures: columnExpressions.describe('name: expression with aggregate functions'),
  sets: z
    .union([z.enum(['rollup', 'cube']), z.array(z.array(columnName)).min(1).max(1000)])
    .optional()
    .describe('grouping sets over the names in by'),
  having: sqlText.optional().describe('condition over groups; may name measures'),
});
const distinct = z.strictObject({
  from: identifier,
  keys: columnList.optional().describe('one row for each combination; default all columns'),
  order: orderList.optional().describe('the first row in this order stays; needed with keys'),
});
const sort = z.strictObject({ from: identifier, by: orderList });
const limit = z.strictObject({
  from: identifier,
  rows: z.int().min(0),
  offset: z.int().min(0).optional(),
  order: orderList.optional().describe('absent takes any rows'),
});
const window = z.strictObject({
  from: identifier,
  partitionBy: z.array(sqlText).min(1).max(200).optional(),
  orderBy: orderList.optional(),
  frame: sqlText.optional().describe('such as rows between 6 preceding and current row'),
  columns: columnExpressions.describe('name: expression with window or aggregate functions'),
});
const union = z.strictObject({
  inputs: z.array(identifier).min(1).max(100),
  by: z.enum(['name', 'position']).default('name'),
  distinct: z.boolean().optional().describe('equal rows once; default false'),
});
const sample = z.strictObject({
  from: identifier,
  fraction: z.number().positive().max(1).optional().describe('of the rows'),
  rows: z.int().min(1).optional(),
  seed: z.int().optional().describe('the same seed chooses the same rows'),
});
const repartition = z.strictObject({
  from: identifier,
  partitions: z.int().min(1).max(limits.partitionsPerExchange).optional().describe('chunks'),
  keys: columnList.optional().describe('rows equal in these columns are in one chunk'),
  targetFileSize: byteSize.optional().describe('bytes of a chunk, or such as 256MB'),
});

/** Kinds of checks, in the order of the union above. */
export const checkKinds = [
  'notNull',
  'unique',
  'between',
  'in',
  'matches',
  'predicate',
  'rowCount',
] as const;

/** Kinds of steps, in the order of the union below. */
export const stepKinds = [
  'filter',
  'select',
  'sql',
  'map',
  'infer',
  'expect',
  'join',
  'aggregate',
  'distinct',
  'sort',
  'limit',
  'window',
  'union',
  'sample',
  'repartition',
] as const;

export const step = z.union([
  z.strictObject({ id: identifier, filter }),
  z.strictObject({ id: identifier, select }),
  z.strictObject({ id: identifier, sql }),
  z.strictObject({ id: identifier, map }),
  z.strictObject({ id: identifier, infer }),
  z.strictObject({ id: identifier, expect }),
  z.strictObject({ id: identifier, join }),
  z.strictObject({ id: identifier, aggregate }),
  z.strictObject({ id: identifier, distinct }),
  z.strictObject({ id: identifier, sort }),
  z.strictObject({ id: identifier, limit }),
  z.strictObject({ id: identifier, window }),
  z.strictObject({ id: identifier, union }),
  z.strictObject({ id: identifier, sample }),
  z.strictObject({ id: identifier, repartition }),
]);

type StepSpec = z.output<typeof step>;
export type StepKind = (typeof stepKinds)[number];
/** The step of one kind, its id beside it. */
export type StepOf<Kind extends StepKind> = Extract<StepSpec, Record<Kind, unknown>>;
export type CheckSpec = z.output<typeof check>;
