import { expect, it } from 'vitest';
import { Printed, printLimits } from '../../../worker/functions/printed.js';

function printed(): { lines: string[]; printed: Printed } {
  const lines: string[] = [];
  const printed = new Printed();
  printed.begin(({ level, text }) => lines.push(`${level} ${text}`));
  printed.nextStep('tag');
  return { lines, printed };
}

it('each way to print is a line with its level, step and chunk', () => {
  const { lines, printed: to } = printed();
  to.console.log('loaded');
  to.nextChunk(3);
  to.console.info('%s is %d', 'a', 1, { n: 2n });
  to.console.warn('odd');
  to.console.error(new Error('two\nlines').message);
  to.console.table([{ a: 1 }]);
  expect(lines.slice(0, 5)).toEqual([
    'info step tag: loaded',
    'info step tag, chunk 3: a is 1 { n: 2n }',
    'warn step tag, chunk 3: odd',
    'error step tag, chunk 3: two',
    'error step tag, chunk 3: lines',
  ]);
  expect(lines.at(-1)).toMatch(/^info step tag, chunk 3: └/);
});

it('a chunk has so many lines, of so many characters, and says how many were left out', () => {
  const { lines, printed: to } = printed();
  const { linesPerChunk, lineChars } = printLimits;
  to.nextChunk(0);
  for (let k = 0; k < linesPerChunk + 7; k += 1) to.console.log('x'.repeat(2 * lineChars));
  expect(lines).toHaveLength(linesPerChunk);
  expect(lines[0]).toBe(`info step tag, chunk 0: ${'x'.repeat(lineChars)}…`);
  to.nextChunk(1);
  to.console.log('room again');
  expect(lines.slice(linesPerChunk)).toEqual([
    'warn step tag, chunk 0: 7 more lines of it are left out',
    'info step tag, chunk 1: room again',
  ]);
  to.end();
  to.console.log('of no attempt');
  expect(lines).toHaveLength(linesPerChunk + 2);
});
