/**
 * Which models and functions have changed since a job was submitted: whoever mends one and does the
 * job's dead letters again sends them along. Never: sends a file itself.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Client, LocalFile } from '../client/types.js';

export interface ChangedFiles {
  /** All of them, external data of models, too. */
  readonly paths: readonly string[];
  readonly models: readonly string[];
  readonly functions: readonly string[];
}

/** Files that are not on this machine are nobody's business. */
export async function changedFiles(client: Client, job: string): Promise<ChangedFiles> {
  const { models, functions, external = {} } = await filesOf(client, job);
  const weights = await changedOf(models, digestOfModel);
  const code = await changedOf(functions, digestOfBundle);
  return {
    paths: [...weights, ...code],
    models: [...new Set(weights.map((path) => external[path] ?? path))],
    functions: code,
  };
}

/**
 * As they are now, ready to be sent, by their paths.
 * @throws WindrowError E_MAP_MODULE, E_MODEL_INVALID and what else keeps one from being submitted
 */
export async function filesNow({
  models,
  functions,
}: ChangedFiles): Promise<ReadonlyMap<string, LocalFile>> {
  const files = new Map<string, LocalFile>();
  for (const path of models) {
    const { readModel } = await import('../client/models.js');
    files.set(path, await readModel(path));
  }
  for (const path of functions) {
    const { bundleFile } = await import('../client/bundles.js');
    files.set(path, await bundleFile(path));
  }
  return files;
}

type Digests = Readonly<Record<string, string>>;

interface Files {
  readonly models: Digests;
  readonly functions: Digests;
  /** Models by the paths of their external data. */
  readonly external?: Readonly<Record<string, string>>;
}

/** By path, as the job's events tell them. */
async function filesOf(client: Client, job: string): Promise<Files> {
  for await (const event of client.events(job, { follow: false })) {
    if (event.event === 'files') return event as unknown as Files;
  }
  return { models: {}, functions: {} };
}

async function changedOf(
  then: Digests,
  digestNow: (path: string) => Promise<string>,
): Promise<string[]> {
  const changed: string[] = [];
  for (const [path, digest] of Object.entries(then)) {
    if (!existsSync(path)) continue;
    // What could not be submitted as it is now has changed, too.
    if ((await digestNow(path).catch(() => '')) !== digest) changed.push(path);
  }
  return changed;
}

async function digestOfModel(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function digestOfBundle(path: string): Promise<string> {
  const { bundleOf } = await import('../client/bundles.js');
  return (await bundleOf(path)).digest;
}
