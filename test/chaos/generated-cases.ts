/**
 * Jobs of wide steps over generated tables, and what is killed while they run: all of it from a seed. Never uses what
 * the engine makes of a step, and never kills anything.
 */
import fc from 'fast-check';
import {
  type Chain,
  chainsOf,
  ends as plainEnds,
  type Link,
  links as plainLinks,
  type Links,
} from '../e2e/wide-chains.js';
import type { StepInput, WideCluster } from '../e2e/wide-cluster.js';
import {
  aggregates,
  distincts,
  joinsOf,
  limits,
  sorts,
  unions,
  windows,
} from '../e2e/wide-steps.js';
import { leftColumns, leftRows, pad, rightRows } from '../e2e/wide-tables.js';

/** What is killed, and when: so many milliseconds after event `seq` of the job, or after it begins to commit. */
export interface Strike {
  readonly seq: number;
  readonly delayMs: number;
  readonly what: 'worker' | 'worker and disk' | 'all workers' | 'freeze' | 'coordinator' | 'run';
  /** Which of the two workers. */
  readonly victim: 0 | 1;
  /** For how long it is frozen. */
  readonly frozenMs: number;
}

export interface Case {
  /** A run of its own with its coordinator and workers, or a job on a coordinator that is there. */
  readonly embedded: boolean;
  readonly rows: number;
  /** What a row has besides, in texts of 32 bytes that nothing compresses. */
  readonly padTimes: number;
  readonly files: number;
  readonly steps: readonly StepInput[];
  /** Of steps whose rows are published: what they have to be, in that order where it says so. */
  readonly outputs: readonly {
    readonly from: string;
    readonly oracle: string;
    readonly ordered: boolean;
  }[];
  readonly strikes: readonly Strike[];
}

const manyRows = 4600;
/** 10 MB of the rows above: more than each chunk reads whole (8 MiB), for several chunks (4 MiB each). */
const padTimes = 70;
/** 74 MB: more than one chunk sorts, and more of a join's side than is read whole (64 MiB). */
const padTimesLarge = 500;
const fewRows = 24;

const padded = (rows: number, seed: number, times = 1): string =>
  `select * exclude (i), ${pad(times)} as pad from (select *, id as i from (${leftRows(rows, seed)}))`;

/** Tables that all cases read. */
export async function makeSmallTables(cluster: WideCluster, seed: number): Promise<void> {
  await cluster.source('t_none', padded(0, seed), { files: 1 });
  await cluster.source('t_one', padded(1, seed), { files: 2 });
  await cluster.source('t_few', padded(40, seed), { files: 3 });
  await cluster.source('u_none', rightRows(0, seed), { files: 1 });
  await cluster.source('u_one', rightRows(1, seed), { files: 1 });
  await cluster.source('u_few', rightRows(fewRows, seed), { files: 2 });
  await cluster.view('u', { parquet: 'data/u_few/*.parquet' });
}

/** The large table of one case, under both names that steps have for it. */
export async function makeTable(
  cluster: WideCluster,
  seed: number,
  { rows, files, padTimes }: Case,
): Promise<void> {
  const folder = `t_${seed}`;
  await cluster.source('t', padded(rows, seed, padTimes), { files, folder });
  await cluster.view('t_many', { parquet: `data/${folder}/*.parquet` });
}

/** Rows of `u` with a few keys, their names never those of the left. */
const partners = (at: number): StepInput[] => [
  { id: `some${at}`, filter: { from: 'u', where: 'no % 4 = 0' } },
  {
    id: `side${at}`,
    select: { from: `some${at}`, columns: { k: 'k', [`no${at}`]: 'no', [`label${at}`]: 'label' } },
  },
];

/** Some rows get several partners, so each row gets a new `id`. */
const joined =
  (how: 'inner' | 'left' | 'right' | 'full'): Link =>
  (from, at) => {
    const key = { inner: 'l.k', left: 'l.k', right: 'r.k', full: 'coalesce(l.k, r.k)' }[how];
    const renumbered = (id: string, no: string): string =>
      `coalesce(${id}, -1) * 30 + coalesce(${no}, 29)`;
    return [
      { select: { from: `met${at}`, columns: { '*': true, id: renumbered('id', `no${at}`) } } },
      `select l.* replace (${key} as k, ${renumbered('l.id', 'r.no')} as id), r.no as no${at}, r.label as label${at}
       from ${from} l ${how} join (from u where no % 4 = 0) r on l.k = r.k`,
      [
        ...partners(at),
        { id: `met${at}`, join: { left: from, right: `side${at}`, keys: ['k'], how } },
      ],
    ];
  };

/** In SQL alike for job and oracle: the names are those of the steps. */
const inSql =
  (query: (from: string, at: number) => string): Link =>
  (from, at) => [{ sql: { query: query(from, at) } }, query(from, at)];

/** Groups take the place of their rows, with the least `id` of each. */
const grouped =
  (more: Readonly<Record<string, string>>): Link =>
  (from, at) => {
    const measures = {
      id: 'min(id)',
      d: 'sum(d)',
      day: 'max(day)',
      pad: 'max(pad)',
      ...Object.fromEntries(Object.entries(more).map(([name, call]) => [`${name}${at}`, call])),
    };
    const values = Object.entries(measures).map(([name, call]) => `${call} as ${name}`);
    return [
      { aggregate: { from, by: ['k', 'name', 'tiny'], measures } },
      `select f.k, f.name, f.tiny, ${values.join(', ')} from ${from} f group by f.k, f.name, f.tiny`,
    ];
  };

const dealt =
  (partitions: number, keys?: string[]): Link =>
  (from) => [{ repartition: { from, partitions, ...(keys ? { keys } : {}) } }, `from ${from}`];

const links: Links = {
  ...plainLinks,
  inner: joined('inner'),
  left: joined('left'),
  right: joined('right'),
  full: joined('full'),
  correlated: inSql(
    (from, at) =>
      `select f.*, (select count(*) from u where u.k = f.k and u.day <= f.day) as c${at} from ${from} f`,
  ),
  several: inSql(
    (from) => `select f.* from ${from} f join (select name, max(w) as w from u group by name) m
      on f.name = m.name where f.d < m.w or f.tiny % 2 = 0`,
  ),
  chosen: inSql(
    (from) => `from ${from} qualify row_number() over (partition by k, day order by d, id) <= 300`,
  ),
  groups: grouped({ n: 'count(*)', high: 'max(id)' }),
  groupsWhole: grouped({
    middle: 'median(d)',
    all: 'list_sort(list(id))',
    days: 'count(distinct day)',
  }),
  once: (from, at) => [
    { union: { inputs: [from, `part${at}`], distinct: true } },
    `select distinct * from ${from}`,
    [{ id: `part${at}`, filter: { from, where: 'tiny % 3 = 0' } }],
  ],
  // Three quarters of all numbers of 64 bits.
  sample: (from, at) => [
    { sample: { from, fraction: 0.75, seed: at } },
    `from ${from} where hash(*columns(*), ${at}::bigint) <= 13835058055282163711::ubigint`,
  ],
  sampleRows: (from, at) => [
    { sample: { from, rows: 2000, seed: at } },
    `from ${from} order by hash(*columns(*), ${at}::bigint) limit 2000`,
  ],
};

const ends: Links = {
  ...plainEnds,
  cubes: (from) => [
    {
      aggregate: {
        from,
        by: ['k', 'day'],
        sets: 'cube',
        measures: {
          n: 'count(*)',
          total: 'sum(d)',
          kinds: 'count(distinct name)',
          middle: 'median(tiny)',
        },
      },
    },
    `select k, day, count(*) as n, sum(d) as total, count(distinct name) as kinds, median(tiny) as middle
     from ${from} group by cube (k, day)`,
  ],
  one: dealt(1),
  two: dealt(2),
  seven: dealt(7, ['name']),
};

const pads = [...leftColumns, 'pad'];
/** Single steps with options of all kinds. */
const singles = fc.oneof(joinsOf(pads), aggregates, distincts, sorts, limits, windows, unions);
/** Without those that could make many rows of one that is large. */
const singlesOfLarge = fc.oneof(distincts, sorts, windows);

const strikesOf = (kinds: readonly Strike['what'][]): fc.Arbitrary<Strike[]> => {
  const strike = (seq: fc.Arbitrary<number>): fc.Arbitrary<Strike> =>
    fc.record({
      seq,
      delayMs: fc.oneof(fc.nat(20), fc.nat(250)),
      what: fc.constantFrom(...kinds),
      victim: fc.constantFrom(0, 1),
      frozenMs: fc.integer({ min: 500, max: 3500 }),
    });
  const early = strike(fc.integer({ min: 2, max: 10 }));
  const later = fc.array(strike(fc.integer({ min: 5, max: 80 })), { maxLength: 2 });
  return fc.tuple(early, later).map(([one, more]) => [one, ...more].sort((a, b) => a.seq - b.seq));
};
/** With a coordinator that serves others, too. */
const strikesServed = strikesOf([
  ...(['worker', 'worker and disk', 'worker and disk', 'all workers'] as const),
  ...(['freeze', 'coordinator', 'coordinator'] as const),
]);
const strikesEmbedded = strikesOf(['run', 'run', 'worker', 'all workers']);

function casesOf(embedded: boolean, large: boolean): fc.Arbitrary<Case> {
  return fc
    .record({
      rows: large ? fc.constant(manyRows) : fc.constantFrom(...Array(10).fill(manyRows), 1, 0),
      files: fc.constantFrom(1, 2, 7),
      chain: chainsOf(links, ends),
      keptAt: fc.nat(5),
      drawn: fc.array(large ? singlesOfLarge : singles, { minLength: 1, maxLength: 2 }),
      strikes: embedded ? strikesEmbedded : strikesServed,
    })
    .map(({ rows, files, chain, keptAt, drawn, strikes }) => {
      const last = chain.steps.at(-1)!.id;
      const kept = chain.steps.find(({ id }) => id === `x${keptAt}` && id !== last)?.id;
      const single = drawn.map(({ step }, at) => ({ id: `y${at}`, ...step }) as StepInput);
      return {
        ...{ embedded, rows, files, strikes, padTimes: large ? padTimesLarge : padTimes },
        steps: [...chain.steps, ...single],
        outputs: [
          { from: last, oracle: chain.oracle, ordered: false },
          ...(kept ? [{ from: kept, oracle: upTo(chain, kept), ordered: false }] : []),
          ...drawn.map(({ oracle, ordered = false }, at) => ({ from: `y${at}`, oracle, ordered })),
        ],
      };
    });
}

/** The chain's statement, of an earlier step. */
function upTo({ oracle }: Chain, id: string): string {
  return oracle.replace(/ from \w+$/, ` from ${id}`);
}

/** Every third one is embedded, every tenth one large. */
export function caseOf(seed: number): Case {
  return fc.sample(casesOf(seed % 3 === 0, seed % 10 === 0), { seed, numRuns: 1 })[0]!;
}
