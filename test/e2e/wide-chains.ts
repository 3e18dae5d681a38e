/** Random chains of steps over `t` and `u`, each with the one statement that a person would write for all of it. */
import fc from 'fast-check';
import type { StepInput } from './wide-cluster.js';

export interface Chain {
  readonly steps: StepInput[];
  readonly oracle: string;
}

/**
 * From the id of the step before it and its own place to the step, the query that stands for it, and the steps that it
 * reads besides the one before it.
 */
export type Link = (
  from: string,
  at: number,
) => readonly [step: Record<string, unknown>, sql: string, besides?: readonly StepInput[]];
export type Links = Readonly<Record<string, Link>>;

/** All keep `id`, which stays unique, `k`, `name`, `d`, `day` and `tiny`; what they add has their place in its name. */
export const links: Links = {
  filter: (from) => [{ filter: { from, where: 'id % 7 <> 2' } }, `from ${from} where id % 7 <> 2`],
  select: (from, at) => [
    { select: { from, columns: { '*': true, [`v${at}`]: 'coalesce(d, 0) * 2' } } },
    `select *, coalesce(d, 0) * 2 as v${at} from ${from}`,
  ],
  semi: (from) => [
    { join: { left: from, right: 'u', keys: ['k'], how: 'semi' } },
    `from ${from} where k in (select k from u)`,
  ],
  anti: (from) => [
    { join: { left: from, right: 'u', keys: ['name', 'day'], how: 'anti' } },
    `from ${from} f where not exists (from u where u.name = f.name and u.day = f.day)`,
  ],
  groupsBack: (from, at) => [
    { join: { left: from, right: `groups${at}`, keys: ['k'], how: 'left', nullSafe: true } },
    `select f.*, g.n${at}, g.total${at} from ${from} f left join (
       select k, count(*) as n${at}, sum(d) as total${at} from ${from} group by k) g
     on f.k is not distinct from g.k`,
    [
      {
        id: `groups${at}`,
        aggregate: {
          from,
          by: ['k'],
          measures: { [`n${at}`]: 'count(*)', [`total${at}`]: 'sum(d)' },
        },
      },
    ],
  ],
  window: (from, at) => [
    {
      window: {
        from,
        partitionBy: ['name'],
        orderBy: ['day', 'id'],
        columns: { [`w${at}`]: 'sum(tiny)', [`lag${at}`]: 'lag(id)' },
      },
    },
    `select *, sum(tiny) over w as w${at}, lag(id) over w as lag${at} from ${from}
     window w as (partition by name order by day, id)`,
  ],
  distinct: (from) => [
    { distinct: { from, keys: ['k', 'tiny'], order: ['d desc nulls last', 'id'] } },
    `select distinct on (k, tiny) * from ${from} order by d desc nulls last, id`,
  ],
  limit: (from) => [
    { limit: { from, rows: 900, offset: 10, order: ['tiny desc', 'id'] } },
    `from ${from} order by tiny desc, id limit 900 offset 10`,
  ],
  sort: (from) => [{ sort: { from, by: ['name', 'id desc'] } }, `from ${from}`],
  repartition: (from) => [{ repartition: { from, keys: ['name'] } }, `from ${from}`],
  halves: (from, at) => [
    { union: { inputs: [`odd${at}`, `even${at}`] } },
    `from ${from} where id % 2 <> 0 or id % 3 = 0 and id % 2 = 0`,
    [
      { id: `odd${at}`, filter: { from, where: 'id % 2 <> 0' } },
      { id: `even${at}`, filter: { from, where: 'id % 2 = 0 and id % 3 = 0' } },
    ],
  ],
};

export const ends: Links = {
  sums: (from) => [
    {
      aggregate: {
        from,
        by: ['day'],
        measures: { n: 'count(*)', total: 'sum(d)', last: 'max(id)' },
      },
    },
    `select day, count(*) as n, sum(d) as total, max(id) as last from ${from} group by day`,
  ],
  rows: (from) => [{ select: { from, columns: { '*': true } } }, `from ${from}`],
};

/** Two to six of the links, one after the other, and one of the ends. */
export function chainsOf(links: Links, ends: Links): fc.Arbitrary<Chain> {
  return fc
    .record({
      kinds: fc.array(fc.constantFrom(...Object.keys(links)), { minLength: 2, maxLength: 6 }),
      end: fc.constantFrom(...Object.keys(ends)),
    })
    .map(({ kinds, end }) => {
      const steps: StepInput[] = [];
      const ctes: string[] = [];
      let from = 't';
      [...kinds.map((kind) => links[kind]!), ends[end]!].forEach((link, at) => {
        const [step, sql, besides = []] = link(from, at);
        const id = `x${at}`;
        steps.push(...besides, { id, ...step } as StepInput);
        ctes.push(`${id} as materialized (${sql})`);
        from = id;
      });
      return { steps, oracle: `with ${ctes.join(', ')} from ${from}` };
    });
}
