import { expect, test } from 'vitest';
import type {
  FilterOperator,
  InferOperator,
  Operator,
  SelectOperator,
} from '../../../coordinator/planner/facts.js';
import { dropColumns, moveFilters } from '../../../coordinator/planner/pushdown.js';

const column = (name: string): { name: string; type: string } => ({ name, type: 'BIGINT' });

function filter(id: string, reads: string[], deterministic = true): FilterOperator {
  const step = { kind: 'filter', id, where: 'x' } as const;
  return { kind: 'filter', step, columns: [], reads, deterministic, conjuncts: [] };
}
function select(id: string, kept: string[], made: Record<string, string[]>): SelectOperator {
  const names = [...kept, ...Object.keys(made)];
  return {
    kind: 'select',
    step: { kind: 'select', id, columns: names.map((name) => ({ name, expr: name })) },
    columns: names.map(column),
    reads: [],
    readsOf: names.map((name) => made[name] ?? [name]),
    untouched: new Set(kept),
    deterministic: true,
  };
}
function infer(id: string, reads: string[], output: string): InferOperator {
  const step = {
    kind: 'infer',
    id,
    outputs: [{ column: column(output) }],
  } as unknown as InferOperator['step'];
  return { kind: 'infer', step, columns: [], reads, deterministic: true };
}
function expectation(id: string, reads: string[]): Operator {
  return {
    kind: 'expect',
    step: { kind: 'expect', id, checks: [] },
    columns: [],
    reads,
    deterministic: true,
    rowCounts: [],
  };
}
const order = (operators: readonly Operator[]): string =>
  moveFilters(operators)
    .operators.map((operator) => operator.step.id)
    .join(' ');

test('a filter moves below select and infer when it reads none of what they make', () => {
  const select1 = select('s', ['a', 'b'], { c: ['a'] });
  expect(order([select1, infer('m', ['c'], 'p'), filter('f', ['b'])])).toBe('f s m');
  expect(order([select1, infer('m', ['c'], 'p'), filter('f', ['c'])])).toBe('s f m');
  expect(order([select1, infer('m', ['c'], 'p'), filter('f', ['p'])])).toBe('s m f');
});

test('filters keep their order among themselves', () => {
  expect(order([filter('f1', ['a']), infer('m', ['a'], 'p'), filter('f2', ['a'])])).toBe('f1 f2 m');
});

test('no filter moves through expect, and no random filter moves at all', () => {
  expect(order([expectation('e', []), filter('f', ['a'])])).toBe('e f');
  expect(order([infer('m', ['a'], 'p'), filter('f', ['a'], false)])).toBe('m f');
  expect(order([filter('r', ['a'], false), filter('f', ['a'])])).toBe('r f');
});

test('columns that nobody needs are dropped from the end backwards', () => {
  const chain = [
    select('s', ['a', 'b', 'd'], { c: ['a', 'e'] }),
    infer('m', ['c'], 'p'),
    filter('f', ['b']),
  ];
  const { operators, needed } = dropColumns(chain, ['p']);
  expect([...needed].sort()).toEqual(['a', 'b', 'e']);
  const [first] = operators;
  expect(first?.kind === 'select' && first.step.columns.map(({ name }) => name)).toEqual([
    'b',
    'c',
  ]);
});

test('one column stays when none is needed, because rows are counted', () => {
  const { operators } = dropColumns([select('s', ['a', 'b'], {})], []);
  expect(operators[0]?.kind === 'select' && operators[0].step.columns).toHaveLength(1);
});
