/**
 * What a job finds in its outputs before any work: nothing, its own result, or somebody else's
 * files. `decideBefore` is pure. Never: a change, beyond making directories.
 */
import { WindrowError, fail, toFailure, type Failure } from '../../shared/failure.js';
import type { Manifest } from '../../shared/manifest.js';
import type { JobPlan, OutputPlan, StagePlan } from '../../shared/plan.js';
import type { ObjectStore } from '../../shared/storage/object-store.js';
import { manifestPath, partitionOf } from '../../shared/storage/paths.js';
import { addedAgain } from './origins.js';
import type { Area } from './decide.js';
import { readManifest, visibleFiles, type VisibleFile } from './output-files.js';

export interface BeforeFacts {
  readonly manifest: Manifest | undefined;
  /** True when something lies in the manifest's place that is not one. */
  readonly unreadable: boolean;
  /** Parquet files below the output, by name, with their sizes in bytes. */
  readonly visible: ReadonlyMap<string, number>;
  readonly visibleDeadLetters: ReadonlyMap<string, number>;
}

export type Before =
  | { readonly kind: 'go'; readonly warning?: string }
  | { readonly kind: 'upToDate' }
  | { readonly kind: 'refused'; readonly failure: Failure };

export interface BeforeOptions {
  /** A run after a fix of the job of this name: its own result is published again. */
  readonly republish?: { readonly job: string };
}

export function decideBefore(
  output: OutputPlan,
  facts: BeforeFacts,
  options: BeforeOptions = {},
): Before {
  const { manifest, visible } = facts;
  const again = options.republish !== undefined && manifest?.job === options.republish.job;
  const equal = manifest?.identity === output.identity;
  if (
    manifest &&
    equal &&
    !again &&
    isWhole(manifest, facts) &&
    !hasExtra(output, manifest, facts)
  ) {
    return { kind: 'upToDate' };
  }
  const added = again ? undefined : addedAgain(output, manifest);
  if (added?.kind === 'refused') return added;
  if (added) return { kind: 'go', warning: added.text };
  if (output.mode !== 'error' || equal || again) return { kind: 'go' };
  if (!manifest && !facts.unreadable && visible.size === 0) return { kind: 'go' };
  return { kind: 'refused', failure: exists(output, facts) };
}

/** Every file the manifest names is there in its size. */
function isWhole(manifest: Manifest, facts: BeforeFacts): boolean {
  return (
    manifest.files.every(({ name, bytes }) => facts.visible.get(name) === bytes) &&
    manifest.deadLetters.every(({ name, bytes }) => facts.visibleDeadLetters.get(name) === bytes)
  );
}

/**
 * Files beside those of the manifest, where the mode promises that there are none. Which partitions
 * are this job's own is not known before it has run, so any that the manifest names counts.
 */
function hasExtra(output: OutputPlan, manifest: Manifest, { visible }: BeforeFacts): boolean {
  switch (output.mode) {
    case 'error':
    case 'append':
      return false;
    case 'overwrite':
      return visible.size > manifest.files.length;
    case 'overwritePartitions': {
      const partitions = new Set(manifest.files.map(({ name }) => partitionOf(name)));
      const beside = [...visible.keys()].filter((name) => partitions.has(partitionOf(name)));
      return beside.length > manifest.files.length;
    }
  }
}

function exists(output: OutputPlan, facts: BeforeFacts): Failure {
  const [first] = facts.visible.keys();
  const what = facts.manifest
    ? `holds the result of job ${facts.manifest.job} with other inputs or steps`
    : first !== undefined
      ? `holds ${facts.visible.size} Parquet files that are not this job's, such as ${first}`
      : 'holds a manifest that cannot be read';
  return {
    kind: 'invalidSpec',
    code: 'E_OUTPUT_EXISTS',
    message: `output ${output.name}: ${output.path} ${what}`,
    at: { file: output.path },
    hint: 'set mode: overwrite, append or overwritePartitions, or name another directory',
  };
}

export interface FoundBefore {
  readonly kind: 'go' | 'upToDate';
  /** SHA-256 of the manifest that lies there; absent for none. */
  readonly sha256?: string;
  readonly warning?: string;
}

/**
 * Looks at one output at submit.
 * @throws WindrowError E_OUTPUT_EXISTS | E_APPENDED_BEFORE | E_OUTPUT_NOT_WRITABLE
 */
export async function checkBefore(
  store: ObjectStore,
  output: OutputPlan,
  options: BeforeOptions = {},
): Promise<FoundBefore> {
  await checkWritable(store, output.path, `output ${output.name}`);
  const found = await readManifest(store, manifestPath(output.path));
  const files = await visibleFiles(store, output);
  const before = decideBefore(
    output,
    {
      manifest: found?.manifest,
      unreadable: found !== undefined && found.manifest === undefined,
      visible: sizes(files, 'output'),
      visibleDeadLetters: sizes(files, 'deadLetters'),
    },
    options,
  );
  if (before.kind === 'refused') throw new WindrowError(before.failure);
  return { ...before, ...(found ? { sha256: found.sha256 } : {}) };
}

/**
 * Tries a place that a job writes, and makes it.
 * @param what the place is to the job
 * @throws WindrowError E_OUTPUT_NOT_WRITABLE
 */
export async function checkWritable(
  store: ObjectStore,
  directory: string,
  what: string,
): Promise<void> {
  try {
    await store.probe(directory);
  } catch (error) {
    const { message } = toFailure(error);
    fail('invalidSpec', 'E_OUTPUT_NOT_WRITABLE', `${what}: ${message}`, {
      at: { file: directory },
      hint: 'name a directory that can be made and written',
      cause: error,
    });
  }
}

/** Where a job writes beside its outputs, with what each place is to it. */
export function placesBeside(plan: JobPlan): (readonly [directory: string, what: string])[] {
  const { chunkLocation, shuffleLocation } = plan;
  const places: (readonly [string, string])[] = [[chunkLocation, 'checkpoints.location']];
  if (shuffleLocation !== undefined) places.push([shuffleLocation, 'shuffle.location']);
  if (!plan.stages.some(mayDeadLetter)) return places;
  const deadLetters = plan.outputs.map(
    ({ name, deadLetterPath }) => [deadLetterPath, `dead letters of output ${name}`] as const,
  );
  return [...places, ...deadLetters];
}

function mayDeadLetter({ program }: StagePlan): boolean {
  return program.steps.some((step) => {
    switch (step.kind) {
      case 'infer':
        return step.onNull === 'deadLetter' || step.onError === 'deadLetter';
      case 'map':
        return step.onError === 'deadLetter';
      case 'expect':
        return step.checks.some(({ action }) => action === 'deadLetter');
      default:
        return false;
    }
  });
}

function sizes(files: readonly VisibleFile[], area: Area): Map<string, number> {
  return new Map(files.flatMap((file) => (file.area === area ? [[file.name, file.bytes]] : [])));
}
