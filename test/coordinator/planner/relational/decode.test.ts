import { beforeAll, describe, expect, test } from 'vitest';
import { serialiseQuery } from '../../../../coordinator/analyse/relational.js';
import { decodeQuery } from '../../../../coordinator/planner/relational/decode.js';
import {
  inputsOf,
  type Join,
  type Query,
  type Relation,
} from '../../../../coordinator/planner/relational/relation.js';
import { renderSql } from '../../../../coordinator/planner/relational/render.js';

const columns = [
  { name: 'id', type: 'INTEGER' },
  { name: 'k', type: 'INTEGER' },
  { name: 'x', type: 'DECIMAL(15,2)' },
];
const inputs = [
  { name: 'small', columns, rows: 1_000 },
  { name: 'large', columns, rows: 1_000_000 },
];

async function plan(sql: string): Promise<{ json: string; names: string[] }> {
  const found = await serialiseQuery(inputs, sql);
  if (!found.ok) throw new Error(found.message);
  return { json: found.json, names: found.columns.map(({ name }) => name) };
}

async function query(
  sql: string,
  isVolatile = (name: string) => name === 'random',
): Promise<Query> {
  const { json, names } = await plan(sql);
  const decoded = decodeQuery(json, names, isVolatile);
  if (!decoded.ok) throw new Error(decoded.what);
  return decoded.query;
}

function all<Kind extends Relation['kind']>(relation: Relation, kind: Kind) {
  const found: Extract<Relation, { kind: Kind }>[] = [];
  const visit = (each: Relation) => {
    if (each.kind === kind) found.push(each as Extract<Relation, { kind: Kind }>);
    inputsOf(each).forEach(visit);
  };
  visit(relation);
  return found;
}

test('a join states its keys as columns and what else it asks as conditions', async () => {
  const { relation } = await query(
    'select l.x from large l left join small s on l.k = s.k and l.x + s.x > 3 and l.id is not distinct from s.id',
  );
  const [join] = all(relation, 'join') as [Join];
  expect(join.join).toBe('left');
  const names = new Map([...join.left.columns, ...join.right.columns].map((c) => [c.id, c.name]));
  expect(
    join.equalities.map(({ left, right, nullSafe }) => [
      names.get(left.column ?? ''),
      names.get(right.column ?? ''),
      nullSafe,
    ]),
  ).toEqual([
    ['k', 'k', false],
    ['id', 'id', true],
  ]);
  expect(join.residual).toHaveLength(1);
});

test('a column keeps its id through filters, projections and plain grouping', async () => {
  const { relation, result } = await query(
    'select k as key, sum(x) from (select k, x from large where x > 1) group by k',
  );
  const [scan] = all(relation, 'scan');
  const key = scan?.columns[scan.names.indexOf('k')];
  expect(result[0]).toEqual({ ...key, name: 'key' });
});

test('grouping sets give keys of their own, for they may be NULL where the input is not', async () => {
  const { relation } = await query('select k, sum(x) from large group by rollup (k)');
  const [aggregate] = all(relation, 'aggregate');
  expect(aggregate?.sets).toEqual([[], [0]]);
  expect(aggregate?.keys[0]?.column.id).not.toBe(aggregate?.keys[0]?.from);
});

test('a limit over an order is one operator', async () => {
  const { relation } = await query(
    'select k from large order by x desc nulls first limit 3 offset 2',
  );
  const [limit] = all(relation, 'limit');
  expect(limit).toMatchObject({ limit: '3', offset: '2' });
  expect(limit?.keys).toMatchObject([{ descending: true, nullsFirst: true }]);
  expect(all(relation, 'sort')).toEqual([]);
});

test('decimal sums keep the type the query gave them without a cast around each row', async () => {
  const { relation } = await query('select x * (1 - x) * (1 + x) as y from large');
  expect(renderSql(relation, () => 'large')).toMatch(
    /cast\('1\.00' as DECIMAL\(3,2\)\) - "c1".*cast\('1\.00' as DECIMAL\(3,2\)\) \+ "c1"/,
  );
  expect(relation.columns[0]?.type).toBe('DECIMAL(18,6)');
});

test('what may change between two runs is marked as volatile, with all that stands on it', async () => {
  const { relation } = await query('select random() + k as r, k + 1 as n from large');
  const [project] = all(relation, 'project');
  expect(project?.expressions.map((each) => each.volatile)).toEqual([true, false]);
});

test('a correlated subquery shares its outer rows and needs no join of its own kind', async () => {
  const { relation } = await query(
    'select id from large l where x > (select avg(x) from small s where s.k < l.k)',
  );
  const [shared] = all(relation, 'shared');
  const references = all(relation, 'reference').filter((each) => each.shared === shared?.id);
  expect(references.length).toBeGreaterThan(1);
  expect(all(relation, 'join').map((each) => each.join)).not.toContain('single');
});

test('a part of a plan is rendered over a leaf that stands for the rest', async () => {
  const { relation } = await query('select k, sum(x) as y from large where id > 3 group by k');
  const [aggregate] = all(relation, 'aggregate');
  const [filter] = all(relation, 'filter');
  if (!aggregate || !filter) throw new Error('no aggregate over a filter');
  const cut: Relation = {
    ...aggregate,
    input: {
      kind: 'scan',
      input: 'part',
      names: filter.columns.map(({ id }) => id),
      columns: filter.columns,
    },
  };
  const text = renderSql(
    cut,
    (leaf) => `read_parquet('${leaf.kind === 'scan' ? leaf.input : ''}')`,
  );
  expect(text).toMatch(
    /^select "c\d", sum\("c\d"\) as "c\d" from \(select .* from read_parquet\('part'\)\) group by "c\d"$/,
  );
});

describe('what is not as expected is refused and never left out', () => {
  let json: string;
  beforeAll(async () => {
    json = (await plan('select k, sum(x) as y from large where k in (1, 5) group by k')).json;
  });
  const decoded = (text: string) => decodeQuery(text, ['k', 'y'], () => false);

  test('the plan as it stands is read', () => {
    expect(decoded(json).ok).toBe(true);
  });

  test.each([
    ['LOGICAL_FILTER', 'LOGICAL_OTHER', 'operator other'],
    ['COMPARE_IN', 'COMPARE_OTHER', 'operator COMPARE_OTHER'],
    ['"projection_map":[]', '"projection_map":[9]', 'a filter of columns that are not there'],
    ['NON_DISTINCT', 'OTHER', 'aggregate OTHER'],
    ['BOUND_AGGREGATE', 'BOUND_OTHER', 'aggregate BOUND_OTHER'],
    ['FULL_READ', 'PARTIAL', 'a scan of a part of a column'],
    ['OPTIONAL_FILTER', 'OTHER_FILTER', 'scan filter OTHER_FILTER'],
    ['"name":"seq_scan"', '"name":"other"', 'table function other'],
    ['DECIMAL_TYPE_INFO', 'OTHER_TYPE_INFO', 'type DECIMAL (OTHER_TYPE_INFO)'],
    ['"id":"INTEGER"', '"id":"OTHER"', 'type OTHER'],
  ])('%s', (from, to, what) => {
    expect(json).toContain(from);
    expect(decoded(json.replaceAll(from, to))).toEqual({ ok: false, what });
  });

  test('a result of other columns than it declares', () => {
    expect(decodeQuery(json, ['k'], () => false).ok).toBe(false);
  });
});
