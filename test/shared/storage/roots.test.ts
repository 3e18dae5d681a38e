import { mkdirSync, mkdtempSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Roots } from '../../../shared/storage/roots.js';

let top: string;
let root: string;
let roots: Roots;
const open = new Roots();

beforeAll(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'windrow-roots-')));
  root = join(top, 'root');
  mkdirSync(join(root, 'data', 'k=a%2Fb'), { recursive: true });
  mkdirSync(join(top, 'outside'));
  writeFileSync(join(top, 'outside', 'f.parquet'), '');
  writeFileSync(join(root, 'data', 'f.parquet'), '');
  symlinkSync(join(top, 'outside'), join(root, 'escape'));
  symlinkSync(join(top, 'outside', 'not-yet'), join(root, 'dangling'));
  symlinkSync(join(root, 'data'), join(root, 'inner'));
  symlinkSync(root, join(top, 'alias'));
  roots = new Roots([root]);
});

const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    return (error as { failure: { code: string } }).failure.code;
  }
  return 'accepted';
};

describe('paths of users under allowed roots', () => {
  it.each([
    ['data/f.parquet'],
    ['data/new/not/there/yet'],
    ['data/../data/f.parquet'],
    ['inner/f.parquet'],
    ['data/k=a%2Fb/f.parquet'],
    ['data/100%25'],
  ])('accepts %s', (text) => {
    expect(codeOf(() => roots.resolve(text, root))).toBe('accepted');
  });

  it.each([
    ['../outside/f.parquet'],
    ['/etc/hostname'],
    ['data/../../outside'],
    ['%2e%2e/outside'],
    ['%2E%2e%2foutside'],
    ['data/%252e%252e/%252e%252e/outside'],
    ['data/k=..%2F..%2F..%2Foutside'],
    ['data%2ff.parquet'],
    ['data%5cf.parquet'],
    ['data/f.parquet\0.txt'],
    ['data/f.parquet%00'],
    ['escape/f.parquet'],
    ['escape/new'],
    ['dangling'],
    ['dangling/below'],
    ['file:///etc/hostname'],
    ['file://elsewhere/etc/hostname'],
    ['file:///%2e%2e/etc'],
    ['FILE:/etc/hostname'],
  ])('refuses %j', (text) => {
    expect(codeOf(() => roots.resolve(text, root))).toBe('E_URI_DENIED');
  });

  it('reads file URLs inside the roots as paths', () => {
    expect(roots.resolve(`file://${root}/data/f.parquet`, '/')).toBe(join(root, 'data/f.parquet'));
  });

  it('refuses schemes it does not know, with or without roots', () => {
    for (const text of ['s3://bucket/key', 'http://host/x', 'HTTPS://host/x']) {
      expect(codeOf(() => roots.resolve(text, root))).toBe('E_URI_SCHEME');
      expect(codeOf(() => open.resolve(text, root))).toBe('E_URI_SCHEME');
    }
  });

  it('takes a root that is itself a symlink for what it points to', () => {
    const aliased = new Roots([join(top, 'alias')]);
    expect(aliased.resolve('data/f.parquet', root)).toBe(join(root, 'data/f.parquet'));
    expect(codeOf(() => aliased.resolve('/etc', root))).toBe('E_URI_DENIED');
  });

  it('has no limit without roots, but refuses what is not a path', () => {
    expect(open.resolve('../outside', root)).toBe(join(top, 'outside'));
    expect(codeOf(() => open.resolve('a\0b', root))).toBe('E_URI_DENIED');
    expect(codeOf(() => open.resolve('%2e%2e/x', root))).toBe('E_URI_DENIED');
  });

  it('allows nothing where the list of roots is empty', () => {
    expect(codeOf(() => new Roots([]).check(join(root, 'data')))).toBe('E_URI_DENIED');
  });
});

describe('paths that a client sends to a server as they are', () => {
  it.each([
    ['data/f.parquet'],
    ['ROOT/data/../data/f.parquet'],
    ['ROOT/../outside/f.parquet'],
    ['ROOT/%2e%2e/outside'],
    ['ROOT/data/k=..%2F..%2F..%2Foutside'],
    ['ROOT/data%2ff.parquet'],
    ['ROOT/data/f.parquet\0.txt'],
    ['ROOT/data/f.parquet%00'],
    ['ROOT/escape/new'],
    ['file://ROOT/data/f.parquet'],
    ['s3://bucket/key'],
  ])('are refused where the client would not have sent them: %j', async (text) => {
    const path = text.replace('ROOT', root);
    expect(codeOf(() => roots.check(path))).toBe('E_URI_DENIED');
    await expect(roots.checkAsync(path)).rejects.toThrow('E_URI_DENIED');
  });

  it('are refused where a link leads out or nowhere, however long the disk takes', async () => {
    for (const path of ['escape/f.parquet', 'dangling', 'dangling/below']) {
      expect(codeOf(() => roots.check(join(root, path)))).toBe('E_URI_DENIED');
      await expect(roots.checkAsync(join(root, path))).rejects.toThrow('E_URI_DENIED');
    }
  });

  it('pass where they are plain and inside', async () => {
    for (const path of ['data/f.parquet', 'data/k=a%2Fb/f.parquet', 'data/100%25', 'new/x..y']) {
      expect(codeOf(() => roots.check(join(root, path)))).toBe('accepted');
      await roots.checkAsync(join(root, path));
    }
  });

  it("are the user's own affair without roots, but for a NUL", () => {
    expect(codeOf(() => open.check('/any/%2e%2e/../where'))).toBe('accepted');
    expect(codeOf(() => open.check('/any\0where'))).toBe('E_URI_DENIED');
  });
});

describe('globs of users under allowed roots', () => {
  it.each([
    ['/*'],
    ['ROOT/../*/f.parquet'],
    ['ROOT/data/*/../../../outside/*'],
    ['ROOT/data/{x,..}/../outside/f'],
    ['ROOT/data/{..,x}'],
    ['ROOT/data/*/%2e%2e/x'],
    ['ROOT/escape/*.parquet'],
    ['ROOT/data/*\0'],
  ])('are refused where they lead out: %j', (text) => {
    expect(codeOf(() => roots.check(text.replace('ROOT', root)))).toBe('E_URI_DENIED');
  });

  it('have every match checked, for a link may lead out below the fixed part', () => {
    expect(codeOf(() => roots.check(join(root, '*/f.parquet')))).toBe('accepted');
    expect(codeOf(() => roots.check(join(root, 'escape', 'f.parquet')))).toBe('E_URI_DENIED');
    expect(codeOf(() => roots.check(join(root, 'inner', 'f.parquet')))).toBe('accepted');
  });
});
