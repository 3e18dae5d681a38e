/** The params that SQL names, held against DuckDB's own parser. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BindDatabase } from '../../coordinator/analyse/bind-database.js';
import { walkTree } from '../../coordinator/analyse/syntax.js';
import { paramNames } from '../../shared/sql-params.js';

let database: BindDatabase;
beforeAll(async () => {
  database = await BindDatabase.open();
});
afterAll(() => database.close());

test('where a $ means a param, DuckDB says so too', async () => {
  const texts = [
    'select $a, $B, $a_1, $_x, $ä, $a::int, $a.b, -$a, @$a, $a-$b',
    'select $1, b$2',
    `select 'x $no', 'it''s $no', 'back\\', $a`,
    `select "x $no", "a""$no", $a`,
    `select $"a b", $"c""d"`,
    `select E'it\\'s $no', e'\\\\', $a, E'$no''$no', $b`,
    `select $$ $no $$, $t$ $no $ $u$ $t$, $ä$ $no $ä$, $a`,
    'select a$no from t where b$1 > $a',
    'select 1 -- $no\n, $a',
    'select /* $no /* $no */ $no */ $a',
    `select x'41', $a, date'2026-01-01', $b, 'a'\n'$no'`,
    `select {'a': $a}, list_transform([1], lambda x: x + $b), #1`,
    'with c as (select $a as n) select n from c where exists (select 1 where n < $b) limit $c',
    'select 1 as no -- $no',
  ];
  const parsed = await database.parse(texts);
  parsed.forEach((each, index) => {
    if (!each.ok) throw new Error(`${texts[index]!}: ${each.message}`);
    const named = new Set<string>();
    walkTree(each.statements, (node) => {
      if (node.class === 'PARAMETER') named.add(String(node['identifier']));
    });
    expect(paramNames(texts[index]!).sort(), texts[index]).toEqual([...named].sort());
  });
  expect(paramNames('select ? + 1')).toEqual(['?']);
});

test.each([`select 'open $a`, 'select "open $a', 'select $$ $a', 'select /* /* $a */', "E'\\"])(
  'what %s leaves open holds none',
  (text) => {
    expect(paramNames(text)).toEqual([]);
  },
);
