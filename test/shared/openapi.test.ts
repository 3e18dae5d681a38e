import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { operations } from '../../shared/http-operations.js';
import { openApiText } from '../../shared/openapi.js';
import { validateSpec } from '../../shared/spec-file.js';
import { ajv, document } from '../coordinator/http/checked-api.js';

test('the committed OpenAPI document is what the shapes say now', () => {
  const committed = readFileSync(new URL('../../schema/openapi.json', import.meta.url), 'utf8');
  expect(committed, 'run npm run schema').toBe(openApiText());
});

test('the document has every operation once, each with its answers and what goes wrong', () => {
  const listed = Object.values(document.paths).flatMap((methods) => Object.values(methods));
  expect(listed.length).toBe(Object.keys(operations).length);
  const ids = listed.map((each) => (each as unknown as { operationId: string }).operationId);
  expect(ids.sort()).toEqual(Object.keys(operations).sort());
  for (const { responses } of listed) {
    expect(Object.keys(responses).length).toBeGreaterThan(1);
    expect(Object.keys(responses['default']?.content ?? {})).toEqual(['application/problem+json']);
  }
});

test('every schema in the document compiles, and every reference leads somewhere', () => {
  const text = JSON.stringify(document);
  const references = new Set([...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, to]) => to!));
  expect(references.size).toBeGreaterThan(5);
  for (const reference of references) expect(ajv.getSchema(`windrow${reference}`)).toBeDefined();
  for (const schema of Object.keys(document.components.schemas)) {
    expect(ajv.getSchema(`windrow#/components/schemas/${schema}`), schema).toBeDefined();
  }
});
test('a spec that is accepted fits the document, and one with an unknown step does not', () => {
  const fits = ajv.getSchema('windrow#/components/schemas/Spec')!;
  const spec = (step: object) => ({
    apiVersion: 'windrow/v1',
    kind: 'Job',
    metadata: { name: 'fits' },
    sources: { orders: { parquet: ['/data/a.parquet', '/data/b.parquet'] } },
    steps: [{ id: 'large', ...step }],
    outputs: [{ from: 'large', parquet: '/out' }],
  });
  const good = spec({ filter: { from: 'orders', where: 'amount > 1' } });
  expect(() => validateSpec(good)).not.toThrow();
  expect(fits(good), ajv.errorsText(fits.errors)).toBe(true);
  const bad = spec({ filtre: { from: 'orders', where: 'amount > 1' } });
  expect(() => validateSpec(bad)).toThrow();
  expect(fits(bad)).toBe(false);
});
