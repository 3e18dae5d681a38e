/**
 * The job spec: one zod schema that gives the types, the validation and the JSON Schema. What users
 * write is in docs/SPEC.md. Never: anything that needs data, models or a coordinator to decide.
 */
import * as z from 'zod';
import { byteSizeMax, byteSizePattern } from './byte-size.js';
import { durationPattern } from './duration.js';
import { limits } from './limits.js';

const identifier = z
  .string()
  .regex(/^[A-Za-z_]\w*$/, 'must be letters, digits and _, not starting with a digit')
  .max(200);
const path = z
  .string()
  .min(1)
  .max(4096)
  .regex(/^[^\0]*$/, 'must not contain a NUL character');
const sqlText = z.string().min(1).max(200_000);
const duration = z
  .string()
  .max(100)
  .regex(durationPattern, 'must be an ISO 8601 duration such as PT30M');
const paramValue = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const action = z.enum(['fail', 'warn', 'deadLetter']);

const source = z.strictObject({
  parquet: z
    .union([path, z.array(path).min(1).max(10_000)])
    .describe('path, glob or list of them, relative to the spec file'),
  hive: z
    .record(identifier, z.string())
    .optional()
    .describe('types of hive partition columns, where guessing is not wanted'),
  unionByName: z.boolean().optional().describe('files may lack columns; they read as NULL'),
});

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
const check = z.union([
  z.strictObject({
    name: identifier.optional(),
    notNull: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
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

/** Kinds of checks, in the order of the union above. */
export const checkKinds = ['notNull', 'between', 'in', 'matches', 'predicate', 'rowCount'] as const;

/** Kinds of steps, in the order of the union below. */
export const stepKinds = ['filter', 'select', 'sql', 'map', 'infer', 'expect'] as const;

/** Kinds that need an exchange; they have a message of their own until there is one. */
export const plannedStepKinds: readonly string[] = [
  'join',
  'aggregate',
  'distinct',
  'sort',
  'limit',
  'window',
  'union',
  'sample',
  'repartition',
];

const step = z.union([
  z.strictObject({ id: identifier, filter }),
  z.strictObject({ id: identifier, select }),
  z.strictObject({ id: identifier, sql }),
  z.strictObject({ id: identifier, map }),
  z.strictObject({ id: identifier, infer }),
  z.strictObject({ id: identifier, expect }),
]);

const output = z.strictObject({
  name: identifier.optional(),
  from: identifier,
  parquet: path,
  mode: z.enum(['error', 'append', 'overwrite', 'overwritePartitions']).default('error'),
  partitionBy: z.array(z.string().min(1)).min(1).max(20).optional(),
  compression: z.enum(['snappy', 'zstd', 'gzip', 'lz4', 'uncompressed']).default('snappy'),
  rowGroupSize: z.int().min(1).max(100_000_000).optional().describe('rows'),
  targetFileSize: z
    .union([
      z.int().min(1).max(byteSizeMax),
      z.string().max(100).regex(byteSizePattern, 'must be a size such as 256MB'),
    ])
    .optional()
    .describe('bytes, or such as 256MB; absent publishes chunks as they are'),
});

export const jobSpecSchema = z.strictObject({
  apiVersion: z.literal('windrow/v1'),
  kind: z.literal('Job'),
  metadata: z.strictObject({
    name: z
      .string()
      .regex(
        /^(?:[A-Za-z0-9]|\{\{[^{}]*\}\})(?:(?:[A-Za-z0-9._-]|\{\{[^{}]*\}\})*(?:[A-Za-z0-9]|\{\{[^{}]*\}\}))?$/,
        'must be letters, digits, . _ and - (and {{ param }})',
      )
      .max(200),
    labels: z.record(z.string(), z.string()).optional(),
  }),
  params: z.record(identifier, paramValue).default({}),
  run: z
    .strictObject({
      priority: z.int().min(-1000).max(1000).default(0),
      weight: z.number().positive().max(1_000_000).default(1),
      pool: identifier.optional(),
      timeout: duration.optional(),
      taskTimeout: duration.optional(),
      attempts: z.int().min(1).max(limits.attemptsPerTask).default(4),
    })
    .prefault({}),
  sources: z
    .record(identifier, source)
    .refine((value) => Object.keys(value).length > 0, 'needs at least one source'),
  steps: z.array(step).max(limits.specSteps).default([]),
  checkpoints: z
    .strictObject({ location: path.optional(), keep: duration.default('P7D') })
    .prefault({}),
  deadLetters: z
    .strictObject({
      path: path.optional(),
      maxRows: z.int().min(0).optional(),
      maxFraction: z.number().min(0).max(1).optional(),
    })
    .prefault({}),
  outputs: z.array(output).min(1).max(100),
});

/** A validated spec with defaults filled in. */
export type JobSpec = z.output<typeof jobSpecSchema>;
/** What users may write. */
export type JobSpecInput = z.input<typeof jobSpecSchema>;
export type StepSpec = JobSpec['steps'][number];
export type SourceSpec = JobSpec['sources'][string];
export type OutputSpec = JobSpec['outputs'][number];
export type CheckSpec = z.output<typeof check>;
export type ParamValue = z.output<typeof paramValue>;

/** Whether a `map` export takes a row (`row`, `rowScore`, `row_score`); any other takes a batch. */
export function isRowFunction(exportName: string): boolean {
  return /^row([A-Z_]|$)/.test(exportName);
}
