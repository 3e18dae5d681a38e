/** Wall clocks: offsets, ambiguous and missing times, refused names. */
import { describe, expect, it } from 'vitest';
import { zoneNamed } from '../../../shared/calendar/zone.js';
import { WindrowError } from '../../../shared/failure.js';

const ms = (text: string): number => Date.parse(text);
const iso = (instant: number): string => new Date(instant).toISOString().slice(0, 16);

describe('the wall clock', () => {
  it.each([
    ['UTC', '2025-07-01T12:00Z', '2025-07-01T12:00'],
    ['Europe/Berlin', '2025-07-01T12:00Z', '2025-07-01T14:00'],
    ['Europe/Berlin', '2025-01-01T23:30Z', '2025-01-02T00:30'],
    ['America/New_York', '2025-01-01T03:00Z', '2024-12-31T22:00'],
    ['Asia/Kathmandu', '2025-01-01T00:00Z', '2025-01-01T05:45'],
    ['Australia/Lord_Howe', '2025-01-01T00:00Z', '2025-01-01T11:00'],
    ['America/St_Johns', '2025-01-01T00:00Z', '2024-12-31T20:30'],
  ])('in %s at %s shows %s', (name, instant, wall) => {
    const zone = zoneNamed(name);
    expect(iso(zone.wallAt(ms(instant)))).toBe(wall);
    expect(zone.instantsAt(ms(`${wall}Z`))).toEqual([ms(instant)]);
    expect(zone.resolve(ms(`${wall}Z`))).toBe(ms(instant));
  });

  it('keeps offsets of odd seconds, as long ago', () => {
    const zone = zoneNamed('Europe/Berlin');
    const instant = Date.UTC(1880, 0, 1);
    expect(zone.wallAt(instant) - instant).toBe((53 * 60 + 28) * 1000);
  });
});

describe('an ambiguous time', () => {
  it.each([
    ['Europe/Berlin', '2025-10-26T02:30Z', ['2025-10-26T00:30', '2025-10-26T01:30']],
    ['America/New_York', '2025-11-02T01:00Z', ['2025-11-02T05:00', '2025-11-02T06:00']],
    ['Australia/Lord_Howe', '2026-04-05T01:45Z', ['2026-04-04T14:45', '2026-04-04T15:15']],
  ])('in %s, %s, has two instants, and the later is meant', (name, wall, instants) => {
    const zone = zoneNamed(name);
    expect(zone.instantsAt(ms(wall)).map(iso)).toEqual(instants);
    expect(iso(zone.resolve(ms(wall)))).toBe(instants[1]);
  });
});

describe('a missing time', () => {
  it.each([
    ['Europe/Berlin', '2025-03-30T02:30Z', '2025-03-30T03:30'],
    ['America/Santiago', '2025-09-07T00:00Z', '2025-09-07T01:00'],
    ['Australia/Lord_Howe', '2025-10-05T02:15Z', '2025-10-05T02:45'],
    // Samoa left out a whole day when it crossed the date line.
    ['Pacific/Apia', '2011-12-30T10:00Z', '2011-12-31T10:00'],
  ])('in %s, %s, has no instant, and %s is meant', (name, wall, meant) => {
    const zone = zoneNamed(name);
    expect(zone.instantsAt(ms(wall))).toEqual([]);
    expect(iso(zone.wallAt(zone.resolve(ms(wall))))).toBe(meant);
  });

  it('borders on times that exist', () => {
    const zone = zoneNamed('Europe/Berlin');
    expect(zone.instantsAt(ms('2025-03-30T01:59:59.999Z'))).toHaveLength(1);
    expect(zone.instantsAt(ms('2025-03-30T02:00Z'))).toHaveLength(0);
    expect(zone.instantsAt(ms('2025-03-30T02:59:59.999Z'))).toHaveLength(0);
    expect(zone.instantsAt(ms('2025-03-30T03:00Z'))).toHaveLength(1);
  });
});

it.each(['', 'Mars/Olympus', '+02:00', 'Europe/Berlin '])('%j is not a zone', (name) => {
  expect(() => zoneNamed(name)).toThrow(WindrowError);
  expect(() => zoneNamed(name)).toThrow(
    /E_SPEC_INVALID: .* is not a time zone; write an IANA name/,
  );
});
