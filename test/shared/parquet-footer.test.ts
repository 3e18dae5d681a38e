import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WindrowError, type Failure } from '../../shared/failure.js';
import { readFooter } from '../../shared/parquet-footer.js';

const directory = mkdtempSync(join(tmpdir(), 'windrow-footer-'));
const good = join(directory, 'good.parquet');
let bytes: Buffer;

beforeAll(async () => {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  await connection.run(
    `copy (select i::integer as n, 't' || i as s, timestamp '2026-01-01' + to_days(i::integer) as at,
       date '2026-01-01' + i::integer as d, i * 0.5 as x, i::ubigint as u, {'a': i} as nested
     from range(5000) t(i)) to '${good}' (format parquet, row_group_size 2048)`,
  );
  connection.closeSync();
  instance.closeSync();
  bytes = readFileSync(good);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function refusal(content: Uint8Array): Promise<Failure> {
  const path = join(directory, 'bad.parquet');
  writeFileSync(path, content);
  try {
    await readFooter(path);
  } catch (error) {
    if (error instanceof WindrowError) return error.failure;
    throw error;
  }
  throw new Error('the footer was accepted');
}

/** A file that is nothing but this footer. */
function withFooter(footer: readonly number[], length = footer.length): Buffer {
  const tail = Buffer.alloc(8, 'PAR1');
  tail.writeUInt32LE(length, 0);
  return Buffer.concat([Buffer.from('PAR1'), Buffer.from(footer), tail]);
}

describe('a good footer', () => {
  test('gives rows, columns and only statistics that can be trusted', async () => {
    const footer = await readFooter(good);
    expect(footer.rowGroupRows).toEqual([2048, 2048, 904]);
    expect(footer.rows).toBe(5000);
    expect(footer.columns.map((column) => column.name)).toEqual([
      'n',
      's',
      'at',
      'd',
      'x',
      'u',
      'nested',
    ]);
    expect([...footer.stats.keys()].sort()).toEqual(['at', 'd', 'n', 's']);
    const second = { kind: 'integer', min: 2048n, max: 4095n, noNulls: true };
    expect(footer.stats.get('n')![1]).toEqual(second);
    const micros = BigInt(Date.UTC(2026, 0, 1)) * 1000n;
    expect(footer.stats.get('at')![0]).toMatchObject({ kind: 'timestamp', min: micros });
    expect(footer.footerHash).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('a hostile file is refused', () => {
  test.each<[string, () => Uint8Array, RegExp]>([
    ['empty', () => new Uint8Array(0), /is empty/],
    ['too short', () => Buffer.from('PAR1PAR1'), /too short/],
    ['not Parquet', () => Buffer.alloc(100, 'x'), /does not begin/],
    ['truncated', () => bytes.subarray(0, bytes.length - 100), /truncated/],
    ['footer longer than the file', () => withFooter([0], 1_000_000), /longer than the file/],
    [
      'a list of two billion in 21 bytes',
      () => withFooter([0x29, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0, 0]),
      /list of 2147483647/,
    ],
    ['a string longer than the footer', () => withFooter([0x18, 0xff, 0x7f, 0]), /value of 16383/],
    [
      'a number that does not end',
      () => withFooter(Array<number>(40).fill(0xff)),
      /number of more than|unknown type/,
    ],
    [
      'structs within structs without end',
      () => withFooter(Array<number>(5000).fill(0x1c)),
      /nested deeper/,
    ],
    ['an empty struct', () => withFooter([0]), /cannot be decoded|is not that/],
    [
      'encrypted',
      () => Buffer.concat([Buffer.from('PARE'), Buffer.alloc(20), Buffer.from('PARE')]),
      /encrypted/,
    ],
  ])('%s', async (_, make, message) => {
    const failure = await refusal(make());
    expect(failure.kind).toBe('invalidSpec');
    expect(failure.code).toMatch(/^E_PARQUET_(INVALID|ENCRYPTED)$/);
    expect(failure.message).toMatch(message);
    expect(failure.at?.file).toContain('bad.parquet');
  });

  test('data that lies outside a file cut in the middle', async () => {
    const footerBytes = bytes.readUInt32LE(bytes.length - 8);
    const cut = Buffer.concat([
      bytes.subarray(0, 200),
      bytes.subarray(bytes.length - 8 - footerBytes),
    ]);
    expect((await refusal(cut)).message).toMatch(/outside the data/);
  });

  test('any flipped byte of a footer gives a footer or a clear error, never another throw', async () => {
    const start = bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8);
    const path = join(directory, 'flipped.parquet');
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: start, max: bytes.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, mask) => {
          const copy = Buffer.from(bytes);
          copy[at] = copy[at]! ^ mask;
          writeFileSync(path, copy);
          const result = await readFooter(path).catch((error: unknown) => error);
          if (result instanceof Error) expect(result).toBeInstanceOf(WindrowError);
        },
      ),
      { numRuns: 300, seed: 7 },
    );
  });
});
