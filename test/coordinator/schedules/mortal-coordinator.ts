/**
 * A coordinator that fires schedules, of the real parts over a real journal, and that can die at any
 * write of it. Its jobs read no data and want no worker. Time passes by the clock that Vitest fakes.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { vi } from 'vitest';
import { BlobStore } from '../../../coordinator/blob-store.js';
import { Catalogue } from '../../../coordinator/catalogue.js';
import { Committer } from '../../../coordinator/committer.js';
import { checkInvariants } from '../../../coordinator/core/invariants.js';
import { reconcile } from '../../../coordinator/core/reconcile.js';
import type { JobState, State } from '../../../coordinator/core/state.js';
import { EarlierChunks } from '../../../coordinator/earlier-chunks.js';
import { EffectsRunner } from '../../../coordinator/effects-runner.js';
import { JobChunks } from '../../../coordinator/job-chunks.js';
import type { ArchivedJob, ChunkIndex, Journal } from '../../../coordinator/journal/journal.js';
import { openJournal } from '../../../coordinator/journal/sqlite-journal.js';
import { Loop } from '../../../coordinator/loop.js';
import { LostChunks } from '../../../coordinator/lost-chunks.js';
import { Notices } from '../../../coordinator/notices.js';
import { type Preparation, specOf } from '../../../coordinator/preparation.js';
import { ProgressMeter } from '../../../coordinator/progress-meter.js';
import { replay } from '../../../coordinator/replay.js';
import type { WorkerService } from '../../../coordinator/rpc/worker-service.js';
import { ScheduleRoom } from '../../../coordinator/schedules/room.js';
import { StagePlanning } from '../../../coordinator/stage-planning.js';
import { Submission } from '../../../coordinator/submission.js';
import { fail } from '../../../shared/failure.js';
import { makeJobId } from '../../../shared/ids.js';
import { jobPlan } from '../core/fixtures.js';

/** Before a write, after it, or because another coordinator took the journal just before it. */
export type Death = 'before' | 'after' | 'takenOver';

type Store = Journal & ChunkIndex;
const writes = ['append', 'snapshot', 'archive', 'relocate', 'forget', 'keep'];
const never = new Promise<never>(() => undefined);

/** What is to become of a run's try: a plan that a job is made of, or an error. */
export type Fate = (run: string, tried: number) => 'succeeds' | 'timesOut' | 'hasNoFiles';

export class MortalCoordinator {
  dead = false;
  /** Why the process would have ended. */
  readonly fatal: unknown[] = [];

  private constructor(
    private readonly journal: Store,
    readonly state: State,
    private readonly loop: Loop,
    readonly room: ScheduleRoom,
  ) {}

  /** @param death at which write, counted from 1; absent: it lives */
  static async start(
    directory: string,
    fate: Fate,
    death?: { readonly at: number; readonly how: Death },
  ): Promise<MortalCoordinator> {
    const real = openJournal(directory);
    const epoch = await real.acquire();
    const state = replay(await real.load());
    checkInvariants(state);
    const die = (): void => {
      made.dead = true;
    };
    const journal = mortal(real, directory, () => made.dead, die, death);
    const nowMs = (): number => Date.now();
    const held = new Set<never>();
    const notices = new Notices();
    const meter = new ProgressMeter();
    const blobs = new BlobStore(join(directory, 'blobs'));
    const chunksOf = (job: JobState): JobChunks => new JobChunks(job.id, job);
    const fatal = (error: unknown): void => {
      if (made.dead) return;
      made.fatal.push(error);
      die();
    };
    const post: Loop['post'] = (...events) => loop.post(...events);
    const base = { state, epoch, journal, index: journal, chunksOf, post, nowMs };
    const catalogue = new Catalogue({ ...base, notices, meter, held, rssBytes: () => 0 });
    const lost = new LostChunks({ ...base, mayReturn: () => false });
    const committer = new Committer({
      ...base,
      stateDirectory: directory,
      lost,
      isOurs: async () => true,
      warn: () => undefined,
    });
    const planning = new StagePlanning({ ...base, lost, committer, slots: () => 1 });
    const runner: EffectsRunner = new EffectsRunner({
      ...base,
      notices,
      // There are no attempts, as there is nothing to do or nobody to do it.
      workers: { discardLeft: () => undefined } as unknown as WorkerService,
      catalogue,
      meter,
      committer,
      lost,
      planning,
      blobs,
      runs: (effect) => room.run(effect),
      forget: () => undefined,
      loop: () => loop,
      fatal,
    });
    const loop: Loop = new Loop({
      ...base,
      held,
      fatal,
      number: (effect) => notices.number(effect),
      publish: (notice) => notices.publish(notice),
      run: (effect) => {
        if (!made.dead) runner.run(effect);
      },
      snapshotEvents: 12,
    });
    const preparation = preparationOf(fate);
    const submission: Submission = new Submission({
      ...base,
      loop: () => loop,
      preparation,
      earlier: new EarlierChunks({
        ...base,
        preparation,
        lost,
        keepUntilMs: (plan) => committer.keepUntilMs(plan),
        manifestOf: (output) => committer.manifestOf(output),
      }),
      catalogue,
      committer,
      held,
      wake: () => undefined,
      note: () => undefined,
      ended: () => undefined,
    });
    const room = new ScheduleRoom({
      ...base,
      submission: () => submission,
      catalogue,
      fatal,
      fires: true,
      admit: () => undefined,
      checkPath: async () => undefined,
      allowPrivateWebhooks: false,
    });
    const made = new MortalCoordinator(real, state, loop, room);
    for (const job of state.jobs.values()) {
      notices.resume(job.id, (await real.notices(job.id, 0, 1000)).at(-1)?.seq ?? 0);
    }
    for (const effect of reconcile(state)) runner.run(effect);
    room.start();
    return made;
  }

  /** Lets time pass until something holds or it is dead. */
  async live(until: () => boolean): Promise<void> {
    for (let rounds = 0; !this.dead && !until(); rounds += 1) {
      if (rounds > 20_000) throw new Error('no end in sight');
      await new Promise((go) => setImmediate(go));
      if (rounds % 4 === 0) vi.advanceTimersByTime(1000);
    }
  }

  archived(): Promise<ArchivedJob[]> {
    return this.journal.archived({ limit: 1000 });
  }

  /** As the end of a process does; what it had asked the journal for is not heard of any more. */
  async bury(): Promise<void> {
    this.dead = true;
    // Both end their timers at once, and wait for ever for what the journal no longer answers.
    void this.room.close();
    void this.loop.stop();
    await this.journal.close();
  }
}

/** A journal whose owner dies at one of its writes; from then on it never answers. */
function mortal(
  real: Store,
  directory: string,
  isDead: () => boolean,
  die: () => void,
  death: { readonly at: number; readonly how: Death } | undefined,
): Store {
  let written = 0;
  const answer = async (write: () => Promise<unknown>): Promise<unknown> => {
    written += 1;
    if (written !== death?.at) return write();
    if (death.how === 'takenOver') {
      const successor = openJournal(directory);
      await successor.acquire();
      await successor.close();
      return write();
    }
    if (death.how === 'after') await write();
    die();
    return never;
  };
  return new Proxy(real, {
    get(target, name: keyof Store) {
      const own = target[name] as (...args: unknown[]) => Promise<unknown>;
      return (...args: unknown[]): Promise<unknown> => {
        if (isDead()) return never;
        const call = (): Promise<unknown> => own.apply(target, args);
        return writes.includes(name) ? answer(call) : call();
      };
    },
  });
}

/** Jobs without data: one has nothing to do, one has a task that nobody takes until its time is up. */
function preparationOf(fate: Fate): Preparation {
  const prepare: Preparation['prepare'] = async (request, { constants } = {}) => {
    const parsed = specOf(request);
    const name = parsed.metadata.name;
    const chosen = fate(name, Number(request.requestId.split('/').at(-1)));
    if (chosen === 'hasNoFiles') fail('invalidSpec', 'E_NO_FILES', `${name} has none yet`);
    const waits = chosen === 'timesOut';
    const spec = waits ? { ...parsed, run: { ...parsed.run, timeout: 'PT5S' } } : parsed;
    // A stage of one task that reads nothing, or none at all.
    const id = makeJobId(Date.now(), randomBytes(3).toString('hex'));
    const own = { jobId: id, nowMs: Date.now() };
    const empty = { ...jobPlan(waits ? [{ rows: 1 }] : []), outputs: [] };
    const plan = { ...empty, constants: constants ?? own };
    return {
      id,
      spec,
      specJson: request.specJson,
      planned: { plan, rowsTotal: 0, rowsPruned: 0 },
    };
  };
  return { prepare } as unknown as Preparation;
}
