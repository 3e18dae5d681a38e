/** A query planned over real chunks: what is asked twice, lost, killed in between or done already. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Committer } from '../../coordinator/committer.js';
import type { JobSubmitted, QueryPlanned } from '../../coordinator/core/events.js';
import { reconcile } from '../../coordinator/core/reconcile.js';
import { jobToRow } from '../../coordinator/core/snapshot.js';
import { emptyState, type JobState } from '../../coordinator/core/state.js';
import { transition } from '../../coordinator/core/transition.js';
import { JobChunks } from '../../coordinator/job-chunks.js';
import { StagePlanning } from '../../coordinator/stage-planning.js';
import { jobId, stageId } from '../../shared/ids.js';
import type { JobPlan } from '../../shared/plan.js';
import { ChunkWorld, S0, S1 } from './chunk-world.js';
import { jobPlan, submitted } from './core/fixtures.js';
import { partitions, queryOf } from './planner/made-query.js';
import { fileOf, mega } from './planner/sizes.js';

const S1_1 = stageId('s1_1');
const columns = [
  { name: 'a', type: 'INTEGER' },
  { name: 'b', type: 'VARCHAR' },
];
const inputs = [{ name: 't', columns, rows: 60_000_000 }];
const sql = 'select a, max(b) as b from t group by a';
let world: ChunkWorld;
let committer: Committer;
let planning: StagePlanning;

beforeEach(async () => {
  world = await ChunkWorld.open();
  committer = new Committer({
    ...world.tools(),
    stateDirectory: join(world.directory, 'state'),
    lost: world.lost,
    isOurs: () => Promise.resolve(true),
    warn: () => undefined,
  });
  planning = new StagePlanning({ ...world.tools(), lost: world.lost, committer, slots: () => 4 });
});
afterEach(() => world.close());

/** s0 has two chunks, s1 is a query over them. */
async function submit(id: string, more: Partial<JobSubmitted> = {}): Promise<JobState> {
  const query = await queryOf(inputs, sql, { stages: { t: 's0' } });
  const change = (plan: JobPlan) => ({ ...plan, stages: [plan.stages[0]!, query] });
  await world.submit(id, [{ rows: [10, 10] }, { id: 's1', query: ['s0'] }], change, more);
  return world.job(id);
}
/** s1 is a query over a source of one file of ten rows. */
async function submitOverSource(id: string, more: Partial<JobSubmitted> = {}): Promise<JobState> {
  const query = { ...(await queryOf(inputs, sql)), rows: 10 };
  const t = [fileOf('/t/1', [10], 600 * mega)];
  const change = (plan: JobPlan) => ({ ...plan, stages: [query], sources: { t } });
  const counts = { ...submitted({}).counts, rowsTotal: 10 };
  await world.submit(id, [{ id: 's1', query: [] }], change, { counts, ...more });
  return world.job(id);
}
const finish = async (id: string, stage: string, tasks: number): Promise<void> => {
  for (let task = 0; task < tasks; task += 1) await world.finish(id, stage, task);
};
const phases = (job: JobState): string[] => job.stages.map(({ id, phase }) => `${id} ${phase}`);
const lastPlanned = (): QueryPlanned =>
  world.posted.findLast((event) => event.type === 'query.planned')!;

describe('a query over chunks', () => {
  it('adds a stage, then lays out its own, and ends', async () => {
    const job = await submit('j1');
    await finish('j1', 's0', 2);
    await planning.plan(job, S1);
    expect(phases(job)).toEqual(['s0 done', 's1_1 running', 's1 blocked']);
    expect(job.plan.stages[1]?.program.sink.divide).toMatchObject({ kind: 'hash', partitions });
    await finish('j1', 's1_1', job.stages[1]!.taskStarts.length);
    await planning.plan(job, S1);
    expect(phases(job)).toEqual(['s0 done', 's1_1 done', 's1 running']);
    expect(job.stages[2]?.chunkCount).toBe(1);
    await finish('j1', 's1', 1);
    expect(job.phase.kind).toBe('committing');
  });

  it('that is asked for twice is answered twice, and answered once', async () => {
    const job = await submit('j1');
    await finish('j1', 's0', 2);
    await Promise.all([planning.plan(job, S1), planning.plan(job, S1)]);
    const [first, second] = world.posted.filter(({ type }) => type === 'query.planned');
    expect(second).toEqual(first);
    expect(phases(job)).toEqual(['s0 done', 's1_1 running', 's1 blocked']);
  });

  it('is planned alike by whoever comes after a crash', async () => {
    const job = await submit('j1');
    await finish('j1', 's0', 2);
    await planning.plan(job, S1);
    const answer = lastPlanned();
    // The journal ends before the answer: the next coordinator replays the rest, and asks again.
    const state = emptyState();
    for (const event of world.posted.slice(0, world.posted.indexOf(answer))) {
      if (!event.type.startsWith('worker.')) transition(state, event);
    }
    expect(reconcile(state)).toEqual([{ type: 'planStage', jobId: job.id, stageId: S1 }]);
    const again = state.jobs.get(job.id)!;
    await planning.plan(again, S1);
    expect(lastPlanned()).toEqual(answer);
    transition(state, answer);
    expect(jobToRow(again)).toBe(jobToRow(job));
  });

  it('that is laid out already is left alone', async () => {
    const job = await submit('j1');
    await finish('j1', 's0', 2);
    await planning.plan(job, S1);
    await finish('j1', 's1_1', job.stages[1]!.taskStarts.length);
    await planning.plan(job, S1);
    world.news();
    await planning.plan(job, S1);
    expect(world.news()).toEqual([]);
  });

  it('waits for a chunk that turns out to be lost, and is planned when that is back', async () => {
    const job = await submit('j1');
    const record = await world.finish('j1', 's0', 0);
    await world.finish('j1', 's0', 1);
    world.news();
    await world.journal.forget(world.epoch, [record.identity]);
    await planning.plan(job, S1);
    expect(world.news()).toEqual(['j1 s0/0 lost']);
    expect(phases(job)).toEqual(['s0 running', 's1 blocked']);
    await world.finish('j1', 's0', 0, 2);
    expect(phases(job)).toEqual(['s0 done', 's1 sizing']);
    await planning.plan(job, S1);
    expect(phases(job)).toEqual(['s0 done', 's1_1 running', 's1 blocked']);
  });

  it('finds a lost chunk of what it added itself', async () => {
    const job = await submit('j1');
    await finish('j1', 's0', 2);
    await planning.plan(job, S1);
    await finish('j1', 's1_1', job.stages[1]!.taskStarts.length);
    world.news();
    await world.journal.forget(world.epoch, [world.chunks('j1').identity(S1_1, 0)]);
    await planning.plan(job, S1);
    expect(world.news()).toEqual(['j1 s1_1/0 lost']);
    expect(phases(job)).toEqual(['s0 done', 's1_1 running', 's1 blocked']);
  });
});

/** All that a query needs, one stage after the other. */
async function finishQuery(id: string): Promise<void> {
  const job = world.job(id);
  while (job.phase.kind === 'running') {
    await planning.plan(job, S1);
    const next = job.stages.find(({ phase }) => phase === 'running');
    if (next) await finish(id, next.id, next.taskStarts.length);
  }
}

describe('a query that an earlier job has run', () => {
  it('goes from stage to stage without doing anything again', async () => {
    await submit('j1');
    await finish('j1', 's0', 2);
    await finishQuery('j1');
    const second = await submit('j2', { reused: [{ stageId: S0, chunks: [0, 1] }] });
    expect(phases(second)).toEqual(['s0 done', 's1 sizing']);
    await planning.plan(second, S1);
    expect(phases(second)).toEqual(['s0 done', 's1_1 done', 's1 sizing']);
    await planning.plan(second, S1);
    expect(phases(second)).toEqual(['s0 done', 's1_1 done', 's1 done']);
    expect(second.phase.kind).toBe('committing');
    expect(second.counts.chunksDone).toBe(second.counts.chunksTotal);
  });

  it('is run again where what it reads was done again: its rows may be others', async () => {
    await submit('j1');
    await finish('j1', 's0', 2);
    await finishQuery('j1');
    const second = await submit('j2');
    await finish('j2', 's0', 2);
    await planning.plan(second, S1);
    expect(phases(second)).toEqual(['s0 done', 's1_1 running', 's1 blocked']);
  });

  it('counts the rows of sources that were read then as reused', async () => {
    const first = await submitOverSource('j1');
    await finishQuery('j1');
    expect(first.counts).toMatchObject({ rowsTotal: 10, rowsDone: 10, rowsReused: 0 });
    const second = await submitOverSource('j2');
    await finishQuery('j2');
    expect(second.counts).toMatchObject({ rowsTotal: 10, rowsDone: 10, rowsReused: 10 });
    expect(second.phase.kind).toBe('committing');
  });
});

it('a job whose outputs are up to date has nothing to plan, and counts its rows once', async () => {
  const query = { ...(await queryOf(inputs, sql)), rows: 10 };
  const chunks = new JobChunks(jobId('j1'), { plan: { ...jobPlan([{}]), stages: [query] } });
  const found = await committer.reuse(chunks, { redoDeadLetters: false, upToDate: true });
  const before = { upToDate: true, manifests: [] };
  const counts = { rowsTotal: 10, rowsPruned: 0, ...found.counts };
  const job = await submitOverSource('j1', { before, counts, reused: found.reused });
  await planning.plan(job, S1);
  expect(job.phase.kind).toBe('committing');
  expect(job.counts).toMatchObject({ rowsTotal: 10, rowsDone: 10, rowsReused: 10 });
});
