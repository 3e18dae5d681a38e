import { describe, expect, it } from 'vitest';
import { checkBooks, outputTotals } from '../../../coordinator/commit/books.js';
import { freezeOutput } from '../../../coordinator/commit/freeze.js';
import { deadLetterName, namedFiles } from '../../../coordinator/commit/ledger.js';
import { stageId } from '../../../shared/ids.js';
import type { Manifest } from '../../../shared/manifest.js';
import type { ChunkRecord, JobPlan, StagePlan } from '../../../shared/plan.js';
import { placeOf } from '../../../shared/storage/paths.js';
import { MemoryStore } from '../../contract/memory-store.js';
import { ledgers, outputOf, plan, s0, stage, type ChunkSpec } from './fixture.js';

const a = { name: 'a', rows: 10, dead: 2 };
const b = { name: 'b', rows: 5 };
const recordsOf = (chunks: readonly ChunkSpec[]) =>
  Promise.all(chunks.map((chunk) => stage(new MemoryStore(), '/c', chunk)));
const under = (of: JobPlan, records: readonly ChunkRecord[]) =>
  ledgers(of, new Map([[s0, records]]));
const codeFor = (of: JobPlan, records: readonly ChunkRecord[]) =>
  checkBooks(of, under(of, records)).failure?.code;

describe('the books of a job', () => {
  it('balance when every row of the input went somewhere, pruned rows included', async () => {
    const records = await recordsOf([a, b]);
    const of = plan('/r', [a, b]);
    expect(checkBooks(of, under(of, records))).toEqual({ warnings: [] });
    expect(outputTotals(of, outputOf(of), under(of, records))).toEqual({
      in: 24,
      out: 15,
      filtered: 7,
      deadLettered: 2,
    });
  });

  it('do not balance when a row is missing anywhere', async () => {
    const records = await recordsOf([a, b]);
    const of = plan('/r', [a, b]);
    const [first, second] = records as [ChunkRecord, ChunkRecord];
    const counts = (more: Partial<ChunkRecord['counts']>) => ({
      ...second,
      counts: { ...second.counts, ...more },
    });
    const files = second.files.map((file) => ({ ...file, rows: 4 }));
    expect(codeFor(of, [first])).toBe('E_BOOKS');
    expect(codeFor(of, [first, second, second])).toBe('E_BOOKS');
    expect(codeFor(of, [first, counts({ rowsOut: 4 })])).toBe('E_BOOKS');
    expect(codeFor(of, [first, counts({ filtered: 1 })])).toBe('E_BOOKS');
    expect(codeFor(of, [first, { ...second, files }])).toBe('E_BOOKS');
    expect(codeFor(of, [{ ...first, deadLetters: undefined } as never, second])).toBe('E_BOOKS');
  });

  it('let a stage that is not row-wise change the number of rows', async () => {
    const [record] = (await recordsOf([{ name: 'x', rows: 3 }])) as [ChunkRecord];
    const of = plan('/r', [{ name: 'x', rows: 9 }]);
    const grown = { ...record, counts: { ...record.counts, rowsIn: 9 } };
    expect(codeFor(of, [grown])).toBe('E_BOOKS');
    const stages = of.stages.map((each) => ({
      ...each,
      program: { ...each.program, rowwise: false },
    }));
    expect(codeFor({ ...of, stages }, [grown])).toBeUndefined();
  });

  it('follow rows through a stage that rewrites another', async () => {
    const records = await recordsOf([a, b]);
    const of = plan('/r', [a, b]);
    const s1 = stageId('s1');
    const second: StagePlan = {
      ...(of.stages[0] as StagePlan),
      id: s1,
      input: { kind: 'stage', stage: s0 },
    };
    const two: JobPlan = {
      ...of,
      stages: [...of.stages, second],
      outputs: [{ ...outputOf(of), stage: s1 }],
    };
    const books = async (rows: number) => {
      const rewritten = await recordsOf([{ name: 'r', rows }]);
      return ledgers(
        two,
        new Map([
          [s0, records],
          [s1, rewritten],
        ]),
      );
    };
    const whole = await books(15);
    const output = outputOf(two);
    expect(checkBooks(two, whole).failure).toBeUndefined();
    const totals = { in: 24, out: 15, filtered: 7, deadLettered: 2 };
    expect(outputTotals(two, output, whole)).toEqual(totals);
    expect(freezeOutput('n', two, output, whole, undefined).manifest.deadLetters).toHaveLength(1);
    expect(checkBooks(two, await books(14)).failure?.code).toBe('E_BOOKS');
  });

  it('fail a job with too many dead letters, at the cap not yet', async () => {
    const records = await recordsOf([a, b]);
    const of = plan('/r', [a, b]);
    const capped = (deadLetters: JobPlan['deadLetters']) =>
      codeFor({ ...of, deadLetters }, records);
    expect(capped({ maxRows: 2 })).toBeUndefined();
    expect(capped({ maxRows: 1 })).toBe('E_TOO_MANY_DEAD_LETTERS');
    expect(capped({ maxFraction: 2 / 24 })).toBeUndefined();
    expect(capped({ maxFraction: 0.08 })).toBe('E_TOO_MANY_DEAD_LETTERS');
    const { failure } = checkBooks({ ...of, deadLetters: { maxRows: 1 } }, under(of, records));
    expect(failure?.hint).toContain(`read_parquet('${of.chunkLocation}/**/*.dead')`);
  });

  it('count a dead letter once, however many outputs follow the stage it died in', async () => {
    const of = plan('/r', [a, b]);
    const [first] = of.stages as [StagePlan];
    const rewriting = ['s1', 's2'].map((id): StagePlan => ({
      ...first,
      id: stageId(id),
      input: { kind: 'stage', stage: s0 },
      rows: 0,
    }));
    const shared: JobPlan = {
      ...of,
      stages: [first, ...rewriting],
      outputs: rewriting.map(({ id }) => ({ ...outputOf(of), name: id, stage: id })),
    };
    const records = new Map([[s0, await recordsOf([a, b])]]);
    for (const { id } of rewriting) records.set(id, await recordsOf([{ name: id, rows: 15 }]));
    const capped = (deadLetters: JobPlan['deadLetters']) =>
      checkBooks({ ...shared, deadLetters }, ledgers(shared, records)).failure?.code;
    expect(capped({ maxRows: 2 })).toBeUndefined();
    expect(capped({ maxRows: 1 })).toBe('E_TOO_MANY_DEAD_LETTERS');
    expect(capped({ maxFraction: 2 / 24 })).toBeUndefined();
    expect(capped({ maxFraction: 0.08 })).toBe('E_TOO_MANY_DEAD_LETTERS');
  });

  it('hold expected row counts, or warn', async () => {
    const records = await recordsOf([a, b]);
    const of = plan('/r', [a, b]);
    const check = (min: number | undefined, max: number | undefined, action: 'fail' | 'warn') =>
      checkBooks(
        {
          ...of,
          outputs: [
            {
              ...outputOf(of),
              rowCounts: [
                {
                  step: 'e',
                  ...(min === undefined ? {} : { min }),
                  ...(max === undefined ? {} : { max }),
                  action,
                },
              ],
            },
          ],
        },
        under(of, records),
      );
    expect(check(15, 15, 'fail')).toEqual({ warnings: [] });
    expect(check(16, undefined, 'fail').failure?.code).toBe('E_ROW_COUNT');
    expect(check(undefined, 14, 'fail').failure?.code).toBe('E_ROW_COUNT');
    expect(check(undefined, 14, 'warn').warnings).toHaveLength(1);
  });
});

describe('a frozen manifest', () => {
  it('leaves out empty files, but keeps one where there are no others', async () => {
    const empty = [
      { name: 'x', rows: 0 },
      { name: 'y', rows: 0 },
    ];
    const freeze = async (chunks: readonly ChunkSpec[]) => {
      const of = plan('/r', chunks);
      const kept = under(of, await recordsOf(chunks));
      const { manifest } = freezeOutput('n', of, outputOf(of), kept, undefined);
      return manifest.files.map(({ rows }) => rows);
    };
    expect(await freeze([...empty, b])).toEqual([5]);
    expect(await freeze(empty)).toEqual([0]);
    expect(await freeze([])).toEqual([]);
  });

  it('keeps what others put there, but not what a job that is done again did', async () => {
    const [first, other] = [plan('/r', [a], 'append'), plan('/r', [b], 'append')];
    const freeze = async (of: JobPlan, chunks: readonly ChunkSpec[], there?: Manifest) =>
      freezeOutput('n', of, outputOf(of), under(of, await recordsOf(chunks)), there).manifest;
    const one = await freeze(first, [a]);
    expect(one.files.map(({ by }) => by)).toEqual([one.identity]);
    const two = await freeze(other, [b], one);
    expect(two.files.map(({ by }) => by)).toEqual([one.identity, two.identity]);
    expect(two.deadLetters.map(({ by }) => by)).toEqual([one.identity]);
    const c = { name: 'c', rows: 6 };
    const third = plan('/r', [c], 'append');
    const again = { ...third, outputs: [{ ...outputOf(third), replaces: [one.identity] }] };
    const three = await freeze(again, [c], two);
    expect(three.files.map(({ rows }) => rows)).toEqual([5, 6]);
    expect(three.deadLetters).toEqual([]);
    expect((await freeze(plan('/r', [a]), [a])).files[0]!.by).toBeUndefined();
  });

  it('gives each file of a chunk a name of its own, by partition and number', async () => {
    const [record] = (await recordsOf([b])) as [ChunkRecord];
    const [file] = record.files as [ChunkRecord['files'][number]];
    const of = (value: string | null) => ({ ...file, partition: [{ column: 'k', value }] });
    const many = { ...record, files: [of('x/y'), of(null), of('x/y')] };
    const part = `part-${record.identity.slice(0, 32)}`;
    expect(namedFiles(many).map(({ name }) => name)).toEqual([
      `k=x%2Fy/${part}.parquet`,
      `k=__HIVE_DEFAULT_PARTITION__/${part}.parquet`,
      `k=x%2Fy/${part}-1.parquet`,
    ]);
    expect(deadLetterName(many)).toBe(`${part}.parquet`);
  });

  it('names the files of an output with an order so that names sort as the rows do', async () => {
    const [record] = (await recordsOf([b])) as [ChunkRecord];
    const [file] = record.files as [ChunkRecord['files'][number]];
    const many = { ...record, files: Array.from({ length: 12 }, () => file) };
    const names = [9, 10].flatMap((place) => namedFiles(many, place).map(({ name }) => name));
    expect([...names].sort()).toEqual(names);
    expect(new Set(names).size).toBe(24);
    // From a name alone its file is found again, as after a crash.
    for (const [at, name] of names.entries()) {
      expect(namedFiles(many, placeOf(name))[at % 12]?.name).toBe(name);
    }
  });
});
