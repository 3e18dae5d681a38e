/** The books of a job whose stages are those of a query: what enters each, and what entered the job. */
import { describe, expect, it } from 'vitest';
import { checkBooks, outputTotals } from '../../../coordinator/commit/books.js';
import type { StageId } from '../../../shared/ids.js';
import type { ChunkRecord, ExchangeInput, JobPlan, StagePlan } from '../../../shared/plan.js';
import { laidOut } from '../core/fixtures.js';
import { fileOf, ids } from '../planner/sizes.js';
import { identityOf, ledgers, outputOf, plan } from './fixture.js';

const [orders, users] = [fileOf('/o', [10, 5]), fileOf('/u', [4])];
const table = (...stages: string[]) => ({ kind: 'stages', stages: ids(...stages) }) as const;
const source = (name: string) => ({ kind: 'source', source: name }) as const;
const whole = (...tables: (ReturnType<typeof table> | ReturnType<typeof source>)[]) =>
  tables.map((each, at) => ({ leaf: `w${at}`, table: each }));
const split = (
  over: ReturnType<typeof table> | ReturnType<typeof source>,
  ...sides: ReturnType<typeof whole>
): ExchangeInput => ({
  kind: 'exchange',
  driving: { kind: 'split', leaf: 'l', table: over, units: 1, starts: [0] },
  whole: sides,
});
const partitions = (stages: string[], share: boolean): ExchangeInput => ({
  kind: 'exchange',
  driving: {
    kind: 'partitions',
    inputs: [{ leaf: 'p', stages: ids(...stages) }],
    ranges: share
      ? [0, 1].map((from) => ({ from: 0, to: 4, share: { input: 0, from, to: from + 1 } }))
      : [{ from: 0, to: 4 }],
  },
  whole: [],
});
const once = (...sides: ReturnType<typeof whole>): ExchangeInput => {
  return { kind: 'exchange', driving: { kind: 'once' }, whole: sides };
};
const wide = (id: string, input: ExchangeInput, rows = 0): StagePlan => {
  const stage = laidOut(id, input, { rows });
  return { ...stage, program: { ...stage.program, rowwise: false } };
};
/** One chunk a stage that takes in and gives so many rows. */
const booksOf = (
  stages: readonly StagePlan[],
  rows: Readonly<Record<string, readonly [rowsIn: number, rowsOut: number]>>,
) => {
  const base = plan('/r', []);
  const of: JobPlan = {
    ...base,
    stages,
    sources: { orders: [orders], users: [users] },
    outputs: [{ ...outputOf(base), stage: stages.at(-1)!.id }],
  };
  const records = stages.map(({ id }): [StageId, ChunkRecord[]] => {
    const [rowsIn, rowsOut] = rows[id]!;
    const counts = { rowsIn, rowsOut, filtered: 0, dead: 0, inferred: 0, warnings: {} };
    const file = { path: `/c/${id}`, rows: rowsOut, bytes: 1, sha256: 's', partition: [] };
    return [id, [{ identity: identityOf(id), files: [file], counts }]];
  });
  const kept = ledgers(of, new Map(records));
  const { failure } = checkBooks(of, kept);
  return { message: failure?.message, totals: outputTotals(of, outputOf(of), kept) };
};
const parts = [wide('s0_1', split(source('orders')), 15), wide('s0_2', split(source('users')), 4)];

describe('the books of a query', () => {
  it('balance when each stage read all rows that there are for it', () => {
    const own = wide('s0', partitions(['s0_1', 's0_2'], false));
    const { message, totals } = booksOf([...parts, own], {
      s0_1: [15, 12],
      s0_2: [4, 4],
      s0: [16, 7],
    });
    expect(message).toBeUndefined();
    expect(totals).toEqual({ in: 19, out: 7, filtered: 0, deadLettered: 0 });
  });

  it.each([
    ['of a source', { s0_1: [14, 12], s0_2: [4, 4], s0: [16, 7] }, /s0_1 read 14 rows of the 15/],
    ['of stages', { s0_1: [15, 12], s0_2: [4, 4], s0: [15, 7] }, /s0 read 15 rows of the 16/],
  ] as const)('do not balance when a row %s is missing', (_, rows, message) => {
    const own = wide('s0', partitions(['s0_1', 's0_2'], false));
    expect(booksOf([...parts, own], rows).message).toMatch(message);
  });

  it('count what is read whole where it is all that one chunk reads', () => {
    const own = (rows: number) =>
      booksOf([parts[0]!, wide('s0', once(...whole(table('s0_1'), source('users'))), 4)], {
        s0_1: [15, 12],
        s0: [rows, 1],
      });
    expect(own(16).message).toBeUndefined();
    expect(own(16).totals.in).toBe(19);
    expect(own(12).message).toMatch(/s0 read 12 rows of the 16/);
  });

  it('leave out what every chunk reads whole, but not where its rows come from', () => {
    const own = wide('s0', split(source('orders'), ...whole(source('users'))), 15);
    const { message, totals } = booksOf([own], { s0: [15, 9] });
    expect(message).toBeUndefined();
    expect(totals).toMatchObject({ in: 19, out: 9 });
  });

  it('count chunks of stages that are dealt out', () => {
    const own = (rows: number) =>
      booksOf([...parts, wide('s0', split(table('s0_1', 's0_2')))], {
        s0_1: [15, 12],
        s0_2: [4, 4],
        s0: [rows, rows],
      });
    expect(own(16).message).toBeUndefined();
    expect(own(17).message).toMatch(/s0 read 17 rows of the 16/);
  });

  it('cannot tell how often rows are read beside a share of a partition', () => {
    const own = wide('s0', partitions(['s0_1', 's0_2'], true));
    const rows = { s0_1: [15, 12], s0_2: [4, 4], s0: [20, 7] } as const;
    expect(booksOf([...parts, own], rows).message).toBeUndefined();
  });

  it('count a source that is read several times as one that entered once', () => {
    const twice = [parts[0]!, wide('s0_2', split(source('orders')), 15)];
    const { totals } = booksOf([...twice, wide('s0', partitions(['s0_1', 's0_2'], false))], {
      s0_1: [15, 12],
      s0_2: [15, 3],
      s0: [15, 7],
    });
    expect(totals.in).toBe(15);
  });
});
