/**
 * `runEmbedded`: a job from submit to its end on this machine, for scripts and tests, as `windrow run`
 * does it. Never: in this process; the engine has one of its own.
 */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import type { RecordBatch } from 'apache-arrow';
import { fail, WindrowError } from '../shared/failure.js';
import type { Manifest } from '../shared/manifest.js';
import { manifestPath } from '../shared/storage/paths.js';
import { unlessAborted } from '../shared/unless-aborted.js';
import type { EventView, JobView } from '../shared/views.js';
import { embeddedOptions, loadedJob } from './arguments.js';
import { JobBuilder } from './builder.js';
import { openEngineProcess } from './engine-process.js';
import { workOnEngine } from './engine.js';
import { followJob, type Followed } from './follow.js';
import type { Client, LoadedJob } from './types.js';

/** How a job is run on this machine. */
export interface RunEmbeddedOptions {
  /** Where journal, index and logs are kept; default `.windrow` in the job's directory. */
  readonly state?: string;
  /** Worker processes of one slot each; default the cores of this machine. */
  readonly workers?: number;
  /** Hears every event once, in order, and `progress` in between. What it throws ends the run. */
  readonly onEvent?: (event: EventView) => void;
  /** Names of outputs whose rows the result brings along, all of them in memory; default none. */
  readonly collect?: readonly string[];
  /** Suspends the run: the same call goes on with it. */
  readonly signal?: AbortSignal;
}

/** A job that has succeeded. */
export interface EmbeddedResult extends JobView {
  /** By the name of the output; equal inputs and steps give equal ones. */
  readonly manifests: Readonly<Record<string, Manifest>>;
  /** By the name of the output: rows of those that `collect` names, 2,048 a batch at most. */
  readonly batches: Readonly<Record<string, readonly RecordBatch[]>>;
}

/**
 * Runs a job to its end with a coordinator and workers on this machine, in processes that end with
 * this one. Nothing that is done is done again: neither after a run that was killed or suspended, nor
 * for a job that has changed. Where another process works on the state directory, the job runs there.
 * @param job what `loadJob` or `JobBuilder.load` gives; a builder's relative paths are relative to
 *   the working directory
 * @throws WindrowError the job's own failure; E_CANCELLED if somebody cancelled or superseded it;
 *   E_SUSPENDED after `signal`; E_ENGINE_LOST if the engine's process ended; a spec's problems;
 *   E_NO_OUTPUT for a name in `collect`
 */
export async function runEmbedded(
  job: LoadedJob | JobBuilder<string>,
  options: RunEmbeddedOptions = {},
): Promise<EmbeddedResult> {
  embeddedOptions('options', options);
  const signal = options.signal ?? new AbortController().signal;
  const loaded = job instanceof JobBuilder ? await job.load() : job;
  loadedJob('job', loaded);
  const stateDirectory = resolve(options.state ?? join(loaded.directory, '.windrow'));
  const workers = options.workers ?? availableParallelism();
  const requestId = randomUUID();
  const followed: Followed = { lastSeq: 0 };
  try {
    return await workOnEngine({
      signal,
      open: () => openEngineProcess({ stateDirectory, workers, signal }),
      reached: () => followed.lastSeq,
      work: ({ client }, ended) => {
        const running = runOn(client, loaded, requestId, options, ended, followed);
        return unlessAborted(running, ended);
      },
    });
  } catch (error) {
    if (!signal.aborted) throw error;
    const which = followed.jobId === undefined ? 'the job' : `job ${followed.jobId}`;
    return fail('cancelled', 'E_SUSPENDED', `the run of ${which} was ended by its caller`, {
      hint: 'run it again: finished work is kept',
      cause: error,
    });
  }
}

async function runOn(
  client: Client,
  job: LoadedJob,
  requestId: string,
  options: RunEmbeddedOptions,
  signal: AbortSignal,
  followed: Followed,
): Promise<EmbeddedResult> {
  const { jobId } = await client.submit(job, { requestId });
  const listener = {
    accepted: () => undefined,
    event: (event: EventView) => options.onEvent?.(event),
  };
  const view = await followJob(client, jobId, listener, signal, followed);
  if (view.state !== 'succeeded') throw endedOtherwise(view);
  const manifests: Record<string, Manifest> = {};
  for (const { name, path } of view.outputs) {
    manifests[name] = JSON.parse(await readFile(manifestPath(path), 'utf8')) as Manifest;
  }
  const batches: Record<string, RecordBatch[]> = {};
  for (const name of options.collect ?? []) {
    const rows = (batches[name] = [] as RecordBatch[]);
    for await (const batch of client.result(jobId, name)) rows.push(batch);
  }
  return { ...view, manifests, batches };
}

function endedOtherwise({ job, state, failure }: JobView): WindrowError {
  if (state === 'failed' && failure) return new WindrowError(failure);
  return new WindrowError({
    kind: 'cancelled',
    code: 'E_CANCELLED',
    message: `job ${job} was ${state}`,
    hint:
      state === 'superseded'
        ? 'a newer job of the same name supersedes an unfinished one'
        : 'run it again: finished work is kept',
  });
}
