import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseSpecText } from '../../shared/spec-file.js';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const page = read('docs/SPEC.md');

test('the spec in docs/SPEC.md is one', () => {
  const example = /```yaml\n(apiVersion[\s\S]*?)```/.exec(page)?.[1] ?? '';
  expect(parseSpecText(example).spec.steps).toHaveLength(3);
});

/** Names of all fields that the JSON Schema knows, at any depth. */
function fieldsOf(schema: unknown): string[] {
  if (schema === null || typeof schema !== 'object') return [];
  const { properties } = schema as { properties?: object };
  return [...Object.keys(properties ?? {}), ...Object.values(schema).flatMap(fieldsOf)];
}

test('docs/SPEC.md names every field of the schema', () => {
  const fields = new Set(fieldsOf(JSON.parse(read('schema/job.schema.json'))));
  const named = [...fields].filter((field) => new RegExp(`\\b${field}\\b`).test(page));
  expect(fields.size).toBeGreaterThan(40);
  expect(named).toEqual([...fields]);
});

test('docs/ERRORS.md names every code that a spec can be refused with', () => {
  const errors = read('docs/ERRORS.md');
  const rooms = ['text', 'shape', 'meaning', 'paths', 'params'].map((it) => `shared/spec-${it}.ts`);
  const files = [...rooms, 'shared/rpc.ts', 'client/load.ts', 'client/bundles.ts'];
  const texts = [...files, 'client/models.ts', 'client/client.ts', 'client/credentials.ts'].map(
    read,
  );
  const codes = new Set(
    texts
      .join('\n')
      .match(/'E_[A-Z_]+'/g)
      ?.map((code) => code.slice(1, -1)),
  );
  expect(codes.size).toBeGreaterThan(20);
  expect([...codes].filter((code) => !errors.includes(`\`${code}\``))).toEqual([]);
});
