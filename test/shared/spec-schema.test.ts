import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { jobSchemaText } from '../../shared/job-schema.js';

const committed = readFileSync(new URL('../../schema/job.schema.json', import.meta.url), 'utf8');

test('the committed JSON Schema is what the zod schema says now', () => {
  expect(committed, 'run npm run schema').toBe(jobSchemaText());
});

test('the JSON Schema asks for what users must write, not for what has a default', () => {
  const schema = JSON.parse(committed) as { required: string[]; $schema: string };
  expect(schema.$schema).toContain('draft-07');
  expect(schema.required.sort()).toEqual(['apiVersion', 'kind', 'metadata', 'outputs', 'sources']);
});
