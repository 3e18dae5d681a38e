import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { explainText } from '../../../coordinator/planner/explain.js';
import { excludes } from '../../../coordinator/planner/pruning.js';
import type { InputFile, SourceInput } from '../../../shared/plan.js';
import { Workbench } from '../analyse/workbench.js';

let bench: Workbench;
let mixed: string;

beforeAll(async () => {
  bench = await Workbench.open();
  mixed = await bench.parquet(
    'mixed.parquet',
    `select (i // 100 - 20)::integer as n, case when i % 7 = 0 then null else i end::bigint as b,
       case when i < 2048 then null else i::smallint end as mostly_null,
       date '2026-01-01' + (i // 50)::integer as d,
       timestamp '2026-01-01 12:00:00' + to_minutes(i::integer) as t,
       (timestamp '2026-01-01' + to_minutes(i::integer))::timestamptz as z,
       'k' || lpad((i // 10)::varchar, 4, '0') as s, (i / 3.0)::decimal(10,3) as dec, i::uinteger as u, i * 0.5 as x
     from range(9000) t(i)`,
    ', row_group_size 2048',
  );
});
afterAll(() => bench.close());

const literals: Record<string, fc.Arbitrary<string>> = {
  n: fc.integer({ min: -40, max: 90 }).map(String),
  b: fc.integer({ min: -10, max: 9100 }).map(String),
  mostly_null: fc.integer({ min: -10, max: 9100 }).map(String),
  d: fc.integer({ min: -5, max: 190 }).map((day) => `(date '2026-01-01' + ${day})::varchar::date`),
  t: fc.integer({ min: -5, max: 200 }).map((hours) => `'${stamp(hours)}'`),
  z: fc.integer({ min: -5, max: 200 }).map((hours) => `'${stamp(hours)}'`),
  s: fc.integer({ min: -1, max: 910 }).map((k) => `'k${String(k).padStart(4, '0')}'`),
  dec: fc.integer({ min: -1, max: 3100 }).map(String),
  u: fc.integer({ min: 0, max: 9100 }).map(String),
  x: fc.integer({ min: 0, max: 4600 }).map(String),
};

function stamp(hours: number): string {
  return new Date(Date.UTC(2026, 0, 1) + hours * 3_600_000)
    .toISOString()
    .slice(0, 19)
    .replace('T', ' ');
}

/** Least values, in the first row group only. */
const extreme: Record<string, string> = { n: '-20', d: `'2026-01-01'`, s: `'k0000'` };

const comparison = fc
  .tuple(
    fc.constantFrom(...Object.keys(literals)),
    fc.constantFrom('=', '<', '<=', '>', '>=', '<>', 'between', 'in'),
    fc.boolean(),
  )
  .chain(([column, op, flipped]) =>
    literals[column]!.map((value) => {
      const plain = column === 'd' ? value.replace(/^\((.*)\)::varchar::date$/, '$1') : value;
      const text = column === 'd' ? `'${dayOf(plain)}'` : value;
      if (op === 'in') return `${column} in (${text}, ${text}, ${extreme[column] ?? text})`;
      if (op === 'between') return `${column} between ${text} and ${text}`;
      return flipped ? `${text} ${op} ${column}` : `${column} ${op} ${text}`;
    }),
  );

function dayOf(expression: string): string {
  const offset = Number(/\+ (-?\d+)/.exec(expression)?.[1]);
  return new Date(Date.UTC(2026, 0, 1 + offset)).toISOString().slice(0, 10);
}

/** Row groups of the file with such rows among those ruled out. */
async function wronglyPruned(file: InputFile, where: string): Promise<number[]> {
  const wrong: number[] = [];
  let start = 0;
  for (const [group, rows] of file.rowGroupRows.entries()) {
    if (file.prunedRowGroups.includes(group)) {
      const result = await bench.connection.runAndReadAll(
        `select count(*)::integer from read_parquet('${mixed}', file_row_number = true)
         where file_row_number >= ${start} and file_row_number < ${start + rows} and (${where})`,
      );
      if (result.getRows()[0]![0] !== 0) wrong.push(group);
    }
    start += rows;
  }
  return wrong;
}

describe('pruning', () => {
  test('never rules out a row for which the filter is true', async () => {
    let prunedOnce = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(comparison, { minLength: 1, maxLength: 3 }),
        fc.constantFrom(' and ', ' or '),
        async (parts, join) => {
          const where = parts.join(join);
          const { plan } = await bench.plan({
            sources: { m: { parquet: mixed } },
            steps: [{ id: 'f', filter: { from: 'm', where } }],
            outputs: [{ from: 'f', parquet: bench.path('out') }],
          });
          const [file] = (plan.stages[0]!.input as SourceInput).files;
          prunedOnce += file!.prunedRowGroups.length;
          expect([where, await wronglyPruned(file!, where)]).toEqual([where, []]);
        },
      ),
      { numRuns: 60, seed: 11 },
    );
    expect(prunedOnce).toBeGreaterThan(20);
  });

  test.each([
    ['dec > 100000', 0],
    ['u > 100000', 0],
    ['x > 100000', 0],
    ['n > 1000000', 5],
    ["s > 'z'", 5],
    ["d >= '2030-01-01'", 5],
    ["t < '2020-01-01 00:00:00'", 5],
    ["z < '2020-01-01 00:00:00'", 5],
    ['n > 1000000 or x > 3', 0],
    ['not (n < 1000000)', 5],
    ['mostly_null < 0', 4],
    ['n in (1000000, 2000000)', 5],
    ['n in (-20, 1000000)', 4],
    ['n in (-20, null)', 0],
    ['n not in (1, 2)', 0],
    ["n < -1000 or s in ('a', 'b')", 5],
    ["n < -1000 or (x > 3 and s > 'z')", 5],
  ])('%s rules out %i of 5 row groups', async (where, pruned) => {
    const { plan, rowsTotal } = await bench.plan({
      sources: { m: { parquet: mixed } },
      steps: [{ id: 'f', filter: { from: 'm', where } }],
      outputs: [{ from: 'f', parquet: bench.path('out') }],
    });
    expect((plan.stages[0]!.input as SourceInput).files[0]!.prunedRowGroups).toHaveLength(pruned);
    expect(rowsTotal).toBe(9000);
  });

  test('does not happen behind a step that must see every row', async () => {
    const { rowsPruned } = await bench.plan({
      sources: { m: { parquet: mixed } },
      steps: [
        { id: 'e', expect: { from: 'm', checks: [{ notNull: 'b' }], onFail: 'deadLetter' } },
        { id: 'f', filter: { from: 'e', where: 'n > 1000000' } },
      ],
      outputs: [{ from: 'f', parquet: bench.path('out') }],
    });
    expect(rowsPruned).toBe(0);
  });

  test('compares strings by their UTF-8 bytes, as statistics do', () => {
    const stats = { kind: 'string', min: 'a', max: '\u{ffee}' } as const;
    expect(excludes({ column: 's', op: '>', kind: 'string', value: '\u{1f600}' }, stats)).toBe(
      true,
    );
    expect(excludes({ column: 's', op: '<', kind: 'string', value: '\u{1f600}' }, stats)).toBe(
      false,
    );
  });
});

describe('pruning by the conditions of queries', () => {
  const queries: ((where: string) => string)[] = [
    (where) => `select b, v from m join k on n = kn where ${where}`,
    (where) => `select b, v from k left join m on n = kn and (${where})`,
    (where) => `select v from k where kn not in (select n from m where n > 3 and (${where}))`,
    (where) => `select s, count(*) as c from m where ${where} group by s`,
    (where) =>
      `select a.b from (select * from m where ${where}) a join (select b as b2 from m where n > 30) o on a.b = o.b2`,
    (where) => `select b from (select * from m order by t limit 100) where ${where}`,
    (where) =>
      `select b, r from (select *, row_number() over (order by t) as r from m) where ${where}`,
    (where) => `select b from m where ${where} union all select b from m where n = 60`,
  ];

  test('leaves every query its rows', async () => {
    const small = await bench.parquet(
      'k.parquet',
      'select i - 30 as kn, i as v from range(120) t(i)',
    );
    const answer = async (query: string, groups: string): Promise<string> => {
      const m = `select * exclude (file_row_number) from read_parquet('${mixed}', file_row_number = true) where file_row_number // 2048 not in (${groups})`;
      const text = `with m as (${m}), k as (from read_parquet('${small}')) select sum(hash(t)), count(*) from (${query}) t`;
      return JSON.stringify((await bench.connection.runAndReadAll(text)).getRowsJson());
    };
    const seen = new Set<number>();
    await fc.assert(
      fc.asyncProperty(
        fc.array(comparison, { minLength: 1, maxLength: 3 }),
        fc.constantFrom(' and ', ' or '),
        fc.nat(queries.length - 1),
        async (parts, join, form) => {
          const query = queries[form]!(`(${parts.join(join)})`);
          const { plan } = await bench.plan({
            sources: { m: { parquet: mixed }, k: { parquet: small } },
            steps: [{ id: 'q', sql: { query } }],
            outputs: [{ from: 'q', parquet: bench.path('out') }],
          });
          const pruned = plan.sources?.['m']?.[0]?.prunedRowGroups ?? [];
          if (pruned.length > 0) seen.add(form);
          const left = await answer(query, ['-1', ...pruned].join(', '));
          expect([query, left]).toEqual([query, await answer(query, '-1')]);
        },
      ),
      { numRuns: 32, seed: 5 },
    );
    // Not behind LIMIT or a window.
    expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 7]);
  });

  test('keeps what any of them needs, tells how much it is, and counts only what is read', async () => {
    const planFor = (...conditions: string[]): ReturnType<Workbench['plan']> =>
      bench.plan({
        sources: { m: { parquet: mixed } },
        steps: conditions.map((where, at) => ({
          id: `q${at}`,
          sql: { query: `select n, count(*) as c from m where ${where} group by n` },
        })),
        outputs: conditions.map((_, at) => ({
          from: `q${at}`,
          parquet: bench.path(`out${at}`),
        })),
      });
    const prunedOf = async (...conditions: string[]): Promise<readonly number[]> =>
      (await planFor(...conditions)).plan.sources!['m']![0]!.prunedRowGroups;
    expect(await prunedOf('n < -15')).toEqual([1, 2, 3, 4]);
    expect(await prunedOf('n < -15', 'n in (65, 66)')).toEqual([1, 2, 3]);
    expect(await prunedOf('n < -15', 'x > 3')).toEqual([]);
    expect(await prunedOf('n % 7 < -15')).toEqual([]);
    const { plan, rowsTotal } = await planFor('n < -15');
    expect(rowsTotal).toBe(2048);
    expect(explainText(plan)).toContain(
      'note pruned: source m: 0 of 1 files ruled out by partition, 4 of 5 row groups in all, 6952 of 9000 rows',
    );
  });
});

describe('partitions', () => {
  test('rule files out by any condition over them alone, whatever its form', async () => {
    for (const [day, country] of [
      ['2026-01-01', 'DE'],
      ['2026-01-02', 'FR'],
      ['2026-01-03', '__HIVE_DEFAULT_PARTITION__'],
    ]) {
      await bench.parquet(
        `p/day=${day}/country=${country}/x.parquet`,
        'select i, i as country from range(100) t(i)',
      );
    }
    const planFor = (where: string): ReturnType<Workbench['plan']> =>
      bench.plan({
        sources: { p: { parquet: bench.path('p') } },
        steps: [{ id: 'f', filter: { from: 'p', where } }],
        outputs: [{ from: 'f', parquet: bench.path('out') }],
      });
    expect((await planFor("day = '2026-01-02'")).rowsPruned).toBe(200);
    expect((await planFor('extract(day from day) >= 2 and i < 1000')).rowsPruned).toBe(100);
    expect((await planFor('country is null')).rowsPruned).toBe(200);
    expect((await planFor("country = 'DE'")).rowsPruned).toBe(200);
    expect((await planFor("country = 'DE' or i = 1")).rowsPruned).toBe(0);
    const { plan: query } = await bench.plan({
      sources: { p: { parquet: bench.path('p') } },
      steps: [
        {
          id: 'q',
          sql: {
            query:
              "select country, count(*) as n from p where extract(day from day) >= 2 and country <> 'x' group by country",
          },
        },
      ],
      outputs: [{ from: 'q', parquet: bench.path('out') }],
    });
    expect(query.sources!['p']!.map((file) => file.prunedRowGroups)).toEqual([[0], [], [0]]);
    const { plan } = await planFor('true');
    expect(plan.stages[0]!.program.scan.hive).toEqual([
      { name: 'day', type: 'DATE' },
      { name: 'country', type: 'VARCHAR' },
    ]);
  });
});
