/**
 * Random wide steps over the tables of `wide-tables.ts`, each with the statement that a person would write for it.
 * Never uses what the engine makes of a step.
 */
import fc from 'fast-check';
import type { StepInput } from './wide-cluster.js';
import { leftColumns, rightColumns } from './wide-tables.js';

export interface Drawn {
  /** Without its id. */
  readonly step: Omit<StepInput, 'id'> & Record<string, unknown>;
  readonly oracle: string;
  /** The rows have to come in the statement's order. */
  readonly ordered?: boolean;
}

export const lefts = ['t_none', 't_one', 't_few', 't_many'] as const;
export const rights = ['u_none', 'u_one', 'u_few'] as const;
const left = fc.constantFrom(...lefts, 't_few', 't_many');
const right = fc.constantFrom(...rights, 'u_few', 'u_few');

const joinKeys = [
  { k: 'k' },
  { k: 'k8' },
  { name: 'name' },
  { x: 'x' },
  { d: 'w' },
  { tz: 'tz' },
  { day: 'day' },
  { k: 'k', name: 'name' },
  { tiny: 'k', day: 'day' },
  { ts: 'day' },
];

/** @param leftColumns columns of the tables on the left, in their order */
export function joinsOf(leftColumns: readonly string[]): fc.Arbitrary<Drawn> {
  return fc
    .record({
      left,
      right,
      how: fc.constantFrom('inner', 'left', 'right', 'full', 'semi', 'anti', 'cross' as const),
      keys: fc.constantFrom(...joinKeys),
      nullSafe: fc.boolean(),
      where: fc.constantFrom(
        undefined,
        undefined,
        'id % 3 <> 0',
        'w > 0',
        'd < w',
        'L.name < R.name',
      ),
    })
    .map(({ left, right, how, keys, nullSafe, where }) => {
      const crossing = how === 'cross';
      const l = crossing && left === 't_many' ? 't_few' : left;
      const pairs = crossing ? [] : Object.entries(keys);
      const conditions = pairs.map(
        ([a, b]) => `l.${a} ${nullSafe ? 'is not distinct from' : '='} r.${b}`,
      );
      if (where !== undefined) conditions.push(where.replace('L.', 'l.').replace('R.', 'r.'));
      const on = conditions.join(' and ') || 'true';
      const ours = leftColumns.map((name) => {
        const key = pairs.find(([a]) => a === name)?.[1];
        if (key === undefined || (how !== 'right' && how !== 'full')) return `l.${name}`;
        return how === 'right' ? `r.${key} as ${name}` : `coalesce(l.${name}, r.${key}) as ${name}`;
      });
      const theirs = rightColumns
        .filter((name) => pairs.every(([, key]) => key !== name))
        .map((name) => `r.${name} as ${name}${leftColumns.includes(name) ? '_r' : ''}`);
      const exists = `exists (from ${right} r where ${on})`;
      const oracle =
        how === 'semi' || how === 'anti'
          ? `select l.* from ${l} l where ${how === 'anti' ? 'not ' : ''}${exists}`
          : `select ${[...ours, ...theirs].join(', ')} from ${l} l ${crossing ? 'inner' : how} join ${right} r on ${on}`;
      const own = where?.replace('L.', `${l}.`).replace('R.', `${right}.`);
      const join = {
        ...{ left: l, right, how, suffix: '_r' },
        ...(crossing ? {} : { keys, nullSafe }),
        ...(own === undefined ? {} : { where: own }),
      };
      return { step: { join }, oracle };
    });
}
export const joins = joinsOf(leftColumns);

const groupings = ['k', 'name', 'x', 'day', 'l', 's', 'b', 'd', 'u', 'bl', 'tz'];
const measures: Readonly<Record<string, string>> = {
  n: 'count(*)',
  with_k: 'count(k)',
  total: 'sum(id)',
  total_d: 'sum(d)',
  mean_d: 'avg(d)',
  mean_x: 'avg(x)',
  low: 'min(name)',
  high: 'max(ts)',
  highest_x: 'max(x)',
  some: 'sum(d) filter (b)',
  kinds: 'count(distinct name)',
  kinds_x: 'count(distinct x)',
  middle: 'median(d)',
  spread: 'stddev_samp(tiny)',
  at_last: 'arg_max(name, id)',
  all_ids: 'list_sort(list(id))',
  names: "string_agg(name, ',' order by id)",
  every: 'bool_and(b)',
  bits: 'bit_xor(id)',
  quarter: 'quantile_cont(d, 0.25)',
  leading: 'first(u order by id)',
  largest_list: 'max(l)',
  least: 'min(s)',
};

export const aggregates: fc.Arbitrary<Drawn> = fc
  .record({
    from: left,
    by: fc.uniqueArray(fc.constantFrom(...groupings, 'EXPRESSION'), { maxLength: 3 }),
    measures: fc.uniqueArray(fc.constantFrom(...Object.keys(measures)), {
      minLength: 1,
      maxLength: 5,
    }),
    sets: fc.constantFrom(undefined, undefined, 'rollup', 'cube', 'list'),
    having: fc.constantFrom(undefined, undefined, undefined, 'count(*) > 2', 'min(id) % 2 = 0'),
  })
  .map(({ from, by, measures: names, sets, having }) => {
    const terms = by.map((name) => (name === 'EXPRESSION' ? 'id % 4' : name));
    const selected = by.map((name) => (name === 'EXPRESSION' ? 'id % 4 as bucket' : name));
    const named = by.map((name) => (name === 'EXPRESSION' ? 'bucket' : name));
    const values = names.map((name) => `${measures[name]!} as ${name}`);
    const lists = [named, named.slice(0, 1), []];
    const inList = [terms, terms.slice(0, 1), []].map((list) => `(${list.join(', ')})`).join(', ');
    const way = by.length === 0 ? undefined : sets;
    const groupBy = {
      all: `group by ${terms.join(', ')}`,
      rollup: `group by rollup (${terms.join(', ')})`,
      cube: `group by cube (${terms.join(', ')})`,
      list: `group by grouping sets (${inList})`,
    }[way ?? 'all']!;
    const aggregate = {
      from,
      ...(by.length === 0
        ? {}
        : { by: by.map((name) => (name === 'EXPRESSION' ? { bucket: 'id % 4' } : name)) }),
      measures: Object.fromEntries(names.map((name) => [name, measures[name]!])),
      ...(way === undefined ? {} : { sets: way === 'list' ? lists : way }),
      ...(having === undefined ? {} : { having }),
    };
    const oracle = `select ${[...selected, ...values].join(', ')} from ${from}
      ${by.length === 0 ? '' : groupBy}${having === undefined ? '' : ` having ${having}`}`;
    return { step: { aggregate }, oracle };
  });

const directions = fc.constantFrom('', ' desc', ' asc nulls first', ' desc nulls last');
/** Ends with a column that is unique, so that there is one right order. */
const orders = fc
  .uniqueArray(
    fc.constantFrom('k', 'name', 'x', 'd', 'day', 'tz', 'b', 'lower(name)', 'id % 5', 's', 'l'),
    {
      maxLength: 3,
    },
  )
  .chain((columns) => fc.tuple(...columns.map((column) => directions.map((way) => column + way))))
  .chain((list) => directions.map((way) => [...list, `id${way}`]));

export const distincts: fc.Arbitrary<Drawn> = fc
  .record({
    from: left,
    keys: fc.option(fc.uniqueArray(fc.constantFrom(...groupings), { minLength: 1, maxLength: 2 }), {
      nil: undefined,
    }),
    order: orders,
  })
  .map(({ from, keys, order }) => {
    if (!keys) return { step: { distinct: { from } }, oracle: `select distinct * from ${from}` };
    return {
      step: { distinct: { from, keys, order } },
      oracle: `select distinct on (${keys.join(', ')}) * from ${from} order by ${order.join(', ')}`,
    };
  });

export const sorts: fc.Arbitrary<Drawn> = fc.record({ from: left, by: orders }).map((sort) => ({
  step: { sort },
  oracle: `from ${sort.from} order by ${sort.by.join(', ')}`,
  ordered: true,
}));

export const limits: fc.Arbitrary<Drawn> = fc
  .record({
    from: left,
    rows: fc.constantFrom(0, 1, 7, 2500, 100_000),
    offset: fc.constantFrom(0, 0, 3, 30, 4900),
    order: orders,
  })
  .map((limit) => ({
    step: { limit },
    oracle: `from ${limit.from} order by ${limit.order.join(', ')} limit ${limit.rows} offset ${limit.offset}`,
  }));

/** Each means the same in whatever order equals come. */
const windowColumns: Readonly<Record<string, string>> = {
  nth: 'row_number()',
  place: 'rank()',
  dense: 'dense_rank()',
  tile: 'ntile(3)',
  before: 'lag(id)',
  after_two: "lead(name, 2, 'none')",
  running: 'sum(d)',
  of_all: 'count(*) over (partition by day)',
  share: 'd / nullif(sum(d) over (partition by name), 0)',
  mean: 'avg(tiny)',
  first_name: 'first_value(name)',
  low: 'min(x)',
  k: 'coalesce(k, max(k) over ())',
};

export const windows: fc.Arbitrary<Drawn> = fc
  .record({
    from: left,
    partitionBy: fc.uniqueArray(fc.constantFrom('k', 'name', 'x', 'id % 4', 'day'), {
      maxLength: 2,
    }),
    orderBy: orders,
    frame: fc.constantFrom(
      undefined,
      'rows between 2 preceding and current row',
      'rows between unbounded preceding and 1 following',
      'groups between 1 preceding and 1 following exclude current row',
    ),
    columns: fc.uniqueArray(fc.constantFrom(...Object.keys(windowColumns)), {
      minLength: 1,
      maxLength: 4,
    }),
  })
  .map(({ from, partitionBy, orderBy, frame, columns }) => {
    const partition = partitionBy.length === 0 ? '' : `partition by ${partitionBy.join(', ')} `;
    const over = `over (${partition}order by ${orderBy.join(', ')}${frame === undefined ? '' : ` ${frame}`})`;
    const valueOf = (name: string): string =>
      windowColumns[name]!.includes(' over ')
        ? windowColumns[name]!
        : `${windowColumns[name]!} ${over}`;
    const added = columns
      .filter((name) => name !== 'k')
      .map((name) => `, ${valueOf(name)} as ${name}`);
    const kept = columns.includes('k') ? `* replace (${valueOf('k')} as k)` : '*';
    const window = {
      ...{ from, orderBy },
      ...(partitionBy.length === 0 ? {} : { partitionBy }),
      columns: Object.fromEntries(columns.map((name) => [name, windowColumns[name]!])),
      ...(frame === undefined ? {} : { frame }),
    };
    return { step: { window }, oracle: `select ${kept}${added.join('')} from ${from}` };
  });

/** `t_…` and `u_…` have columns in common, of other types and in another order. */
export const unions: fc.Arbitrary<Drawn> = fc
  .record({
    inputs: fc.uniqueArray(fc.constantFrom(...lefts, ...rights), { minLength: 1, maxLength: 4 }),
    distinct: fc.boolean(),
  })
  .map(({ inputs, distinct }) => {
    const all = distinct ? 'union by name' : 'union all by name';
    const selects = inputs.map((name) => `(from ${name})`);
    const united = selects.join(` ${all} `);
    const oracle =
      inputs.length === 1 ? `select ${distinct ? 'distinct ' : ''}* from ${inputs[0]!}` : united;
    return { step: { union: { inputs, distinct } }, oracle };
  });
