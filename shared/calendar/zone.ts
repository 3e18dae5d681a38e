/**
 * Wall clocks of IANA time zones: what they show at an instant, and when they show it. Never: the
 * current time or the machine's own zone; the same question has the same answer everywhere that has
 * the same time zone data (Node's ICU).
 *
 * An instant is milliseconds since 1970 in UTC. A wall time is what the clock shows, as the
 * milliseconds that would be in UTC; most wall times are shown once, some twice (the clock was set
 * back: ambiguous), some never (set forward: missing).
 */
import { fail } from '../failure.js';

export interface Zone {
  readonly name: string;
  /** What the clock shows at an instant. */
  wallAt(instant: number): number;
  /** All instants at which the clock shows this, ascending: none, one or two. */
  instantsAt(wall: number): number[];
  /**
   * The instant that Airflow means by a wall time: of two the later; for a missing one, as much after
   * the gap's beginning as it is itself (02:30 in a gap from 02:00 to 03:00 is 03:30).
   */
  resolve(wall: number): number;
  /** By how many ms the clock was or will be set within a bit more than a day; 0 nearly always. */
  jumpNear(instant: number): number;
}

/** No zone was ever further from UTC, and none ever jumped by more than a day. */
const beyondEveryOffset = 25 * 3_600_000;

const dayMs = 86_400_000;
/** Days whose offset is remembered for each zone. */
const daysKept = 10_000;

const zones = new Map<string, Zone>();

/**
 * The zone of an IANA name such as `Europe/Berlin` or `UTC`.
 * @throws WindrowError E_SPEC_INVALID for a name that is none
 */
export function zoneNamed(name: string): Zone {
  let zone = zones.get(name);
  if (!zone) {
    zone = makeZone(name);
    zones.set(name, zone);
  }
  return zone;
}

function makeZone(name: string): Zone {
  const offsetAt = offsetReader(name);
  const wallAt = (instant: number): number => instant + offsetAt(instant);

  const instantsAt = (wall: number): number[] => {
    // What the clock is set to a day before and a day after: between those it changes at most once.
    const before = wall - offsetAt(wall - beyondEveryOffset);
    const after = wall - offsetAt(wall + beyondEveryOffset);
    const candidates = before === after ? [before] : [before, after].sort((a, b) => a - b);
    return candidates.filter((instant) => wallAt(instant) === wall);
  };

  return {
    name,
    wallAt,
    instantsAt,
    resolve: (wall) => instantsAt(wall).at(-1) ?? wall - offsetAt(wall - beyondEveryOffset),
    jumpNear: (instant) =>
      Math.abs(offsetAt(instant + beyondEveryOffset) - offsetAt(instant - beyondEveryOffset)),
  };
}

/** Milliseconds by which the zone's clock is ahead of UTC at an instant. */
function offsetReader(name: string): (instant: number) => number {
  const format = formatOf(name);
  const read = (instant: number): number => {
    const match = /GMT(?:([+-])(\d+):(\d+)(?::(\d+))?)?$/.exec(format.format(instant));
    if (!match) return fail('broken', 'E_INTERNAL', `time zone ${name} has no offset`);
    const [, sign, hours = 0, minutes = 0, seconds = 0] = match;
    const ms = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
    return sign === '-' ? -ms : ms;
  };
  // Formatting takes microseconds and every firing asks many times, mostly about the same few days.
  const wholeDays = new Map<number, number | undefined>();
  return (instant) => {
    const day = Math.floor(instant / dayMs);
    if (!wholeDays.has(day)) {
      if (wholeDays.size >= daysKept) wholeDays.clear();
      const offset = read(day * dayMs);
      wholeDays.set(day, offset === read((day + 1) * dayMs) ? offset : undefined);
    }
    return wholeDays.get(day) ?? read(instant);
  };
}

function formatOf(name: string): Intl.DateTimeFormat {
  // Node also takes offsets such as +02:00, which name no place and know no daylight saving time.
  if (/^[A-Za-z]/.test(name)) {
    try {
      return new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' });
    } catch {
      // Said below, in one place.
    }
  }
  return fail('invalidSpec', 'E_SPEC_INVALID', `'${name.slice(0, 100)}' is not a time zone`, {
    hint: 'write an IANA name such as Europe/Berlin or UTC',
  });
}
