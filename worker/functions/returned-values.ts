/**
 * One value that a map function returned, checked against the declared type: what DuckDB takes for
 * it, exactly. Never coerces: what the type cannot hold is refused.
 */
import { TimeUnit, Vector } from 'apache-arrow';
import { jsonType, type NumberType, type Shape } from './column-kinds.js';
import { thrownText } from './user-place.js';

/** Where a value comes from, and the way to refuse it. */
export class ValuePlace {
  /** @param refuse throws WindrowError E_MAP_RESULT */
  constructor(
    private readonly refuse: (what: string) => never,
    readonly row: number,
    private readonly path = '',
  ) {}

  /** Of a part of the value. */
  within(name: string): ValuePlace {
    return new ValuePlace(this.refuse, this.row, `${this.path}.${name}`);
  }

  bad(what: string): never {
    return this.refuse(this.path === '' ? what : `at ${this.path.slice(1)} ${what}`);
  }
}

type Leaf = Exclude<Shape, { kind: 'list' | 'struct' | 'union' | 'map' | 'json' }>;

const signed = (bits: bigint): [bigint, bigint] => [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n];
const unsigned = (bits: bigint): [bigint, bigint] => [0n, (1n << bits) - 1n];

const bounds: Partial<Record<NumberType, readonly [bigint, bigint]>> = {
  TINYINT: signed(8n),
  SMALLINT: signed(16n),
  INTEGER: signed(32n),
  BIGINT: signed(64n),
  UTINYINT: unsigned(8n),
  USMALLINT: unsigned(16n),
  UINTEGER: unsigned(32n),
  UBIGINT: unsigned(64n),
};

/** @returns a bigint for BIGINT and UBIGINT */
export function checkedNumber(
  value: unknown,
  type: NumberType,
  place: ValuePlace,
): number | bigint {
  const range = bounds[type];
  const isNumber = typeof value === 'number' || (typeof value === 'bigint' && range);
  if (!isNumber) return wrong(value, type, place);
  if (!range) {
    const tooLarge = type === 'FLOAT' && !Number.isFinite(Math.fround(Number(value)));
    if (tooLarge && Number.isFinite(value)) outOfRange(value, type, place);
    return Number(value);
  }
  if (typeof value === 'number' && !Number.isSafeInteger(value)) wrong(value, type, place);
  const exact = BigInt(value);
  if (exact < range[0] || exact > range[1]) outOfRange(value, type, place);
  return type === 'BIGINT' || type === 'UBIGINT' ? exact : Number(exact);
}

export function checkedBoolean(value: unknown, place: ValuePlace): boolean {
  return typeof value === 'boolean' ? value : wrong(value, 'boolean', place);
}

/** Whole days since 1970. */
export function checkedDays(value: unknown, place: ValuePlace): number {
  return Math.floor(milliseconds(value, place) / 86_400_000);
}

/** Microseconds since 1970. */
export function checkedMicroseconds(value: unknown, place: ValuePlace): bigint {
  return BigInt(Math.round(milliseconds(value, place) * 1000));
}

/** A moment of an Arrow vector; parts of a microsecond are cut off towards the past. */
export function inMicroseconds(moment: bigint, unit: TimeUnit, place: ValuePlace): bigint {
  switch (unit) {
    case TimeUnit.NANOSECOND:
      return (moment - (((moment % 1000n) + 1000n) % 1000n)) / 1000n;
    case TimeUnit.MICROSECOND:
      return moment;
    default: {
      const times = unit === TimeUnit.SECOND ? 1_000_000n : 1000n;
      const exact = moment * times;
      return exact === BigInt.asIntN(64, exact) ? exact : outOfRange(moment, 'TIMESTAMP', place);
    }
  }
}

/** As far as a `Date` goes, which is not as far as DuckDB. */
const millisecondsMax = 8.64e15;

function milliseconds(value: unknown, place: ValuePlace): number {
  const ms = value instanceof Date ? value.getTime() : value;
  if (typeof ms !== 'number' || !Number.isFinite(ms)) return wrong(value, 'a Date', place);
  if (Math.abs(ms) > millisecondsMax) outOfRange(value, 'a Date', place);
  return ms;
}

/** Text that DuckDB casts to the type. */
export function checkedText(value: unknown, kind: Leaf['kind'], place: ValuePlace): string {
  switch (kind) {
    case 'binary':
      return value instanceof Uint8Array ? blobText(value) : wrong(value, 'a Uint8Array', place);
    case 'asText':
      if (value instanceof LongNumber) return value.text;
      return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint'
        ? String(value)
        : wrong(value, 'a string or number', place);
    default:
      return typeof value === 'string' ? value : wrong(value, 'a string', place);
  }
}

/** DuckDB's text form of a BLOB. */
function blobText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').replace(/../g, '\\x$&');
}

/** The JSON that a whole column's value is: text of it is checked like a value. */
export function columnJson(value: unknown, shape: Shape, place: ValuePlace): string {
  if (typeof value !== 'string') return jsonText(value, shape, place);
  return shape.kind === 'json' ? value : jsonText(parsed(value, place), shape, place);
}

/**
 * The JSON of a value of this shape, each part of it checked as a whole column of its type is. What
 * JSON has no form for is a string: NaN, the infinities, dates, and bytes as DuckDB writes them.
 */
export function jsonText(value: unknown, shape: Shape, place: ValuePlace): string {
  if (value === null || value === undefined) return 'null';
  switch (shape.kind) {
    case 'list':
      return listJson(value, shape.item, place);
    case 'struct':
    case 'union':
      return structJson(value, shape, place);
    case 'map': {
      const entries = Object.entries(object(value, place));
      const members = entries.map(([marked, member]) => {
        const key = withoutMark(marked);
        const at = place.within(key);
        return `${keyJson(key, shape.key, at)}:${jsonText(member, shape.value, at)}`;
      });
      return `{${members.join(',')}}`;
    }
    case 'json':
      return anyJson(value, place);
    default:
      return leafJson(value, shape, place);
  }
}

function listJson(value: unknown, item: Shape, place: ValuePlace): string {
  const isTyped = ArrayBuffer.isView(value) && !(value instanceof DataView);
  if (!Array.isArray(value) && !(value instanceof Vector) && !isTyped) {
    const of = item.kind === 'number' ? ` of ${item.type}` : '';
    wrong(value, `a list${of}`, place);
  }
  const members = Array.from(value as Iterable<unknown>, (member) => jsonText(member, item, place));
  return `[${members.join(',')}]`;
}

function structJson(
  value: unknown,
  { kind, members }: Extract<Shape, { kind: 'struct' | 'union' }>,
  place: ValuePlace,
): string {
  const given = object(value, place);
  const unknown = Object.keys(given).find(
    (name) => !members.has(withoutMark(name)) && given[name] !== undefined,
  );
  if (unknown !== undefined) place.bad(`has no ${withoutMark(unknown)}, row ${place.row} does`);
  const keys = new Map([...members.keys()].map((name) => [name, keyOf(given, name)]));
  const names = [...members.keys()].filter((name) => keys.get(name) !== undefined);
  if (kind === 'union' && names.length !== 1) {
    place.bad(
      `must be one of ${[...members.keys()].join(', ')}, row ${place.row} is ${names.length}`,
    );
  }
  const lacking = [...members.keys()].find((name) => !names.includes(name));
  if (kind === 'struct' && lacking !== undefined) {
    place.bad(`must have ${lacking}, row ${place.row} has not`);
  }
  const parts = names.map(
    (name) =>
      `${JSON.stringify(name)}:${jsonText(given[keys.get(name)!], members.get(name)!, place.within(name))}`,
  );
  return `{${parts.join(',')}}`;
}

/** What an object calls a member, a class's getters included; undefined where it has none. */
function keyOf(given: object, name: string): string | undefined {
  if (Object.hasOwn(given, name)) return name;
  if (Object.hasOwn(given, keyMark + name)) return keyMark + name;
  return name in given && !(name in Object.prototype) ? name : undefined;
}

/** What has a JSON form of its own, such as Arrow's rows, is that. */
function object(value: unknown, place: ValuePlace): Record<string, unknown> {
  if (value instanceof Map || value instanceof Set) notJson(value, place);
  const { toJSON } = value as { toJSON?: unknown };
  const given: unknown =
    typeof toJSON === 'function' && !(value instanceof Date)
      ? (toJSON.call(value) as unknown)
      : value;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return wrong(value, 'an object', place);
  }
  return given as Record<string, unknown>;
}

function leafJson(value: unknown, leaf: Leaf, place: ValuePlace): string {
  switch (leaf.kind) {
    case 'number': {
      const checked = checkedNumber(numberOf(value, leaf.type), leaf.type, place);
      if (Object.is(checked, -0)) return '-0.0';
      return typeof checked === 'bigint' || Number.isFinite(checked)
        ? String(checked)
        : `"${checked}"`;
    }
    case 'boolean':
      return String(checkedBoolean(value, place));
    case 'date':
      if (typeof value === 'string') return JSON.stringify(value);
      return `"${dateText(BigInt(checkedDays(value, place)) * microsecondsPerDay)}"`;
    case 'timestamp':
      if (typeof value === 'string') return JSON.stringify(value);
      return `"${timestampText(checkedMicroseconds(value, place))}"`;
    case 'binary':
      if (typeof value === 'string') return JSON.stringify(value);
      return JSON.stringify(checkedText(value, leaf.kind, place));
    default:
      return JSON.stringify(checkedText(value, leaf.kind, place));
  }
}

/** A number as JSON may have it: too long for a `number`, or the name of what is none. */
function numberOf(value: unknown, type: NumberType): unknown {
  if (value instanceof LongNumber) {
    return bounds[type] && /^-?\d+$/.test(value.text) ? BigInt(value.text) : Number(value.text);
  }
  return !bounds[type] && (value === 'NaN' || value === 'Infinity' || value === '-Infinity')
    ? Number(value)
    : value;
}

/** Keys of an object are text, which must be that of one value of the type. */
function keyJson(key: string, shape: Shape, place: ValuePlace): string {
  if (shape.kind === 'number') {
    const isNumber = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(key);
    const value = numberOf(isNumber ? new LongNumber(key) : key, shape.type);
    checkedNumber(value, shape.type, place);
  } else if (jsonType(shape) !== 'VARCHAR' && shape.kind !== 'boolean') {
    place.bad('has keys of a nested type, which no object has');
  }
  return JSON.stringify(key);
}

const microsecondsPerDay = 86_400_000_000n;

/** DuckDB's text form; it counts years before the first from 1, where `Date` has 0. */
function dateText(microseconds: bigint): string {
  const date = new Date(Number(microseconds / 1000n));
  const year = date.getUTCFullYear();
  const [month, day] = [date.getUTCMonth() + 1, date.getUTCDate()].map((n) => twoDigits(n));
  const era = year > 0 ? '' : ' (BC)';
  return `${String(year > 0 ? year : 1 - year).padStart(4, '0')}-${month}-${day}${era}`;
}

function timestampText(microseconds: bigint): string {
  const within = ((microseconds % microsecondsPerDay) + microsecondsPerDay) % microsecondsPerDay;
  const seconds = Number(within / 1_000_000n);
  const [hour, minute, second] = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map((n) =>
    twoDigits(Math.floor(n)),
  );
  const fraction = String(within % 1_000_000n).padStart(6, '0');
  return `${dateText(microseconds - within)} ${hour}:${minute}:${second}.${fraction}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

/** A number in JSON text with more digits than a `number` keeps. */
class LongNumber {
  constructor(readonly text: string) {}
}

/** Begins a string that stands for such a number while the text is parsed. */
const longMark = '\u0001number:';
/** Begins a key that is a number, which objects of JavaScript would have before all others. */
const keyMark = '\u0001key:';

function withoutMark(key: string): string {
  return key.startsWith(keyMark) ? key.slice(keyMark.length) : key;
}

function parsed(text: string, place: ValuePlace): unknown {
  const marked = text
    .replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.]{15,}(?:[eE][+-]?\d+)?/g, (token) =>
      token.startsWith('"') ? token : JSON.stringify(longMark + token),
    )
    .replace(/"((?:[^"\\]|\\.)*)"(\s*:)?/g, (token, key: string, colon?: string) =>
      colon && /^\d+$/.test(key) ? JSON.stringify(keyMark + key) + colon : token,
    );
  try {
    return JSON.parse(marked, (_key, member: unknown) =>
      typeof member === 'string' && member.startsWith(longMark)
        ? new LongNumber(member.slice(longMark.length))
        : member,
    ) as unknown;
  } catch {
    return wrong(text, 'JSON', place);
  }
}

function anyJson(value: unknown, place: ValuePlace): string {
  const numbers: string[] = [];
  const text = JSON.stringify(value, (_key, member: unknown) => {
    if (member instanceof Map || member instanceof Set) notJson(member, place);
    if (typeof member === 'number' && !Number.isFinite(member)) {
      place.bad(`holds ${member} in row ${place.row}, which has no JSON form: make it null`);
    }
    if (typeof member === 'bigint' || member instanceof LongNumber) {
      numbers.push(member instanceof LongNumber ? member.text : member.toString());
      return `\u0001${numbers.length - 1}\u0001`;
    }
    if (member instanceof Vector || ArrayBuffer.isView(member)) {
      return [...(member as unknown as Iterable<unknown>)];
    }
    return member;
  }) as string | undefined;
  if (text === undefined) return wrong(value, 'a value that has a JSON form', place);
  return text
    .replace(/"\\u0001key:(\d+)":/g, '"$1":')
    .replace(/"\\u0001(\d+)\\u0001"/g, (all, index: string) => numbers[Number(index)] ?? all);
}

function notJson(value: Map<unknown, unknown> | Set<unknown>, place: ValuePlace): never {
  return place.bad(
    `holds a ${value.constructor.name} in row ${place.row}, which has no JSON form: make an object or a list of it`,
  );
}

function wrong(value: unknown, wanted: string, place: ValuePlace): never {
  return place.bad(`must be ${wanted}, row ${place.row} is ${shown(value)}`);
}

function outOfRange(value: unknown, type: string, place: ValuePlace): never {
  return place.bad(`is out of the range of ${type}: row ${place.row} is ${shown(value)}`);
}

function shown(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`;
  if (value instanceof LongNumber) return value.text;
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : thrownText(value);
}
