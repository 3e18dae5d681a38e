import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { globSync } from 'tinyglobby';
import { expect, test } from 'vitest';
import { parseSpecText } from '../../shared/spec-file.js';
import { stepKinds } from '../../shared/step-spec.js';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const page = read('docs/SPEC.md');

test('the spec in docs/SPEC.md is one', () => {
  const example = /```yaml\n(apiVersion[\s\S]*?)```/.exec(page)?.[1] ?? '';
  expect(parseSpecText(example).spec.steps).toHaveLength(3);
});

/** Examples of steps are lists of them. */
const examples = [...page.matchAll(/```yaml\n(- [\s\S]*?)```/g)].map(([, steps]) => steps ?? '');

test.each(examples)('an example in docs/SPEC.md is a list of steps:\n%s', (steps) => {
  const last = /^- (?:\{ )?id: (\w+)/.exec(steps)?.[1];
  const { spec } = parseSpecText(`apiVersion: windrow/v1
kind: Job
metadata: { name: example }
params: { minAmount: 10 }
sources: { orders: { parquet: o.parquet }, users: { parquet: u.parquet } }
steps:
${steps}
outputs: [{ from: ${last}, parquet: out }]
`);
  expect(spec.steps.length).toBeGreaterThan(0);
});

test('docs/SPEC.md has an example of every wide step', () => {
  const kinds = stepKinds.slice(stepKinds.indexOf('join'));
  expect(kinds.filter((kind) => !examples.some((text) => text.includes(`${kind}:`)))).toEqual([]);
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

test('docs/ERRORS.md names every code that stands in the source', () => {
  const errors = read('docs/ERRORS.md');
  const files = globSync('{cli,client,coordinator,shared,worker}/**/*.ts', {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    ignore: 'shared/gen/**',
  });
  const codes = new Set(
    files.flatMap((file) => read(file).match(/(?<![A-Z_])E_[A-Z][A-Z0-9_]*[A-Z0-9]/g) ?? []),
  );
  // What stands for any code in a comment.
  codes.delete('E_CODE');
  expect(codes.size).toBeGreaterThan(100);
  expect([...codes].filter((code) => !errors.includes(`\`${code}\``))).toEqual([]);
  const documented = [...errors.matchAll(/`(E_[A-Z0-9_]+[A-Z0-9])`/g)].map(([, code]) => code!);
  expect(documented.filter((code) => !codes.has(code))).toEqual([]);
});
