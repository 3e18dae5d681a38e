/** Keeps the table of docs/SCHEDULES.md true: every row names what shows it, and all of that is there. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { globSync } from 'tinyglobby';
import { describe, expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

/** Cells of the rows under `## Side by side`, header lines left out. */
const rows = read('docs/SCHEDULES.md')
  .split(/^## /m)
  .find((section) => section.startsWith('Side by side'))!
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| What |'))
  .map((line) => line.slice(2, -2).split(' | '));

const recordings = JSON.parse(read('test/interop/airflow/vectors.json')) as Readonly<
  Record<'schedules' | 'downtimes', readonly { readonly kind: string; readonly rule: string }[]>
>;
const recorded = [...recordings.schedules, ...recordings.downtimes].flatMap(({ kind, rule }) => [
  kind,
  rule,
]);

/** Lines of tests of that name that hold text in quotes; comments are none. */
function titlesIn(name: string): string[] {
  return globSync(`test/**/${name}`, { cwd: root }).flatMap((file) =>
    read(file)
      .split('\n')
      .filter((line) => /['"`]/.test(line) && !/^\s*(?:\*|\/[/*])/.test(line)),
  );
}

/** What a cell names and what is wrong with it. */
function problemsOf(cell: string): string[] {
  if (cell === '–') return [];
  const problems: string[] = [];
  let named = /\b(?:vectors|downtimes)\b/.test(cell) ? 1 : 0;
  // Titles without a file are those of the comparison with the recording.
  let file = 'airflow.test.ts';
  for (const [, code, title] of cell.matchAll(/`([^`]+)`|"([^"]+)"/g)) {
    named += 1;
    if (code?.endsWith('.test.ts')) {
      file = code;
      if (titlesIn(file).length === 0) problems.push(`there is no ${file}`);
    } else if (code !== undefined) {
      if (!recorded.includes(code)) problems.push(`${code} was not recorded`);
    } else if (!titlesIn(file).some((line) => line.includes(title!))) {
      problems.push(`${file} has no test "${title}"`);
    }
  }
  return named > 0 ? problems : [`'${cell}' names no test`];
}

describe('the table beside Airflow', () => {
  it('names for every row the tests that show it', () => {
    expect(rows.length).toBeGreaterThan(50);
    const problems = rows.flatMap((cells) =>
      problemsOf(cells.at(-1)!).map((problem) => `${cells[0]}: ${problem}`),
    );
    expect(problems).toEqual([]);
  });

  it.each([
    ['a title that no test has', '`zone.test.ts` "a time that nobody wrote"'],
    ['a file that is not there', '`gone.test.ts` "a missing time"'],
    ['a rule that was not recorded', 'vectors `61 2 * * *`'],
    ['nothing', 'as everybody knows'],
  ])('would not do with %s', (_, cell) => {
    expect(problemsOf(cell)).toHaveLength(1 + Number(cell.includes('gone')));
  });
});
