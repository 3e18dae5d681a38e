import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { publishJob } from '../../coordinator/commit/publish.js';
import { Committer } from '../../coordinator/committer.js';
import type { ChunkDone, JobSubmitted } from '../../coordinator/core/events.js';
import type { JobState, State } from '../../coordinator/core/state.js';
import { transition } from '../../coordinator/core/transition.js';
import { JobChunks } from '../../coordinator/job-chunks.js';
import { openJournal } from '../../coordinator/journal/sqlite-journal.js';
import { LostChunks } from '../../coordinator/lost-chunks.js';
import { replay } from '../../coordinator/replay.js';
import { jobId, workerId } from '../../shared/ids.js';
import type { JobPlan, OutputMode } from '../../shared/plan.js';
import type { Manifest } from '../../shared/manifest.js';
import { LocalStore } from '../../shared/storage/local-store.js';
import { manifestPath } from '../../shared/storage/paths.js';
import { MemoryIndex, claimOf, frozen, outputOf, plan, s0, stage } from './commit/fixture.js';

const id = jobId('j1');
const store = new LocalStore();
const chunk = { name: 'a', rows: 10 };
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'windrow-committer-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** What another state directory published. */
async function publish(of: JobPlan): Promise<void> {
  const records = [await stage(store, of.chunkLocation, chunk)];
  const index = new MemoryIndex();
  index.put(records);
  const tools = { store, index, epoch: 1, self: claimOf('j0'), isLive: () => false };
  await publishJob(tools, of, frozen(of, records));
  await store.delete(join(outputOf(of).path, '_windrow', 'claim.json'));
}

/** A coordinator's dealings with outputs, from what its journal holds. */
async function open(): Promise<{
  committer: Committer;
  state: State;
  submit(of: JobPlan): Promise<void>;
  /** Journals every chunk as done: chunk k has k + 1 rows. */
  done(of: JobPlan): Promise<void>;
  close(): Promise<void>;
}> {
  const journal = openJournal(join(root, 'state'));
  const epoch = await journal.acquire();
  const state = replay(await journal.load());
  const shared = {
    state,
    epoch,
    index: journal,
    chunksOf: (job: JobState) => new JobChunks(job.id, job),
    nowMs: () => 0,
    mayReturn: () => false,
  };
  const committer = new Committer({
    ...shared,
    stateDirectory: join(root, 'state'),
    lost: new LostChunks({ ...shared, post: (...events) => journal.append(epoch, events) }),
    isOurs: (job) => Promise.resolve(job === id),
    warn: () => undefined,
  });
  return {
    committer,
    state,
    async submit(of) {
      const { before } = await committer.checkOutputs('n', of, false);
      const options = { redoDeadLetters: false, upToDate: before.upToDate };
      const found = await committer.reuse(new JobChunks(id, { plan: of }), options);
      const event: JobSubmitted = {
        type: 'job.submitted',
        jobId: id,
        requestId: 'r',
        name: 'n',
        spec: '{}',
        plan: of,
        run: { priority: 0, weight: 1, attempts: 4 },
        reused: found.reused,
        counts: { rowsTotal: 10, rowsPruned: 0, ...found.counts },
        before,
        nowMs: 0,
      };
      await journal.append(epoch, [event]);
      transition(state, event);
    },
    async done(of) {
      const chunks = new JobChunks(id, { plan: of });
      const events = chunks.identities(s0).map((identity, at): ChunkDone => {
        const counts = { rowsIn: at + 1, rowsOut: at + 1, filtered: 0, dead: 0, inferred: 0 };
        return {
          type: 'chunk.done',
          attempt: { jobId: id, stageId: s0, task: 0, attempt: 1 },
          workerId: workerId('w'),
          chunk: at,
          record: { identity, files: [], counts: { ...counts, warnings: {} } },
          nowMs: 0,
        };
      });
      await journal.append(epoch, events);
    },
    close: () => journal.close(),
  };
}

/** A job of so many chunks that read nothing. */
function chunksOf(chunks: number, mode: OutputMode): JobPlan {
  const sourced = plan(root, [], mode);
  const [first] = sourced.stages;
  const input = { kind: 'empty', chunks } as const;
  return { ...sourced, stages: [{ ...first!, input, taskStarts: chunks > 0 ? [0] : [] }] };
}

function jobOf(state: State): JobState {
  const job = state.jobs.get(id);
  if (!job) throw new Error('the job is gone');
  return job;
}

describe('a job whose outputs were up to date at submit', () => {
  it('still is after its coordinator was killed, though the index knows none of its chunks', async () => {
    const of = plan(root, [chunk]);
    await publish(of);
    const first = await open();
    await first.submit(of);
    await first.close();

    const { committer, state, close } = await open();
    expect(jobOf(state).phase).toEqual({ kind: 'committing' });
    const result = await committer.freeze(jobOf(state));
    if (!('manifests' in result)) throw new Error(JSON.stringify(result));
    const { manifests } = result;
    transition(state, { type: 'commit.frozen', jobId: id, manifests, nowMs: 0 });
    const summary = await committer.publish(jobOf(state));
    expect(summary).toMatchObject({ upToDate: true, rows: { out: 10 } });
    await close();
  });

  it('fails where somebody has published since, and leaves that alone', async () => {
    const of = plan(root, [chunk]);
    await publish(of);
    const { committer, state, submit, close } = await open();
    await submit(of);
    const path = manifestPath(outputOf(of).path);
    const newer = Buffer.from('newer');
    await store.replace(path, newer);
    expect(await committer.freeze(jobOf(state))).toMatchObject({
      failure: { code: 'E_SUPERSEDED_COMMIT', at: { file: outputOf(of).path } },
    });
    expect(await store.get(path)).toEqual(newer);
    await close();
  });
});

describe('a commit under error', () => {
  it('is frozen over what lay there at submit, whatever has come since', async () => {
    const of = chunksOf(0, 'error');
    const { committer, state, submit, close } = await open();
    await submit(of);
    await publish(plan(root, [chunk]));
    const result = await committer.freeze(jobOf(state));
    expect(result).toMatchObject({ manifests: [{ output: 'o' }] });
    expect('manifests' in result && result.manifests[0]).not.toHaveProperty('replaces');
    await close();
  });
});

describe('a commit of more chunks than are looked up at once', () => {
  it('takes in each of them once', async () => {
    const count = 25_001;
    const of = chunksOf(count, 'overwrite');
    const { committer, state, submit, done, close } = await open();
    await submit(of);
    await done(of);
    const result = await committer.freeze(jobOf(state));
    if (!('manifests' in result)) throw new Error(JSON.stringify(result).slice(0, 1000));
    const manifest = JSON.parse(result.manifests[0]!.manifest) as Manifest;
    const sum = (count * (count + 1)) / 2;
    expect(manifest.rows).toMatchObject({ in: 0, out: sum });
    await close();
  });
});
