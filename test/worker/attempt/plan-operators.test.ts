import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { outermostHolder } from '../../../worker/attempt/plan-operators.js';
import { Kernel } from '../../../worker/kernel/duckdb.js';

let root: string;
let kernel: Kernel;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'windrow-operators-'));
  const spillDirectory = join(root, 'spill');
  kernel = await Kernel.open({ directories: [], memoryLimitBytes: 1 << 28, spillDirectory });
});
afterAll(() => {
  kernel.close();
  rmSync(root, { recursive: true });
});

const rows = '(select i, i % 3 as k, hash(i) as h from range(100) t(i))';

describe('the operator that most likely held the memory', () => {
  it.each([
    ['a join', `select a.i from ${rows} a join ${rows} b on a.h = b.h`],
    ['a join', `select a.i from ${rows} a left join ${rows} b on a.h < b.h`],
    ['a join', `select a.i, b.i from ${rows} a, ${rows} b`],
    ['an aggregation', `select k, list(h) from ${rows} group by k`],
    ['an aggregation', `select distinct h from ${rows}`],
    ['an aggregation', `select list(h) from ${rows}`],
    ['a sort', `select * from ${rows} order by h`],
    ['a sort', `select * from ${rows} order by h limit 5`],
    ['a window function', `select sum(i) over (partition by k order by h) from ${rows}`],
  ])('is %s in %s', async (holder, sql) => {
    expect(await outermostHolder(kernel, sql)).toBe(holder);
  });

  it('is the outermost of several, but for a bare count that holds nothing', async () => {
    const sorted = `select a.h from ${rows} a join ${rows} b on a.h = b.h order by a.h`;
    expect(await outermostHolder(kernel, sorted)).toBe('a sort');
    const counted = `select count(*) from (select row_number() over (order by h) as n from ${rows}) where n % 2 = 0`;
    expect(await outermostHolder(kernel, counted)).toBe('a window function');
  });

  it('is none where rows only pass through', async () => {
    expect(await outermostHolder(kernel, `select i + 1 from ${rows} where h > 7`)).toBeUndefined();
    expect(await outermostHolder(kernel, `select row_number() over () from ${rows}`)).toBe(
      undefined,
    );
  });
});
