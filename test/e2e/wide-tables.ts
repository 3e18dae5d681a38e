/** Tables with what joins, groups and orders trip over. Decided by hashes: every run has the same rows. */

const text = (random: string): string =>
  `(['', 'a', 'A', 'ä', 'a''b', '"q"', 'a b', null, 'a', 'a'])[1 + (hash(i, ${random}) % 10)::integer]`;
const double = (random: string): string =>
  `(['-0'::double, 0, 1.5, 'nan'::double, -2.75, null, 'inf'::double, 3])[1 + (hash(i, ${random}) % 8)::integer]`;

/** Half of the rows have one key. */
export function leftRows(rows: number, seed: number): string {
  const one = (n: number): string => `${seed} + ${n}`;
  return `select ((i * 7919) % 1000003)::bigint as id,
    case when hash(i, ${one(1)}) % 9 = 0 then null when hash(i, ${one(2)}) % 2 = 0 then 3
      else (hash(i, ${one(1)}) % 12)::integer end as k,
    ${text(one(3))} as name, ${double(one(4))} as x,
    case when hash(i, ${one(5)}) % 7 = 0 then null else ((hash(i, ${one(5)}) % 4000)::integer - 2000) / 100 end::decimal(12,2) as d,
    timestamp '1969-12-31 23:00:00' + to_milliseconds((hash(i, ${one(6)}) % 7200000)::integer) as ts,
    timestamptz '2026-03-29 00:30:00+00' + to_minutes((hash(i, ${one(7)}) % 200)::integer) as tz,
    case when hash(i, ${one(8)}) % 8 = 0 then null else date '2026-02-27' + (hash(i, ${one(8)}) % 4)::integer end as day,
    case when hash(i, ${one(9)}) % 5 = 0 then null else list_transform(range((hash(i, ${one(9)}) % 3)::integer), lambda n: case when n = 1 then null else n::integer end) end as l,
    case when hash(i, ${one(10)}) % 6 = 0 then null else {'n': (hash(i, ${one(10)}) % 3)::integer, 't': ${text(one(11))}} end as s,
    map {'a': (hash(i, ${one(12)}) % 3)::integer, 'b': null} as m,
    case when hash(i, ${one(13)}) % 4 = 0 then null else hash(i, ${one(13)}) % 3 = 0 end as b,
    ('00000000-0000-0000-0000-00000000000' || (hash(i, ${one(14)}) % 4))::uuid as u,
    encode(${text(one(15))}) as bl,
    (hash(i, ${one(16)}) % 256)::utinyint as tiny
  from range(${rows}) r(i)`;
}

/** Some keys several times, some never. */
export function rightRows(rows: number, seed: number): string {
  const one = (n: number): string => `${seed} + ${n + 50}`;
  return `select i::integer as no,
    case when hash(i, ${one(1)}) % 8 = 0 then null else (hash(i, ${one(1)}) % 15)::integer end as k,
    case when hash(i, ${one(2)}) % 8 = 0 then null else (hash(i, ${one(2)}) % 15)::bigint end as k8,
    ${text(one(3))} as name, ${double(one(4))} as x,
    ((hash(i, ${one(5)}) % 400)::integer - 200) / 10::decimal(10,1) as w,
    timestamptz '2026-03-29 00:30:00+00' + to_minutes((hash(i, ${one(6)}) % 200)::integer) as tz,
    date '2026-02-26' + (hash(i, ${one(7)}) % 5)::integer as day,
    'label ' || i as label
  from range(${rows}) r(i)`;
}

export const leftColumns = [
  'id',
  'k',
  'name',
  'x',
  'd',
  'ts',
  'tz',
  'day',
  'l',
  's',
  'm',
  'b',
  'u',
  'bl',
  'tiny',
];
export const rightColumns = ['no', 'k', 'k8', 'name', 'x', 'w', 'tz', 'day', 'label'];

/** Text of row `i` that nothing compresses, of so many times 32 bytes. */
export const pad = (times: number): string =>
  `array_to_string(list_transform(range(${times}), lambda n: md5((i * 1000 + n)::varchar)), '')`;
