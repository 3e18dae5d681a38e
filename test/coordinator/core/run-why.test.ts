/** What a schedule by the calendar is said to wait for; that of data sets is in schedule-assets. */
import { expect, it } from 'vitest';
import { whySchedule } from '../../../coordinator/core/run-why.js';
import {
  after,
  defined,
  hour,
  hourly,
  made,
  name,
  plain,
  runId,
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
