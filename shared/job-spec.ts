/**
 * The job spec: one zod schema that gives the types, the validation and the JSON Schema. What users
 * write is in docs/SPEC.md. Never: anything that needs data, models or a coordinator to decide.
 */
import * as z from 'zod';
import { limits } from './limits.js';
import { byteSize, duration, identifier, paramValue, path } from './spec-values.js';
import { step } from './step-spec.js';

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

const output = z.strictObject({
  name: identifier.optional(),
  from: identifier,
  parquet: path,
  mode: z.enum(['error', 'append', 'overwrite', 'overwritePartitions']).default('error'),
  partitionBy: z.array(z.string().min(1)).min(1).max(20).optional(),
  compression: z.enum(['snappy', 'zstd', 'gzip', 'lz4', 'uncompressed']).default('snappy'),
  rowGroupSize: z.int().min(1).max(100_000_000).optional().describe('rows'),
  targetFileSize: byteSize
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
  shuffle: z
    .strictObject({
      location: path.optional().describe('a directory that all workers reach'),
    })
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
export type ParamValue = z.output<typeof paramValue>;

/** Whether a `map` export takes a row (`row`, `rowScore`, `row_score`); any other takes a batch. */
export function isRowFunction(exportName: string): boolean {
  return /^row([A-Z_]|$)/.test(exportName);
}
