import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  exchangeChunkCount,
  leafNeeds,
  stagesRead,
  type LeafNeeds,
  type PlacedRange,
  type TableFacts,
} from '../../../coordinator/planner/exchange-chunks.js';
import { sourceChunks } from '../../../coordinator/planner/splits.js';
import { stageId } from '../../../shared/ids.js';
import type { ExchangeInput, StagePlan } from '../../../shared/plan.js';
import { stagePlan } from '../core/fixtures.js';
import { fileOf, ids } from './sizes.js';

const orders: PlacedRange[] = [10, 20, 30, 40].map((rows, file) => ({
  file: fileOf(`/data/${file}.parquet`, [rows]),
  range: { file, rowGroup: 0, rowStart: 0, rowEnd: rows },
}));
const counts: Readonly<Record<string, number>> = { a: 3, b: 0, c: 2 };
const facts: TableFacts = {
  ranges: (source) => (source === 'orders' ? orders : []),
  count: (stage) => counts[stage]!,
};
const source = { kind: 'source', source: 'orders' } as const;
const stages = { kind: 'stages', stages: ids('a', 'b', 'c') } as const;
const all = [
  { stage: 'a', from: 0, to: 3 },
  { stage: 'b', from: 0, to: 0 },
  { stage: 'c', from: 0, to: 2 },
];

function split(
  table: typeof source | typeof stages,
  units: number,
  starts: readonly number[],
  whole: ExchangeInput['whole'] = [],
): ExchangeInput {
  return { kind: 'exchange', driving: { kind: 'split', leaf: 'l', table, units, starts }, whole };
}

function needsOf(input: ExchangeInput): LeafNeeds[][] {
  return Array.from({ length: exchangeChunkCount(input) }, (_, chunk) =>
    leafNeeds(input, chunk, facts),
  );
}

/** Cuts of so many units: ascending, the first one 0. */
const cuts = (units: number) =>
  fc.subarray(Array.from({ length: units - 1 }, (_, k) => k + 1)).map((rest) => [0, ...rest]);
const unitsOf = ({ runs }: LeafNeeds): string[] =>
  runs.flatMap(({ stage, from, to }) =>
    Array.from({ length: to - from }, (_, at) => `${stage}/${from + at}`),
  );

describe('what a chunk reads', () => {
  test('of a source that is split: its own ranges, each of them read by one chunk', () => {
    fc.assert(
      fc.property(cuts(orders.length), (starts) => {
        const needs = needsOf(split(source, orders.length, starts));
        expect(needs).toHaveLength(starts.length);
        expect(needs.flatMap(([leaf]) => leaf!.ranges)).toEqual(orders);
        expect(needs.every(([leaf]) => leaf!.ranges.length > 0)).toBe(true);
      }),
    );
  });

  test('of stages that are split: its own chunks, each of them read by one, in their order', () => {
    fc.assert(
      fc.property(cuts(5), (starts) => {
        const needs = needsOf(split(stages, 5, starts));
        expect(needs.flatMap(([leaf]) => unitsOf(leaf!))).toEqual([
          'a/0',
          'a/1',
          'a/2',
          'c/0',
          'c/1',
        ]);
        expect(needs.every(([leaf]) => unitsOf(leaf!).length > 0)).toBe(true);
      }),
    );
  });

  test('besides what drives it: all of what is read whole', () => {
    const whole = [
      { leaf: 'users', table: source },
      { leaf: 'small', table: stages },
    ];
    for (const needs of needsOf(split(source, 4, [0, 2], whole))) {
      expect(needs.slice(1)).toEqual([
        { leaf: 'users', ranges: orders, runs: [] },
        { leaf: 'small', ranges: [], runs: all },
      ]);
    }
    const once: ExchangeInput = { kind: 'exchange', driving: { kind: 'once' }, whole };
    expect(needsOf(once)).toEqual([
      [
        { leaf: 'users', ranges: orders, runs: [] },
        { leaf: 'small', ranges: [], runs: all },
      ],
    ]);
  });

  test('of divided stages: its partitions of all their chunks, or a share of one input', () => {
    const input: ExchangeInput = {
      kind: 'exchange',
      driving: {
        kind: 'partitions',
        inputs: [
          { leaf: 'left', stages: ids('a', 'b', 'c') },
          { leaf: 'right', stages: ids('c') },
        ],
        ranges: [
          { from: 0, to: 2 },
          { from: 2, to: 3, share: { input: 0, from: 0, to: 2 } },
          { from: 2, to: 3, share: { input: 0, from: 2, to: 5 } },
        ],
      },
      whole: [],
    };
    const right = (partitions: LeafNeeds['partitions']) => ({
      leaf: 'right',
      ranges: [],
      runs: [{ stage: 'c', from: 0, to: 2 }],
      partitions,
    });
    const third = { from: 2, to: 3 };
    expect(needsOf(input)).toEqual([
      [
        { leaf: 'left', ranges: [], runs: all, partitions: { from: 0, to: 2 } },
        right({ from: 0, to: 2 }),
      ],
      [
        { leaf: 'left', ranges: [], runs: [{ stage: 'a', from: 0, to: 2 }], partitions: third },
        right(third),
      ],
      [
        {
          leaf: 'left',
          ranges: [],
          runs: [
            { stage: 'a', from: 2, to: 3 },
            { stage: 'c', from: 0, to: 2 },
          ],
          partitions: third,
        },
        right(third),
      ],
    ]);
  });

  test('of a chunk that is not there: an error', () => {
    const none: ExchangeInput = {
      kind: 'exchange',
      driving: { kind: 'partitions', inputs: [], ranges: [] },
      whole: [],
    };
    expect(() => leafNeeds(none, 0, facts)).toThrow(RangeError);
  });

  test('of a source is what splits cut it into', () => {
    const files = [fileOf('/data/large.parquet', [300_000, 5])];
    const cut = sourceChunks({ kind: 'source', source: 'orders', files });
    const ranges = cut.map((range) => ({ file: files[0]!, range }));
    const input = split(source, cut.length, [0, 3]);
    const [first, second] = [0, 1].map((chunk) =>
      leafNeeds(input, chunk, { ...facts, ranges: () => ranges }),
    );
    expect([first, second].map((needs) => needs![0]!.ranges.length)).toEqual([3, cut.length - 3]);
  });
});

describe('stages that a stage reads', () => {
  const over = (input: StagePlan['input']): readonly string[] =>
    stagesRead({ ...stagePlan({}), input });

  test('are none for one over files or over nothing', () => {
    expect(over(stagePlan({}).input)).toEqual([]);
    expect(over({ kind: 'empty', chunks: 3 })).toEqual([]);
    expect(over(split(source, 4, [0]))).toEqual([]);
  });

  test('are each named once, however often they are read', () => {
    expect(over({ kind: 'stage', stage: stageId('a') })).toEqual(['a']);
    expect(over(stagePlan({ query: ['a', 'b'] }).input)).toEqual(['a', 'b']);
    const twice: ExchangeInput = {
      kind: 'exchange',
      driving: {
        kind: 'partitions',
        inputs: [
          { leaf: 'l', stages: ids('a', 'b') },
          { leaf: 'r', stages: ids('b') },
        ],
        ranges: [],
      },
      whole: [{ leaf: 'w', table: { kind: 'stages', stages: ids('c', 'a') } }],
    };
    expect(over(twice)).toEqual(['a', 'b', 'c']);
  });
});
