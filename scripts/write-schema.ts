/** Writes schema/job.schema.json, for editors, from the one zod schema. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { jobSchemaText } from '../shared/job-schema.js';

mkdirSync('schema', { recursive: true });
writeFileSync('schema/job.schema.json', jobSchemaText());
