/** What a chunk of a query's stage is: all that its bytes depend on, and nothing else. */
import { describe, expect, it } from 'vitest';
import { JobChunks } from '../../coordinator/job-chunks.js';
import { jobId, stageId } from '../../shared/ids.js';
import type { ExchangeInput, InputFile, JobPlan, StagePlan } from '../../shared/plan.js';
import { jobPlan, laidOut, splitOver } from './core/fixtures.js';
import { fileOf, ids } from './planner/sizes.js';

const users = [fileOf('/u/1', [10, 10]), fileOf('/u/2', [10])];
const overSource = (starts: readonly number[] = [0, 2]): ExchangeInput => ({
  kind: 'exchange',
  driving: {
    kind: 'split',
    leaf: 'u.0',
    table: { kind: 'source', source: 'users' },
    units: 3,
    starts,
  },
  whole: [],
});
const overParts = (
  ranges: Extract<ExchangeInput['driving'], { kind: 'partitions' }>['ranges'],
): ExchangeInput => ({
  kind: 'exchange',
  driving: { kind: 'partitions', inputs: [{ leaf: 'p', stages: ids('s1_1') }], ranges },
  whole: [{ leaf: 'w', table: { kind: 'stages', stages: ids('s0') } }],
});
const ranges = [
  { from: 0, to: 2 },
  { from: 2, to: 4 },
];

/** s0 is over files, s1_1 over the users, s1 reads both. */
function base(): JobPlan {
  const [s0] = jobPlan([{ rows: [10, 10] }]).stages;
  const stages = [
    s0!,
    { ...laidOut('s1_1', overSource(), { of: 's1' }), digest: 'part' },
    { ...laidOut('s1', overParts(ranges)), digest: 'own' },
  ];
  return { ...jobPlan([{}]), stages, sources: { users } };
}
type Change = (stage: StagePlan) => StagePlan;
const changed = (id: string, change: Change, plan = base()): JobPlan => ({
  ...plan,
  stages: plan.stages.map((stage) => (stage.id === id ? change(stage) : stage)),
});
const chunksOf = (plan: JobPlan, job = 'j1'): JobChunks => {
  const constants = { jobId: jobId(job), nowMs: 0 };
  return new JobChunks(jobId('again'), { plan: { ...plan, constants } });
};
const identities = (plan: JobPlan, stage = 's1', job = 'j1'): string[] =>
  chunksOf(plan, job).identities(stageId(stage));
/** Which of the chunks are other ones than before. */
function differing(plan: JobPlan, stage = 's1'): number[] {
  const before = identities(base(), stage);
  return identities(plan, stage).flatMap((identity, at) => (identity === before[at] ? [] : [at]));
}
const withUsers = (files: readonly InputFile[]): JobPlan => ({
  ...base(),
  sources: { users: files },
});

describe('the identity of a chunk', () => {
  it('is its own', () => {
    const all = ['s0', 's1_1', 's1'].flatMap((stage) => identities(base(), stage));
    expect(all).toHaveLength(6);
    expect(new Set(all).size).toBe(6);
  });

  it('is another one where a stage that it stands on does something else', () => {
    const other: Change = (stage) => ({ ...stage, digest: 'other' });
    expect(differing(changed('s1', other))).toEqual([0, 1]);
    expect(differing(changed('s1_1', other))).toEqual([0, 1]);
    expect(differing(changed('s0', other))).toEqual([0, 1]);
  });

  it('is another one where its rows of a source are others', () => {
    const newer = [users[0]!, { ...users[1]!, mtimeMs: 2 }];
    expect(differing(withUsers(newer), 's1_1')).toEqual([1]);
    expect(differing(withUsers([...newer].reverse()), 's1_1')).toEqual([0, 1]);
    const cut: Change = (stage) => ({ ...stage, input: overSource([0, 1]) });
    expect(differing(changed('s1_1', cut), 's1_1')).toEqual([0, 1]);
    // What reads partitions reads them of all chunks.
    expect(differing(withUsers(newer))).toEqual([0, 1]);
  });

  it('is another one where its partitions or its share of them are others', () => {
    const of = (...to: Parameters<typeof overParts>): Change => {
      return (stage) => ({ ...stage, input: overParts(...to) });
    };
    expect(differing(changed('s1', of([ranges[0]!, { from: 2, to: 3 }])))).toEqual([1]);
    const share = { input: 0, from: 0, to: 1 };
    expect(differing(changed('s1', of([ranges[0]!, { from: 2, to: 4, share }])))).toEqual([1]);
  });

  it('is another one where it reads the same under another name', () => {
    const renamed: Change = (stage) => ({
      ...stage,
      input: {
        ...overParts(ranges),
        whole: [{ leaf: 'v', table: { kind: 'stages', stages: ids('s0') } }],
      },
    });
    expect(differing(changed('s1', renamed))).toEqual([0, 1]);
  });

  it('is the same whatever its job, tasks, pool and the name of its stage', () => {
    expect(identities(base(), 's1', 'j2')).toEqual(identities(base()));
    const place: Change = (stage) => ({ ...stage, taskStarts: [0], pool: 'large' });
    expect(differing(changed('s1', place))).toEqual([]);
    const renamed = base().stages.map((stage): StagePlan => {
      if (stage.id !== 's1_1') return stage;
      return { ...stage, id: stageId('s1_7'), part: { of: stageId('s1'), key: 'k' } };
    });
    const input = overParts(ranges);
    const inputs = [{ leaf: 'p', stages: ids('s1_7') }];
    const own: Change = (stage) => ({
      ...stage,
      input: { ...input, driving: { kind: 'partitions', inputs, ranges } },
    });
    expect(differing(changed('s1', own, { ...base(), stages: renamed }))).toEqual([]);
  });

  it('is the job’s alone where a stage that it stands on is not deterministic', () => {
    for (const id of ['s0', 's1_1', 's1']) {
      const plan = changed(id, (stage) => ({ ...stage, deterministic: false }));
      expect(identities(plan, 's1', 'j1')).toEqual(identities(plan, 's1', 'j1'));
      expect(identities(plan, 's1', 'j2')).not.toEqual(identities(plan, 's1', 'j1'));
    }
  });

  it('does not depend on what was asked for before', () => {
    // One file under two sources, which see other values in its path.
    const [file] = users;
    const sources = { users: [file!], days: [{ ...file!, hive: { day: '1' } }] };
    const of = (source: string): ExchangeInput => ({
      kind: 'exchange',
      driving: { kind: 'once' },
      whole: [{ leaf: 'l', table: { kind: 'source', source } }],
    });
    const stages = [laidOut('s0', of('users')), laidOut('s1', of('days'))];
    const plan = { ...jobPlan([{}]), stages, sources };
    const [one, other] = [chunksOf(plan), chunksOf(plan)];
    const forwards = ids('s0', 's1').map((id) => one.identity(id, 0));
    const backwards = ids('s1', 's0').map((id) => other.identity(id, 0));
    expect(backwards.reverse()).toEqual(forwards);
    expect(forwards[0]).not.toBe(forwards[1]);
  });
});

describe('chunks of a job whose plan grows', () => {
  it('are there as soon as their stage is laid out', () => {
    const query = jobPlan([{}, { id: 's1', query: ['s0'] }]).stages[1]!;
    const [s0, part, own] = base().stages;
    const job = { plan: { ...base(), stages: [s0!, query] } };
    const chunks = new JobChunks(jobId('j1'), job);
    const counts = () => job.plan.stages.map(({ id }) => [id, chunks.count(id)]);
    expect(counts()).toEqual([
      ['s0', 2],
      ['s1', 0],
    ]);
    expect(() => chunks.identity(stageId('s1'), 0)).toThrow(RangeError);
    job.plan = { ...job.plan, stages: [s0!, part!, query] };
    expect(counts()).toEqual([
      ['s0', 2],
      ['s1_1', 2],
      ['s1', 0],
    ]);
    job.plan = { ...job.plan, stages: [s0!, part!, own!] };
    expect(chunks.identities(stageId('s1'))).toEqual(identities(base()));
  });

  it('say which chunks of other stages they read', () => {
    const chunks = chunksOf(base());
    expect(chunks.runs(stageId('s1'), 1)).toEqual([
      { stage: 's1_1', from: 0, to: 2 },
      { stage: 's0', from: 0, to: 2 },
    ]);
    expect(chunks.runs(stageId('s1_1'), 0)).toEqual([]);
    const split = changed('s1', (stage) => ({ ...stage, input: splitOver(['s0'], 2, [0, 1]) }));
    expect(chunksOf(split).runs(stageId('s1'), 1)).toEqual([{ stage: 's0', from: 1, to: 2 }]);
  });
});
