/** Values of flags: what is taken, and that all else is refused. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  byteSize,
  clientTls,
  collect,
  duration,
  oneOf,
  readToken,
  serverTls,
  wholeNumber,
} from '../../cli/arguments.js';
import { WindrowError } from '../../shared/failure.js';

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof WindrowError) return error.failure.code;
    throw error;
  }
  return 'no error';
}

describe('values of flags', () => {
  test('durations come as 90s, 10m, 1h30m, bare seconds and ISO 8601', () => {
    const parse = duration('--timeout');
    expect(['90s', '10m', '1h30m', '500ms', '2.5s', '30', 'PT10M', 'P1D'].map(parse)).toEqual([
      90_000, 600_000, 5_400_000, 500, 2500, 30_000, 600_000, 86_400_000,
    ]);
  });

  test('what is not a duration is refused, not guessed', () => {
    for (const text of ['', 'ten', '10x', '-5s', '5s!', '1h 30m', 'P', 'PT', 'NaN', '1e3']) {
      expect(
        codeOf(() => duration('--timeout')(text)),
        text,
      ).toBe('E_USAGE');
    }
  });

  test('sizes come with or without a unit', () => {
    expect(['1024', '4GiB', '500MB'].map(byteSize('--memory'))).toEqual([1024, 4 * 2 ** 30, 5e8]);
    for (const text of ['', '-1', '4 parsecs', 'NaN']) {
      expect(
        codeOf(() => byteSize('--memory')(text)),
        text,
      ).toBe('E_USAGE');
    }
  });

  test('whole numbers keep to their range', () => {
    const parse = wholeNumber('--workers', 1, 1024);
    expect(parse('8')).toBe(8);
    for (const text of [
      '0',
      '1025',
      '-1',
      '1.5',
      '1e2',
      '',
      'NaN',
      '0x10',
      '99999999999999999999',
    ]) {
      expect(
        codeOf(() => parse(text)),
        text,
      ).toBe('E_USAGE');
    }
  });

  test('words are taken from a list', () => {
    expect(oneOf('-o', ['json', 'yaml'])('yaml')).toBe('yaml');
    expect(codeOf(() => oneOf('-o', ['json', 'yaml'])('xml'))).toBe('E_USAGE');
  });

  test('a repeatable flag keeps its order', () => {
    expect(collect('b=2', collect('a=1', undefined))).toEqual(['a=1', 'b=2']);
  });
});

describe('secrets and certificates', () => {
  const directory = mkdtempSync(join(tmpdir(), 'windrow-arguments-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test('a token loses the line end of its file', () => {
    writeFileSync(join(directory, 'token'), 's3cret\n');
    expect(readToken('--token-file', join(directory, 'token'))).toBe('s3cret');
  });

  test('an empty or absent token file is refused', () => {
    writeFileSync(join(directory, 'empty'), '\n');
    expect(codeOf(() => readToken('--token-file', join(directory, 'empty')))).toBe('E_USAGE');
    expect(codeOf(() => readToken('--token-file', join(directory, 'none')))).toBe('E_USAGE');
  });

  test('certificate and key belong together, and a listener needs both', () => {
    expect(clientTls({})).toBeUndefined();
    expect(clientTls({ tlsCa: 'ca.pem' })).toEqual({ ca: 'ca.pem' });
    expect(codeOf(() => clientTls({ tlsCert: 'c.pem' }))).toBe('E_USAGE');
    expect(codeOf(() => serverTls({ tlsCa: 'ca.pem' }))).toBe('E_USAGE');
    expect(serverTls({ tlsCert: 'c.pem', tlsKey: 'k.pem' })).toEqual({
      cert: 'c.pem',
      key: 'k.pem',
    });
  });
});
