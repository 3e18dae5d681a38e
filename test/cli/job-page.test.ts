/** How jobs look as lists and pages, and when a retry makes sense. */
import { describe, expect, test } from 'vitest';
import { checkRetry } from '../../shared/retry-check.js';
import {
  eventRow,
  eventTable,
  jobFields,
  jobPage,
  jobTable,
  workerTable,
} from '../../cli/job-page.js';
import type { WindrowError } from '../../shared/failure.js';
import { event, halfway, jobView } from './views.js';

describe('jobs on a page', () => {
  test('a list shows state and share of each', () => {
    const running = jobView({ job: 'j2', state: 'running', progress: halfway });
    const lines = jobTable([jobView({ upToDate: true }), running]).split('\n');
    expect(lines[1]).toMatch(/^jabc123 {2}score-orders {2}up to date {2}100%/);
    expect(lines[2]).toMatch(/^j2 {7}score-orders {2}running {6}50%/);
  });

  test('a running job shows how far it is and what it waits for', () => {
    const { endedAt: _, ...open } = jobView();
    const text = jobFields({
      ...open,
      state: 'running',
      progress: { ...halfway, waitingFor: 'a slot in pool cpu' },
    });
    expect(text).toContain('50%, 1,240,000 of 2,480,000 rows, 438k rows/s, ETA 3s');
    expect(text).toContain('waiting:    a slot in pool cpu');
    expect(text).not.toContain('took:');
  });

  test('a list on a narrow terminal does without what matters least', () => {
    const jobs = [jobView(), jobView({ job: 'j2', name: 'a-longer-name-than-most' })];
    expect(jobTable(jobs, 100).split('\n')[0]).toMatch(/ROWS OUT {2}SUBMITTED$/);
    for (const line of jobTable(jobs, 60).split('\n')) expect(line.length).toBeLessThanOrEqual(60);
    expect(jobTable(jobs, 60).split('\n')[0]).toMatch(/^JOB +NAME +STATE +DONE/);
  });

  test('what there is none of is said', () => {
    expect([jobTable([]), eventTable([]), workerTable([])]).toEqual([
      'no jobs',
      'no events',
      'no workers',
    ]);
  });

  test('long news are wrapped beside their event, and nothing of them is lost', () => {
    const text = 'one worker after another was lost while it read '.repeat(4).trim();
    const lines = eventTable([event('warning', { text })], 70).split('\n');
    const column = lines[0]!.indexOf('WHAT');
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(70);
    expect(lines.slice(2).every((line) => line.startsWith(' '.repeat(column)))).toBe(true);
    expect(
      lines
        .slice(1)
        .map((line) => line.slice(column))
        .join(' '),
    ).toBe(text);
  });

  test('an ended job shows how long it took and its books', () => {
    expect(jobFields(jobView())).toContain('took:       1m05s');
    expect(jobFields(jobView())).toContain('1,000 in = 900 out + 90 filtered + 10 dead-lettered');
  });

  test('the page of a failed job has its failure, stages, outputs, why and events', () => {
    const page = jobPage(
      jobView({
        state: 'failed',
        failure: {
          kind: 'badData',
          code: 'E_NULL',
          message: 'null into a model',
          hint: 'set onNull',
        },
      }),
      { answer: 'it failed: null into a model', detail: { reason: 'failed' } },
      [event('failure', { failure: { code: 'E_NULL', message: 'null into a model' } })],
    );
    for (const part of [
      'error E_NULL: null into a model\n  hint: set onNull',
      'why\n  it failed: null into a model',
      's0     done   4/4',
      'scored   900      3  /data/out/scored',
      '7  2026-11-20 10:00:01  failure',
    ]) {
      expect(page).toContain(part);
    }
  });

  test('an event is one line', () => {
    expect(eventRow(event('retry', { message: 'read\nfailed', task: 1 }))).toBe(
      '2026-11-20T10:00:01.000Z  retry         read⏎failed (task 1)',
    );
  });

  test('workers show their slots and memory', () => {
    const line = workerTable([
      {
        worker: 'w1',
        state: 'connected',
        host: 'h',
        pid: 42,
        pools: ['cpu', 'gpu'],
        slots: 4,
        busy: 3,
        devices: ['cpu'],
        rssBytes: 300 * 2 ** 20,
      },
    ]).split('\n')[1]!;
    expect(line).toMatch(/w1 +connected +h +42 +cpu,gpu +3\/4 +cpu +300 MiB/);
  });
});

describe('retry', () => {
  const codeOf = (work: () => void): string => {
    try {
      work();
    } catch (error) {
      return (error as WindrowError).failure.code;
    }
    return 'allowed';
  };

  test('is for jobs that did not succeed, or for their dead letters', () => {
    const clean = { in: 1, out: 1, filtered: 0, deadLettered: 0 };
    expect(codeOf(() => checkRetry(jobView({ state: 'failed' }), false))).toBe('allowed');
    expect(codeOf(() => checkRetry(jobView(), true))).toBe('allowed');
    expect(codeOf(() => checkRetry(jobView(), false))).toBe('E_NOTHING_TO_RETRY');
    expect(codeOf(() => checkRetry(jobView({ rows: clean }), true))).toBe('E_NOTHING_TO_RETRY');
  });
});
