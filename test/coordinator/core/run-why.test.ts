/** How a run is said to have ended, and what a schedule by the calendar waits for; that of data sets is in schedule-assets. */
import { expect, it } from 'vitest';
import { whyRun, whySchedule } from '../../../coordinator/core/run-why.js';
import {
  after,
  defined,
  ended,
  hour,
  hourly,
  made,
  name,
  pass,
  plain,
  runCancelled,
  runId,
  started,
  tell,
} from './schedule-fixtures.js';

const answerOf = (state: ReturnType<typeof after>, nowMs: number): string | undefined =>
  whySchedule(state, name, nowMs)?.answer;

it('the next run of a calendar, and when it starts', () => {
  const state = after(defined(), made(0));
  expect(whySchedule(state, name, hour)).toEqual({
    answer: `schedule ${name} waits for ${runId(1)}, which starts at 1970-01-01T02:00:00.000Z`,
    detail: { reason: 'calendar', schedule: name },
  });
  expect(whySchedule(state, 'other', hour)).toBeUndefined();
});

it('a run that is due is told with those that it waits for', () => {
  expect(answerOf(after(defined(), made(0)), 2 * hour)).toBe(
    `schedule ${name} makes a run as soon as it has room for one; unfinished: ${runId(0)}`,
  );
});

it('a schedule that is paused says so, and one whose calendar is over', () => {
  const state = after(defined({ timetable: { ...hourly, endDateMs: 0 } }), made(0));
  expect(answerOf(state, hour)).toBe(`schedule ${name} has ended: its calendar has no more runs`);
  tell(state, plain('schedule.paused'));
  expect(answerOf(state, hour)).toBe(`schedule ${name} is paused`);
});

it('a run that ended by itself is told so, not as its last job ended', () => {
  const patient = { retries: 3, retryDelayMs: 5000 };
  const run = (...more: Parameters<typeof after>) =>
    after(defined({ ...patient, timeoutMs: 2000 }), made(0), started(0), ...more);
  const told = (state: ReturnType<typeof after>) => whyRun(state, runId(0))?.answer;
  const waits = run(ended(0, 'failed'));
  const late = `run ${runId(0)} is failed: E_RUN_TIMEOUT: the run did not finish within 2000 ms; its last job was j0`;
  pass(waits, hour + 2000);
  expect(told(waits)).toBe(late);
  const runs = run();
  pass(runs, hour + 2000);
  tell(runs, ended(0, 'cancelled'));
  expect(told(runs)).toBe(late);
  const unwanted = run(ended(0, 'failed'), runCancelled(0));
  expect(told(unwanted)).toBe(`run ${runId(0)} is cancelled: its last job was j0`);
  expect(told(run(ended(0, 'succeeded')))).toBeUndefined();
});
