/** What a worker is told to read for the chunks of a query's stage. */
import { describe, expect, it } from 'vitest';
import type { Event } from '../../coordinator/core/events.js';
import { assignment, inputsOf, isMissing, type Surroundings } from '../../coordinator/dispatch.js';
import { JobChunks } from '../../coordinator/job-chunks.js';
import type { AttemptRef } from '../../shared/ids.js';
import type { ChunkFile, ChunkRecord, ExchangeInput, StagePlan } from '../../shared/plan.js';
import { attemptTag, chunkFilePath } from '../../shared/storage/paths.js';
import { after, hello, J, jobOf, laidOut, ref, S1, started, submitted } from './core/fixtures.js';
import { fileOf, ids } from './planner/sizes.js';

const hive = { day: '2026-11-20', region: null };
const users = [{ ...fileOf('/u/1', [10]), hive }, fileOf('/u/2', [20])];

/** s0 has two chunks, which are divided; s1 reads their partitions, and the users whole. */
const driving: ExchangeInput['driving'] = {
  kind: 'partitions',
  inputs: [{ leaf: 'p', stages: ids('s0') }],
  ranges: [
    { from: 0, to: 3 },
    { from: 3, to: 4, share: { input: 0, from: 0, to: 1 } },
    { from: 3, to: 4, share: { input: 0, from: 1, to: 2 } },
  ],
};
const input: ExchangeInput = {
  kind: 'exchange',
  driving,
  whole: [{ leaf: 'u', table: { kind: 'source', source: 'users' } }],
};

function jobWith(own: StagePlan, part?: StagePlan['part']): ReturnType<typeof after> {
  const event = submitted({ stages: [{ rows: [10, 10] }] });
  const first = { ...event.plan.stages[0]!, ...(part ? { part } : {}) };
  const plan = { ...event.plan, stages: [first, own], sources: { users } };
  const reused = [{ stageId: event.plan.stages[0]!.id, chunks: [0, 1] }];
  const events: Event[] = [hello({ slots: 4 }), { ...event, plan, reused }];
  return after(...events, ...own.taskStarts.map((_, task) => started(ref(task, 1, S1))));
}

type Assigned = ReturnType<typeof assigned>[number];

const partOf = { of: S1, key: 'k' };

function reading(leaves: readonly string[], from = input): StagePlan {
  const stage = laidOut('s1', from);
  const query = {
    sql: 'select 1',
    columns: [],
    leaves: leaves.map((leaf) => ({ leaf, columns: [], driving: true })),
  };
  return { ...stage, program: { ...stage.program, query } };
}

/** A divided file with five rows in each of these partitions, ten in a row group. */
function divided(path: string, present: readonly number[]): ChunkFile {
  const parts = present.map((partition) => ({ partition, rows: 5 }));
  const groups = Array.from({ length: present.length / 2 }, (_, at) => {
    return { offset: 100 * at, bytes: 100, rows: 10, crc32: at };
  });
  const footer = { offset: 100 * groups.length, bytes: 20, rows: 0, crc32: 9 };
  const bytes = footer.offset + footer.bytes;
  const blocks = [...groups, footer];
  const rows = 5 * present.length;
  return { path, rows, bytes, sha256: 'f0', partition: [], divided: { parts, blocks } };
}

function writtenBy(identity: string, incarnation: string): string {
  return chunkFilePath('/disk', identity, attemptTag(ref(0), incarnation));
}

function record(identity: string, file: ChunkFile): ChunkRecord {
  const counts = { rowsIn: 20, rowsOut: 20, filtered: 0, dead: 0, inferred: 0, warnings: {} };
  return { identity, files: [file], counts };
}

/** Assignments of all tasks of s1. */
function assigned(
  own: StagePlan,
  around: Surroundings = { addresses: new Map() },
  part?: StagePlan['part'],
) {
  const state = jobWith(own, part);
  const job = jobOf(state);
  const stage = job.stages[1]!;
  const chunks = new JobChunks(J, job);
  const [first, second] = chunks.identities(ids('s0')[0]!) as [string, string];
  const upstream = new Map([
    [first, record(first, divided(part ? writtenBy(first, 'i1') : '/c/0', [0, 1, 2, 3]))],
    [second, record(second, divided(part ? writtenBy(second, 'i2') : '/c/1', [1, 3]))],
  ]);
  return own.taskStarts.map((_, task) => {
    const attempt: AttemptRef = ref(task, 1, S1);
    const inputs = inputsOf(attempt, stage, chunks);
    const { chunks: works, chunkDirectory: directory } = assignment(
      attempt,
      job,
      stage,
      chunks,
      upstream,
      around,
    );
    return { inputs, directory, work: works[0]! };
  });
}

describe('a chunk of a query', () => {
  it('is told its partitions of the divided files that have rows in them', () => {
    const slices = assigned(reading(['p'])).map(({ work }) =>
      work.reads[0]!.slices.map(({ path, from, to, rowStart, rows, blocks }) => {
        const read = blocks.map(({ offset }) => offset).join(' ');
        return `${path}#${from}-${to}: ${rows} from ${rowStart} at ${read}`;
      }),
    );
    expect(slices).toEqual([
      ['/c/0#0-3: 15 from 0 at 0 100 200', '/c/1#0-3: 5 from 0 at 0 100'],
      ['/c/0#3-4: 5 from 15 at 100 200'],
      ['/c/1#3-4: 5 from 5 at 0 100'],
    ]);
  });

  it('is told the ranges of files that it reads whole, with the values of their paths', () => {
    const [{ work }] = assigned(reading(['p', 'u'])) as [ReturnType<typeof assigned>[number]];
    expect(work.reads.map(({ leaf }) => leaf)).toEqual(['p', 'u']);
    expect(work.reads[1]).toMatchObject({
      files: [],
      slices: [],
      sources: [
        { path: '/u/1', rowStart: 0, rowEnd: 10, hive: { day: '2026-11-20' } },
        { path: '/u/2', rowStart: 0, rowEnd: 20, hive: {} },
      ],
    });
    expect(work.source).toBeUndefined();
    expect(work.inputs).toEqual([]);
  });

  it('is told which worker to ask for parts, where the one that wrote them is known', () => {
    const addresses = new Map([
      ['i2', 'h:2'],
      ['i3', 'h:3'],
    ]);
    const [{ work }] = assigned(reading(['p']), { addresses }, partOf) as [Assigned];
    const asked = work.reads[0]!.slices.map(({ path, servedBy }) => [path.slice(-8), servedBy]);
    expect(asked).toEqual([
      ['i1.chunk', undefined],
      ['i2.chunk', 'h:2'],
    ]);
  });

  it('is told nobody to ask for files that lie where all reach them', () => {
    const addresses = new Map([['i2', 'h:2']]);
    for (const { work } of assigned(reading(['p']), { addresses })) {
      expect(work.reads[0]!.slices.some((slice) => 'servedBy' in slice)).toBe(false);
    }
  });

  it('is told which worker to ask for whole files, too', () => {
    const table = { kind: 'stages', stages: ids('s0') } as const;
    const whole: ExchangeInput = {
      kind: 'exchange',
      driving: { kind: 'once' },
      whole: [{ leaf: 'w', table }],
    };
    const addresses = new Map([['i1', 'h:1']]);
    const [{ work }] = assigned(reading(['w'], whole), { addresses }, partOf) as [Assigned];
    expect(work.reads[0]!.files.map(({ servedBy }) => servedBy)).toEqual(['h:1', undefined]);
  });

  it('goes to the worker’s own directory where it only carries rows', () => {
    const around = { addresses: new Map<string, string>(), shuffleDirectory: '/disk' };
    const kept = assigned(reading(['p']), around)[0]!.directory;
    expect(kept).toBe('/out/_windrow/chunks');
    const carries = { ...reading(['p']), part: partOf };
    expect(assigned(carries, around)[0]!.directory).toBe('/disk');
  });

  it('is told nothing of what its program does not read', () => {
    const [{ work }] = assigned(reading(['u'])) as [ReturnType<typeof assigned>[number]];
    expect(work.reads.map(({ leaf }) => leaf)).toEqual(['u']);
  });

  it('needs the chunks that it reads, with their numbers, and no others', () => {
    const numbers = assigned(reading(['p'])).map(({ inputs }) =>
      [...inputs].map(([stage, chunks]) => [stage, [...chunks.values()]]),
    );
    expect(numbers).toEqual([[['s0', [0, 1]]], [['s0', [0]]], [['s0', [1]]]]);
  });
});

describe('what an attempt reads', () => {
  const found = (...identities: string[]) =>
    new Map(identities.map((identity) => [identity, record(identity, divided('/c', []))]));
  const [s0, s1] = ids('s0', 's1');

  it('is missing where any of its chunks is', () => {
    const inputs = new Map([
      [
        s0!,
        new Map([
          ['a', 0],
          ['b', 1],
        ]),
      ],
    ]);
    expect(isMissing(inputs, found('a', 'b'))).toBe(false);
    expect(isMissing(inputs, found('b'))).toBe(true);
    expect(isMissing(new Map(), found())).toBe(false);
  });

  it('is there where two stages have the very same chunk', () => {
    const inputs = new Map([
      [s0!, new Map([['a', 0]])],
      [s1!, new Map([['a', 0]])],
    ]);
    expect(isMissing(inputs, found('a'))).toBe(false);
  });
});
