/** A row that failed behind an exchange is told with the user's file, where that can only be one. */
import { describe, expect, it } from 'vitest';
import { JobChunks } from '../../coordinator/job-chunks.js';
import { withOrigin } from '../../coordinator/row-origin.js';
import type { Failure } from '../../shared/failure.js';
import { jobId, stageId } from '../../shared/ids.js';
import type { ExchangeInput } from '../../shared/plan.js';
import { chunkFilePath } from '../../shared/storage/paths.js';
import { jobPlan, laidOut } from './core/fixtures.js';
import { fileOf, ids } from './planner/sizes.js';

const users = [fileOf('/u/1', [10, 10]), fileOf('/u/2', [10])];
const others = [fileOf('/o/1', [10])];

/** Chunks of s1_1 are of one file each, that of s1_2 is of both, s1_3 passes those of s1_1 on. */
function chunks(): JobChunks {
  const split = (starts: readonly number[]): ExchangeInput => ({
    kind: 'exchange',
    driving: {
      kind: 'split',
      leaf: 'u.0',
      table: { kind: 'source', source: 'users' },
      units: 3,
      starts,
    },
    whole: [{ leaf: 'o.0', table: { kind: 'source', source: 'others' } }],
  });
  const over: ExchangeInput = {
    kind: 'exchange',
    driving: {
      kind: 'split',
      leaf: 'p',
      table: { kind: 'stages', stages: ids('s1_1') },
      units: 2,
      starts: [0, 1],
    },
    whole: [],
  };
  const stages = [
    { ...laidOut('s1_1', split([0, 2]), { of: 's1' }), digest: 'first' },
    { ...laidOut('s1_2', split([0]), { of: 's1' }), digest: 'second' },
    { ...laidOut('s1_3', over, { of: 's1' }), digest: 'third' },
  ];
  return new JobChunks(jobId('j1'), {
    plan: { ...jobPlan([{}]), stages, sources: { users, others } },
  });
}

/** So many exchanges over one file's chunks, each of as many chunks that are made of all before. */
function exchanged(depth: number, count: number): JobChunks {
  const each = Array.from({ length: count }, (_, chunk) => chunk);
  const source: ExchangeInput = {
    kind: 'exchange',
    driving: {
      kind: 'split',
      leaf: 'u.0',
      table: { kind: 'source', source: 'users' },
      units: count,
      starts: each,
    },
    whole: [],
  };
  const over = (stage: string): ExchangeInput => ({
    kind: 'exchange',
    driving: {
      kind: 'partitions',
      inputs: [{ leaf: 'p', stages: ids(stage) }],
      ranges: each.map((from) => ({ from, to: from + 1 })),
    },
    whole: [],
  });
  const stages = Array.from({ length: depth + 1 }, (_, at) => ({
    ...laidOut(`s1_${at}`, at === 0 ? source : over(`s1_${at - 1}`), { of: 's1' }),
    digest: `d${at}`,
  }));
  const one = [
    fileOf(
      '/u/1',
      each.map(() => 10),
    ),
  ];
  return new JobChunks(jobId('j1'), {
    plan: { ...jobPlan([{}]), stages, sources: { users: one } },
  });
}

const failed = (file: string, kind: Failure['kind'] = 'badData'): Failure => ({
  kind,
  code: 'E_SQL_RUNTIME',
  message: 'it fails',
  at: { step: 'a', file },
});

describe('a row that failed', () => {
  const job = chunks();
  const fileOfChunk = (stage: string, chunk: number, of = job): string =>
    chunkFilePath('/chunks', of.identity(stageId(stage), chunk), 'j1-s1_1-0-1-w');
  const at = (stage: string, chunk: number): Failure['at'] =>
    withOrigin(failed(fileOfChunk(stage, chunk)), job).at;

  it('is of the one file that its chunk was made of, whatever that chunk read besides', () => {
    expect(at('s1_1', 0)).toEqual({ step: 'a', file: '/u/1' });
    expect(at('s1_1', 1)).toEqual({ step: 'a', file: '/u/2' });
    expect(at('s1_3', 1)).toEqual({ step: 'a', file: '/u/2' });
  });

  it('is of that file behind any number of exchanges, each chunk looked at once', () => {
    // All the ways through them would be 16^8.
    const deep = exchanged(8, 16);
    const file = fileOfChunk('s1_8', 3, deep);
    expect(withOrigin(failed(file), deep).at).toEqual({ step: 'a', file: '/u/1' });
  });

  it('is of no file where too much would have to be looked at to tell', () => {
    const wide = exchanged(1, 10_001);
    expect(withOrigin(failed(fileOfChunk('s1_1', 0, wide)), wide).at).toEqual({ step: 'a' });
    const file = fileOfChunk('s1_0', 0, wide);
    expect(withOrigin(failed(file), wide).at).toEqual({ step: 'a', file: '/u/1' });
  });

  it('is of no file where that may be several, or another job’s', () => {
    expect(at('s1_2', 0)).toEqual({ step: 'a' });
    const foreign = failed(chunkFilePath('/chunks', '0'.repeat(64), 'j2-s0-0-1-w'));
    expect(withOrigin(foreign, job).at).toEqual({ step: 'a' });
  });

  it('stays where it is in a file of the user’s, and a file that is lost is named', () => {
    for (const failure of [
      failed('/u/1'),
      failed(fileOfChunk('s1_1', 0), 'fetchFailed'),
      { kind: 'badData', code: 'E_SQL_RUNTIME', message: 'x' } as const,
    ]) {
      expect(withOrigin(failure, job)).toEqual(failure);
    }
  });
});
