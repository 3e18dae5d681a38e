/** The verbs of schedules and backfills at the HTTP door, as data. Never: how they are done. */
import * as z from 'zod';
import { json, type Operation } from './http-operation.js';
import {
  backfillPreviewShape,
  backfillRequestShape,
  backfillShape,
  runShape,
  runTimesShape,
  scheduleRequestShape,
  scheduleShape,
  triggerShape,
} from './http-schedule-shapes.js';
import { instant, number } from './http-values.js';

export const scheduleOperations = {
  putSchedule: {
    method: 'POST',
    path: '/v1/schedules',
    summary: 'Makes a schedule, or gives the one of that name a new spec and job; its runs stay.',
    body: scheduleRequestShape,
    answer: json(scheduleShape),
  },
  listSchedules: {
    method: 'GET',
    path: '/v1/schedules',
    summary: 'Schedules, by name.',
    answer: json(z.strictObject({ schedules: z.array(scheduleShape) })),
  },
  getSchedule: {
    method: 'GET',
    path: '/v1/schedules/{schedule}',
    summary: 'A schedule and its runs.',
    answer: json(scheduleShape),
  },
  deleteSchedule: {
    method: 'DELETE',
    path: '/v1/schedules/{schedule}',
    summary: 'Forgets a schedule; its jobs stay. Refused while one runs.',
    answer: { kind: 'nothing' },
  },
  nextRuns: {
    method: 'GET',
    path: '/v1/schedules/{schedule}/next',
    summary: 'The coming runs of a schedule.',
    query: z.strictObject({
      from: instant.optional().describe('runs after this; absent: now'),
      count: number(1, 1000).default(10),
    }),
    answer: json(z.strictObject({ runs: z.array(runTimesShape) })),
  },
  pauseSchedule: {
    method: 'POST',
    path: '/v1/schedules/{schedule}/pause',
    summary: 'From now on no run is made or started; what runs goes on.',
    answer: json(scheduleShape),
  },
  resumeSchedule: {
    method: 'POST',
    path: '/v1/schedules/{schedule}/resume',
    summary: 'Goes on after a pause.',
    answer: json(scheduleShape),
  },
  triggerSchedule: {
    method: 'POST',
    path: '/v1/schedules/{schedule}/trigger',
    summary: 'A run by hand, once a requestId.',
    body: triggerShape,
    answer: json(runShape),
  },
  createBackfill: {
    method: 'POST',
    path: '/v1/backfills',
    summary: 'Runs the intervals of a range of a schedule; one backfill a requestId.',
    body: backfillRequestShape,
    answer: json(backfillShape),
  },
  previewBackfill: {
    method: 'POST',
    path: '/v1/backfills/preview',
    summary: 'What a backfill would do; starts nothing.',
    body: backfillRequestShape,
    answer: json(backfillPreviewShape),
  },
  listBackfills: {
    method: 'GET',
    path: '/v1/backfills',
    summary: 'Backfills, newest first.',
    query: z.strictObject({ schedule: z.string().optional().describe('only of this schedule') }),
    answer: json(z.strictObject({ backfills: z.array(backfillShape) })),
  },
  getBackfill: {
    method: 'GET',
    path: '/v1/backfills/{backfill}',
    summary: 'A backfill, and what became of its runs so far.',
    answer: json(backfillShape),
  },
  cancelBackfill: {
    method: 'POST',
    path: '/v1/backfills/{backfill}/cancel',
    summary: 'Cancels the runs of a backfill that are unfinished, and makes no more.',
    answer: json(backfillShape),
  },
} as const satisfies Record<string, Operation>;
