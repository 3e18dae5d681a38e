/** Old chunks: found again by submissions, cleaned away when their time is over, never both. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Committer } from '../../coordinator/committer.js';
import { JobChunks } from '../../coordinator/job-chunks.js';
import { jobId } from '../../shared/ids.js';
import type { ChunkRecord, JobPlan } from '../../shared/plan.js';
import { ChunkWorld, S0 } from './chunk-world.js';

const hour = 3_600_000;
let world: ChunkWorld;
let committer: Committer;

beforeEach(async () => {
  world = await ChunkWorld.open();
  committer = new Committer({
    ...world.tools(),
    stateDirectory: join(world.directory, 'state'),
    lost: world.lost,
    isOurs: () => Promise.resolve(true),
    warn: () => undefined,
  });
});
afterEach(() => world.close());

const pathOf = (record: ChunkRecord): string => record.files[0]!.path;

/** A job over chunks of so many rows that ended and asked to keep them for so long. */
async function ended(id: string, rows: number, keepMs: number): Promise<ChunkRecord[]> {
  const keep = (plan: JobPlan): JobPlan => ({ ...plan, chunkKeepMs: keepMs });
  await world.submit(id, [{ rows: [rows, rows] }], keep);
  const records = [await world.finish(id, 's0', 0)];
  await world.post({ type: 'job.cancel', jobId: jobId(id), reason: 'user', nowMs: world.nowMs });
  await committer.keepChunks(world.job(id), world.chunks(id));
  return records;
}

/** What a new submission of the same plan finds. */
function submission(id: string) {
  const chunks = new JobChunks(jobId('new'), world.job(id));
  return committer.reuse(chunks, { redoDeadLetters: false, upToDate: false });
}

describe('chunks of ended jobs', () => {
  it('stay as long as their own job asked for, whatever another one asked for', async () => {
    const [long] = await ended('long', 10, 100 * hour);
    const [short] = await ended('short', 20, hour);
    world.nowMs += 2 * hour;
    await committer.sweep(world.job('short'), world.chunks('short'));
    expect(await world.knows(long!, short!)).toEqual([true, false]);
    expect([existsSync(pathOf(long!)), existsSync(pathOf(short!))]).toEqual([true, false]);
  });

  it('stay as long as the one of two jobs asked for that asked for more', async () => {
    const [record] = await ended('first', 10, 100 * hour);
    await world.submit('second', [{ rows: [10, 10] }], (plan) => ({ ...plan, chunkKeepMs: 0 }));
    const { jobId: id } = world.chunks('second');
    await world.post({ type: 'job.cancel', jobId: id, reason: 'user', nowMs: world.nowMs });
    await committer.keepChunks(world.job('second'), world.chunks('second'));
    world.nowMs += 2 * hour;
    await committer.sweep(world.job('second'), world.chunks('second'));
    expect(await world.knows(record!)).toEqual([true]);
  });

  it('stay while a living job counts on them, however old they are', async () => {
    const [record] = await ended('old', 10, 0);
    await world.submit('living', [{ rows: [10, 10] }]);
    world.nowMs += 200 * hour;
    await committer.sweep(world.job('old'), world.chunks('old'));
    expect(await world.knows(record!)).toEqual([true]);
  });

  it.each(['first', 'last'])(
    'are kept or cleaned away, never both, where the clean-up comes %s',
    async (order) => {
      const [record] = await ended('old', 10, 0);
      world.nowMs += 2 * hour;
      const sweep = () => committer.sweep(world.job('old'), world.chunks('old'));
      const looking = () => submission('old');
      const [found] =
        order === 'last'
          ? await Promise.all([looking(), sweep()])
          : await Promise.all([sweep(), looking()]).then(([, first]) => [first]);
      expect(found.reused).toEqual([{ stageId: S0, chunks: order === 'last' ? [0] : [] }]);
      expect(await world.knows(record!)).toEqual([order === 'last']);
      expect(existsSync(pathOf(record!))).toBe(order === 'last');
    },
  );
});

it('a submission that finds a chunk corrupt has the jobs that use it do it again', async () => {
  await world.submit('living', [{ rows: [10, 10] }]);
  const record = await world.finish('living', 's0', 0);
  world.news();
  writeFileSync(pathOf(record), 'something else');
  expect((await submission('living')).reused).toEqual([{ stageId: S0, chunks: [] }]);
  expect(world.news()).toEqual(['living s0/0 lost']);
  expect(await world.knows(record)).toEqual([false]);
});
