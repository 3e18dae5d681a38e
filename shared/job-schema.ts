/** The specs' JSON Schemas (draft-7), as text that is the same each time. Never: files. */
import * as z from 'zod';
import { jobSpecSchema } from './job-spec.js';
import { scheduleSpecSchema, triggerSchema } from './schedule-spec.js';

export function jobSchemaText(): string {
  return schemaText('Windrow job', jobSpecSchema, ({ zodSchema, jsonSchema }) => {
    // A refinement, which JSON Schema cannot see: a job reads something.
    if (zodSchema === jobSpecSchema.shape.sources) jsonSchema.minProperties = 1;
  });
}

export function scheduleSchemaText(): string {
  return schemaText('Windrow schedule', scheduleSpecSchema, ({ zodSchema, jsonSchema }) => {
    if (zodSchema !== triggerSchema) return;
    jsonSchema.oneOf = ['cronInterval', 'cronTrigger', 'delta'].map((kind) => ({
      required: [kind],
    }));
  });
}

type Override = NonNullable<NonNullable<Parameters<typeof z.toJSONSchema>[1]>['override']>;

function schemaText(title: string, zodSchema: z.ZodType, override: Override): string {
  const schema = z.toJSONSchema(zodSchema, { target: 'draft-7', io: 'input', override });
  const { $schema, ...rest } = schema;
  return `${JSON.stringify({ $schema, title, ...rest }, null, 2)}\n`;
}
