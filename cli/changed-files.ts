/**
 * Says which models and functions have changed since a job was submitted: whoever mends one and does
 * the job again gets what the job came with. Never: sends a file.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Client } from '../client/types.js';
import { note } from './output.js';

/** One line on stderr where some have; files that are not on this machine are nobody's business. */
export async function noteChangedFiles(client: Client, job: string): Promise<void> {
  const { models, functions } = await filesOf(client, job);
  const changed = [
    ...(await changedOf(models, digestOfModel)),
    ...(await changedOf(functions, digestOfBundle)),
  ];
  if (changed.length === 0) return;
  note(
    `${changed.join(', ')}: changed since job ${job} was submitted, but a retry does what that job did; run its spec again for what has changed`,
  );
}

type Digests = Readonly<Record<string, string>>;

/** By path, as the job's events tell them. */
async function filesOf(client: Client, job: string) {
  for await (const event of client.events(job, { follow: false })) {
    if (event.event === 'files') return event as unknown as { models: Digests; functions: Digests };
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
  return (await bundleOf(path, '')).digest;
}
