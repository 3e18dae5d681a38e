import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitCodeOf, exitCodes } from '../../cli/exit.js';
import { type Failure, toFailure } from '../../shared/failure.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-failure-'));
  writeFileSync(join(directory, 'file'), '');
  mkdirSync(join(directory, 'folder'));
  symlinkSync('loop', join(directory, 'loop'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function failureOf(act: () => unknown): Failure {
  try {
    act();
  } catch (error) {
    return toFailure(error);
  }
  throw new Error('nothing was thrown');
}

describe('what the system says of a path becomes a failure that says what to do', () => {
  it.each([
    ['a way through a file', 'file/below', 'E_PATH', /is a file/],
    ['a directory', 'folder', 'E_PATH', /is a directory/],
    ['a name that is too long', 'x'.repeat(300), 'E_PATH', /shorter/],
    ['a link to itself', 'loop', 'E_PATH', /link/],
    ['a file that is not there', 'nothing', 'E_IO_ENOENT', undefined],
  ])('%s', (_, name, code, hint) => {
    const failure = failureOf(() => readFileSync(join(directory, name)));
    expect(failure.code).toBe(code);
    if (hint) expect(failure.hint).toMatch(hint);
    // A path the user named is the user's to correct; a missing file may come back.
    expect(exitCodeOf(failure)).toBe(hint ? exitCodes.usage : exitCodes.jobFailed);
  });

  it('a file where a directory is to be', () => {
    const failure = failureOf(() => mkdirSync(join(directory, 'file')));
    expect(failure).toMatchObject({ kind: 'invalidSpec', code: 'E_PATH' });
  });
});

describe('every code that a file operation on Linux gives is classified', () => {
  const ours = new Set(['EBADF', 'EFAULT', 'EINVAL', 'EEXIST', 'ENOTEMPTY', 'EXDEV', 'ESPIPE']);
  const codes = [
    ...['EACCES', 'EBUSY', 'EDQUOT', 'EIO', 'EISDIR', 'ELOOP', 'EMFILE', 'ENAMETOOLONG'],
    ...['ENFILE', 'ENODEV', 'ENOENT', 'ENOMEM', 'ENOSPC', 'ENOTDIR', 'ENXIO', 'EPERM'],
    ...['EROFS', 'ESTALE', 'ETIMEDOUT'],
  ] as const;

  it.each(codes)('%s is the system speaking', (code) => {
    expect(Object.keys(constants.errno)).toContain(code);
    const error = Object.assign(new Error(`${code}: refused`), { code, syscall: 'open' });
    expect(toFailure(error)).toMatchObject({ message: `${code}: refused` });
    expect(toFailure(error).kind).not.toBe('broken');
  });

  it.each([...ours])('%s is ours', (code) => {
    const error = Object.assign(new Error(code), { code, syscall: 'open' });
    expect(toFailure(error)).toEqual({ kind: 'broken', code: 'E_INTERNAL', message: code });
  });
});
