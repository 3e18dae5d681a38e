/** Publishes a frozen commit on a real disk with the SQLite journal; killed by failpoints. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { claimOutputs, releaseClaims } from '../../../coordinator/commit/claim-files.js';
import { publishJob } from '../../../coordinator/commit/publish.js';
import type { FrozenManifest } from '../../../coordinator/core/events.js';
import { openJournal } from '../../../coordinator/journal/sqlite-journal.js';
import { lockStateDirectory } from '../../../coordinator/journal/state-lock.js';
import type { JobPlan } from '../../../shared/plan.js';
import { LocalStore } from '../../../shared/storage/local-store.js';
import { claimOf } from './fixture.js';

async function main(): Promise<void> {
  const root = process.argv[2] ?? '';
  const stateDirectory = join(root, 'state');
  const lock = lockStateDirectory(stateDirectory);
  if (lock.busy) throw new Error('the state directory is busy');
  const { plan, manifests } = JSON.parse(readFileSync(join(root, 'commit.json'), 'utf8')) as {
    plan: JobPlan;
    manifests: FrozenManifest[];
  };
  const journal = openJournal(stateDirectory);
  const epoch = await journal.acquire();
  const store = new LocalStore();
  const self = claimOf('j1', stateDirectory);
  const outputs = plan.outputs.map(({ path }) => path);
  const isLive = () => true;
  await claimOutputs(store, outputs, self, isLive);
  const tools = { store, index: journal, epoch, self, isLive };
  const { summary } = await publishJob(tools, plan, manifests);
  await releaseClaims(store, outputs, self);
  await journal.close();
  lock.release();
  process.stdout.write(JSON.stringify(summary));
}

void main();
