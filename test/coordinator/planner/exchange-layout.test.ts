import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  exchangeLayout,
  type ExchangeSizes,
} from '../../../coordinator/planner/exchange-layout.js';

const mega = 1024 * 1024;
const sizes = (bytes: number[][], divisible = false): ExchangeSizes => ({
  partitions: bytes[0]?.length ?? 0,
  bytes: bytes.map((producer) =>
    producer.flatMap((each, partition) => (each > 0 ? [{ partition, bytes: each }] : [])),
  ),
  divisible,
});

describe('chunks behind an exchange', () => {
  test('small neighbours are read together', () => {
    const small = sizes([new Array<number>(64).fill(0.1 * mega)]);
    const { chunks } = exchangeLayout([small], { targetBytes: 64 * mega, slots: 2 });
    expect(chunks).toEqual([
      { from: 0, to: 32 },
      { from: 32, to: 64 },
    ]);
  });

  test('next to nothing makes one chunk', () => {
    const tiny = sizes([new Array<number>(64).fill(10)]);
    const { chunks } = exchangeLayout([tiny], { targetBytes: 64 * mega, slots: 8 });
    expect(chunks).toEqual([{ from: 0, to: 64 }]);
  });

  test('are as small as is asked for, and equal', () => {
    const small = sizes([new Array<number>(40).fill(0.01 * mega)]);
    const { chunks } = exchangeLayout([small], { targetBytes: 0.06 * mega, slots: 1 });
    expect(chunks).toHaveLength(7);
  });

  test('no rows at all make one chunk, so that the schema is published', () => {
    const none = sizes([new Array<number>(4).fill(0)]);
    const { chunks } = exchangeLayout([none], { targetBytes: 64 * mega, slots: 8 });
    expect(chunks).toEqual([{ from: 0, to: 4 }]);
  });

  test('a skewed partition of an input that may be divided is read in shares of producers', () => {
    const producers = Array.from({ length: 10 }, () => [mega, 40 * mega, mega, mega]);
    const layout = exchangeLayout([sizes(producers, true), sizes([[mega, mega, mega, mega]])], {
      targetBytes: 100 * mega,
      slots: 2,
    });
    expect(layout.skewed).toEqual([{ partition: 1, input: 0, bytes: 401 * mega, shares: 5 }]);
    expect(layout.chunks.filter(({ share }) => share !== undefined)).toEqual(
      [0, 2, 4, 6, 8].map((from) => ({
        from: 1,
        to: 2,
        share: { input: 0, from, to: from + 2 },
      })),
    );
  });

  test('a skewed partition of an input that must stay whole is read by one chunk', () => {
    const producers = Array.from({ length: 10 }, () => [mega, 40 * mega, mega, mega]);
    const layout = exchangeLayout([sizes(producers)], { targetBytes: 100 * mega, slots: 2 });
    expect(layout.skewed).toEqual([]);
    expect(layout.chunks.every(({ share }) => share === undefined)).toBe(true);
  });

  test('each producer of each partition is read once, and by all shares where it is not the one divided', () => {
    const table = fc.integer({ min: 1, max: 12 }).chain((partitions) =>
      fc.tuple(
        ...[true, false].map((divisible) =>
          fc
            .array(
              fc.array(fc.integer({ min: 0, max: 60 * mega }), {
                minLength: partitions,
                maxLength: partitions,
              }),
              { minLength: 1, maxLength: 9 },
            )
            .map((bytes) => sizes(bytes, divisible)),
        ),
      ),
    );
    fc.assert(
      fc.property(table, fc.integer({ min: 1, max: 16 }), (inputs, slots) => {
        const { chunks } = exchangeLayout(inputs, { targetBytes: 64 * mega, slots });
        const { partitions } = inputs[0]!;
        for (const [at, input] of inputs.entries()) {
          for (let partition = 0; partition < partitions; partition += 1) {
            const readers = chunks.filter(({ from, to }) => from <= partition && partition < to);
            const shared = readers[0]?.share;
            for (let producer = 0; producer < input.bytes.length; producer += 1) {
              const reading = readers.filter(
                ({ share }) =>
                  share?.input !== at || (share.from <= producer && producer < share.to),
              );
              expect(reading).toHaveLength(shared && shared.input !== at ? readers.length : 1);
            }
          }
        }
      }),
    );
  });
});
