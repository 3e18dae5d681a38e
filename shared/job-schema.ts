/** The job spec's JSON Schema (draft-7), as text that is the same each time. Never: files. */
import * as z from 'zod';
import { jobSpecSchema } from './job-spec.js';

export function jobSchemaText(): string {
  const schema = z.toJSONSchema(jobSpecSchema, {
    target: 'draft-7',
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      // A refinement, which JSON Schema cannot see: a job reads something.
      if (zodSchema === jobSpecSchema.shape.sources) jsonSchema.minProperties = 1;
    },
  });
  const { $schema, ...rest } = schema;
  const titled = { $schema, title: 'Windrow job', ...rest };
  return `${JSON.stringify(titled, null, 2)}\n`;
}
