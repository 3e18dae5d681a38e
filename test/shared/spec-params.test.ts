import { describe, expect, test } from 'vitest';
import { parseByteSize } from '../../shared/byte-size.js';
import { parseDurationMs } from '../../shared/duration.js';
import { WindrowError } from '../../shared/failure.js';
import type { JobSpec } from '../../shared/job-spec.js';
import { validateSpec } from '../../shared/spec-file.js';
import { findCycle } from '../../shared/spec-meaning.js';
import { applyParams } from '../../shared/spec-params.js';
import { pasteTemplates } from '../../shared/spec-paths.js';

const spec: JobSpec = validateSpec({
  apiVersion: 'windrow/v1',
  kind: 'Job',
  metadata: { name: 'score-{{ day }}' },
  params: { day: '2026-11-20', minAmount: 10, strict: false, anything: null },
  sources: { orders: { parquet: ['a/{{day}}/*.parquet', 'b/{{ minAmount }}.parquet'] } },
  outputs: [{ from: 'orders', parquet: 'out/{{ day }}' }],
});

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof WindrowError) return error.failure.code;
    throw error;
  }
  return 'none';
}

describe('applyParams', () => {
  test('keeps the type that each param was declared with', () => {
    const set = ['day=7', 'minAmount=2.5', 'strict=true', 'anything=3'];
    expect(applyParams(spec, set).params).toEqual({
      day: '7',
      minAmount: 2.5,
      strict: true,
      anything: 3,
    });
  });

  test('takes everything after the first equals sign, and the last of several', () => {
    expect(applyParams(spec, ['day=x', 'day=a=b']).params['day']).toBe('a=b');
  });

  test('leaves the spec it was given alone', () => {
    applyParams(spec, ['minAmount=99']);
    expect(spec.params['minAmount']).toBe(10);
  });

  test('offers the nearest name for an unknown one', () => {
    expect(() => applyParams(spec, ['minamont=1'])).toThrow(
      /E_UNKNOWN_PARAM.*did you mean 'minAmount'/,
    );
  });

  test.each(['minAmount=ten', 'minAmount=', 'minAmount=NaN', 'minAmount=1e999', 'minAmount=0x10'])(
    '%s is no number',
    (text) => expect(codeOf(() => applyParams(spec, [text]))).toBe('E_PARAM_INVALID'),
  );

  test.each(['strict=1', 'minAmount', '=3'])('%s sets nothing', (text) => {
    expect(codeOf(() => applyParams(spec, [text]))).toBe('E_PARAM_INVALID');
  });

  test('does not take names from the prototype of objects', () => {
    expect(codeOf(() => applyParams(spec, ['toString=1']))).toBe('E_UNKNOWN_PARAM');
  });
});

describe('pasteTemplates', () => {
  test('pastes into paths and the name', () => {
    const pasted = pasteTemplates(spec);
    expect(pasted.metadata.name).toBe('score-2026-11-20');
    expect(pasted.sources['orders']?.parquet).toEqual(['a/2026-11-20/*.parquet', 'b/10.parquet']);
    expect(pasted.outputs[0]?.parquet).toBe('out/2026-11-20');
  });

  test.each([null, '', 'a\0b', '{{ minAmount }}'])('refuses to paste %j', (day) => {
    const unfit = { ...spec, params: { ...spec.params, day } };
    expect(codeOf(() => pasteTemplates(unfit))).toBe('E_SPEC_INVALID');
  });

  test('names what it does not know', () => {
    const { day: _day, ...params } = spec.params;
    expect(codeOf(() => pasteTemplates({ ...spec, params }))).toBe('E_UNKNOWN_VARIABLE');
    expect(pasteTemplates({ ...spec, params }, ['day']).outputs[0]?.parquet).toBe('out/{{ day }}');
  });
});

test('durations are whole milliseconds', () => {
  expect(parseDurationMs('PT30M')).toBe(1_800_000);
  expect(parseDurationMs('P1W2DT3H4M5.5S')).toBe(788_645_500);
  expect(parseDurationMs('PT0S')).toBe(0);
});

test.each(['', 'P', 'PT', 'P1M', '1h', '-PT1S', 'PT1.5H', 'P1DT'])('%s is no duration', (text) => {
  expect(codeOf(() => parseDurationMs(text))).toBe('E_SPEC_INVALID');
});

test('sizes know decimal and binary units', () => {
  expect(parseByteSize('256MB')).toBe(256_000_000);
  expect(parseByteSize('1.5 GiB')).toBe(1_610_612_736);
  expect(parseByteSize(4096)).toBe(4096);
  expect(parseByteSize('4096')).toBe(4096);
});

test.each(['', 'MB', '0MB', '1TB', '-1KB', '5e3KB', '999999GiB', 0, -1, NaN])(
  '%s is no size',
  (size) => expect(codeOf(() => parseByteSize(size))).toBe('E_SPEC_INVALID'),
);

describe('findCycle', () => {
  test('finds nothing in a diamond', () => {
    const edges = new Map([
      ['d', ['b', 'c']],
      ['c', ['a']],
      ['b', ['a']],
      ['a', ['source']],
    ]);
    expect(findCycle(edges)).toBeUndefined();
  });

  test('names the path, from where it is entered', () => {
    const edges = new Map([
      ['in', ['a']],
      ['a', ['x', 'b']],
      ['b', ['c']],
      ['c', ['a']],
    ]);
    expect(findCycle(edges)).toEqual(['a', 'b', 'c', 'a']);
  });

  test('a chain as long as a spec may be costs no stack', () => {
    const edges = new Map(Array.from({ length: 20_000 }, (_, i) => [`s${i}`, [`s${i + 1}`]]));
    expect(findCycle(edges)).toBeUndefined();
  });
});
