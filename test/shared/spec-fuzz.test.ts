import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WindrowError } from '../../shared/failure.js';
import { parseSpecText, validateSpec } from '../../shared/spec-file.js';

const good = {
  apiVersion: 'windrow/v1',
  kind: 'Job',
  metadata: { name: 'score' },
  params: { day: 'x', n: 1 },
  run: { attempts: 4, timeout: 'PT1H' },
  sources: { orders: { parquet: ['{{ day }}/*.parquet'], unionByName: true } },
  steps: [
    { id: 'a', filter: { from: 'orders', where: 'x > $n' } },
    { id: 'b', select: { from: 'a', columns: { '*': true, y: 'x + 1' } } },
    { id: 'c', expect: { from: 'b', checks: [{ column: 'y', between: [1, 2] }] } },
    { id: 'd', infer: { from: 'c', model: 'm.onnx', inputs: { x: ['y'] }, outputs: { o: 's' } } },
    { id: 'e', join: { left: 'd', right: 'orders', keys: ['x'], how: 'left', suffix: '_o' } },
    {
      id: 'f',
      aggregate: { from: 'e', by: ['x', { z: 'y' }], measures: { n: '1' }, sets: [['x', 'z']] },
    },
    {
      id: 'g',
      window: { from: 'e', orderBy: ['x'], frame: 'rows 1 preceding', columns: { n: '1' } },
    },
    { id: 'h', union: { inputs: ['f', 'g'], by: 'position' } },
  ],
  outputs: [{ from: 'd', parquet: 'out', targetFileSize: '256MB' }],
};

/** Passes where the spec is accepted or refused; anything else thrown is a defect. */
function onlyRefuses(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(WindrowError);
    expect((error as WindrowError).failure.kind).toBe('invalidSpec');
    expect((error as WindrowError).failure.code).toMatch(/^E_[A-Z_]+$/);
  }
}

/** Replaces the value at one place of the tree, the places counted in order of walking. */
function replaceAt(value: unknown, place: { left: number }, by: unknown): unknown {
  if (place.left-- === 0) return by;
  if (Array.isArray(value)) return value.map((item) => replaceAt(item, place, by));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, replaceAt(item, place, by)]),
  );
}

const yamlText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...['a', '&x ', '*x', ': ', '- ', '? ', '\n', '\n  ', '[', ']', '{', '}', ',', '"', "'"],
        ...['|\n', '>\n', '#', '!!int ', '!t ', '%YAML 1.1\n', '---\n', '...', '<<', '.nan', '0o7'],
        ...['__proto__', 'steps', 'sources', 'kind', 'windrow/v1', '\t', '\0', '\u2028', '\r'],
      ),
      fc.string(),
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(''));

test('no text does anything but give a spec or be refused', () => {
  fc.assert(
    fc.property(yamlText, (text) => onlyRefuses(() => parseSpecText(text, { file: 'f' }))),
    { numRuns: 1500 },
  );
});

test('no value does anything but give a spec or be refused', () => {
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true }), (value) =>
      onlyRefuses(() => validateSpec(value)),
    ),
    { numRuns: 1500 },
  );
});

test('no change to one place of a good spec breaks the checks', () => {
  const by = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom('__proto__', 'constructor', 'toString', '{{ day }}', '{{}}', -1, 1e300, ''),
    fc.constantFrom({ toString: 1 }, { hasOwnProperty: 1 }, [[]], { id: 'a', join: {} }),
  );
  fc.assert(
    fc.property(fc.nat(80), by, (place, value) => {
      const spec = replaceAt(good, { left: place }, value);
      onlyRefuses(() => validateSpec(spec));
      onlyRefuses(() => parseSpecText(JSON.stringify(spec) ?? ''));
    }),
    { numRuns: 1500 },
  );
});

test('the spec that the fuzzer starts from is good', () => {
  expect(validateSpec(good).steps).toHaveLength(8);
});
