/** What is lost is done again, by every job that counts on it; what is not lost is left alone. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AttemptEnded } from '../../coordinator/core/events.js';
import { jobId, stageId, workerId, type AttemptRef } from '../../shared/ids.js';
import type { ChunkRecord, JobPlan } from '../../shared/plan.js';
import { ChunkWorld, rewriting, S0 } from './chunk-world.js';
import { hello, laidOut, queryPlanned, splitOver } from './core/fixtures.js';

let world: ChunkWorld;

beforeEach(async () => (world = await ChunkWorld.open()));
afterEach(() => world.close());

const pathOf = (record: ChunkRecord): string => record.files[0]!.path;

function unread(attempt: AttemptRef, ...lost: string[]): AttemptEnded {
  const failure = { kind: 'fetchFailed', code: 'E_CHUNK_LOST', message: 'gone', lost } as const;
  return { type: 'attempt.ended', attempt, workerId: workerId('w1'), failure, nowMs: 2000 };
}

function identities(id: string, ...numbers: number[]): Map<string, number> {
  return new Map(numbers.map((chunk) => [world.chunks(id).identity(S0, chunk), chunk]));
}

describe('an attempt that could not read its inputs', () => {
  let records: [ChunkRecord, ChunkRecord];
  const reader = () => world.ref('j1', 's1', 0);

  beforeEach(async () => {
    await world.submit('j1', rewriting);
    records = await world.finishFirst('j1');
    await world.start(reader());
    world.news();
  });

  it('waits until the chunk that is gone is done again', async () => {
    rmSync(pathOf(records[0]));
    await world.lost.attemptEnded(unread(reader(), pathOf(records[0])));
    expect(world.news()).toEqual(['j1 s0/0 lost', 'attempt.ended']);
    expect(await world.knows(...records)).toEqual([false, true]);
    expect(world.job('j1').stages.map(({ phase }) => phase)).toEqual(['running', 'running']);
    const task = world.job('j1').stages[1]?.tasks.get(0);
    expect(task).toMatchObject({ kind: 'waiting', history: { counted: 0 } });
    expect(task?.history.lastFailure).not.toHaveProperty('lost');
  });

  it('costs a chunk only what it says of it, whatever it says', async () => {
    rmSync(pathOf(records[1]));
    await world.lost.attemptEnded(unread(reader(), pathOf(records[1])));
    expect(world.news()).toEqual(['attempt.ended']);
    expect(await world.knows(...records)).toEqual([true, true]);
  });

  it('has failed by itself where the chunk is as it was written, and that counts', async () => {
    await world.lost.attemptEnded(unread(reader(), pathOf(records[0])));
    expect(world.news()).toEqual(['attempt.ended']);
    expect(await world.knows(...records)).toEqual([true, true]);
    const task = world.job('j1').stages[1]?.tasks.get(0);
    expect(task?.history).toMatchObject({ counted: 1, lastFailure: { kind: 'io' } });
  });

  it('goes on at the new place where a commit has moved the file meanwhile', async () => {
    const [first] = records;
    const before = pathOf(first);
    const path = `${before}.moved`;
    renameSync(before, path);
    const moved = { ...first, files: first.files.map((file) => ({ ...file, path })) };
    await world.journal.relocate(world.epoch, [{ identity: first.identity, record: moved }]);
    await world.lost.attemptEnded(unread(reader(), before));
    expect(world.news()).toEqual(['attempt.ended']);
    const task = world.job('j1').stages[1]?.tasks.get(0);
    expect(task?.history).toMatchObject({ counted: 0, lastFailure: { kind: 'fetchFailed' } });
  });

  it('finds what the index does not know any more, though nobody names a file', async () => {
    await world.journal.forget(world.epoch, [records[0].identity]);
    await world.lost.attemptEnded(unread(reader()));
    expect(world.news()).toEqual(['j1 s0/0 lost', 'attempt.ended']);
  });
});

describe('a chunk of two jobs', () => {
  beforeEach(async () => {
    await world.submit('j1', rewriting);
    await world.submit('j2', rewriting);
  });

  it('that one finds corrupt is done again by the other as well', async () => {
    const [record] = await world.finishFirst('j1');
    await world.finishFirst('j2');
    world.news();
    writeFileSync(pathOf(record), 'something else');
    expect(await world.lost.check(world.chunks('j1'), S0, identities('j1', 0, 1))).toEqual([0]);
    expect(world.news()).toEqual(['j1 s0/0 lost', 'j2 s0/0 lost']);
    expect(await world.knows(record)).toEqual([false]);
  });

  it('that is to be done again by one takes along what the other made from it', async () => {
    const records = await world.finishFirst('j1');
    await world.finishFirst('j2');
    const above = await world.finish('j2', 's1', 1);
    world.news();
    await world.lost.outdate(world.chunks('j1'), S0, identities('j1', 1));
    expect(world.news()).toEqual([
      'j1 s0/1 lost',
      'j1 s1/1 stale',
      'j2 s0/1 lost',
      'j2 s1/1 stale',
    ]);
    expect(await world.knows(...records, above)).toEqual([true, false, false]);
  });

  it('is not taken from one that publishes it', async () => {
    const records = await world.finishFirst('j1');
    await world.finishFirst('j2');
    for (const chunk of [0, 1]) await world.finish('j2', 's1', chunk);
    const manifests = [{ output: 'out', manifest: '{}' }];
    await world.post({ type: 'commit.frozen', jobId: world.job('j2').id, manifests, nowMs: 3 });
    world.news();
    const outdating = world.lost.outdate(world.chunks('j1'), S0, identities('j1', 0));
    await expect(outdating).rejects.toMatchObject({ failure: { code: 'E_CHUNKS_IN_USE' } });
    expect(world.news()).toEqual([]);
    expect(await world.knows(...records)).toEqual([true, true]);
  });
});

it('what stands on a lost chunk of a step that is not deterministic is done again, too', async () => {
  const random = (plan: JobPlan): JobPlan => ({
    ...plan,
    stages: plan.stages.map((stage) =>
      stage.id === S0 ? { ...stage, deterministic: false } : stage,
    ),
  });
  await world.submit('j1', rewriting, random);
  const [record] = await world.finishFirst('j1');
  await world.finish('j1', 's1', 0);
  world.news();
  rmSync(pathOf(record));
  expect(await world.lost.check(world.chunks('j1'), S0, identities('j1', 0))).toEqual([0]);
  expect(world.news()).toEqual(['j1 s0/0 lost', 'j1 s1/0 stale']);
});

describe('a chunk that a query reads', () => {
  const S1_1 = stageId('s1_1');
  /** Both chunks of s0 and of s1_1, which reads one each, and s1, which reads all of s1_1. */
  async function submitQuery(id: string, change?: (plan: JobPlan) => JobPlan) {
    await world.submit(id, [{ rows: [10, 10] }, { id: 's1', query: ['s0'] }], change);
    const records = [await world.finish(id, 's0', 0), await world.finish(id, 's0', 1)];
    const added = { ...laidOut('s1_1', splitOver(['s0'], 2, [0, 1]), { of: 's1' }), digest: 'p' };
    await world.post(queryPlanned([added], undefined, { jobId: jobId(id) }));
    for (const task of [0, 1]) records.push(await world.finish(id, 's1_1', task));
    const final = { ...laidOut('s1', splitOver(['s1_1'], 2, [0])), digest: 'q' };
    await world.post(queryPlanned([], final, { jobId: jobId(id) }));
    return records;
  }

  it('of an added stage is done again before the last stage goes on', async () => {
    const records = await submitQuery('j1');
    const reader = world.ref('j1', 's1', 0);
    await world.start(reader);
    world.news();
    rmSync(pathOf(records[3]!));
    await world.lost.attemptEnded(unread(reader, pathOf(records[3]!)));
    expect(world.news()).toEqual(['j1 s1_1/1 lost', 'attempt.ended']);
    expect(await world.knows(...records)).toEqual([true, true, true, false]);
    const phases = world.job('j1').stages.map(({ phase }) => phase);
    expect(phases).toEqual(['done', 'running', 'running']);
    await world.finish('j1', 's1_1', 1, 2);
    await world.start({ ...reader, attempt: 2 });
    expect(world.job('j1').stages.map(({ phase }) => phase)).toEqual(['done', 'done', 'running']);
  });

  it('and that is not deterministic takes along all that was made from it', async () => {
    const records = await submitQuery('j1', (plan) => ({
      ...plan,
      stages: plan.stages.map((stage) => ({ ...stage, deterministic: stage.id !== S0 })),
    }));
    await world.finish('j1', 's1', 0);
    world.news();
    rmSync(pathOf(records[0]!));
    expect(await world.lost.check(world.chunks('j1'), S0, identities('j1', 0))).toEqual([0]);
    expect(world.news()).toEqual(['j1 s0/0 lost', 'j1 s1_1/0 stale', 'j1 s1/0 stale']);
    expect(await world.knows(...records)).toEqual([false, true, false, true]);
  });

  it('is done again by every job with the same query', async () => {
    const records = await submitQuery('j1');
    await submitQuery('j2');
    world.news();
    writeFileSync(pathOf(records[2]!), 'something else');
    const suspects = new Map([[world.chunks('j1').identity(S1_1, 0), 0]]);
    expect(await world.lost.check(world.chunks('j1'), S1_1, suspects)).toEqual([0]);
    expect(world.news()).toEqual(['j1 s1_1/0 lost', 'j2 s1_1/0 lost']);
  });
});

describe('a chunk on a disk of the worker that made it', () => {
  const S1_1 = stageId('s1_1');
  const reader = () => world.ref('j1', 's1', 0);
  let records: [ChunkRecord, ChunkRecord];

  const atHome = (): Promise<void> =>
    world.post({ ...hello({ slots: 8 }), shuffleAddress: 'h:1' } as ReturnType<typeof hello>);
  const suspects = () => new Map([[world.chunks('j1').identity(S1_1, 0), 0]]);
  const check = () => world.lost.check(world.chunks('j1'), S1_1, suspects());

  beforeEach(async () => {
    world.shuffleDirectory = join(world.directory, 'shuffle');
    await atHome();
    await world.submit('j1', [{ rows: [10, 10] }, { id: 's1', query: ['s0'] }]);
    for (const task of [0, 1]) await world.finish('j1', 's0', task);
    const added = laidOut('s1_1', splitOver(['s0'], 2, [0, 1]), { of: 's1' });
    await world.post(queryPlanned([added], undefined, { jobId: jobId('j1') }));
    records = [await world.finish('j1', 's1_1', 0), await world.finish('j1', 's1_1', 1)];
    const final = { ...laidOut('s1', splitOver(['s1_1'], 2, [0])), digest: 'q' };
    await world.post(queryPlanned([], final, { jobId: jobId('j1') }));
    await world.start(reader());
    world.news();
  });

  it('is taken to be there as long as that worker is, though its file cannot be seen', async () => {
    rmSync(pathOf(records[0]));
    expect(await check()).toEqual([]);
    await world.post({
      type: 'worker.disconnected',
      workerId: workerId('w1'),
      incarnation: 'i1',
      nowMs: 1,
    });
    expect(await check()).toEqual([]);
  });

  it('is lost where neither its file nor that worker is there', async () => {
    rmSync(pathOf(records[0]));
    await world.post(hello({ slots: 8, incarnation: 'i2' }));
    expect(await check()).toEqual([0]);
  });

  it('is not lost while its worker may come back after a restart', async () => {
    rmSync(pathOf(records[0]));
    await world.post(hello({ slots: 8, incarnation: 'i2' }));
    world.mayReturn = true;
    expect(await check()).toEqual([]);
    await world.start({ ...reader(), attempt: 2 });
    world.news();
    await world.lost.attemptEnded(unread({ ...reader(), attempt: 2 }, pathOf(records[0])));
    expect(world.news()).toEqual(['attempt.ended']);
    const task = world.job('j1').stages[2]?.tasks.get(0);
    expect(task?.history).toMatchObject({ counted: 0, lastFailure: { kind: 'fetchFailed' } });
  });

  it('is lost when a reader says so, even where its file can be seen', async () => {
    await world.lost.attemptEnded(unread(reader(), pathOf(records[1])));
    expect(world.news()).toEqual(['j1 s1_1/1 lost', 'attempt.ended']);
    expect(await world.knows(...records)).toEqual([true, false]);
  });

  it('is judged by its file where shuffle.location is on a disk that all reach', async () => {
    const { plan } = world.job('j1');
    world.job('j1').plan = { ...plan, shuffleLocation: world.shuffleDirectory! };
    await world.lost.attemptEnded(unread(reader(), pathOf(records[1])));
    expect(world.news()).toEqual(['attempt.ended']);
    rmSync(pathOf(records[0]));
    expect(await check()).toEqual([0]);
  });
});
