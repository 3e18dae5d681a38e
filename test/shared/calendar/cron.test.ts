/** Cron expressions: which are read how, which are refused, and when they fire. */
import { describe, expect, it } from 'vitest';
import { cronFirings } from '../../../shared/calendar/cron.js';

const iso = (instant: number): string => new Date(instant).toISOString().slice(0, 19);

/** Firings from the beginning of 2026 (a Thursday) in UTC, as day and time without the year. */
function firings(expression: string, count: number): string[] {
  const cron = cronFirings(expression, 'UTC');
  const found: string[] = [];
  let at = Date.UTC(2026, 0, 1) - 1;
  for (let k = 0; k < count; k += 1) {
    at = cron.next(at);
    found.push(iso(at).slice(5).replace(/:00$/, ''));
  }
  return found;
}

describe('an expression', () => {
  it.each([
    ['*/25 * * * *', ['01-01T00:00', '01-01T00:25', '01-01T00:50', '01-01T01:00']],
    ['50/5 23 * * *', ['01-01T23:50', '01-01T23:55', '01-02T23:50']],
    ['59/15 0 * * *', ['01-01T00:59', '01-02T00:59']],
    [
      '1,5-9/2 7 * * *',
      ['01-01T07:01', '01-01T07:05', '01-01T07:07', '01-01T07:09', '01-02T07:01'],
    ],
    ['0 22-1 * * *', ['01-01T00:00', '01-01T01:00', '01-01T22:00', '01-01T23:00', '01-02T00:00']],
    [
      '0 0 * FEB,apr Mon',
      ['02-02T00:00', '02-09T00:00', '02-16T00:00', '02-23T00:00', '04-06T00:00'],
    ],
    ['0 0 * * sat-mon', ['01-03T00:00', '01-04T00:00', '01-05T00:00', '01-10T00:00']],
    ['0 0 * * 7', ['01-04T00:00', '01-11T00:00']],
    ['0 0 * * 5-7', ['01-02T00:00', '01-03T00:00', '01-04T00:00', '01-09T00:00']],
    ['0 0 * * 0-7', ['01-01T00:00', '01-02T00:00', '01-03T00:00', '01-04T00:00']],
    ['0 0 ? * mon', ['01-05T00:00', '01-12T00:00']],
    ['0 0 1,L * *', ['01-01T00:00', '01-31T00:00', '02-01T00:00', '02-28T00:00']],
    ['0 0 28-L 2 *', ['02-28T00:00', '02-28T00:00']],
    ['0 0 * * fri#2', ['01-09T00:00', '02-13T00:00']],
    ['0 0 * * mon-tue#1', ['01-05T00:00', '01-06T00:00', '02-02T00:00', '02-03T00:00']],
    ['0 0 * * 1#5', ['03-30T00:00', '06-29T00:00']],
    ['0 0 * * L5', ['01-30T00:00', '02-27T00:00']],
    ['0 0 * * 1#1,L5', ['01-05T00:00', '01-30T00:00', '02-02T00:00']],
    ['  0   6 * * *  ', ['01-01T06:00', '01-02T06:00']],
    ['0 0 * * * 15,45', ['01-01T00:00:15', '01-01T00:00:45', '01-02T00:00:15']],
    ['@hourly', ['01-01T00:00', '01-01T01:00']],
    ['@daily', ['01-01T00:00', '01-02T00:00']],
    ['@midnight', ['01-01T00:00', '01-02T00:00']],
    ['@weekly', ['01-04T00:00', '01-11T00:00']],
    ['@monthly', ['01-01T00:00', '02-01T00:00']],
    ['@Quarterly', ['01-01T00:00', '04-01T00:00']],
    ['@yearly', ['01-01T00:00', '01-01T00:00']],
    ['@annually', ['01-01T00:00', '01-01T00:00']],
  ])('%s fires at %s', (expression, expected) => {
    expect(firings(expression, expected.length)).toEqual(expected);
  });

  it('with both kinds of days restricted fires on days that match either', () => {
    expect(firings('0 0 13 * fri', 4)).toEqual([
      '01-02T00:00',
      '01-09T00:00',
      '01-13T00:00',
      '01-16T00:00',
    ]);
  });

  it('that lists every day of the month beside a weekday fires daily, as in Airflow', () => {
    expect(firings('0 0 1-31 * mon', 2)).toEqual(['01-01T00:00', '01-02T00:00']);
    expect(firings('0 0 */1 * mon', 2)).toEqual(['01-01T00:00', '01-02T00:00']);
    expect(firings('0 0 */1 * */3', 3)).toEqual(['01-03T00:00', '01-04T00:00', '01-07T00:00']);
  });

  it('for a fifth Monday in February waits as long as 29 February needs to be one', () => {
    const cron = cronFirings('0 0 * 2 mon#5', 'UTC');
    expect(iso(cron.next(Date.UTC(2026, 0, 1)))).toBe('2044-02-29T00:00:00');
    for (let at = cron.next(Date.UTC(1890, 0, 1)); at < Date.UTC(2500, 0, 1); at = cron.next(at)) {
      const date = new Date(at);
      expect([date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCDay()]).toEqual([2, 29, 1]);
      expect(cron.previous(cron.next(at))).toBe(at);
    }
  });

  it('for 29 February waits as long as the calendar does', () => {
    const cron = cronFirings('0 0 29 2 *', 'UTC');
    expect(iso(cron.next(Date.UTC(2096, 1, 29)))).toBe('2104-02-29T00:00:00');
    expect(iso(cron.previous(Date.UTC(2104, 1, 29)))).toBe('2096-02-29T00:00:00');
  });
});

it.each([
  ['0050-03-01T00:00:00Z', '0051-02-28T00:00:00', '0050-02-28T00:00:00'],
  ['0003-06-01T00:00:00Z', '0004-02-29T00:00:00', '0003-02-28T00:00:00'],
])('the years before 100 are years, too: around %s', (at, next, previous) => {
  const cron = cronFirings('0 0 L 2 *', 'UTC');
  expect(iso(cron.next(Date.parse(at)))).toBe(next);
  expect(iso(cron.previous(Date.parse(at)))).toBe(previous);
});

describe('refused, with what to write instead, is', () => {
  it.each([
    ['', /has 1 fields; write minute, hour/],
    ['* * * *', /has 4 fields/],
    ['* * * * * * *', /has 7 fields/],
    ['@once', /is not a preset; write one of @hourly/],
    ['@continuous', /is not a preset/],
    ['@constructor', /is not a preset/],
    ['constructor', /has 1 fields/],
    ['60 * * * *', /'60' as minute, which is out of range; write numbers from 0 to 59/],
    ['* 24 * * *', /'24' as hour/],
    ['* * 0 * *', /'0' as day of month/],
    ['* * * 13 *', /'13' as month/],
    ['* * * * 8', /'8' as day of week/],
    ['* * * * * 60', /'60' as second/],
    ['* * * mon *', /'mon' as month/],
    ['-1 * * * *', /which is no value, range or step/],
    ['1- * * * *', /which is no value, range or step/],
    ['*-5 * * * *', /which is no value, range or step/],
    [', * * * *', /which is no value, range or step/],
    ['1.5 * * * *', /which is no value, range or step/],
    ['*/0 * * * *', /which never advances/],
    ['*/x * * * *', /which is no value, range or step/],
    ['1e1 * * * *', /out of range/],
    ['0x1 * * * *', /out of range/],
    ['99999999999999999999 * * * *', /out of range/],
    ['5-5 * * * *', /which systems read in two ways; write 5, or \* for all/],
    ['* 22-4/3 * * *', /which wraps and has a step; write the values as a list/],
    ['* * 15W * *', /'15w' as day of month/],
    ['* * L-3 * *', /'l-3' as day of month/],
    ['H * * * *', /'h' as minute/],
    ['R * * * *', /'r' as minute/],
    ['? * * * *', /'\?' as minute/],
    ['* * * * fri#0', /has 'fri#0'; write a number from 1 to 5/],
    ['* * * * fri#6', /write a number from 1 to 5/],
    ['* * * * L', /'l' as day of week/],
    ['* * * * fri#2,mon', /mixes 'fri#2,mon' with other days/],
    ['* * 13 * fri#2', /mixes 'fri#2' with other days/],
    ['0 0 31 2 *', /never fires; name a day that its months have/],
    ['0 0 31 4,6,9,11 *', /never fires/],
  ])('%j', (expression, message) => {
    expect(() => cronFirings(expression, 'UTC')).toThrow(message);
    expect(() => cronFirings(expression, 'UTC')).toThrow(/^E_SPEC_INVALID/);
  });
});

describe('where the clock is set', () => {
  /** Firings of a zone's day, by its clock, with the offset from UTC that tells equal times apart. */
  const day = (expression: string, timezone: string, from: string, to: string): string[] => {
    const cron = cronFirings(expression, timezone);
    const found: string[] = [];
    for (let at = cron.next(Date.parse(from) - 1); at < Date.parse(to); at = cron.next(at)) {
      found.push(iso(at).slice(11, 16));
    }
    return found;
  };

  it('a daily firing at a missing time comes as much later as the gap is long', () => {
    expect(day('30 2 * * *', 'Europe/Berlin', '2025-03-29T23:00Z', '2025-03-30T22:00Z')).toEqual([
      '01:30',
    ]);
  });

  it('a daily firing at an ambiguous time comes once, at the second', () => {
    expect(day('30 2 * * *', 'Europe/Berlin', '2025-10-25T22:00Z', '2025-10-26T23:00Z')).toEqual([
      '01:30',
    ]);
  });

  it('an hourly firing comes every hour, whatever the clock shows', () => {
    const hours = (count: number, from: number): string[] =>
      Array.from({ length: count }, (_, k) => `${String((from + k) % 24).padStart(2, '0')}:30`);
    expect(day('30 * * * *', 'Europe/Berlin', '2025-03-29T23:00Z', '2025-03-30T22:00Z')).toEqual(
      hours(23, 23),
    );
    expect(day('30 0-23 * * *', 'Europe/Berlin', '2025-10-25T22:00Z', '2025-10-26T23:00Z')).toEqual(
      hours(25, 22),
    );
  });

  it('two firings that become one instant are one', () => {
    expect(day('30 2,3 * * *', 'Europe/Berlin', '2025-03-29T23:00Z', '2025-03-30T22:00Z')).toEqual([
      '01:30',
    ]);
  });

  it('a midnight that does not exist is an hour later', () => {
    const cron = cronFirings('@daily', 'America/Santiago');
    expect(iso(cron.next(Date.parse('2025-09-06T12:00Z')))).toBe('2025-09-07T04:00:00');
    expect(iso(cron.previous(Date.parse('2025-09-07T12:00Z')))).toBe('2025-09-07T04:00:00');
  });

  it('a day that a zone left out fires once, on the next', () => {
    const cron = cronFirings('0 9 * * *', 'Pacific/Apia');
    const first = cron.next(Date.parse('2011-12-29T12:00Z'));
    const second = cron.next(first);
    expect([first, second].map(iso)).toEqual(['2011-12-29T19:00:00', '2011-12-30T19:00:00']);
    expect(cron.previous(second)).toBe(first);
  });
});

it('the end of all dates is an error, not an endless search', () => {
  const cron = cronFirings('@yearly', 'UTC');
  expect(() => cron.next(8.64e15)).toThrow();
  expect(() => cron.previous(Number.NaN)).toThrow();
});
