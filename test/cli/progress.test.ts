/** Live lines, notices and summaries as pure text. */
import { describe, expect, test } from 'vitest';
import {
  booksLine,
  eventText,
  formatBar,
  formatCount,
  formatRate,
  formatSeconds,
  fractionDone,
  liveLines,
  noticeLine,
  painter,
  resultLine,
  summary,
} from '../../cli/progress.js';
import { displayWidth } from '../../cli/table.js';
import { event, halfway, jobView } from './views.js';

const plain = painter(false);

describe('numbers', () => {
  test('counts have a comma every three digits', () => {
    expect([0, 999, 1000, 1234567].map(formatCount)).toEqual(['0', '999', '1,000', '1,234,567']);
  });

  test('rates keep three digits and never round up to 1000 of a unit', () => {
    expect(
      [0, 3.2, 12, 999.4, 999.6, 438_200, 999_400, 999_950, 1_240_000, 2e9].map(formatRate),
    ).toEqual(['0', '3.2', '12', '999', '1.00k', '438k', '999k', '1.00M', '1.24M', '2.00G']);
  });

  test('durations change their units where a person would', () => {
    expect([0.04, 12.34, 59.94, 59.96, 125, 3599.6, 3720, 273_600].map(formatSeconds)).toEqual([
      '0.0s',
      '12.3s',
      '59.9s',
      '1m00s',
      '2m05s',
      '1h00m',
      '1h02m',
      '3d04h',
    ]);
  });
});

describe('live lines', () => {
  const live = { name: 'score-orders', state: 'running', progress: halfway, elapsedSeconds: 3 };

  test('show rows, share, speed, chunks and the time that is left', () => {
    expect(liveLines(live, 120, plain)).toEqual([
      `${'█'.repeat(15)}${'░'.repeat(15)}  50%  1,240,000 / 2,480,000 rows  438k rows/s  chunks 10/20  ETA 3s`,
    ]);
  });

  test('are never wider than the terminal, whatever its width', () => {
    for (let width = 20; width <= 200; width++) {
      for (const line of liveLines(
        { ...live, progress: { ...halfway, waitingFor: 'a slot in pool gpu '.repeat(10) } },
        width,
        plain,
      )) {
        expect(displayWidth(line)).toBeLessThanOrEqual(width);
      }
    }
  });

  test('keep the time that is left longest on a narrow terminal', () => {
    expect(liveLines(live, 66, plain)[0]).toMatch(/rows\/s {2}ETA 3s$/);
    expect(liveLines(live, 50, plain)[0]).toMatch(/2,480,000 rows {2}ETA 3s$/);
    expect(liveLines(live, 36, plain)[0]).toMatch(/2,480,000 rows$/);
  });

  test('say what the job waits for on a second line', () => {
    const waiting = { ...halfway, waitingFor: 'a worker in pool gpu' };
    expect(liveLines({ ...live, progress: waiting }, 100, plain)[1]).toBe(
      'waiting: a worker in pool gpu',
    );
  });

  test('show elapsed time while the rest is unknown', () => {
    const { etaSeconds: _, ...unknown } = halfway;
    expect(liveLines({ ...live, progress: unknown }, 120, plain)[0]).toMatch(/ {2}3\.0s$/);
  });

  test('measure a job without rows by its chunks', () => {
    expect(fractionDone({ ...halfway, rowsDone: 0, rowsTotal: 0, chunksDone: 5 })).toBe(0.25);
    expect(fractionDone({ ...halfway, rowsTotal: 0, chunksTotal: 0 })).toBe(0);
  });

  test('draw a bar of one width at every share', () => {
    for (let share = 0; share <= 1; share += 1 / 64) {
      expect(displayWidth(formatBar(share, 10))).toBe(10);
    }
    expect(formatBar(1, 4)).toBe('████');
    expect(formatBar(0, 4)).toBe('░░░░');
  });

  test('carry colour codes only when colour is wanted', () => {
    expect(liveLines(live, 120, plain).join('')).not.toContain('\u001b');
    expect(liveLines(live, 120, painter(true)).join('')).toContain('\u001b[32m');
  });
});

describe('events', () => {
  test('a retry tells its code, its message and where it was', () => {
    const retry = event('retry', {
      stage: 's0',
      task: 3,
      attempt: 1,
      code: 'E_IO_EIO',
      message: 'read failed',
      waitMs: 200,
    });
    expect(noticeLine(retry, plain)).toBe(
      'retry: E_IO_EIO: read failed (stage s0, task 3, attempt 1, waitMs 200)',
    );
  });

  test('what the live lines tell anyway is not told twice', () => {
    for (const kind of ['progress', 'result', 'started', 'stage', 'failure']) {
      expect(noticeLine(event(kind, { rows: 1 }), plain)).toBeUndefined();
    }
  });

  test('what every job goes through is told in words', () => {
    const told = (kind: string, members: Record<string, unknown>): string =>
      eventText(event(kind, members));
    expect(told('submitted', { rowsTotal: 5000, chunksTotal: 3, rowsReused: 1500 })).toBe(
      '5,000 rows in 3 chunks, 1,500 rows reused',
    );
    expect(told('started', { worker: 'w1' })).toBe('on w1');
    expect(told('stage', { stage: 's0', state: 'done', chunks: 3, chunksDone: 3 })).toBe(
      's0 is done, 3 of 3 chunks done',
    );
    expect(told('cancelled', { reason: 'user' })).toBe('on request');
    expect(told('cancelled', { reason: 'superseded by j2' })).toBe('superseded by j2');
    const rows = { in: 10, out: 7, filtered: 2, deadLettered: 1 };
    expect(told('result', { state: 'succeeded', rows })).toBe(
      'succeeded: 10 in = 7 out + 2 filtered + 1 dead-lettered',
    );
    expect(told('result', { state: 'succeeded', upToDate: true, rows })).toMatch(/^up to date: /);
  });

  test('a planning note is shown as its text', () => {
    const note = event('note', { kind: 'device', step: 'scored', text: 'runs on cpu: no GPU' });
    expect(noticeLine(note, plain)).toBe('runs on cpu: no GPU');
  });

  test('reused rows are announced when there are any', () => {
    expect(noticeLine(event('submitted', { rowsReused: 1500 }), plain)).toBe(
      '1,500 rows are done already and reused',
    );
    expect(noticeLine(event('submitted', { rowsReused: 0 }), plain)).toBeUndefined();
  });

  test('text from elsewhere cannot drive the terminal', () => {
    expect(eventText(event('warning', { message: 'a\u001b[2Jb\nc' }))).not.toMatch(
      /[\u0000-\u001f]/,
    );
  });

  test('an event of a kind nobody here knows is shown with its members', () => {
    expect(noticeLine(event('somethingNew', { stage: 's1', rows: 5 }), plain)).toBe(
      'somethingNew: stage s1, rows 5',
    );
  });
});

describe('the end', () => {
  test('books that balance are written as an equation, others as a list', () => {
    expect(booksLine(jobView())).toBe('1,000 in = 900 out + 90 filtered + 10 dead-lettered');
    const many = jobView({ rows: { in: 10, out: 25, filtered: 0, deadLettered: 0 } });
    expect(booksLine(many)).toBe('10 in, 25 out, 0 filtered, 0 dead-lettered');
  });

  test('the result line has every field that programs are promised', () => {
    expect(JSON.parse(resultLine(jobView(), 1.5))).toMatchObject({
      event: 'result',
      job: 'jabc123',
      state: 'succeeded',
      rows: { in: 1000, out: 900, filtered: 90, deadLettered: 10 },
      rowsInferred: 700,
      rowsReused: 200,
      elapsedSeconds: 1.5,
    });
    expect(resultLine(jobView(), 1.5)).not.toContain('\n');
  });

  test('the summary names outputs with their rows, files and path', () => {
    expect(summary(jobView(), 12.3, plain).split('\n')).toEqual([
      'succeeded  score-orders  jabc123  12.3s',
      'rows      1,000 in = 900 out + 90 filtered + 10 dead-lettered',
      'inferred  700 rows by a model now, 200 rows reused from earlier work',
      '',
      'OUTPUT  ROWS  FILES  PATH',
      'scored   900      3  /data/out/scored',
    ]);
  });

  test('a job that had nothing to do says so, and a failed one shows no outputs', () => {
    expect(summary(jobView({ upToDate: true }), 0.2, plain)).toMatch(/^up to date {2}score-orders/);
    expect(summary(jobView({ state: 'failed' }), 0.2, plain)).not.toContain('OUTPUT');
  });
});
