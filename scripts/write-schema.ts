/** Writes schema/*.schema.json, for editors, and schema/openapi.json from the zod schemas. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { jobSchemaText, scheduleSchemaText } from '../shared/job-schema.js';
import { openApiText } from '../shared/openapi.js';

mkdirSync('schema', { recursive: true });
writeFileSync('schema/job.schema.json', jobSchemaText());
writeFileSync('schema/schedule.schema.json', scheduleSchemaText());
writeFileSync('schema/openapi.json', openApiText());
