/**
 * What a job finds in its outputs before any work: nothing, its own result, or somebody else's
 * files. `decideBefore` is pure. Never: a change, beyond making the directory.
 */
import { WindrowError, fail, toFailure, type Failure } from '../../shared/failure.js';
import type { Manifest } from '../../shared/manifest.js';
import type { OutputPlan } from '../../shared/plan.js';
import type { ObjectStore } from '../../shared/storage/object-store.js';
import { manifestPath, visibleName } from '../../shared/storage/paths.js';
import { areaPath, readManifest } from './output-files.js';

export interface BeforeFacts {
  readonly manifest: Manifest | undefined;
  /** True when something lies in the manifest's place that is not one. */
  readonly unreadable: boolean;
  /** Parquet files below the output, by name, with their sizes in bytes. */
  readonly visible: ReadonlyMap<string, number>;
  readonly visibleDeadLetters: ReadonlyMap<string, number>;
}

export type Before =
  | { readonly kind: 'go'; readonly previous: Manifest | undefined }
  | { readonly kind: 'upToDate'; readonly manifest: Manifest }
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
    return { kind: 'upToDate', manifest };
  }
  if (output.mode !== 'error' || equal || again) return { kind: 'go', previous: manifest };
  if (!manifest && !facts.unreadable && visible.size === 0)
    return { kind: 'go', previous: undefined };
  return { kind: 'refused', failure: exists(output, facts) };
}

/** Every file the manifest names is there in its size. */
function isWhole(manifest: Manifest, facts: BeforeFacts): boolean {
  return (
    manifest.files.every(({ name, bytes }) => facts.visible.get(name) === bytes) &&
    manifest.deadLetters.every(({ name, bytes }) => facts.visibleDeadLetters.get(name) === bytes)
  );
}

/** Only `overwrite` promises that nothing else lies there. */
function hasExtra(output: OutputPlan, manifest: Manifest, facts: BeforeFacts): boolean {
  return output.mode === 'overwrite' && facts.visible.size > manifest.files.length;
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

/**
 * Looks at one output at submit.
 * @throws WindrowError E_OUTPUT_EXISTS | E_OUTPUT_NOT_WRITABLE
 */
export async function checkBefore(
  store: ObjectStore,
  output: OutputPlan,
  options: BeforeOptions = {},
): Promise<Exclude<Before, { kind: 'refused' }>> {
  await checkWritable(store, output);
  const found = await readManifest(store, manifestPath(output.path));
  const before = decideBefore(
    output,
    {
      manifest: found?.manifest,
      unreadable: found !== undefined && found.manifest === undefined,
      visible: await sizes(store, areaPath(output, 'output')),
      visibleDeadLetters: await sizes(store, areaPath(output, 'deadLetters')),
    },
    options,
  );
  if (before.kind === 'refused') throw new WindrowError(before.failure);
  return before;
}

async function checkWritable(store: ObjectStore, output: OutputPlan): Promise<void> {
  try {
    await store.probe(output.path);
  } catch (error) {
    const { message } = toFailure(error);
    fail('invalidSpec', 'E_OUTPUT_NOT_WRITABLE', `output ${output.name}: ${message}`, {
      at: { file: output.path },
      hint: 'name a directory that can be made and written',
      cause: error,
    });
  }
}

async function sizes(store: ObjectStore, directory: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const { path, bytes } of await store.list(directory)) {
    const name = visibleName(directory, path);
    if (name !== undefined) found.set(name, bytes);
  }
  return found;
}
