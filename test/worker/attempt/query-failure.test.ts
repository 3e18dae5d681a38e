/** What a user reads when the query of a wide step fails on a worker. */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChunkRecord, ProgramStep } from '../../../shared/plan.js';
import { controlWord, type SourceWork } from '../../../worker/attempt/protocol.js';
import { explainQueryFailure } from '../../../worker/attempt/query-failure.js';
import { type FirstRow, withExample } from '../../../worker/attempt/shown-row.js';
import { columns, leaf, Place, queryProgram, read, work } from './fixture.js';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.close());

const rowGroups = ', row_group_size 2048';
const orders = { k: 'INTEGER', amount: 'VARCHAR' };
const users = { k: 'INTEGER', rate: 'VARCHAR' };
const ordersQuery = (bad: number) =>
  `select i::integer as k, case when i = ${bad} then 'lots' else i::varchar end as amount from range(9000) t(i)`;
const usersQuery = (bad: number) =>
  `select i::integer as k, case when i = ${bad} then 'half' else i::varchar end as rate from range(3000) t(i)`;
const leaves = [leaf('orders', orders), leaf('users', users)];
const joinOf = (value: string) =>
  `select o."k", ${value} as v from "orders" o join "users" u on o."k" % 3000 = u."k"`;

const endless = 'select max(hash(i)) as h from range(100000000000) t(i)';

async function sourcesOf(path: string, more: Partial<SourceWork> = {}): Promise<SourceWork[]> {
  return (await place.worksOf(path, more)).map(({ source }) => source!);
}

/** The rows of a file as the finished chunks of a stage. */
async function chunksOf(name: string, path: string, definition: Record<string, string>) {
  const program = queryProgram(`from "${name}"`, [leaf(name, definition)], definition);
  const sources = await sourcesOf(path);
  const { failure, records } = await place.run(
    program,
    sources.map((source, chunk) => work(chunk, read(name, { sources: [source] }))),
  );
  expect(failure).toBeUndefined();
  return records.flatMap((record: ChunkRecord) => record.files);
}

async function failureOf(
  program: ReturnType<typeof queryProgram>,
  ...reads: ReturnType<typeof read>[]
) {
  const before = place.leftFiles();
  const { failure, records } = await place.run(program, [work(0, ...reads)]);
  expect(records).toEqual([]);
  expect(place.leftFiles()).toEqual(before);
  return failure;
}

describe('a query that fails on a row', () => {
  it('names file, row group and row of a source, and shows what it reads of that row', async () => {
    const path = await place.parquet('orders.parquet', ordersQuery(7001), rowGroups);
    const other = await place.parquet('more.parquet', ordersQuery(-1), rowGroups);
    const small = await place.parquet('users.parquet', usersQuery(-1));
    const program = queryProgram(joinOf('o."amount"::integer'), leaves, {
      k: 'INTEGER',
      v: 'INTEGER',
    });
    const sources = [...(await sourcesOf(other)), ...(await sourcesOf(path))];
    const failure = await failureOf(
      program,
      read('orders', { sources }),
      read('users', { sources: await sourcesOf(small) }),
    );
    expect(failure).toMatchObject({
      kind: 'badData',
      code: 'E_SQL_RUNTIME',
      at: { file: path, rowGroup: 3, row: 7001 },
    });
    expect(failure?.message).toBe(
      `Could not convert string 'lots' to INT32 when casting from source column amount; it fails for the row {"k":7001,"amount":"lots"} together with {"k":1001,"rate":"1001"} (row 1001 of ${small})`,
    );
  });

  it('calls a column as users do, whatever the query calls it', async () => {
    const path = await place.parquet('orders.parquet', ordersQuery(7));
    const sql = 'select "c2"::integer as "c3" from (select "amount" as "c2" from "orders")';
    const program = queryProgram(sql, [leaves[0]!], { c3: 'INTEGER' });
    const failure = await failureOf(
      { ...program, query: { ...program.query!, shown: { c2: 'amount', c3: 'cents' } } },
      read('orders', { sources: await sourcesOf(path) }),
    );
    expect(failure?.at).toEqual({ file: path, rowGroup: 0, row: 7 });
    expect(failure?.message).toMatch(/^Could not .* casting from source column amount; it fails/);
  });

  it('names both rows where it takes a row of each side', async () => {
    const left = await place.parquet('orders.parquet', ordersQuery(-1), rowGroups);
    const right = await place.parquet('users.parquet', usersQuery(-1));
    const value = `case when o."k" = 4321 and u."rate" = '1321' then error('no ' || o."k") end`;
    const program = queryProgram(joinOf(value), leaves, { k: 'INTEGER', v: 'INTEGER' });
    const failure = await failureOf(
      program,
      read('orders', { sources: await sourcesOf(left) }),
      read('users', { sources: await sourcesOf(right) }),
    );
    expect(failure).toMatchObject({ at: { file: left, rowGroup: 2, row: 4321 } });
    expect(failure?.message).toBe(
      `no 4321; it fails for the row {"k":4321,"amount":"4321"} together with {"k":1321,"rate":"1321"} (row 1321 of ${right})`,
    );
  });

  it('shows a row that earlier steps made, and tells the coordinator alone in which chunk it lies', async () => {
    const left = await place.parquet('orders.parquet', ordersQuery(5000), rowGroups);
    const right = await place.parquet('users.parquet', usersQuery(-1));
    const files = await chunksOf('orders', left, orders);
    const program = queryProgram(
      joinOf('o."amount"::integer'),
      [leaf('orders', orders), leaf('users', users, false)],
      { k: 'INTEGER', v: 'INTEGER' },
    );
    const failure = await failureOf(
      program,
      read('orders', { files }),
      read('users', { sources: await sourcesOf(right) }),
    );
    expect(failure?.message).toContain(
      `it fails for the row {"k":5000,"amount":"lots"} (made by earlier steps) together with {"k":2000,"rate":"2000"} (row 2000 of ${right})`,
    );
    expect(failure?.message).not.toContain(place.chunks);
    // The coordinator puts what it was made of in the place of that.
    expect(failure?.at?.file).toBe(files[2]!.path);
  });

  it('says where the row of a side lies that it takes beside one that earlier steps made', async () => {
    const left = await place.parquet('orders.parquet', ordersQuery(-1), rowGroups);
    const right = await place.parquet('users.parquet', usersQuery(2500), rowGroups);
    const files = await chunksOf('orders', left, orders);
    const program = queryProgram(
      'select o."k", (select sum("rate"::integer) from "users")::bigint as v from "orders" o',
      [leaf('orders', { k: 'INTEGER' }), leaf('users', { rate: 'VARCHAR' }, false)],
      { k: 'INTEGER', v: 'BIGINT' },
    );
    const failure = await failureOf(
      program,
      read('orders', { files }),
      read('users', { sources: await sourcesOf(right) }),
    );
    expect(failure?.at).toEqual({ file: files[0]!.path });
    expect(failure?.message).toContain(
      `it fails for the row {"k":0} (made by earlier steps) together with {"rate":"half"} (row 2500 of ${right})`,
    );
  });

  it('finds the order without a user, not one whose user was left out in the search', async () => {
    const left = await place.parquet(
      'orders.parquet',
      `select case when i = 700 then 9999 else i end::integer as k, '' as amount from range(1000) t(i)`,
    );
    const right = await place.parquet('users.parquet', usersQuery(-1));
    const sql = `select o."k", coalesce(u."rate", error('an order without a user')) as v
      from "users" u right join "orders" o on o."k" = u."k"`;
    const program = queryProgram(sql, [...leaves].reverse(), { k: 'INTEGER', v: 'VARCHAR' });
    const failure = await failureOf(
      program,
      read('users', { sources: await sourcesOf(right) }),
      read('orders', { sources: await sourcesOf(left) }),
    );
    expect(failure?.at).toEqual({ file: left, rowGroup: 0, row: 700 });
    expect(failure?.message).toBe(
      `an order without a user; it fails for the row {"k":9999,"amount":""}`,
    );
  });

  it('cuts a long row short', async () => {
    const path = await place.parquet(
      'orders.parquet',
      `select 1 as k, repeat('long ', 1000) as amount`,
    );
    const sql = `select "k", case when "amount" <> '' then error('no') end as v from "orders"`;
    const program = queryProgram(sql, [leaves[0]!], { k: 'INTEGER', v: 'INTEGER' });
    const failure = await failureOf(program, read('orders', { sources: await sourcesOf(path) }));
    expect(failure?.message).toMatch(
      /^no; it fails for the row \{"k":1,"amount":"long (long )+.*…$/,
    );
    expect(failure?.message.length).toBeLessThan(400);
  });
});

describe('a query that fails on rows together, or on none', () => {
  it('names the one file that is read, and no row, where a sum overflows', async () => {
    const path = await place.parquet(
      'n.parquet',
      'select 4000000000000000000 as n from range(5000)',
      rowGroups,
    );
    const sql = 'select sum("n")::bigint as total from "n"';
    const program = queryProgram(sql, [leaf('n', { n: 'BIGINT' })], { total: 'BIGINT' });
    const sources = await sourcesOf(path);
    // Two rows already are too many, so that it can be halved to that.
    const failure = await failureOf(program, read('n', { sources }));
    expect(failure).toMatchObject({ code: 'E_SQL_RUNTIME', at: { file: path } });
    expect(failure?.at?.row).toBeUndefined();
    expect(failure?.message).not.toContain('fails for the row');
  });

  it('names the one column that cannot be computed, as users call it', async () => {
    const path = await place.parquet(
      'n.parquet',
      'select i as k, 4000000000000000000 as n from range(5000) t(i)',
    );
    const sql =
      'select "c1" % 2 as "c3", max("c1") as "c4", sum("c2")::bigint as "c5" from (select "k" as "c1", "n" as "c2" from "n") group by 1';
    const made = { c3: 'BIGINT', c4: 'BIGINT', c5: 'BIGINT' };
    const program = queryProgram(sql, [leaf('n', { k: 'BIGINT', n: 'BIGINT' })], made);
    const shown = { c3: 'half', c5: 'total' };
    const failure = await failureOf(
      { ...program, query: { ...program.query!, shown } },
      read('n', { sources: await sourcesOf(path) }),
    );
    expect(failure).toMatchObject({ code: 'E_SQL_RUNTIME', at: { file: path, column: 'total' } });
    expect(failure?.message).toMatch(
      /; of the sums in total the largest, as DOUBLE, is in the row \{"half":0,"c4":4998,"total":9\.99\d*e21\}$/,
    );
    expect(failure?.hint).toMatch(/^sum as DOUBLE, as in sum\(x::DOUBLE\)/);
  });

  it.each([
    ['that overflows while it is summed', 'sum("h")', 'HUGEINT'],
    ['that its producer writes', 'cast(sum("h") as DECIMAL(38,0))', 'DECIMAL(38,0)'],
    ['over a window', 'first(w)', 'HUGEINT'],
  ])(
    'names the group of a sum %s, and the first measure that fails of several',
    async (_what, sum, type) => {
      const path = await place.parquet(
        'n.parquet',
        `select i % 10 as k, (case when i % 10 = 7 then 3e36 else 1e30 end)::decimal(38,0) as n from range(1000) t(i)`,
      );
      const sql = `select "k" as "c1", count(*) as "c2", ${sum} as "c3", avg("h") as "c4"
      from (select "k", "n"::hugeint as "h", sum("n"::hugeint) over (partition by "k") as w from "n") group by "k"`;
      const made = { c1: 'BIGINT', c2: 'BIGINT', c3: type, c4: 'DOUBLE' };
      const program = queryProgram(sql, [leaf('n', { k: 'BIGINT', n: 'DECIMAL(38,0)' })], made);
      const shown = { c1: 'group', c2: 'n', c3: 'total', c4: 'mean' };
      const failure = await failureOf(
        { ...program, query: { ...program.query!, shown } },
        read('n', { sources: await sourcesOf(path) }),
      );
      expect(failure).toMatchObject({ code: 'E_SQL_RUNTIME', at: { column: 'total' } });
      expect(failure?.message).toMatch(
        /in the row \{"group":7,"n":100,"total":3\.0\d*e38,"mean":3\.0\d*e36\}$/,
      );
    },
  );

  it('says nothing of rows where it fails without any', async () => {
    const path = await place.parquet('orders.parquet', ordersQuery(-1));
    const sql = `select case when count(*) < 1000000 then error('too few') end as v from "orders"`;
    const program = queryProgram(sql, [leaves[0]!], { v: 'INTEGER' });
    const failure = await failureOf(program, read('orders', { sources: await sourcesOf(path) }));
    expect(failure).toMatchObject({ message: 'too few' });
    expect(failure).not.toHaveProperty('at');
  });

  it('says nothing of rows when it has no time to look for them', async () => {
    const path = await place.parquet('orders.parquet', ordersQuery(10));
    const sources = await sourcesOf(path);
    const program = queryProgram('select "k" from "orders"', [leaves[0]!], { k: 'INTEGER' });
    await place.run(program, [work(0, read('orders', { sources }))]);
    const failure = { kind: 'badData', code: 'E_SQL_RUNTIME', message: 'x' } as const;
    const failed = {
      kernel: place.runtime.kernel!,
      query: program.query!,
      steps: [],
      leaves: [{ sources, paths: [], slices: [] }],
      tried: () => Promise.resolve(failure),
    };
    for (const limits of [
      { runs: 0, ms: 1000 },
      { runs: 10, ms: 0 },
    ]) {
      expect(await explainQueryFailure(failure, failed, limits)).toBe(failure);
    }
  });

  it('gives the search up within its time, also amid a statement', async () => {
    const path = await place.parquet('orders.parquet', ordersQuery(10));
    const sources = await sourcesOf(path);
    const program = queryProgram('select "k" from "orders"', [leaves[0]!], { k: 'INTEGER' });
    await place.run(program, [work(0, read('orders', { sources }))]);
    const kernel = place.runtime.kernel!;
    const failure = { kind: 'badData', code: 'E_SQL_RUNTIME', message: 'x' } as const;
    const tried = () =>
      kernel.run(endless).then(
        () => undefined,
        () => ({ kind: 'cancelled', code: 'E_CANCELLED', message: '' }) as const,
      );
    const leavesRead = [{ sources, paths: [], slices: [] }];
    const failed = { kernel, query: program.query!, steps: [], leaves: leavesRead, tried };
    expect(await explainQueryFailure(failure, failed, { runs: 10, ms: 200 })).toBe(failure);
  });

  it('gives the example of a check up within its time, also amid a statement', async () => {
    const path = await place.parquet('orders.parquet', ordersQuery(10));
    const sources = await sourcesOf(path);
    const program = queryProgram('select "k" from "orders"', [leaves[0]!], { k: 'INTEGER' });
    await place.run(program, [work(0, read('orders', { sources }))]);
    const kernel = place.runtime.kernel!;
    const at = { step: 'some' };
    const failure = { kind: 'badData', code: 'E_EXPECT_FAILED', message: 'x', at } as const;
    const check = { name: 'some', predicate: 'false', action: 'fail' } as const;
    const steps = [{ kind: 'expect', id: 'some', checks: [check, check] } as const];
    let interrupted = 0;
    const first: FirstRow = (_, select) =>
      kernel.rows(select({ sql: endless, columns: ['h'], carriesRow: false, open: true })).then(
        ([row]) => row,
        () => void (interrupted += 1),
      );
    const failed = { kernel, steps, first };
    expect(await withExample(failure, failed, { ms: 200 })).toBe(failure);
    expect(interrupted).toBe(1);
    expect(await withExample(failure, failed, { ms: 0 })).toBe(failure);
    expect(interrupted).toBe(1);
  });

  it('is cancelled while it looks for the row like at any other time', async () => {
    const path = await place.parquet('orders.parquet', ordersQuery(8999), rowGroups);
    const sql = `select "k", max(hash(i)) as h from "orders", range(200000) t(i)
      where "amount"::integer >= 0 group by all`;
    const program = queryProgram(sql, [leaves[0]!], { k: 'INTEGER', h: 'UBIGINT' });
    const { scope } = place.runtime;
    const kernelOf = () => place.runtime.kernel;
    const watch = setInterval(() => {
      if (!kernelOf()) return;
      Atomics.store(scope.control, 0, controlWord.cancel);
      kernelOf()?.interrupt();
    }, 5);
    const failure = await failureOf(program, read('orders', { sources: await sourcesOf(path) }));
    clearInterval(watch);
    expect(failure).toMatchObject({ kind: 'cancelled', code: 'E_CANCELLED' });
  });
});

describe('what stands around the query', () => {
  const narrow: ProgramStep = {
    kind: 'select',
    id: 'narrow',
    columns: [{ name: 'v', expr: 'v::integer' }],
  };

  it('is named as the step that fails, with the row that led there', async () => {
    const path = await place.parquet('orders.parquet', ordersQuery(42));
    const sql = 'select "k", "amount" as v from "orders"';
    const result = queryProgram(sql, [leaves[0]!], { k: 'INTEGER', v: 'VARCHAR' });
    const program = {
      ...result,
      steps: [{ kind: 'filter', id: 'some', where: 'k >= 0' } as const, narrow],
      sink: { ...result.sink, columns: columns({ v: 'INTEGER' }) },
    };
    const failure = await failureOf(program, read('orders', { sources: await sourcesOf(path) }));
    expect(failure?.at).toEqual({ step: 'narrow', file: path, rowGroup: 0, row: 42 });
  });

  it('is no step where a value does not fit into the file’s type', async () => {
    const path = await place.parquet('orders.parquet', ordersQuery(-1));
    const sql = 'select ("k" - 8997)::integer as v from "orders" where "k" <> 8996';
    const result = queryProgram(sql, [leaves[0]!], { v: 'INTEGER' });
    const program = {
      ...result,
      sink: {
        ...result.sink,
        columns: columns({ v: 'UTINYINT' }),
      },
    };
    const failure = await failureOf(program, read('orders', { sources: await sourcesOf(path) }));
    expect(failure?.at).toEqual({ file: path, rowGroup: 0, row: 0 });
    expect(failure?.message).toContain('-8997');
  });

  it('is a file whose pages cannot be read, as in any other chunk', async () => {
    const path = await place.parquet('orders.parquet', ordersQuery(-1), ', compression zstd');
    const sound = await place.parquet('more.parquet', ordersQuery(-1));
    const bytes = readFileSync(path);
    bytes.fill(0x5a, 60, 400);
    writeFileSync(path, bytes);
    const program = queryProgram('select max("k") as k from "orders"', [leaves[0]!], {
      k: 'INTEGER',
    });
    const sources = [...(await sourcesOf(sound)), ...(await sourcesOf(path))];
    const failure = await failureOf(program, read('orders', { sources }));
    expect(failure).toMatchObject({
      kind: 'badData',
      code: 'E_PARQUET_CORRUPT',
      at: { file: path, rowGroup: 0 },
    });
  });
});
