/** The specs' JSON Schemas (draft-7), as text that is the same each time. Never: files. */
import * as z from 'zod';
import { jobSpecSchema } from './job-spec.js';
import {
  assetOrTimeSchema,
  assetSchema,
  scheduleSpecSchema,
  triggerSchema,
} from './schedule-spec.js';

export function jobSchemaText(): string {
  return schemaText('Windrow job', jobSpecSchema, ({ zodSchema, jsonSchema }) => {
    // A refinement, which JSON Schema cannot see: a job reads something.
    if (zodSchema === jobSpecSchema.shape.sources) jsonSchema.minProperties = 1;
  });
}

export function scheduleSchemaText(): string {
  return schemaText('Windrow schedule', scheduleSpecSchema, ({ zodSchema, jsonSchema }) => {
    const kinds = alternatives.get(zodSchema);
    if (kinds) jsonSchema.oneOf = kinds.map((kind) => ({ required: [kind] }));
  });
}

/** Exactly one of these fields. */
const times = ['cronInterval', 'cronTrigger', 'delta'];
const alternatives = new Map<unknown, readonly string[]>([
  [triggerSchema, [...times, 'asset', 'assetOrTime']],
  [assetOrTimeSchema, times],
  [assetSchema, ['output', 'files', 'all', 'any']],
]);

type Override = NonNullable<NonNullable<Parameters<typeof z.toJSONSchema>[1]>['override']>;

function schemaText(title: string, zodSchema: z.ZodType, override: Override): string {
  const schema = z.toJSONSchema(zodSchema, { target: 'draft-7', io: 'input', override });
  const { $schema, ...rest } = schema;
  return `${JSON.stringify({ $schema, title, ...rest }, null, 2)}\n`;
}
