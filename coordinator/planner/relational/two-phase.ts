/**
 * Aggregates in two phases: what a producer computes over its own rows, and how those results make
 * the answer. Pure. Never splits what would come out otherwise: such rows travel to their key.
 */
import type { Call, Expression } from './relation.js';
import { quoteName } from '../../../shared/sql-text.js';

/** A column of a phase. */
export interface PhaseCall {
  readonly call: Call;
  /** Of the first phase: what it is cast to, for Parquet keeps that; else DuckDB's own. */
  readonly type: string;
}

export interface TwoPhase {
  readonly partials: readonly PhaseCall[];
  /** Aggregates over the partials' columns, by their ids. */
  readonly finals: (ids: readonly string[]) => readonly PhaseCall[];
  /** The answer from the finals' columns, by their ids. */
  readonly answer: (ids: readonly string[]) => string;
}

/** A row more or less of the same value changes nothing, so that DISTINCT does not either. */
const idempotent = new Set(['any_value', 'bit_and', 'bit_or', 'bool_and', 'bool_or', 'max', 'min']);
/** Aggregates that are their own second phase. */
const selfComposing = new Set([...idempotent, 'bit_xor', 'product']);

const varianceOf: Readonly<Record<string, (n: string, m2: string) => string>> = {
  var_pop: (n, m2) => `case when ${n} > 0 then ${m2} / ${n} end`,
  var_samp: (n, m2) => `case when ${n} > 1 then ${m2} / (${n} - 1) end`,
  stddev_pop: (n, m2) => `case when ${n} > 0 then sqrt(${m2} / ${n}) end`,
  stddev_samp: (n, m2) => `case when ${n} > 1 then sqrt(${m2} / (${n} - 1)) end`,
};
const synonyms: Readonly<Record<string, string>> = {
  mean: 'avg',
  stddev: 'stddev_samp',
  variance: 'var_samp',
  max_by: 'arg_max',
  argmax: 'arg_max',
  min_by: 'arg_min',
  argmin: 'arg_min',
  array_agg: 'list',
  logical_and: 'bool_and',
  logical_or: 'bool_or',
};

const wholeSum = 'DECIMAL(38,0)';

/**
 * @param type DuckDB's type of the call's result
 * @returns undefined where the function cannot be split, or needs the rows themselves
 */
export function twoPhase(call: Call, type: string): TwoPhase | undefined {
  const name = synonyms[call.name] ?? call.name;
  if (call.order.length > 0 || (call.distinct && !idempotent.has(name))) return undefined;
  const [first, second] = call.args;
  const over = (fn: string, ...args: Expression[]): Call => ({
    ...call,
    name: fn,
    args,
    distinct: false,
  });
  const partial = (fn: string, of: string, ...args: Expression[]): PhaseCall => ({
    call: over(fn, ...args),
    type: of,
  });
  const same = ([id = '']: readonly string[]): string => quoteName(id);
  const typed = (sql: string): string => `cast(${sql} as ${type})`;

  if (name === 'count_star' || (name === 'count' && first)) {
    return {
      partials: [{ call: over(call.name, ...call.args), type: 'BIGINT' }],
      finals: ([n]) => [called('sum', 'HUGEINT', reading(n, 'BIGINT'))],
      answer: (ids) => typed(`coalesce(${same(ids)}, 0)`),
    };
  }
  if (!first) return undefined;
  if (selfComposing.has(name)) {
    // With a second argument, min and max give lists of the n first.
    if (second) return undefined;
    return {
      partials: [partial(name, type, first)],
      finals: ([a]) => [called(name, type, reading(a, type))],
      answer: same,
    };
  }
  const exact = isWhole(first.type);
  const sumType = exact
    ? wholeSum
    : first.type.startsWith('DECIMAL')
      ? wider(first.type)
      : 'DOUBLE';
  switch (name) {
    case 'count_if':
      return {
        partials: [partial(name, wholeSum, first)],
        finals: ([n]) => [called('sum', wholeSum, reading(n, wholeSum))],
        answer: (ids) => typed(same(ids)),
      };
    case 'sum':
      return {
        partials: [partial('sum', sumType, first)],
        finals: ([sum]) => [called('sum', sumType, reading(sum, sumType))],
        answer: (ids) => typed(same(ids)),
      };
    case 'avg':
      if (!exact && !/^(DECIMAL|FLOAT|DOUBLE)/.test(first.type)) return undefined;
      return {
        partials: [partial('sum', sumType, first), partial('count', 'BIGINT', first)],
        finals: ([sum, n]) => [
          called('sum', sumType, reading(sum, sumType)),
          called('sum', 'HUGEINT', reading(n, 'BIGINT')),
        ],
        answer: ([sum = '', n = '']) =>
          typed(`${quoteName(sum)}::double / nullif(${quoteName(n)}, 0)`),
      };
    case 'var_pop':
    case 'var_samp':
    case 'stddev_pop':
    case 'stddev_samp':
      return moments(partial, first, varianceOf[name]!);
    case 'list':
      return {
        partials: [partial('list', type, first)],
        finals: ([list]) => {
          const known = expression(`${same([list ?? ''])} is not null`, 'BOOLEAN', [list ?? '']);
          return [called('list', `${type}[]`, reading(list, type), known)];
        },
        answer: (ids) => `flatten(${same(ids)})`,
      };
    case 'arg_max':
    case 'arg_min': {
      if (!second || call.args.length > 2) return undefined;
      const both = `${first.sql} is not null and ${second.sql} is not null`;
      const known = expression(call.filter ? `(${call.filter.sql}) and ${both}` : both, 'BOOLEAN', [
        ...new Set([...(call.filter?.reads ?? []), ...first.reads, ...second.reads]),
      ]);
      const extreme = over(name === 'arg_max' ? 'max' : 'min', second);
      return {
        partials: [
          partial(name, type, first, second),
          { call: { ...extreme, filter: known }, type: second.type },
        ],
        finals: ([value, by]) => {
          const args = [reading(value, type), reading(by, second.type)];
          return [{ call: { name, args, distinct: false, order: [] }, type }];
        },
        answer: same,
      };
    }
    default:
      return undefined;
  }
}

/**
 * Count, mean and squared deviations of each share, joined as Chan, Golub and LeVeque do: sums of
 * squares would lose all digits where the spread is small beside the values.
 */
function moments(
  partial: (fn: string, type: string, ...args: Expression[]) => PhaseCall,
  x: Expression,
  variance: (n: string, m2: string) => string,
): TwoPhase {
  const value = { ...x, sql: `(${x.sql})::double`, type: 'DOUBLE' };
  return {
    partials: [
      partial('count', 'BIGINT', x),
      partial('avg', 'DOUBLE', value),
      partial('var_pop', 'DOUBLE', value),
    ],
    finals: (ids) => {
      const [n = '', mean = '', spread = ''] = ids.map(quoteName);
      const type = 'STRUCT(n DOUBLE, mean DOUBLE, m2 DOUBLE)';
      const share = expression(`{n: ${n}::double, mean: ${mean}, m2: ${spread} * ${n}}`, type, [
        ...ids,
      ]);
      const filter = expression(`${n} > 0`, 'BOOLEAN', ids.slice(0, 1));
      return [called('list', `${type}[]`, share, filter)];
    },
    answer: ([id = '']) => {
      const shares = `coalesce(${quoteName(id)}, [])`;
      const total = (of: string): string => `list_sum(list_transform(${shares}, lambda s: ${of}))`;
      const n = total('s.n');
      const m2 = total('s.m2 + s.n * (s.mean - grand) * (s.mean - grand)');
      // A list of one, transformed: a name for what is used for each share.
      return `list_transform([${total('s.n * s.mean')} / ${n}], lambda grand: ${variance(n, m2)})[1]`;
    },
  };
}

function expression(sql: string, type: string, reads: readonly string[]): Expression {
  return { sql, type, reads, volatile: false, constant: false };
}

function reading(id: string | undefined, type: string): Expression {
  const column = id ?? '';
  return { ...expression(quoteName(column), type, [column]), column };
}

function called(name: string, type: string, arg: Expression, filter?: Expression): PhaseCall {
  const call = { name, args: [arg], distinct: false, ...(filter ? { filter } : {}), order: [] };
  return { call, type };
}

function wider(decimal: string): string {
  return `DECIMAL(38,${/,\s*(\d+)/.exec(decimal)?.[1] ?? '0'})`;
}

function isWhole(type: string): boolean {
  return /^(U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|BOOLEAN)$/.test(type);
}
