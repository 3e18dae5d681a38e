/** Plans some of whose chunks stay as earlier programs made them. */
import { describe, expect, it } from 'vitest';
import { assignment, programOf } from '../../coordinator/dispatch.js';
import { earlierStages, isInDoubt, withEarlier } from '../../coordinator/earlier-plan.js';
import { JobChunks } from '../../coordinator/job-chunks.js';
import { stageDigest, stageDigests } from '../../coordinator/planner/splits.js';
import type { ChunkRecord, EarlierProgram, JobPlan, StagePlan } from '../../shared/plan.js';
import {
  after,
  hello,
  J,
  jobOf,
  jobPlan,
  ref,
  S0,
  S1,
  type StageShape,
  started,
  submitted,
} from './core/fixtures.js';

const shapes: readonly StageShape[] = [
  { rows: [10, 10, 10, 10, 10], starts: [0, 3] },
  { id: 's1', over: 's0' },
];
const plan = jobPlan(shapes);

type Change = Partial<Pick<StagePlan, 'digest' | 'deterministic' | 'program' | 'devices'>>;
const changed = (change: Change, id = S0, of = plan): JobPlan => ({
  ...of,
  stages: of.stages.map((stage) => (stage.id === id ? { ...stage, ...change } : stage)),
});

/** Chunks 0 and 3 are of the newer program, 1 and 4 of the older. */
const programs: readonly EarlierProgram[] = [
  {
    ...plan.stages[0]!,
    digest: 'newer',
    chunks: [
      [0, 1],
      [3, 4],
    ],
  },
  {
    ...plan.stages[0]!,
    digest: 'older',
    chunks: [
      [1, 2],
      [4, 5],
    ],
  },
];
const mixedWith = (earlier: readonly EarlierProgram[], of = plan): JobPlan =>
  withEarlier(of, new Map([[S0, earlier]]), new Map([[S0, 5]]), []);
const identities = (of: JobPlan): string[] => new JobChunks(J, { plan: of }).identities(S0);

describe('a chunk that stays', () => {
  it('is called as the program calls it that made it', () => {
    const by = (digest: string): string[] => identities(changed({ digest }));
    const [own, newer, older] = [identities(plan), by('newer'), by('older')];
    expect(identities(mixedWith(programs))).toEqual([
      newer[0],
      older[1],
      own[2],
      newer[3],
      older[4],
    ]);
  });

  it('makes what stands on it another chunk than that of the stage’s own program', () => {
    const groups = [
      { from: 0, to: 2 },
      { from: 2, to: 3 },
    ];
    const over = (of: JobPlan): string[] => new JobChunks(J, { plan: of }).identitiesOf(S1, groups);
    const [mixed, own] = [over(mixedWith(programs)), over(plan)];
    expect(mixed[0]).not.toBe(own[0]);
    expect(mixed[1]).toBe(own[1]);
  });

  it('makes its outputs others, and those alone that stand on it', () => {
    const [output] = plan.outputs;
    const other = { ...output!, name: 'other', identity: 'other', stage: S0 };
    const two = { ...jobPlan([...shapes, { id: 's2', rows: [10] }]), outputs: [output!, other] };
    const apart = { ...two, outputs: [other, { ...output!, stage: two.stages[2]!.id }] };
    const of = (earlier: readonly EarlierProgram[], from: JobPlan) =>
      mixedWith(earlier, from).outputs.map(({ identity }) => identity);
    expect(of(programs, apart)[1]).toBe('identity');
    const ids = [programs, programs.slice(0, 1), []].map((each) => of(each, two));
    expect(new Set([...ids.flat(), 'identity', 'other']).size).toBe(6);
    // Nothing stays: the output is what the code of today alone makes of it.
    expect(of([{ ...programs[0]!, chunks: [] }], two)).toEqual(['identity', 'other']);
  });

  it('counts as one of the digest that it has', () => {
    const [stage] = mixedWith([programs[0]!, { ...programs[1]!, chunks: [] }]).stages;
    expect(stageDigests(stage!, J)).toEqual(['digest', 'newer']);
  });
});

describe('a task', () => {
  it('ends where the program changes, so that an attempt has one', () => {
    const mixed = mixedWith(programs);
    expect(mixed.stages[0]!.taskStarts).toEqual([0, 1, 2, 3, 4]);
    const [one] = mixedWith([{ ...programs[0]!, chunks: [[1, 5]] }]).stages;
    expect(one!.taskStarts).toEqual([0, 1, 3]);
    // All are lost, and all are to be done.
    const event = { ...submitted(), plan: mixed };
    const state = after(hello({ slots: 8 }), event, ...[0, 1, 2, 3, 4].map((k) => started(ref(k))));
    const job = jobOf(state);
    const chunks = new JobChunks(J, { plan: mixed });
    const sent = [0, 1, 2, 3, 4].map((task) => {
      const { programDigest, chunks: work } = assignment(
        ref(task),
        job,
        job.stages[0]!,
        chunks,
        new Map<string, ChunkRecord>(),
        { addresses: new Map() },
      );
      return [programDigest, work.map(({ identity }) => identity)];
    });
    const names = identities(mixed);
    expect(sent).toEqual(
      ['newer', 'older', 'digest', 'newer', 'older'].map((digest, at) => [digest, [names[at]]]),
    );
    const uncut = { ...mixed, stages: mixed.stages.map((each) => ({ ...each, taskStarts: [0] })) };
    const whole = after(hello(), { ...event, plan: uncut }, started(ref(0)));
    const run = () => programOf(ref(0), jobOf(whole).stages[0]!, new JobChunks(J, { plan: uncut }));
    expect(run).toThrow('two programs');
  });
});

describe('programs of before', () => {
  const digests = (before: readonly JobPlan[], of = plan) =>
    earlierStages(of.stages[0]!, before).map(({ digest, plan: from, fits }) => [
      digest,
      from,
      fits,
    ]);

  it('are those that differ, each once, the newest first', () => {
    const [newer, older] = [changed({ digest: 'newer' }), changed({ digest: 'older' })];
    expect(digests([newer, plan, older, newer])).toEqual([
      ['newer', 0, true],
      ['older', 2, true],
    ]);
  });

  it('are called as their chunks are, by the salt of a run that is done again', () => {
    const own = { digest: 'other', deterministic: false };
    const salted = stageDigest({ ...plan.stages[0]!, ...own }, J);
    expect(digests([changed(own)])).toEqual([[salted, 0, true]]);
    expect(digests([changed({ digest: 'third' })], changed(own))).toEqual([['third', 0, true]]);
  });

  it('are none where chunks are not known by what they are', () => {
    expect(earlierStages(plan.stages[1]!, [changed({ digest: 'other' }, S1)])).toEqual([]);
  });

  it('fit where their chunks have the same columns and need the same device', () => {
    const { program } = plan.stages[0]!;
    const sink = { ...program.sink, columns: [{ name: 'x', type: 'INTEGER' }] };
    const columns = changed({ digest: 'columns', program: { ...program, sink } });
    const device = changed({ digest: 'device', devices: ['cuda'] });
    expect(digests([columns, device])).toEqual([
      ['columns', 0, false],
      ['device', 1, false],
    ]);
  });
});

describe('an output that keeps what is not replaced', () => {
  const doubt = (mode: 'append' | 'overwritePartitions', then: JobPlan, stage = S1) =>
    isInDoubt(plan, { ...plan.outputs[0]!, mode, stage }, [then]);

  it('is in doubt where no names of chunks tell what it has of earlier code', () => {
    const other = changed({ digest: 'other' });
    expect(doubt('append', other, S0)).toBe(false);
    expect(doubt('append', plan, S0)).toBe(false);
    // Chunks that are rewritten are grouped by their sizes, which dead letters change.
    expect(doubt('append', other)).toBe(true);
    expect(doubt('append', plan)).toBe(true);
    expect(doubt('overwritePartitions', other)).toBe(false);
    expect(doubt('overwritePartitions', changed({ digest: 'other' }, S1))).toBe(true);
  });
});
