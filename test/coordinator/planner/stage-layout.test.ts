import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Fragment } from '../../../coordinator/planner/relational/physical.js';
import { sourceChunks } from '../../../coordinator/planner/splits.js';
import {
  layOut,
  type LayoutFacts,
  type StageLayout,
  type StageResult,
} from '../../../coordinator/planner/stage-layout.js';
import { stageId } from '../../../shared/ids.js';
import { limits } from '../../../shared/limits.js';
import type { DrivingInput, InputFile, TableRef } from '../../../shared/plan.js';
import { fileOf, lookup, mega, resultOf } from './sizes.js';

type Shape = Pick<Fragment, 'driving' | 'sides'>;
const tables: Readonly<Record<string, TableRef>> = {
  orders: { kind: 'source', source: 'orders' },
  users: { kind: 'source', source: 'users' },
  kept: { kind: 'stages', stages: [stageId('s0')] },
};
const files = [fileOf('/o/1.parquet', [400_000, 400_000, 400_000], 30 * mega)];
const users = [fileOf('/u/1.parquet', [500], mega)];

function laidOut(
  shape: Shape,
  more: Partial<LayoutFacts> = {},
  known: Parameters<typeof layOut>[2] = tables,
): StageLayout {
  const facts = { sources: { orders: files, users }, results: lookup({}), slots: 4, ...more };
  return layOut(stageId('s1'), shape, known, (key) => stageId(`stage of ${key}`), facts);
}
const splitOf = ({ input }: StageLayout) =>
  input.driving as Extract<DrivingInput, { kind: 'split' }>;
const rangesOf = ({ input }: StageLayout) =>
  (input.driving as Extract<DrivingInput, { kind: 'partitions' }>).ranges;
const source: Shape = { driving: { kind: 'source', leaf: 'o', source: 'orders' }, sides: [] };
const chunks: Shape = { driving: { kind: 'chunks', leaf: 'c', stages: ['k'] }, sides: [] };
const partitions = (divisible: boolean): Shape => ({
  driving: {
    kind: 'partitions',
    inputs: [
      { leaf: 'l', stages: ['k', 'm'], divisible },
      { leaf: 'r', stages: ['n'], divisible: false },
    ],
  },
  sides: [],
});

/** Every cut is followed by another one or by the end, and tasks cut the chunks. */
function expectWhole({ starts, units }: { starts: readonly number[]; units: number }): void {
  if (units > 0) expect(starts[0]).toBe(0);
  starts.forEach((start, at) => expect(start).toBeLessThan(starts[at + 1] ?? units));
}

describe('a source that a query splits', () => {
  test('takes row groups that follow one another together, in about eight chunks', () => {
    const laid = laidOut(source);
    const units = sourceChunks({ kind: 'source', source: 'orders', files });
    expect(splitOf(laid)).toMatchObject({ leaf: 'o', table: tables.orders, units: units.length });
    const rows = splitOf(laid).starts.map((start, at) =>
      units
        .slice(start, splitOf(laid).starts[at + 1] ?? units.length)
        .reduce((sum, { rowStart, rowEnd }) => sum + rowEnd - rowStart, 0),
    );
    expect(rows.length).toBeGreaterThan(6);
    expect(Math.max(...rows)).toBeLessThanOrEqual(1_200_000 / 8);
    expect(laid.rows).toBe(1_200_000);
  });

  test('takes small files together', () => {
    const small = [1, 2, 3].map((at) => fileOf(`/o/${at}.parquet`, [10, 10]));
    const laid = laidOut(source, { sources: { orders: small } });
    expect(splitOf(laid)).toMatchObject({ units: 6, starts: [0] });
    expect(laid.rows).toBe(60);
  });

  test('has chunks of a bounded number of rows', () => {
    const group = limits.chunkRowsWhole;
    const large = [1, 2].map((at) =>
      fileOf(`/o/${at}.parquet`, new Array<number>(200).fill(group)),
    );
    const { starts, units } = splitOf(laidOut(source, { sources: { orders: large } }));
    expect(units).toBe(400);
    starts.forEach((start, at) => {
      expect(((starts[at + 1] ?? units) - start) * group).toBeLessThanOrEqual(limits.wideChunkRows);
    });
    expect(starts.length).toBe(Math.ceil(400 / Math.floor(limits.wideChunkRows / group)));
  });

  test('cuts no file where files are ranged by a column', () => {
    const large = [1, 2, 3].map((at) =>
      fileOf(`/o/${at}.parquet`, [100_000, 100_000, 100_000], 10 * mega),
    );
    const apart = {
      column: 'id',
      files: [
        ['1', '9'],
        ['10', '19'],
        ['20', '29'],
      ],
    } as const;
    const ranged = { orders: { kind: 'source', source: 'orders', ranged: [apart] } } as const;
    const laid = laidOut(source, { sources: { orders: large } }, ranged);
    expect(splitOf(laid)).toMatchObject({ units: 9, starts: [0, 3, 6] });
  });

  test('is read with those files of another that are ranged as its own are', () => {
    const large = [1, 2, 3].map((at) => fileOf(`/o/${at}.parquet`, [100_000, 100_000], 10 * mega));
    const others = [1, 2, 3, 4].map((at) => fileOf(`/u/${at}.parquet`, [50, 50], mega));
    const own = {
      column: 'id',
      files: [
        ['1', '9'],
        ['20', '29'],
        ['10', '19'],
      ],
    } as const;
    const theirs = {
      column: 'key',
      files: [['5', '12'], null, ['13', '18'], ['29', '90']],
    } as const;
    const known = {
      orders: { kind: 'source', source: 'orders', ranged: [own] },
      users: { kind: 'source', source: 'users', ranged: [theirs] },
    } as const;
    const among = { driving: 'id', column: 'key' };
    const side = { kind: 'source', leaf: 'u', source: 'users', among } as const;
    const sources = { orders: large, users: others };
    const laid = laidOut({ ...source, sides: [side] }, { sources }, known);
    expect(splitOf(laid).starts).toEqual([0, 2, 4]);
    expect(laid.input.whole).toEqual([
      {
        leaf: 'u',
        table: tables.users,
        slices: [
          [[0, 2]],
          [[6, 8]],
          [
            [0, 2],
            [4, 6],
          ],
        ],
      },
    ]);
  });

  test('without rows is one chunk, so that the schema is published', () => {
    const laid = laidOut(source, { sources: { orders: [fileOf('/o/0.parquet', [])] } });
    expect(splitOf(laid)).toMatchObject({ units: 1, starts: [0] });
    expect(laid).toMatchObject({ rows: 0, taskStarts: [0] });
  });

  test('covers all rows, whatever its files and row groups', () => {
    const groups = fc.array(fc.integer({ min: 0, max: 600_000 }), { maxLength: 5 });
    fc.assert(
      fc.property(fc.array(groups, { minLength: 1, maxLength: 4 }), (all) => {
        const orders: InputFile[] = all.map((rows, at) => fileOf(`/o/${at}`, rows, 5 * mega));
        const laid = laidOut(source, { sources: { orders } });
        const { starts, units } = splitOf(laid);
        expect(units).toBe(
          sourceChunks({ kind: 'source', source: 'orders', files: orders }).length,
        );
        expectWhole({ starts, units });
        expectWhole({ starts: laid.taskStarts, units: starts.length });
        expect(laid.rows).toBe(all.flat().reduce((sum, rows) => sum + rows, 0));
      }),
    );
  });
});

describe('chunks of stages that a query reads on', () => {
  test('are taken together where they are small, and never cut', () => {
    const sizes = [1, 1, 1, 40, 1, 1].map((size) => size * mega);
    const laid = laidOut(chunks, { results: lookup({ 'stage of k': resultOf(sizes) }) });
    expect(splitOf(laid)).toEqual({
      kind: 'split',
      leaf: 'c',
      table: { kind: 'stages', stages: ['stage of k'] },
      units: 6,
      starts: [0, 3, 4],
    });
    expect(laid.rows).toBe(0);
  });

  test('are as large as was wished for', () => {
    const sizes = new Array<number>(8).fill(mega);
    const of = (targetBytes: number) =>
      splitOf(
        laidOut(chunks, {
          results: lookup({ 'stage of k': resultOf(sizes) }),
          wanted: { targetBytes },
        }),
      ).starts;
    expect(of(mega)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(of(4 * mega)).toEqual([0, 4]);
    expect(of(1000 * mega)).toEqual([0]);
  });

  test('of a table are those of its stages', () => {
    const shape: Shape = { driving: { kind: 'source', leaf: 't', source: 'kept' }, sides: [] };
    const laid = laidOut(shape, { results: lookup({ s0: resultOf([mega, 20 * mega]) }) });
    expect(splitOf(laid)).toMatchObject({ table: tables.kept, units: 2, starts: [0, 1] });
    expect(laid.rows).toBe(0);
  });
});

describe('partitions that a query reads', () => {
  const results = (bytes: number) =>
    lookup({
      'stage of k': resultOf([bytes, bytes], 16),
      'stage of m': resultOf([bytes], 16),
      'stage of n': resultOf([bytes], 16),
    });

  test('are read together where they are small', () => {
    const laid = laidOut(partitions(true), { results: results(mega) });
    expect(rangesOf(laid)).toEqual([
      { from: 0, to: 4 },
      { from: 4, to: 8 },
      { from: 8, to: 12 },
      { from: 12, to: 16 },
    ]);
  });

  test('are as many as was wished for, however small', () => {
    const laid = laidOut(partitions(true), { results: results(16), wanted: { partitions: 16 } });
    expect(rangesOf(laid)).toEqual(
      Array.from({ length: 16 }, (_, from) => ({ from, to: from + 1 })),
    );
  });

  test('by keys and of a wished size are taken together up to that', () => {
    const laid = laidOut(partitions(false), {
      results: results(mega),
      wanted: { keys: ['a'], targetBytes: 2 * mega },
    });
    expect(rangesOf(laid)).toEqual([
      { from: 0, to: 8 },
      { from: 8, to: 16 },
    ]);
  });

  test('that are skewed are dealt out, which is told with the stages they come from', () => {
    const skewed: StageResult = {
      ...resultOf([], 4),
      chunks: Array.from({ length: 6 }, () => ({
        bytes: 61 * mega,
        parts: [0, 1, 2, 3].map((partition) => ({
          partition,
          bytes: partition === 2 ? 58 * mega : mega,
        })),
      })),
    };
    const laid = laidOut(partitions(true), {
      results: lookup({
        'stage of k': skewed,
        'stage of m': resultOf([0], 4),
        'stage of n': resultOf([4 * mega], 4),
      }),
    });
    expect(laid.notes).toHaveLength(1);
    expect(laid.notes[0]).toMatchObject({ kind: 'exchange', step: 's1' });
    expect(laid.notes[0]!.text).toContain('partition 2 of stage of k and stage of m');
    const shares = rangesOf(laid).flatMap(({ share }) => share ?? []);
    expect(shares.length).toBeGreaterThan(1);
    expectWhole({ starts: shares.map(({ from }) => from), units: shares.at(-1)!.to });
    expect(shares.at(-1)!.to).toBe(7);
  });

  test('are all read, and tasks cut the chunks, whatever the sizes', () => {
    const results = fc.array(fc.array(fc.integer({ min: 0, max: 90 * mega }), { maxLength: 6 }), {
      minLength: 3,
      maxLength: 3,
    });
    fc.assert(
      fc.property(results, fc.boolean(), ([k, m, n], divisible) => {
        const laid = laidOut(partitions(divisible), {
          results: lookup({
            'stage of k': resultOf(k!, 8),
            'stage of m': resultOf(m!, 8),
            'stage of n': resultOf(n!, 8),
          }),
        });
        const ranges = rangesOf(laid);
        const read = ranges.flatMap(({ from, to, share }) =>
          share && share.from > 0 ? [] : Array.from({ length: to - from }, (_, at) => from + at),
        );
        expect(read).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
        expectWhole({ starts: laid.taskStarts, units: ranges.length });
      }),
    );
  });
});

test('one chunk that reads everything has the rows of all sources in it', () => {
  const shape: Shape = {
    driving: { kind: 'once' },
    sides: [
      { kind: 'source', leaf: 'o', source: 'orders' },
      { kind: 'source', leaf: 'u', source: 'users' },
      { kind: 'stages', leaf: 'k.all', stages: ['k'] },
    ],
  };
  expect(laidOut(shape)).toEqual({
    input: {
      kind: 'exchange',
      driving: { kind: 'once' },
      whole: [
        { leaf: 'o', table: tables.orders },
        { leaf: 'u', table: tables.users },
        { leaf: 'k.all', table: { kind: 'stages', stages: ['stage of k'] } },
      ],
    },
    taskStarts: [0],
    rows: 1_200_500,
    notes: [],
  });
});

test('chunks do not depend on how many slots there are, tasks do', () => {
  const results = lookup({
    'stage of k': resultOf([300 * mega, 200 * mega], 64),
    'stage of m': resultOf([mega], 64),
    'stage of n': resultOf([90 * mega], 64),
  });
  const many = Array.from({ length: 100 }, (_, at) => fileOf(`/o/${at}`, [100_000], 2 * mega));
  for (const shape of [source, chunks, partitions(true)]) {
    const [one, hundred] = [1, 100].map((slots) =>
      laidOut(shape, { results, slots, sources: { orders: many } }),
    );
    expect(hundred!.input).toEqual(one!.input);
  }
  const tasks = [1, 100].map(
    (slots) => laidOut(source, { slots, sources: { orders: many } }).taskStarts.length,
  );
  expect(tasks[1]).toBeGreaterThan(tasks[0]!);
});
