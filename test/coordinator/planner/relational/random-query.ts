/** Random queries over the tables of tables.ts: whole-number columns, nested operators of all kinds. */
import fc from 'fast-check';

/** Draws a value; what fast-check's `gen()` gives. */
export type Draw = fc.GeneratorValue;

interface Source {
  readonly sql: string;
  readonly columns: readonly string[];
}

/** Counts names, so that no two columns of a query are called alike. */
interface Names {
  next: number;
}

export function randomQuery(draw: Draw): string {
  const names = { next: 0 };
  return source(draw, draw(fc.integer, { min: 1, max: 4 }), names).sql;
}

function pick<T>(draw: Draw, values: readonly T[]): T {
  return draw(() => fc.constantFrom(...values));
}

function fresh(names: Names): string {
  names.next += 1;
  return `n${names.next}`;
}

function base(draw: Draw, names: Names): Source {
  const [table, found] = pick(draw, [
    ['t', ['id', 'a', 'e']],
    ['u', ['id', 'a', 'k']],
    ['t', ['a', 'd::integer', 'length(b)']],
    ['none', ['id', 'a']],
  ] as const);
  const columns = found.map(() => fresh(names));
  const list = found.map((name, at) => `${name} as ${columns[at]}`).join(', ');
  return { sql: `select ${list} from ${table} where id < ${pick(draw, [5, 12, 25])}`, columns };
}

function source(draw: Draw, depth: number, names: Names): Source {
  if (depth === 0) return base(draw, names);
  const inner = source(draw, depth - 1, names);
  const column = () => pick(draw, inner.columns);
  const other = () =>
    source(draw, draw(fc.integer, { min: 0, max: Math.min(1, depth - 1) }), names);
  const from = `(${inner.sql}) as q`;
  switch (draw(fc.integer, { min: 0, max: 13 })) {
    case 0:
    case 1:
      return { ...inner, sql: `select * from ${from} where ${condition(draw, inner, other)}` };
    case 2:
    case 3:
      return joined(draw, inner, other(), names);
    case 4:
      return grouped(draw, inner, names);
    case 5:
      return { ...inner, sql: `select distinct * from ${from}` };
    case 6:
      return combined(draw, inner, other(), names);
    case 7: {
      const added = fresh(names);
      const call = pick(draw, [
        `rank() over (partition by ${column()} order by ${column()} desc nulls last)`,
        `sum(${column()}) over (partition by ${column()})`,
        `count(${column()}) over (order by ${column()} range between 1 preceding and 2 following)`,
        `max(${column()}) over (partition by ${column()} order by ${column()})`,
      ]);
      return {
        sql: `select *, ${call} as ${added} from ${from}`,
        columns: [...inner.columns, added],
      };
    }
    case 8: {
      const order = inner.columns.map(
        (name) => `${name} ${pick(draw, ['asc', 'desc'])} nulls ${pick(draw, ['first', 'last'])}`,
      );
      const count = draw(fc.integer, { min: 0, max: 20 });
      return { ...inner, sql: `select * from ${from} order by ${order.join(', ')} limit ${count}` };
    }
    case 9: {
      const [added, outer] = [fresh(names), other()];
      const compared = `${pick(draw, outer.columns)} ${pick(draw, ['=', '<', 'is not distinct from'])} q.${column()}`;
      const call = pick(draw, [
        `count(*)`,
        `max(${pick(draw, outer.columns)})`,
        `sum(${pick(draw, outer.columns)})`,
      ]);
      const subquery = `(select ${call} from (${outer.sql}) as p where ${compared})`;
      return {
        sql: `select *, ${subquery} as ${added} from ${from}`,
        columns: [...inner.columns, added],
      };
    }
    case 10: {
      const made = fresh(names);
      const [a, b] = [column(), column()];
      const expression = pick(draw, [
        `${a} + ${b}`,
        `case when ${a} > ${b} then ${a} else ${b} end`,
        `coalesce(${a}, ${b}, 0)`,
        `nullif(${a}, ${b})`,
        `${a} % 3`,
        `(${condition(draw, inner, other)})::integer`,
      ]);
      return { sql: `select ${a}, ${expression} as ${made} from ${from}`, columns: [a, made] };
    }
    case 11:
      return nearest(draw, inner, other(), names);
    case 12: {
      const [added, set] = [fresh(names), other()];
      const value = pick(draw, set.columns);
      const compared = `${pick(draw, set.columns)} ${pick(draw, ['=', '=', '>'])} q.${column()}`;
      const order = `${value} ${pick(draw, ['desc', 'nulls first'])} limit ${pick(draw, ['1', '3', '2 offset 1'])}`;
      const most = `(select ${value} as ${added} from (${set.sql}) as p where ${compared} order by ${order})`;
      return {
        sql: `select q.*, ${added} from ${from} ${pick(draw, ['', 'left '])}join lateral ${most} as z on true`,
        columns: [...inner.columns, added],
      };
    }
    default: {
      const [x, y] = [fresh(names), fresh(names)];
      const shared = `with w${x} as (${inner.sql}) select l.${column()} as ${x}, r.${column()} as ${y}`;
      const key = column();
      return { sql: `${shared} from w${x} l join w${x} r on l.${key} = r.${key}`, columns: [x, y] };
    }
  }
}

function condition(draw: Draw, inner: Source, other: () => Source): string {
  const column = () => `q.${pick(draw, inner.columns)}`;
  const number = () => draw(fc.integer, { min: -1, max: 6 });
  const simple = () =>
    pick(draw, [
      `${column()} > ${number()}`,
      `${column()} is null`,
      `${column()} in (${number()}, ${number()}, null)`,
      `${column()} not in (${number()}, ${number()})`,
      `${column()} = ${column()}`,
      `${column()} is distinct from ${column()}`,
      `${column()} between ${number()} and ${column()}`,
      `not (${column()} <= ${number()})`,
    ]);
  switch (draw(fc.integer, { min: 0, max: 8 })) {
    case 0:
      return `${simple()} or ${simple()}`;
    case 1:
      return `${simple()} and ${simple()}`;
    case 2:
    case 3: {
      const set = other();
      const word = pick(draw, ['in', 'not in', '= any', '> all', '<> all']);
      return `${column()} ${word} (select ${pick(draw, set.columns)} from (${set.sql}) as p)`;
    }
    case 4:
    case 5: {
      const set = other();
      const word = pick(draw, ['exists', 'not exists']);
      const compared = `p.${pick(draw, set.columns)} ${pick(draw, ['=', '<', '<>'])} ${column()}`;
      return `${word} (select 1 from (${set.sql}) as p where ${compared})`;
    }
    case 6: {
      const set = other();
      return `${column()} > (select avg(${pick(draw, set.columns)}) from (${set.sql}) as p)`;
    }
    case 7: {
      const set = other();
      const row = `${column()}, ${column()}`;
      const rows = `select ${pick(draw, set.columns)}, ${pick(draw, set.columns)} from (${set.sql}) as p`;
      return `(${row}) ${pick(draw, ['in', 'not in'])} (${rows})`;
    }
    default:
      return simple();
  }
}

/** Of partners that are equally near only what makes them so is told: any of them may be the one. */
function nearest(draw: Draw, left: Source, right: Source, names: Names): Source {
  const columns = [fresh(names), fresh(names), fresh(names)];
  const [own, key, value] = [
    pick(draw, left.columns),
    pick(draw, right.columns),
    pick(draw, right.columns),
  ];
  const keys = pick(draw, ['', `l.${pick(draw, left.columns)} = r.${key} and `]);
  const shown = keys === '' ? value : key;
  const word = pick(draw, ['>=', '>', '<', '<=']);
  return {
    sql: `select l.${own} as ${columns[0]}, r.${shown} as ${columns[1]}, r.${value} as ${columns[2]}
      from (${left.sql}) as l asof ${pick(draw, ['', 'left '])}join (${right.sql}) as r
      on ${keys}l.${pick(draw, left.columns)} ${word} r.${value}`,
    columns,
  };
}

function joined(draw: Draw, left: Source, right: Source, names: Names): Source {
  const kind = pick(draw, ['inner', 'left', 'right', 'full', 'semi', 'anti']);
  const one = (side: Source) => pick(draw, side.columns);
  const equal = `l.${one(left)} ${pick(draw, ['=', '=', 'is not distinct from'])} r.${one(right)}`;
  const rest = pick(draw, [
    '',
    '',
    ` and l.${one(left)} < r.${one(right)}`,
    ` and l.${one(left)} + r.${one(right)} > 4`,
    ` and l.${one(left)} > 1`,
    ` and r.${one(right)} is not null`,
  ]);
  const sides = kind === 'semi' || kind === 'anti' ? [left] : [left, right];
  const found = sides.flatMap((side, at) => side.columns.map((name) => `${'lr'[at]}.${name}`));
  const columns = found.slice(0, 5).map(() => fresh(names));
  const list = columns.map((name, at) => `${found[at]} as ${name}`).join(', ');
  return {
    sql: `select ${list} from (${left.sql}) as l ${kind} join (${right.sql}) as r on ${equal}${rest}`,
    columns,
  };
}

function grouped(draw: Draw, inner: Source, names: Names): Source {
  const column = () => pick(draw, inner.columns);
  const [a, b] = [column(), column()];
  const [x, y, z, v] = [fresh(names), fresh(names), fresh(names), fresh(names)];
  const groups = pick(draw, [
    `${a}, ${b}`,
    `rollup(${a}, ${b})`,
    `cube(${a}, ${b})`,
    `grouping sets ((${a}), (${b}))`,
  ]);
  const measure = pick(draw, [
    `sum(${column()})`,
    `count(distinct ${column()})`,
    `min(${column()}) filter (where ${column()} > 1)`,
    `quantile_disc(${column()}, 0.5)`,
    `len(list(${column()}))`,
  ]);
  const more = pick(draw, [
    'count(*)',
    'count(*)',
    `count(distinct ${column()})`,
    `sum(distinct ${column()}) filter (where ${column()} < 5)`,
  ]);
  const having = pick(draw, ['', '', ` having count(*) > 1`]);
  const list = `${a} as ${x}, ${b} as ${y}, ${measure} as ${z}, ${more} as ${v}`;
  return {
    sql: `select ${list} from (${inner.sql}) as q group by ${a === b ? a : groups}${having}`,
    columns: [x, y, z, v],
  };
}

function combined(draw: Draw, left: Source, right: Source, names: Names): Source {
  const word = pick(draw, ['union', 'intersect', 'except']);
  const all = pick(draw, [' all', '']);
  const columns = [fresh(names), fresh(names)];
  const side = (each: Source) =>
    `(select ${columns.map((name) => `${pick(draw, each.columns)} as ${name}`).join(', ')} from (${each.sql}) as s)`;
  return { sql: `select * from (${side(left)} ${word}${all} ${side(right)}) as o`, columns };
}
