/** What must hold for every schedule, zone and instant: found by trying many. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cronFirings } from '../../../shared/calendar/cron.js';
import {
  nextRun,
  nextRuns,
  previousInterval,
  runsBetween,
  type DataInterval,
  type Timetable,
} from '../../../shared/calendar/intervals.js';
import { zoneNamed } from '../../../shared/calendar/zone.js';

const minuteMs = 60_000;
const dayMs = 86_400_000;

const zones = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'America/Santiago',
  'America/Sao_Paulo',
  'Asia/Kathmandu',
  'Africa/Casablanca',
  'Pacific/Apia',
];
const zone = fc.constantFrom(...zones);

/** Days on which a clock is set are few: near these most samples lie. */
const changes = [
  '2011-12-30T10:00Z',
  '2018-11-04T03:00Z',
  '2025-02-23T02:00Z',
  '2025-03-30T01:00Z',
  '2025-09-07T04:00Z',
  '2025-10-04T15:30Z',
  '2025-10-26T01:00Z',
  '2025-11-02T06:00Z',
  '2026-03-08T07:00Z',
  '2026-04-04T15:00Z',
  '2026-04-05T03:00Z',
].map((text) => Date.parse(text));
const instant = fc.oneof(
  fc
    .tuple(fc.constantFrom(...changes), fc.integer({ min: -3 * 1440, max: 3 * 1440 }))
    .map(([change, minutes]) => change + minutes * minuteMs),
  fc.integer({ min: Date.UTC(2009, 0), max: Date.UTC(2030, 0) }),
);

const listOf = (min: number, max: number): fc.Arbitrary<string> =>
  fc
    .uniqueArray(fc.integer({ min, max }), { minLength: 1, maxLength: 3 })
    .map((values) => values.join(','));
const cron = fc
  .tuple(
    fc.oneof(listOf(0, 59), fc.constantFrom('*/7', '*/15', '*/30')),
    fc.oneof(fc.constant('*'), listOf(0, 4), listOf(0, 23), fc.constantFrom('*/2', '22-3')),
    fc.oneof({ weight: 3, arbitrary: fc.constant('*') }, { weight: 1, arbitrary: listOf(1, 28) }),
    fc.constantFrom('*', '*', '*/2'),
    fc.oneof({ weight: 3, arbitrary: fc.constant('*') }, fc.constantFrom('mon', 'fri#1', 'l0')),
  )
  .filter(([, , day, , weekday]) => day === '*' || !/[#l]/.test(weekday))
  .map((fields) => fields.join(' '));

describe('firings', () => {
  it('the previous of the next is where one was, and the other way round', () => {
    fc.assert(
      fc.property(cron, zone, instant, (expression, name, at) => {
        const { next, previous } = cronFirings(expression, name);
        const after = next(at);
        const before = previous(at);
        expect(after).toBeGreaterThan(at);
        expect(before).toBeLessThan(at);
        expect(previous(next(after))).toBe(after);
        expect(next(previous(before))).toBe(before);
        // Nothing lies between but perhaps the instant itself.
        expect([after, at]).toContain(next(before));
        expect([before, at]).toContain(previous(after));
      }),
      { numRuns: 1500 },
    );
  });

  it('every wall time of a day that matches fires, and nothing else does', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 0, max: 59 }), { minLength: 1, maxLength: 3 }),
        fc.uniqueArray(fc.integer({ min: 0, max: 23 }), { minLength: 1, maxLength: 24 }),
        zone,
        fc.constantFrom(...changes),
        (minutes, hours, name, change) => {
          const clock = zoneNamed(name);
          const from = Math.floor((change - dayMs) / dayMs) * dayMs;
          const to = from + 3 * dayMs;
          // The definition, taken literally: minute after minute of the wall clock and of time.
          const expected = new Set<number>();
          for (let wall = from - 2 * dayMs; wall < to + 2 * dayMs; wall += minuteMs) {
            const date = new Date(wall);
            if (!minutes.includes(date.getUTCMinutes()) || !hours.includes(date.getUTCHours())) {
              continue;
            }
            const instants = hours.length === 24 ? clock.instantsAt(wall) : [clock.resolve(wall)];
            for (const at of instants) if (at >= from && at < to) expected.add(at);
          }
          const { next } = cronFirings(`${minutes.join(',')} ${hours.join(',')} * * *`, name);
          const fired: number[] = [];
          for (let at = next(from - 1); at < to; at = next(at)) fired.push(at);
          expect(fired).toEqual([...expected].sort((a, b) => a - b));
        },
      ),
      { numRuns: 60 },
    );
  });
});

const bounds = fc.record({ startDateMs: instant, catchup: fc.boolean() });
const timetable: fc.Arbitrary<Timetable> = fc.oneof(
  fc
    .tuple(fc.constantFrom('cronInterval' as const, 'cronTrigger' as const), cron, zone, bounds)
    .map(([kind, expression, timezone, rest]) => ({ kind, cron: expression, timezone, ...rest })),
  fc
    .tuple(fc.integer({ min: 1, max: 3000 }), bounds)
    .map(([minutes, rest]) => ({ kind: 'delta' as const, everyMs: minutes * minuteMs, ...rest })),
);

describe('runs', () => {
  it('intervals of a backfill meet end to start, and the previous one leads back', () => {
    fc.assert(
      fc.property(timetable, instant, (any, from) => {
        const { startDateMs: _, ...rest } = any;
        const unbounded = { ...rest, catchup: false };
        let last: DataInterval | undefined;
        let left = 20;
        for (const run of runsBetween(unbounded, from, from + 400 * dayMs)) {
          if (last) {
            expect(previousInterval(unbounded, run)).toEqual(last);
            if (any.kind !== 'cronTrigger') expect(run.startMs).toBe(last.endMs);
            expect(run.startMs).toBeGreaterThan(last.startMs);
          }
          last = run;
          left -= 1;
          if (left === 0) break;
        }
      }),
      { numRuns: 400 },
    );
  });

  it('none is made twice or skipped with catchup, wherever the coordinator starts anew', () => {
    fc.assert(
      fc.property(
        timetable,
        fc.array(fc.nat(3 * 1440), { minLength: 1, maxLength: 12 }),
        (any, pauses) => {
          const caughtUp = { ...any, catchup: true };
          let nowMs = any.startDateMs ?? 0;
          let last: DataInterval | undefined;
          const made: DataInterval[] = [];
          for (const pause of pauses) {
            // A start: all that is due is made, from nothing but the last run and the time.
            nowMs += pause * minuteMs;
            for (let left = 20; left > 0; left -= 1) {
              const run = nextRun(caughtUp, last, nowMs);
              if (!run || run.endMs > nowMs) break;
              made.push(run);
              last = run;
            }
          }
          const wanted: DataInterval[] = [];
          for (const run of runsBetween(caughtUp, any.startDateMs ?? 0, nowMs)) {
            if (wanted.length === made.length) break;
            wanted.push(run);
          }
          expect(made).toEqual(wanted);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('without catchup none is made twice, and after a downtime the first is the latest that is due', () => {
    fc.assert(
      fc.property(timetable, instant, fc.nat(40 * 1440), (any, from, downMinutes) => {
        const skipping = { ...any, catchup: false };
        const last = nextRun(skipping, undefined, from)!;
        const nowMs = Math.max(from, last.endMs) + downMinutes * minuteMs;
        const run = nextRun(skipping, last, nowMs)!;
        expect(run.startMs).toBeGreaterThanOrEqual(last.endMs);
        if (any.kind === 'cronTrigger') expect(run.startMs).toBeGreaterThan(last.startMs);
        // Two that are due would mean that an older one than the latest was made.
        const following = nextRun(skipping, run, nowMs)!;
        if (any.kind !== 'delta') expect(following.endMs).toBeGreaterThan(nowMs);
      }),
      { numRuns: 500 },
    );
  });

  it('the list of coming runs rises, starts after the instant, and is the same from any start in it', () => {
    fc.assert(
      fc.property(timetable, instant, (any, from) => {
        const runs = nextRuns(any, from, 8);
        expect(runs).toHaveLength(8);
        const times = [from, ...runs.map(({ runAt }) => Date.parse(runAt))];
        for (const [k, at] of times.entries()) {
          if (k > 0) expect(at).toBeGreaterThan(times[k - 1] ?? NaN);
        }
        if (any.kind !== 'delta' || any.catchup === true) {
          expect(nextRuns(any, times[3] ?? NaN, 5)).toEqual(runs.slice(3));
        }
      }),
      { numRuns: 500 },
    );
  });
});
