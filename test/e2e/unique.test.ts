/** Checks that rows are unique: judged across files, with nothing of how it is done in the results. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Workplace } from './workplace.js';

const place = new Workplace();
/** Two files of 1000: every hundredth key of the first is in the second, too; every seventh is NULL. */
beforeAll(async () => {
  for (const file of [0, 1]) {
    const path = place.write(`data/${file}.parquet`, '');
    const key = file === 0 ? 'i' : 'case when i % 100 = 0 then i else i + 1000 end';
    await place.sql(
      `copy (select case when i % 7 = 0 then null else ${key} end as id, i % 3 as part, 'r' || i as name
         from range(1000) t(i)) to '${path}' (format parquet, row_group_size 256)`,
    );
  }
});
afterAll(() => place.close());

/** Keys that stand in both files: hundreds that are no multiple of seven. */
const twice = [100, 200, 300, 400, 500, 600, 800, 900];

interface Result {
  readonly state: string;
  readonly rows: { in: number; out: number; filtered: number; deadLettered: number };
}

async function run(name: string, steps: readonly object[], from: string) {
  const spec = {
    apiVersion: 'windrow/v1',
    kind: 'Job',
    metadata: { name },
    sources: { rows: { parquet: place.path('data/*.parquet') } },
    steps,
    outputs: [{ from, parquet: `out/${name}` }],
  };
  place.write(`${name}.json`, JSON.stringify(spec));
  const ended = await place.windrow(['run', `${name}.json`, '--workers', '2']);
  const lines = ended.stdout.trim().split('\n');
  return { ...ended, result: JSON.parse(lines.at(-1) ?? '{}') as Result };
}

const checked = (check: object, from = 'rows') => ({
  id: 'checked',
  expect: { from, checks: [check] },
});

describe('a check that rows are unique', () => {
  it('takes every row of a key that stands in two files out as a dead letter', async () => {
    const check = { unique: 'id', onFail: 'deadLetter' };
    const { code, stderr, result } = await run('dead', [checked(check)], 'checked');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(result.rows).toMatchObject({ out: 2000 - 16, deadLettered: 16 });
    const out = place.path('out/dead/*.parquet');
    const columns = await place.sql<{ column_name: string }>(`describe from '${out}'`);
    expect(columns.map((column) => column.column_name)).toEqual(['id', 'part', 'name']);
    const left = await place.sql(`select id from '${out}' where id in (${twice.join(', ')})`);
    expect(left).toEqual([]);
    const dead = await place.sql<{ step: string; code: string; message: string }>(
      `select step, code, message from '${place.path('out/dead.dead')}/*.parquet'`,
    );
    expect(dead).toHaveLength(16);
    for (const each of dead) {
      expect(each).toMatchObject({ step: 'checked', code: 'E_EXPECT_FAILED' });
      expect(each.message).toMatch(/check unique1 does not hold: "unique \(id\)"/);
    }
  });

  it('lets rows pass that are unique by all of its columns, or have NULL in one', async () => {
    const { code, stderr, result } = await run(
      'pass',
      [checked({ unique: ['id', 'name', 'part'] })],
      'checked',
    );
    // The doubled keys have equal names and parts, so only without them all rows pass.
    expect([code, stderr]).toEqual([1, expect.stringMatching(/E_EXPECT_FAILED/)]);
    expect(result.state).toBe('failed');
    const once = { id: 'once', filter: { from: 'rows', where: `id % 100 <> 0 or id is null` } };
    const again = await run('once', [once, checked({ unique: 'id' }, 'once')], 'checked');
    expect([again.code, again.stderr]).toEqual([0, '']);
    const nulls = await place.sql<{ n: string }>(
      `select count(*) as n from '${place.path('out/once/*.parquet')}' where id is null`,
    );
    expect(nulls).toEqual([{ n: '286' }]);
  });

  it('fails the job with the step and the check', async () => {
    const { code, stderr } = await run(
      'fail',
      [checked({ name: 'alone', unique: ['id'] })],
      'checked',
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/E_EXPECT_FAILED/);
    expect(stderr).toMatch(
      /check alone does not hold: "unique \(id\)", as for id = \d+, in 2 rows/,
    );
    expect(stderr).toMatch(/checked/);
    expect(stderr).not.toMatch(/_windrow/);
  });

  it('judges rows of wide steps, warns of doubled ones, and keeps them', async () => {
    const steps = [
      { id: 'kinds', aggregate: { from: 'rows', by: ['id', 'part'], measures: { n: 'count(*)' } } },
      {
        id: 'checked',
        expect: {
          from: 'kinds',
          checks: [
            { name: 'byPart', unique: 'part', onFail: 'warn' },
            { name: 'byBoth', unique: ['id', 'part'] },
            { predicate: 'n > 0' },
          ],
        },
      },
      { id: 'after', aggregate: { from: 'checked', by: ['part'], measures: { rows: 'sum(n)' } } },
    ];
    const { code, stderr } = await run('warn', steps, 'after');
    expect([code, stderr]).toEqual([0, '']);
    const [found] = await place.sql<{ n: string; rows: string }>(
      `select count(*) as n, sum(rows)::bigint as rows from '${place.path('out/warn/*.parquet')}'`,
    );
    expect(found).toEqual({ n: '3', rows: '2000' });
  });

  it('shows its own step alone in the plan', async () => {
    const { code, stdout } = await place.windrow(['explain', 'dead.json']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/steps {3}checked\n/);
    expect(stdout).not.toMatch(/_windrow_unique/);
    const shown = await place.windrow(['preview', 'dead.json', '-o', 'json', '--rows', '3']);
    expect([shown.code, shown.stderr]).toEqual([
      0,
      expect.stringMatching(/^computed over the first/),
    ]);
    const rows = JSON.parse(shown.stdout) as object[];
    expect(Object.keys(rows[0]!)).toEqual(['id', 'part', 'name']);
  });
});
