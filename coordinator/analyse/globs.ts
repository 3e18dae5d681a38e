/** Finds the files that a source names: paths, directories, globs and lists of them. */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { glob } from 'tinyglobby';
import { fail } from '../../shared/failure.js';
import { limits } from '../../shared/limits.js';

/** Throws E_URI_DENIED for a path or glob outside what this process may touch, symlinks followed. */
export type CheckPath = (path: string) => void;

/**
 * Absolute paths in one stable order, each once.
 * @throws WindrowError E_NO_FILES naming the pattern, E_URI_DENIED, E_TOO_MANY_FILES
 */
export async function expandPatterns(
  source: string,
  patterns: readonly string[],
  checkPath: CheckPath,
): Promise<string[]> {
  const found = new Set<string>();
  for (const pattern of patterns) {
    const matches = await expandPattern(pattern, checkPath);
    if (matches.length === 0) {
      const nearest = await nearestDirectory(pattern);
      fail('invalidSpec', 'E_NO_FILES', `no file of source '${source}' matches '${pattern}'`, {
        at: { file: pattern },
        hint: `check the path; the nearest directory that exists is ${nearest}`,
      });
    }
    for (const match of matches) found.add(match);
    if (found.size > limits.filesPerSource) {
      fail(
        'invalidSpec',
        'E_TOO_MANY_FILES',
        `source '${source}' has over ${limits.filesPerSource} files`,
        {
          hint: 'name fewer, or write larger files',
        },
      );
    }
  }
  return [...found].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

async function expandPattern(pattern: string, checkPath: CheckPath): Promise<string[]> {
  if (pattern.includes('\0')) {
    fail('invalidSpec', 'E_URI_DENIED', 'a path must not hold a NUL', { hint: 'remove it' });
  }
  checkPath(pattern);
  // What exists under that very name is meant, whatever characters it has.
  const there = await stat(pattern).catch(() => undefined);
  if (there?.isFile()) return [pattern];
  const base = there?.isDirectory() ? pattern.replace(/\/+$/, '') : fixedPart(pattern);
  const inside = there?.isDirectory() ? '**/*.parquet' : relativeTo(base, pattern);
  if (inside === '') return [];
  const matches = await glob(inside, {
    cwd: base,
    absolute: true,
    onlyFiles: true,
    dot: false,
    expandDirectories: false,
  });
  for (const match of matches) checkPath(match);
  return matches;
}

const globCharacters = /[*?[\]{}!()]/;

/** The directory before the first part with a glob character. */
function fixedPart(pattern: string): string {
  const at = pattern.search(globCharacters);
  if (at < 0) return dirname(pattern);
  const cut = pattern.lastIndexOf('/', at);
  return cut <= 0 ? '/' : pattern.slice(0, cut);
}

function relativeTo(base: string, pattern: string): string {
  if (pattern.search(globCharacters) < 0) return '';
  return pattern.slice(base === '/' ? 1 : base.length + 1);
}

async function nearestDirectory(pattern: string): Promise<string> {
  let directory = fixedPart(pattern);
  while (directory !== dirname(directory)) {
    const there = await stat(directory).catch(() => undefined);
    if (there?.isDirectory()) return directory;
    directory = dirname(directory);
  }
  return directory;
}
