import { expect, test } from 'vitest';
import { WindrowError, type Failure } from '../../shared/failure.js';
import { parseSpecText } from '../../shared/spec-file.js';

/** A spec of one step, which is written as it stands on line 6. */
const specOf = (step: string) => `apiVersion: windrow/v1
kind: Job
metadata: { name: wide }
params: { day: x, n: 1 }
sources: { orders: { parquet: o.parquet }, users: { parquet: u.parquet } }
steps: [{ id: x, ${step} }]
outputs: [{ from: x, parquet: out }]
`;

function problemOf(step: string): Failure {
  try {
    parseSpecText(specOf(step));
  } catch (error) {
    if (error instanceof WindrowError) return error.failure;
    throw error;
  }
  throw new Error('the step was accepted');
}

test.each([
  'join: { left: orders, right: users, keys: [user_id] }',
  'join: { left: orders, right: users, keys: { user: id }, how: full, nullSafe: true, suffix: _u }',
  'join: { left: orders, right: users, how: cross, where: "a < b" }',
  'aggregate: { from: orders, measures: { n: "count(*)" } }',
  'aggregate: { from: orders, by: [a, { b: "c + 1" }], measures: { n: "count(*)" }, sets: [[A], [a, B], []] }',
  'distinct: { from: orders }',
  'distinct: { from: orders, keys: [a], order: [b] }',
  'sort: { from: orders, by: ["a desc nulls last"] }',
  'limit: { from: orders, rows: 0 }',
  'window: { from: orders, orderBy: [a], frame: "rows 1 preceding", columns: { n: "sum(a)" } }',
  'union: { inputs: [orders, orders] }',
  'sample: { from: orders, fraction: 0.5 }',
  'sample: { from: orders, rows: 5, seed: -1 }',
  'repartition: { from: orders, partitions: 4, keys: [a] }',
  'repartition: { from: orders, keys: [a], targetFileSize: 256MB }',
])('is accepted: %s', (step) => {
  expect(parseSpecText(specOf(step)).spec.steps).toHaveLength(1);
});

test.each<[step: string, says: RegExp]>([
  ['join: { left: orders, right: users }', /inner needs keys; write keys/],
  ['join: { left: orders, right: users, keys: {} }', /needs keys/],
  ['join: { left: orders, right: users, how: cross, keys: [a] }', /a cross join has no keys/],
  ['join: { left: orders, right: users, how: cross, nullSafe: true }', /nullSafe.*no.*leave/s],
  ['join: { left: orders, right: orders, keys: [a] }', /joined with itself; write a sql step/],
  ['join: { left: orders, right: users, keys: [a, A] }', /'a' is there twice|'A' is there twice/],
  ['join: { left: orders, right: users, keys: { a: c, b: C } }', /'C' is there twice/],
  ['join: { left: orders, right: users, keys: [a], how: outer }', /one of inner, left/],
  ['aggregate: { from: orders, measures: {} }', /names no column/],
  ['aggregate: { from: orders, by: [{}], measures: { n: "count(*)" } }', /by\[0\]: names no/],
  ['sample: { from: orders, fraction: 0 }', /above 0, not 0/],
  ['aggregate: { from: orders, by: [n], measures: { N: "count(*)" } }', /two columns 'N'/],
  ['aggregate: { from: orders, measures: { n: "count(*)" }, sets: cube }', /needs by/],
  [
    'aggregate: { from: orders, by: [a], measures: { n: "count(*)" }, sets: [[a], [b]] }',
    /sets\[1\]: 'b' is not in by/,
  ],
  [
    'aggregate: { from: orders, by: [a, b], measures: { n: "count(*)" }, sets: [[a]] }',
    /no set has 'b'/,
  ],
  ['distinct: { from: orders, keys: [a] }', /keys need an order; say which row/],
  ['distinct: { from: orders, order: [a] }', /order: needs keys/],
  ['sort: { from: orders, by: [] }', /at least 1 entry/],
  ['limit: { from: orders }', /rows: is missing/],
  ['limit: { from: orders, rows: -1 }', /at least 0/],
  ['window: { from: orders, columns: {} }', /names no column/],
  ['window: { from: orders, frame: "rows 1 preceding", columns: { n: "sum(a)" } }', /orderBy/],
  ['union: { inputs: [] }', /at least 1 entry/],
  ['union: { inputs: [orders], by: index }', /one of name, position/],
  ['sample: { from: orders }', /write fraction: 0.1 or rows: 1000/],
  ['sample: { from: orders, fraction: 0.1, rows: 3 }', /has fraction and rows/],
  ['sample: { from: orders, fraction: 1.1 }', /at most 1/],
  ['repartition: { from: orders }', /does not say how/],
  ['repartition: { from: orders, partitions: 2, targetFileSize: 1MB }', /leave one of them out/],
  ['repartition: { from: orders, targetFileSize: 2000GiB }', /targetFileSize/],
])('E_SPEC_INVALID: %s', (step, says) => {
  const failure = problemOf(step);
  expect(failure.code).toBe('E_SPEC_INVALID');
  expect(failure.at?.line).toBe(6);
  expect(`${failure.message}; ${failure.hint ?? ''}`).toMatch(says);
});

test.each([
  'join: { left: orders, right: ordres, keys: [a] }',
  'union: { inputs: [orders, ordres] }',
  'window: { from: ordres, columns: { n: "sum(a)" } }',
])('a name that is not there is offered the nearest: %s', (step) => {
  expect(problemOf(step)).toMatchObject({ code: 'E_UNKNOWN_STEP', hint: "did you mean 'orders'" });
});

test.each([
  'join: { left: orders, right: users, keys: [a], where: "a > {{ day }}" }',
  'aggregate: { from: orders, by: [{ d: "{{ day }}" }], measures: { n: "count(*)" } }',
  'aggregate: { from: orders, measures: { n: "sum({{ day }})" } }',
  'aggregate: { from: orders, measures: { n: "count(*)" }, having: "n > {{ day }}" }',
  'distinct: { from: orders, keys: [a], order: ["{{ day }}"] }',
  'sort: { from: orders, by: ["{{ day }}"] }',
  'limit: { from: orders, rows: 1, order: ["{{ day }}"] }',
  'window: { from: orders, partitionBy: ["{{ day }}"], columns: { n: "sum(a)" } }',
  'window: { from: orders, orderBy: [a], frame: "rows {{ day }} preceding", columns: { n: "sum(a)" } }',
  'window: { from: orders, columns: { n: "sum({{ day }})" } }',
])('a template in SQL is refused, and a param that is not there: %s', (step) => {
  expect(problemOf(step)).toMatchObject({ code: 'E_TEMPLATE_IN_SQL', hint: 'write $day' });
  const unknown = step.replace('{{ day }}', '$dya');
  expect(problemOf(unknown)).toMatchObject({ code: 'E_UNKNOWN_PARAM', at: { line: 6 } });
});

test('a circle through the sides of a join is refused with its steps', () => {
  const text = specOf('join: { left: orders, right: y, keys: [a] }');
  const circle = text.replace(' }]\n', ' }, { id: y, union: { inputs: [users, x] } }]\n');
  expect(() => parseSpecText(circle)).toThrow(/E_SPEC_CYCLE.*x → y → x/);
});
