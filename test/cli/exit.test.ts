/** Exit codes and the look of errors. */
import { describe, expect, test } from 'vitest';
import {
  describeFailure,
  exitCodeOf,
  exitCodeOfState,
  failuresOf,
  usageError,
} from '../../cli/exit.js';
import type { FailureKind } from '../../shared/failure.js';
import { WindrowError } from '../../shared/failure.js';

describe('exit codes', () => {
  test('follow the state that a job ended in', () => {
    expect(
      (['succeeded', 'failed', 'cancelled', 'superseded'] as const).map(exitCodeOfState),
    ).toEqual([0, 1, 3, 3]);
  });

  test('are 2 for whatever was found wrong before anything was started', () => {
    const codes = (['invalidSpec', 'badData', 'userCode'] as const).map((kind) =>
      exitCodeOf({ kind, code: 'E_X', message: '' }),
    );
    expect(codes).toEqual([2, 2, 2]);
    expect(exitCodeOf(usageError('no').failure)).toBe(2);
  });

  test('tell a time-out and an unreachable coordinator by their codes, whatever their kind', () => {
    for (const kind of ['io', 'cancelled', 'invalidSpec'] satisfies FailureKind[]) {
      expect(exitCodeOf({ kind, code: 'E_WAIT_TIMEOUT', message: '' })).toBe(124);
      expect(exitCodeOf({ kind, code: 'E_UNREACHABLE', message: '' })).toBe(4);
    }
  });

  test('are 1 for what broke on our side', () => {
    for (const kind of ['io', 'resource', 'broken', 'workerLost', 'fetchFailed'] as const) {
      expect(exitCodeOf({ kind, code: 'E_X', message: '' })).toBe(1);
    }
  });
});

describe('errors on stderr', () => {
  test('have a code, a message, a place and a hint', () => {
    expect(
      describeFailure({
        kind: 'badData',
        code: 'E_NULL',
        message: 'null into a model',
        at: { step: 'scored', file: 'a.parquet', rowGroup: 2, row: 17 },
        hint: 'set onNull',
      }),
    ).toBe(
      'error E_NULL: null into a model (step scored, file a.parquet, row group 2, row 17)\n  hint: set onNull',
    );
  });

  test('point into a spec as file:line:col', () => {
    expect(
      describeFailure({
        kind: 'invalidSpec',
        code: 'E_SPEC_INVALID',
        message: 'unknown field',
        at: { file: 'job.yaml', line: 12, col: 5 },
      }),
    ).toBe('error E_SPEC_INVALID: job.yaml:12:5: unknown field');
  });

  test('list every problem of a spec', () => {
    const problems = ['one', 'two'].map((message) => ({
      kind: 'invalidSpec' as const,
      code: 'E_SPEC_INVALID',
      message,
    }));
    const error = new WindrowError(problems[0]!, undefined, problems);
    expect(failuresOf(error).map((failure) => failure.message)).toEqual(['one', 'two']);
  });

  test('turn anything thrown into a failure with a code', () => {
    expect(failuresOf(new Error('boom'))).toEqual([
      { kind: 'broken', code: 'E_INTERNAL', message: 'boom' },
    ]);
  });
});
