/** The NDJSON of a run, on a virtual clock. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { lineReporter } from '../../cli/reporter.js';
import { event, halfway, jobView } from './views.js';

describe('NDJSON of a run', () => {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line));

  beforeEach(() => {
    vi.useFakeTimers();
    lines.length = 0;
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('tells progress at least every second while the job says nothing', () => {
    const reporter = lineReporter(Date.now(), write);
    reporter.accepted(jobView({ state: 'running', progress: halfway }));
    const times: number[] = [Date.now()];
    for (let step = 0; step < 50; step++) {
      const before = lines.length;
      vi.advanceTimersByTime(100);
      if (lines.length > before) times.push(Date.now());
    }
    reporter.close();
    const gaps = times.slice(1).map((time, index) => time - times[index]!);
    expect(gaps.length).toBeGreaterThanOrEqual(5);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(1000);
    for (const line of lines) {
      expect(line).toMatchObject({
        event: 'progress',
        job: 'jabc123',
        rowsDone: halfway.rowsDone,
        rowsTotal: halfway.rowsTotal,
      });
    }
  });

  test('says nothing more after it is closed', () => {
    const reporter = lineReporter(Date.now(), write);
    reporter.accepted(jobView({ state: 'running', progress: halfway }));
    reporter.close();
    const before = lines.length;
    vi.advanceTimersByTime(10_000);
    expect(lines.length).toBe(before);
  });

  test('passes other events on and ends with one result, made from the ended job', () => {
    const reporter = lineReporter(Date.now(), write);
    reporter.accepted(jobView({ state: 'running', progress: halfway }));
    reporter.event(event('retry', { message: 'read failed' }));
    reporter.event(event('progress', { rowsDone: 5, rowsTotal: 10 }));
    reporter.event(event('result', { state: 'succeeded' }));
    reporter.finished(jobView());
    reporter.close();
    expect(lines.map((line) => line['event'])).toEqual([
      'progress',
      'retry',
      'progress',
      'progress',
      'result',
    ]);
    expect(lines.at(-2)).toMatchObject({ rowsDone: 1000, rowsTotal: 1000 });
    expect(lines.at(-1)).toMatchObject({ event: 'result', state: 'succeeded', rowsInferred: 700 });
  });
});
