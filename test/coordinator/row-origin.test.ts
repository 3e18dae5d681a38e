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

const failed = (file: string, kind: Failure['kind'] = 'badData'): Failure => ({
  kind,
  code: 'E_SQL_RUNTIME',
  message: 'it fails',
  at: { step: 'a', file },
});

describe('a row that failed', () => {
  const job = chunks();
  const fileOfChunk = (stage: string, chunk: number): string =>
    chunkFilePath('/chunks', job.identity(stageId(stage), chunk), 'j1-s1_1-0-1-w');
  const at = (stage: string, chunk: number): Failure['at'] =>
    withOrigin(failed(fileOfChunk(stage, chunk)), job).at;

  it('is of the one file that its chunk was made of, whatever that chunk read besides', () => {
    expect(at('s1_1', 0)).toEqual({ step: 'a', file: '/u/1' });
    expect(at('s1_1', 1)).toEqual({ step: 'a', file: '/u/2' });
    expect(at('s1_3', 1)).toEqual({ step: 'a', file: '/u/2' });
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
