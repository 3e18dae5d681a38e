import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exchangeChunkCount, stagesRead } from '../../../coordinator/planner/exchange-chunks.js';
import { programDigest } from '../../../coordinator/planner/program-digest.js';
import {
  nothingToDo,
  planQuery,
  type QueryStage,
  type QueryStep,
} from '../../../coordinator/planner/query-stages.js';
import type { StageResult } from '../../../coordinator/planner/stage-layout.js';
import { stageId } from '../../../shared/ids.js';
import type { ExchangeInput, InputFile, StagePlan } from '../../../shared/plan.js';
import { queryOf as madeQuery, partitions, type Made } from './made-query.js';
import { supported } from './relational/queries.js';
import { openOracle, type Oracle } from './relational/tables.js';
import { fileOf, mega, resultOf } from './sizes.js';

let oracle: Oracle;
beforeAll(async () => {
  oracle = await openOracle();
});
afterAll(() => oracle.close());

const few = supported.filter((_, at) => at % 5 === 0);
/** t is large and in two files, the others are small. */
const sources: Readonly<Record<string, readonly InputFile[]>> = {
  t: [fileOf('/t/1', [1_000_000, 1_000_000], 400 * mega), fileOf('/t/2', [1_000_000], 200 * mega)],
  u: [fileOf('/u/1', [35_000], 100 * mega)],
  none: [fileOf('/none/1', [], 1000)],
  'odd "name': [fileOf('/odd/1', [4], 1000)],
};

const queryOf = (sql: string, made: Made = {}): Promise<QueryStage> =>
  madeQuery(oracle.inputs, sql, made);

interface Played {
  readonly parts: readonly StagePlan[];
  readonly final: StagePlan;
  readonly rounds: number;
}

/** Runs a query to its end, each of its chunks giving so many bytes, asking for all of it twice. */
function play(
  query: QueryStage,
  bytes: number,
  known: Readonly<Record<string, StageResult>> = {},
): Played {
  const parts: StagePlan[] = [];
  const results = new Map<string, StageResult>(Object.entries(known));
  for (let round = 1; round < 50; round += 1) {
    const ask = (): QueryStep =>
      planQuery({
        query,
        parts: [...parts],
        sources,
        results: (id) => {
          const result = results.get(id);
          if (!result) throw new Error(`the size of ${id} is not known yet`);
          return result;
        },
        slots: 4,
      });
    const step = ask();
    expect(ask()).toEqual(step);
    for (const stage of step.stages) {
      expectReady(stage, new Set(results.keys()));
      expect(results.has(stage.id)).toBe(false);
      const chunks = exchangeChunkCount(stage.input as ExchangeInput);
      const { divide } = stage.program.sink;
      const divided = divide?.kind === 'hash' ? divide.partitions : 0;
      parts.push(stage);
      results.set(stage.id, resultOf(new Array<number>(chunks).fill(bytes), divided));
    }
    if (step.final) {
      expect(step.stages).toEqual([]);
      expectReady(step.final, new Set(results.keys()));
      return { parts, final: step.final, rounds: round };
    }
    expect(step.stages).not.toEqual([]);
  }
  throw new Error('there is no end to it');
}

/** It is laid out, over nothing that is not there, and its tasks cut its chunks. */
function expectReady(stage: StagePlan, done: ReadonlySet<string>): void {
  expect(stage.input.kind).toBe('exchange');
  expect(stagesRead(stage).filter((id) => !done.has(id))).toEqual([]);
  const chunks = exchangeChunkCount(stage.input as ExchangeInput);
  expect(stage.taskStarts[0]).toBe(chunks > 0 ? 0 : undefined);
  expect(stage.taskStarts.every((start) => start < chunks)).toBe(true);
  const { driving, whole } = stage.input as ExchangeInput;
  const read = new Set(whole.map(({ leaf }) => leaf));
  if (driving.kind === 'split') read.add(driving.leaf);
  if (driving.kind === 'partitions') driving.inputs.forEach(({ leaf }) => read.add(leaf));
  const leaves = stage.program.query!.leaves.map(({ leaf }) => leaf);
  expect(leaves.filter((leaf) => !read.has(leaf))).toEqual([]);
}

describe('stages of a query', () => {
  // All of them are run in relational/distribute.test.ts; here a few of each kind are enough.
  test.each(few)('come to an end, whatever sizes they have: $sql', async ({ sql }) => {
    const query = await queryOf(sql);
    for (const bytes of [10, 100 * mega]) {
      const { parts, final } = play(query, bytes);
      const ids = parts.map(({ id }) => id);
      expect(ids).toEqual(parts.map((_, at) => `s1_${at + 1}`));
      expect(parts.map(({ part }) => part?.of)).toEqual(parts.map(() => 's1'));
      expect(new Set(parts.map(({ part }) => part?.key)).size).toBe(parts.length);
      expect(new Set(parts.map(({ digest }) => digest)).size).toBe(parts.length);
      expect(final.id).toBe('s1');
      expect(final.part).toBeUndefined();
    }
  });

  test('run in the pool of their query, and the last writes what the query is to write', async () => {
    const query = await queryOf('select b, count(*) as n, sum(e) as s from t group by b');
    const { parts, final } = play(query, mega);
    expect(parts.length).toBeGreaterThan(0);
    for (const stage of [...parts, final]) {
      expect(stage).toMatchObject({ pool: 'large', devices: [], deterministic: true });
    }
    expect(final.program.sink).toEqual(query.program.sink);
    for (const { program } of parts) expect(program.sink.compression).toBe('uncompressed');
  });

  test('are divided into the partitions of the job', async () => {
    const query = await queryOf('select t.id, u.v from t join u on t.a = u.a');
    const { parts } = play(query, 1000 * mega);
    const divisions = parts.flatMap(({ program }) => program.sink.divide ?? []);
    expect(divisions.length).toBeGreaterThan(0);
    for (const divide of divisions) expect(divide).toMatchObject({ kind: 'hash', partitions });
  });

  test('read rows of sources once each, and say how many', async () => {
    const query = await queryOf('select b, count(*) from t group by b');
    const { parts, final } = play(query, mega);
    expect([...parts, final].map(({ rows }) => rows)).toEqual([
      3_000_000,
      ...parts.slice(1).map(() => 0),
      0,
    ]);
  });

  test('read steps before them as they read sources', async () => {
    const query = await queryOf('select b, count(*) from t group by b', { stages: { t: 's0' } });
    const { parts } = play(query, mega, { s0: resultOf([mega, 90 * mega]) });
    expect(parts[0]!.input).toMatchObject({
      driving: { kind: 'split', table: { kind: 'stages', stages: ['s0'] }, units: 2 },
    });
    expect(parts[0]!.rows).toBe(0);
  });

  test('of several kinds of rows are kept before they are put together', async () => {
    const query = await queryOf('select id, a from t union all select id, a from u');
    const { parts, final, rounds } = play(query, mega);
    expect(rounds).toBe(2);
    expect(parts.map(({ part }) => part?.key)).toEqual(['result 0', 'result 1']);
    expect(stagesRead(final)).toEqual(['s1_1', 's1_2']);
  });

  test('read columns of the path from there, not from the files', async () => {
    const query = await queryOf('select b, count(*) from t where a > 2 group by b');
    const hive = { b: 'x' };
    const t = sources['t']!.map((file) => ({ ...file, hive }));
    const { stages } = planQuery({
      query,
      parts: [],
      sources: { ...sources, t },
      results: () => resultOf([]),
      slots: 4,
    });
    const [leaf] = stages[0]!.program.query!.leaves;
    expect(leaf!.columns.map(({ name }) => name)).not.toContain('b');
    expect(leaf!.hive?.map(({ name }) => name)).toEqual(['b']);
  });
});

describe('a query that cannot be divided', () => {
  test('is one chunk that reads all its tables', async () => {
    const query = await queryOf('select b, count(*) from t group by b', { whole: true });
    const { parts, final } = play(query, mega);
    expect(parts).toEqual([]);
    expect(final).toMatchObject({ id: 's1', taskStarts: [0], rows: 3_035_004 });
    expect(final.program.query!.sql).toBe(query.input.sql);
    const { driving, whole } = final.input as ExchangeInput;
    expect(driving).toEqual({ kind: 'once' });
    expect(whole.map(({ leaf }) => leaf)).toEqual(Object.keys(query.input.tables));
    // All that it reads enters it.
    expect(final.program.query!.leaves.every(({ driving: drives }) => drives)).toBe(true);
  });
});

describe('an order of chunks of its own', () => {
  const rows = 'select id, a, b from t';
  const chunks = ({ final }: Played): number => exchangeChunkCount(final.input as ExchangeInput);
  const divisions = ({ parts }: Played) => parts.map(({ program }) => program.sink.divide);
  /** Kept in chunks of 10 MiB. */
  const sized = async (targetBytes: number, keys?: readonly string[]): Promise<Played> =>
    play(await queryOf(rows, { layout: { targetBytes, ...(keys ? { keys } : {}) } }), 10 * mega);

  test('of so many partitions makes so many chunks, of all columns', async () => {
    const played = play(await queryOf(rows, { layout: { partitions: 5 } }), mega);
    expect(played.parts.map(({ program }) => program.sink.divide)).toEqual([
      { kind: 'hash', partitions: 5, keys: expect.any(Array) as string[] },
    ]);
    expect(played.parts[0]!.program.sink.divide).toMatchObject({ keys: { length: 3 } });
    expect(chunks(played)).toBe(5);
  });

  test('by keys puts equal ones into one chunk, and small chunks together', async () => {
    const query = await queryOf(rows, { layout: { keys: ['a'] } });
    const [small, large] = [play(query, 10), play(query, 100 * mega)];
    expect(small.parts[0]!.program.sink.divide).toMatchObject({
      partitions,
      keys: { length: 1 },
    });
    expect(chunks(small)).toBe(1);
    expect(chunks(large)).toBe(partitions);
  });

  test('by keys into so many partitions is both', async () => {
    const query = await queryOf(rows, { layout: { keys: ['b', 'a'], partitions: 3 } });
    const played = play(query, 10);
    expect(played.parts[0]!.program.sink.divide).toMatchObject({
      partitions: 3,
      keys: { length: 2 },
    });
    expect(chunks(played)).toBe(3);
  });

  test('of a size takes chunks together up to that size, and divides nothing', async () => {
    const [near, large] = [await sized(8 * mega), await sized(1000 * mega)];
    expect(divisions(near)).toEqual([undefined]);
    const units = exchangeChunkCount(near.parts[0]!.input as ExchangeInput);
    expect(units).toBeGreaterThan(1);
    expect([chunks(near), chunks(large)]).toEqual([units, 1]);
  });

  test('of a size deals out what is kept in larger chunks, into as many as that takes', async () => {
    const played = await sized(mega);
    const kept = exchangeChunkCount(played.parts[0]!.input as ExchangeInput);
    expect(divisions(played)).toEqual([
      undefined,
      { kind: 'hash', partitions: kept * 10, keys: expect.any(Array) as string[] },
    ]);
    expect(chunks(played)).toBe(kept * 10);
    // A size of files of the result, so that of rows compressed as they are.
    const compressed = played.parts.map(({ program }) => program.sink.compression);
    expect(compressed).toEqual(['zstd', 'zstd']);
    expect(divisions(await sized(1))[1]).toMatchObject({ partitions: 65_536 });
  });

  test('by keys and of a size makes chunks of that size, and one where all is smaller', async () => {
    const [small, large] = [await sized(2 * mega, ['a']), await sized(1000 * mega, ['a'])];
    const kept = exchangeChunkCount(small.parts[0]!.input as ExchangeInput);
    expect(divisions(small)).toMatchObject([undefined, { keys: { length: 1 } }]);
    expect(chunks(small)).toBe(kept * 5);
    expect([divisions(large), chunks(large)]).toEqual([[undefined], 1]);
    expect(small.parts[0]!.digest).toBe(large.parts[0]!.digest);
  });

  test('does not change what the stages before it are', async () => {
    const [by5, by6] = await Promise.all(
      [5, 6].map((many) => queryOf(rows, { layout: { partitions: many, keys: ['a'] } })),
    );
    const [five, six] = [play(by5!, mega), play(by6!, mega)];
    expect(five.parts[0]!.input).toEqual(six.parts[0]!.input);
    expect(five.parts[0]!.digest).not.toBe(six.parts[0]!.digest);
  });
});

test('a query whose result is there already has nothing to do', async () => {
  const query = await queryOf('select b, count(*) from t group by b');
  const final = nothingToDo(query);
  expect(exchangeChunkCount(final.input as ExchangeInput)).toBe(0);
  expect(stagesRead(final)).toEqual([]);
  expect(final).toMatchObject({ id: 's1', taskStarts: [] });
});

test('a stage knows what users call its columns, and its measures until they are named', async () => {
  const { parts, final } = play(await queryOf('select a, max(id) as top from t group by a'), mega);
  const names = (stage: StagePlan): string[] => Object.values(stage.program.query!.shown!);
  expect(names(parts[0]!).sort()).toEqual(['a', 'id', 'max(id)']);
  expect(names(final)).toContain('top');
});

describe('work that two queries have in common', () => {
  const grouped = 'select a, count(*) as n, max(id) as m from t group by a';
  const other = (least: number): string =>
    `select v, sum(w) as w from u where w > ${least} group by v`;
  const digestsOf = async (sql: string): Promise<string[]> => {
    const { parts, final } = play(await queryOf(sql), 100 * mega);
    return [...parts, final].map(({ digest }) => digest);
  };

  test('is the same, whatever they do besides', async () => {
    const alone = await digestsOf(`select m, n from (${grouped})`);
    const joined = (least: number): Promise<string[]> =>
      digestsOf(
        `select 1 as one, g.m, g.n, o.w from (${other(least)}) o, (${grouped}) g where o.v = g.m::varchar`,
      );
    const [first, second] = [await joined(1), await joined(2)];
    const shared = first.filter((digest) => second.includes(digest));
    expect(shared.length).toBeGreaterThan(0);
    expect(shared.length).toBeLessThan(first.length);
    // What groups t is what they have in common with the query that does nothing else.
    expect(shared).toContain(alone[0]);
  });

  test('is not the same where it would choose its rows anew', async () => {
    const drawn = `(select a, random() as r from t where random() < 0.5)`;
    const query = await queryOf(
      `select x.a, x.r, y.r as s from ${drawn} x join ${drawn} y on x.a = y.a`,
    );
    const { parts } = play({ ...query, deterministic: false }, 100 * mega);
    const keys = parts.map(({ part }) => part!.key);
    expect(new Set(keys).size).toBe(keys.length);
    expect(new Set(parts.map(({ digest }) => digest)).size).toBe(keys.length);
    expect(keys.length).toBeGreaterThan(1);
  });

  test('is not the same in two queries of one text that draw at random', async () => {
    const query = await queryOf('select b, random() as r from (select b from t group by b)');
    const digests = ['s1', 's2'].flatMap((id) => {
      const { parts, final } = play({ ...query, id: stageId(id), deterministic: false }, mega);
      expect(parts.length).toBeGreaterThan(0);
      return [...parts, final].map(({ digest }) => digest);
    });
    expect(new Set(digests).size).toBe(digests.length);
  });

  test('is the same whatever messages call the columns of its leaves', async () => {
    const { final } = play(await queryOf(grouped), mega);
    const query = final.program.query!;
    const digestOf = (shown: Record<string, string>, type = 'BIGINT'): string => {
      const leaves = query.leaves.map((leaf) => ({
        ...leaf,
        columns: [...leaf.columns, { name: 'more', type }],
        shown,
      }));
      const versions = { duckdb: 'v1', onnxruntime: 'v1' };
      return programDigest({ ...final.program, query: { ...query, leaves } }, versions);
    };
    expect(query.leaves.length).toBeGreaterThan(0);
    expect(digestOf({ more: 'n' })).toBe(digestOf({ more: 'many' }));
    expect(digestOf({ more: 'n' })).not.toBe(digestOf({ more: 'n' }, 'INTEGER'));
  });
});
