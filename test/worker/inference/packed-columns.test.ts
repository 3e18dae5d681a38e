import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Workbench, identityGraph, inferStep, output, scalarInput } from './duck.js';

let bench: Workbench;
beforeEach(async () => {
  bench = await Workbench.open();
});
afterEach(() => bench.close());

const width = 3;
const columns = { a: 'DOUBLE', b: 'INTEGER', c: 'SMALLINT' };
const rows = 5_000;

/** A model that answers with its input, over three columns of different types. */
async function echo(more: Parameters<typeof inferStep>[2] = {}, rowSql?: string) {
  const path = bench.writeModel(identityGraph('float32', ['N', width]));
  const step = inferStep(
    [scalarInput('x', 'float32', [null, width], columns)],
    [output('y', 'float32', [null, width], 'FLOAT[]')],
    more,
  );
  return bench.predict(path, step, rowSql === undefined ? {} : { rowSql });
}

describe('columns packed for a tensor', () => {
  it('reach the model as one argument, row by row in the order of the step', async () => {
    const { call, parameterTypes } = await echo();
    expect(parameterTypes.map(String)).toEqual(['FLOAT[]']);
    const wrong = `select count(*) from (select i, ${call} y from
      (select i, i + 0.5 a, -i b, i % 100 c from range(${rows}) t(i)))
      where y <> [i + 0.5, -i, i % 100]::float[]`;
    expect(await bench.column(wrong)).toEqual([0n]);
  });

  it('reach it for every row when all of them are constants', async () => {
    const { call } = await echo();
    const source = `(select 1.5 a, 2 b, 3 c from range(${rows}))`;
    expect(await bench.rows(`select ${call} y, count(*) from ${source} group by y`)).toEqual([
      [[1.5, 2, 3], BigInt(rows)],
    ]);
  });

  it('reach it for every row that a filter below left over', async () => {
    const { call, rowsInferred } = await echo();
    const kept = `(select i::double a, 2 * i b, i % 7 c from range(${rows}) t(i) where i % 3 = 1)`;
    const wrong = `select count(*) from (select a, ${call} y from ${kept})
      where y <> [a, 2 * a, a % 7]::float[]`;
    expect(await bench.column(wrong)).toEqual([0n]);
    expect(rowsInferred()).toBe(1_667);
  });

  it('name the column that is NULL, not the first one', async () => {
    const { call } = await echo({}, 'i');
    const source = `(select i, 1.0 a, case when i <> 4099 then 2 end b, 3 c from range(${rows}) t(i))`;
    await expect(bench.rows(`select ${call} from ${source}`)).rejects.toThrow(
      'E_NULL_INPUT: column "b" is NULL (step scored, column b, row 4099)',
    );
  });

  it('leave only the rows without NULL to the model, in whatever column it stands', async () => {
    const { call } = await echo({ onNull: 'deadLetter' }, 'i');
    const source = `(select i, case when i % 1000 <> 0 then i end a, i b,
      case when i % 1000 <> 999 then i % 100 end c from range(${rows}) t(i))`;
    const kept = `(select i, p.o0 y from (select i, ${call} p from ${source}) where p.ok)`;
    const wrong = 'count(*) filter (where y <> [i, i, i % 100]::float[])';
    expect(await bench.rows(`select count(*), ${wrong} from ${kept}`)).toEqual([[4_990n, 0n]]);
    expect(bench.dead.map(({ row, message }) => [row, message])).toEqual(
      [0, 1, 2, 3, 4].flatMap((k) => [
        [1000 * k, 'column "a" is NULL'],
        [1000 * k + 999, 'column "c" is NULL'],
      ]),
    );
  });

  it('are all bad where one of them is a constant NULL', async () => {
    const { call } = await echo({ onNull: 'null' });
    const source = `(select 1.5 a, null::integer b, 3 c from range(${rows}))`;
    expect(await bench.rows(`select ${call} y, count(*) from ${source} group by y`)).toEqual([
      [null, BigInt(rows)],
    ]);
  });
});
