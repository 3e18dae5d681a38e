import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { publishJob } from '../../../coordinator/commit/publish.js';
import { openJournal } from '../../../coordinator/journal/sqlite-journal.js';
import type { ChunkDone } from '../../../coordinator/core/events.js';
import type { ChunkRecord, JobPlan } from '../../../shared/plan.js';
import type { Manifest } from '../../../shared/manifest.js';
import { LocalStore } from '../../../shared/storage/local-store.js';
import { jobId, workerId } from '../../../shared/ids.js';
import { ended, startChild } from '../journal/child.js';
import { claimOf, frozen, plan, s0, stage, type ChunkSpec } from './fixture.js';

const publisher = fileURLToPath(new URL('publish-child.ts', import.meta.url));
const store = new LocalStore();
const old: ChunkSpec[] = [
  { name: 'a', rows: 3, dead: 1 },
  { name: 'b', rows: 4 },
];
const fresh: ChunkSpec[] = [
  { name: 'b', rows: 4 },
  { name: 'c', rows: 5, dead: 2 },
  { name: 'd', rows: 6 },
];

/** Every place where a write begins or ends, at its first and, where there are more, a later hit. */
const places = [
  'claim.create.before',
  'claim.create.after',
  'publish.removeSuccess.before',
  'publish.removeSuccess.after',
  'publish.trash.before',
  'publish.trash.after',
  'publish.trash.after:2',
  'publish.rename.before',
  'publish.rename.after',
  'publish.rename.before:2',
  'publish.rename.after:3',
  'publish.relocate.before',
  'publish.relocate.after',
  'publish.relocate.before:2',
  'publish.relocate.after:2',
  'publish.manifest.before',
  'publish.manifest.after',
  'publish.success.before',
  'publish.success.after',
  'claim.release.before',
  'claim.release.after',
  'journal.commit.before',
  'journal.commit.after',
];

async function finished(
  index: { append(epoch: number, events: readonly ChunkDone[]): Promise<void> },
  epoch: number,
  of: JobPlan,
  chunks: readonly ChunkSpec[],
): Promise<ChunkRecord[]> {
  const records: ChunkRecord[] = [];
  for (const chunk of chunks) records.push(await stage(store, of.chunkLocation, chunk));
  const attempt = { jobId: jobId('j'), stageId: s0, task: 0, attempt: 1 };
  await index.append(
    epoch,
    records.map((record, chunk) => ({
      type: 'chunk.done',
      attempt,
      workerId: workerId('w'),
      chunk,
      record,
      nowMs: 1,
    })),
  );
  return records;
}

/** An output of an earlier job, and the frozen commit of a new one over it. */
async function prepare(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'windrow-killed-'));
  const journal = openJournal(join(root, 'state'));
  const epoch = await journal.acquire();
  const self = claimOf('j0', join(root, 'state'));
  const before = plan(root, old);
  const records = await finished(journal, epoch, before, old);
  const tools = { store, index: journal, epoch, self, isLive: () => false };
  const first = frozen(before, records);
  await publishJob(tools, before, first);
  await store.delete(join(root, 'out', '_windrow', 'claim.json'));
  const of = plan(root, fresh);
  await finished(journal, epoch, of, fresh.slice(1));
  const identities = await Promise.all(
    fresh.map(
      async ({ name }) => (await stage(store, join(root, 'again'), { name, rows: 1 })).identity,
    ),
  );
  const known = await journal.lookup(identities);
  const wanted = identities.map((identity) => known.get(identity) as ChunkRecord);
  writeFileSync(
    join(root, 'commit.json'),
    JSON.stringify({ plan: of, manifests: frozen(of, wanted, JSON.parse(first[0]!.manifest)) }),
  );
  await journal.close();
  return root;
}

/** Everything a reader can come across, by name below the root. */
async function shown(root: string): Promise<[string, string][]> {
  const objects = [
    ...(await store.list(join(root, 'out'))),
    ...(await store.list(join(root, 'out.dead'))),
  ];
  return objects.map(({ path }) => [path.slice(root.length), readFileSync(path, 'utf8')]);
}

async function publishAgain(root: string, failpoint?: string) {
  return ended(startChild(publisher, [root], failpoint ? { WINDROW_FAILPOINT: failpoint } : {}));
}

describe('a commit on a real disk whose process is killed', () => {
  let undisturbed: { shown: [string, string][]; output: string; root: string };

  beforeAll(async () => {
    const root = await prepare();
    const { how, output } = await publishAgain(root);
    expect(how).toBe('0');
    undisturbed = { shown: await shown(root), output, root };
  });

  it('leaves exactly the new result, and the old one in trash, when nothing disturbs it', () => {
    const names = undisturbed.shown.map(([name]) => name);
    expect(names.filter((name) => /^\/out\/.*\.parquet$/.test(name))).toHaveLength(3);
    expect(names.filter((name) => /^\/out\.dead\/.*\.parquet$/.test(name))).toHaveLength(1);
    expect(names.filter((name) => name.includes('/trash/'))).toHaveLength(2);
    expect(names.filter((name) => /claim\.json|\.tmp$|\.chunk$|\.dead$/.test(name))).toEqual([]);
  });

  it.concurrent.each(places)(
    'at %s ends in the same bytes when it is run again',
    async (failpoint) => {
      const root = await prepare();
      expect((await publishAgain(root, failpoint)).how).toBe('SIGKILL');
      const { how, output } = await publishAgain(root);
      expect(how).toBe('0');
      const rename = (text: string) => text.replaceAll(root, '');
      expect(rename(output)).toBe(rename(undisturbed.output.replaceAll(undisturbed.root, '')));
      const visible = (all: [string, string][]) =>
        all.filter(([name]) => !name.includes('/trash/'));
      const after = await shown(root);
      expect(visible(after)).toEqual(visible(undisturbed.shown));
      const journal = openJournal(join(root, 'state'));
      const manifest = JSON.parse(
        readFileSync(join(root, 'out', '_windrow', 'manifest.json'), 'utf8'),
      ) as Manifest;
      const records = await journal.lookup(manifest.files.map(({ chunk }) => chunk));
      for (const { chunk, name } of manifest.files) {
        expect(records.get(chunk)?.files[0]?.path).toBe(join(root, 'out', name));
      }
      await journal.close();
    },
    120_000,
  );
});
