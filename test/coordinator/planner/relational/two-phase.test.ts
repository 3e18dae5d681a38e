import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Call, Expression } from '../../../../coordinator/planner/relational/relation.js';
import { callText } from '../../../../coordinator/planner/relational/render-call.js';
import { twoPhase } from '../../../../coordinator/planner/relational/two-phase.js';

interface AggregateCall extends Call {
  readonly type: string;
}

let instance: DuckDBInstance;
let db: DuckDBConnection;

/** `part` deals the rows of each group out to seven producers; some groups are with one alone. */
beforeAll(async () => {
  instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  db = await instance.connect();
  await db.run(`create table t as select
    i % 23 as g, (hash(i) % 7)::int * (i % 23 <> 3)::int as part,
    case when i % 9 = 0 then null else (hash(i * 3) % 1000)::bigint - 500 end as b,
    case when i % 7 = 0 then null else ((hash(i * 5) % 100000) / 100)::decimal(15, 2) end as d,
    case when i % 8 = 0 then null when i % 29 = 0 then 'nan'::double
         else 1e5 + (hash(i * 11) % 1000) / 1000.0 end as f,
    case when i % 5 = 0 then null else (hash(i * 13) % 3 = 0) end as o,
    case when i % 6 = 0 then null else 'text ' || (hash(i * 17) % 40) end as s,
    case when i % 10 = 0 then null else date '2026-01-01' + (hash(i * 19) % 400)::int end as day,
    (hash(i * 23) % 250)::utinyint as u
    from range(4000) r(i) union all
    select 99, 1, null, null, null, null, null, null, null union all
    select 98, 2, 7, 1.5, 2.5, true, 'one', date '2026-02-03', 4`);
});
afterAll(() => {
  db.closeSync();
  instance.closeSync();
});

type Row = Record<string, unknown>;
const rows = async (sql: string): Promise<Row[]> =>
  (await db.runAndReadAll(sql)).getRowObjectsJson() as Row[];

function inTwo(call: AggregateCall, groups: string, table: string): string {
  const split = twoPhase(call, call.type);
  if (!split) throw new Error('is not split');
  const by = groups === '' ? '' : `${groups}, `;
  const names = split.partials.map((_, index) => `p${index}`);
  const partials = split.partials.map(
    (partial, index) => `cast(${callText(partial.call)} as ${partial.type}) as p${index}`,
  );
  const first = `select ${by}part, ${partials.join(', ')} from ${table} group by ${by}part`;
  const finals = split.finals(names).map((final, index) => `${callText(final.call)} as f${index}`);
  const second = `select ${by}${finals.join(', ')} from (${first}) group by ${groups || '()'}`;
  const answer = split.answer(split.finals(names).map((_, index) => `f${index}`));
  return `select ${by}${answer} as x from (${second})`;
}

async function compare(call: AggregateCall, groups: string): Promise<void> {
  const by = groups === '' ? '' : `${groups}, `;
  const actual = await rows(`${inTwo(call, groups, 't')} order by all`);
  const whole = `select ${by}${callText(call)} as x from t group by ${groups || '()'}`;
  const wanted = await rows(`${whole} order by all`);
  expect(actual).toHaveLength(wanted.length);
  actual.forEach((row, at) => {
    for (const [name, value] of Object.entries(wanted[at]!)) {
      const got = row[name];
      if (typeof value === 'number' && typeof got === 'number' && Number.isFinite(value)) {
        expect(Math.abs(got - value)).toBeLessThanOrEqual(1e-9 * Math.abs(value));
      } else if (Array.isArray(value))
        expect([...(got as unknown[])].sort()).toEqual([...value].sort());
      else expect(got).toEqual(value);
    }
  });
}

const column = {
  b: 'BIGINT',
  d: 'DECIMAL(15,2)',
  f: 'DOUBLE',
  o: 'BOOLEAN',
  s: 'VARCHAR',
  day: 'DATE',
  u: 'UTINYINT',
};
const arg = (name: keyof typeof column): Expression => ({
  sql: name,
  type: column[name],
  reads: [name],
  volatile: false,
  constant: false,
});
const where = (sql: string): Expression => ({ ...arg('o'), sql });
const one = (name: string, type: string, ...args: (keyof typeof column)[]): AggregateCall => ({
  name,
  args: args.map(arg),
  distinct: false,
  order: [],
  type,
});

const calls: AggregateCall[] = [
  one('count_star', 'BIGINT'),
  one('count', 'BIGINT', 's'),
  one('sum', 'HUGEINT', 'b'),
  one('sum', 'HUGEINT', 'u'),
  one('sum', 'HUGEINT', 'o'),
  one('sum', 'DECIMAL(38,2)', 'd'),
  one('sum', 'DOUBLE', 'f'),
  one('avg', 'DOUBLE', 'b'),
  one('avg', 'DOUBLE', 'd'),
  one('avg', 'DOUBLE', 'f'),
  one('min', 'VARCHAR', 's'),
  one('max', 'DATE', 'day'),
  one('min', 'DOUBLE', 'f'),
  one('bool_and', 'BOOLEAN', 'o'),
  one('bool_or', 'BOOLEAN', 'o'),
  one('bit_xor', 'BIGINT', 'b'),
  one('bit_or', 'BIGINT', 'b'),
  one('count_if', 'HUGEINT', 'o'),
  one('list', 'VARCHAR[]', 's'),
  { ...one('max', 'BIGINT', 'b'), distinct: true },
  { ...one('sum', 'HUGEINT', 'b'), filter: where('d > 500') },
  { ...one('count', 'BIGINT', 'b'), filter: where('o') },
  { ...one('avg', 'DOUBLE', 'd'), filter: where('b > 0') },
  { ...one('count_star', 'BIGINT'), filter: where('b > 490') },
  { ...one('list', 'BIGINT[]', 'b'), filter: where('b > 480') },
];

describe('two phases give what one gives', () => {
  for (const call of calls) {
    const name = `${call.name}(${call.args.map(({ sql }) => sql).join(', ')})${call.filter ? ' with a filter' : ''}`;
    test(`${name}, by key`, () => compare(call, 'g'));
    test(`${name}, over all rows`, () => compare(call, ''));
  }
  for (const name of ['stddev', 'stddev_pop', 'var_samp', 'var_pop', 'variance']) {
    test(`${name}, where the spread is small beside the values`, async () => {
      const finite = { ...one(name, 'DOUBLE', 'f'), filter: where('not isnan(f)') };
      await compare(finite, 'g');
      await compare(finite, '');
    });
  }
  test('arg_max and arg_min, where the key is unique', async () => {
    await db.run('create or replace table k as select *, row_number() over () as n from t');
    for (const name of ['arg_max', 'min_by']) {
      const n = { ...arg('b'), sql: 'n', reads: ['n'] };
      const call = { ...one(name, 'VARCHAR', 's'), args: [arg('s'), n] };
      expect(await rows(`${inTwo(call, 'g', 'k')} order by g`)).toEqual(
        await rows(`select g, ${name}(s, n) as x from k group by g order by g`),
      );
    }
  });
});

test('what cannot be split is not', () => {
  const whole: AggregateCall[] = [
    one('median', 'DOUBLE', 'f'),
    one('quantile_cont', 'DOUBLE', 'f'),
    one('mode', 'VARCHAR', 's'),
    { ...one('count', 'BIGINT', 's'), distinct: true },
    { ...one('sum', 'HUGEINT', 'b'), distinct: true },
    { ...one('bit_xor', 'BIGINT', 'b'), distinct: true },
    {
      ...one('list', 'VARCHAR[]', 's'),
      order: [{ expression: arg('s'), descending: false, nullsFirst: false }],
    },
    one('max', 'BIGINT[]', 'b', 'u'),
    one('avg', 'TIMESTAMP', 'day'),
    one('first', 'BIGINT', 'b'),
  ];
  for (const call of whole) expect(twoPhase(call, call.type), call.name).toBeUndefined();
});
