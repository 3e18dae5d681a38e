/**
 * Publishes frozen manifests: gathers facts, asks decide.ts, does one step, and again until done.
 * Killed anywhere and run again, it ends in the same bytes. Never: a decision of its own.
 */
import { failpoint } from '../../shared/failpoint.js';
import { WindrowError, fail } from '../../shared/failure.js';
import { manifestHash, type Manifest } from '../../shared/manifest.js';
import type { ChunkRecord, JobPlan, OutputPlan } from '../../shared/plan.js';
import type { ObjectStore } from '../../shared/storage/object-store.js';
import { manifestPath, successPath, trashPath } from '../../shared/storage/paths.js';
import type { FrozenManifest, JobSummary } from '../core/events.js';
import type { ChunkIndex } from '../journal/journal.js';
import { claimOutput, type IsLive } from './claim-files.js';
import type { Claim } from './claims.js';
import { nextStep, type FileFact, type PublishStep, type TrashItem } from './decide.js';
import { ChunkFiles } from './chunk-files.js';
import { Digests, gatherFacts, sourceOf, type Looked } from './facts.js';
import { addTotals, manifestRows } from './freeze.js';
import { areaPath, parseManifest } from './output-files.js';
import { forEachBounded } from './parallel.js';
import { inCommitTurn } from './turns.js';

export interface CommitTools {
  readonly store: ObjectStore;
  readonly index: ChunkIndex;
  readonly epoch: number;
  /** Who publishes; its claims are those of the job's start. */
  readonly self: Claim;
  readonly isLive: IsLive;
}

export interface ChunkMove {
  readonly identity: string;
  readonly record: ChunkRecord;
}

export interface Published {
  /** Already applied to the index. */
  readonly moves: readonly ChunkMove[];
  readonly summary: JobSummary;
  /** Files of others that were moved to trash because their rows would have been doubled. */
  readonly foreignTrashed: readonly string[];
}

const transfersAtOnce = 32;
/** Files published between two updates of the index. */
const batchFiles = 512;
/** Ten kinds of steps; each shrinks what is left, so this many rounds mean a rule is broken. */
const roundsMax = 100_000;

/**
 * Publishes all outputs of a job whose manifests are frozen.
 * @throws WindrowError E_SUPERSEDED_COMMIT | E_OUTPUT_BUSY | E_OUTPUT_EXISTS | E_FENCED | E_DISK_FULL
 */
export function publishJob(
  tools: CommitTools,
  plan: JobPlan,
  manifests: readonly FrozenManifest[],
): Promise<Published> {
  return inCommitTurn(tools.index, async () => {
    const moves: ChunkMove[] = [];
    const foreignTrashed: string[] = [];
    const { chunkLocation } = plan;
    const works = pair(plan, manifests).map((frozen) => ({ ...frozen, chunkLocation }));
    // What stops one of several stops all of them, before the first is changed.
    if (works.length > 1)
      for (const work of works) await new OutputPublisher(tools, work).prepare();
    for (const work of works) {
      const publisher = new OutputPublisher(tools, work);
      await publisher.run();
      moves.push(...publisher.moves);
      foreignTrashed.push(...publisher.foreignTrashed);
    }
    return { moves, foreignTrashed, summary: summarize(plan, manifests, false) };
  });
}

/** What a job tells of its outputs; also for a job that found them up to date. */
export function summarize(
  plan: JobPlan,
  manifests: readonly FrozenManifest[],
  upToDate: boolean,
): JobSummary {
  const frozen = pair(plan, manifests);
  return {
    rows: addTotals(frozen.map(({ manifest }) => manifest.rows)),
    upToDate,
    outputs: frozen.map(({ output, manifest }) => ({
      name: output.name,
      path: output.path,
      rows: manifestRows(manifest),
      files: manifest.files.length,
      manifestHash: manifestHash(manifest),
    })),
  };
}

function pair(plan: JobPlan, manifests: readonly FrozenManifest[]) {
  return plan.outputs.map((output) => {
    const frozen = manifests.find((each) => each.output === output.name);
    const manifest = frozen && parseManifest(frozen.manifest);
    if (!manifest) {
      return fail('broken', 'E_INTERNAL', `no manifest is frozen for output ${output.name}`);
    }
    const { manifest: text, replaces, kept = 0 } = frozen;
    return { output, text, manifest, replaces, kept };
  });
}

class OutputPublisher {
  readonly moves: ChunkMove[] = [];
  readonly foreignTrashed: string[] = [];
  private readonly chunks: ChunkFiles;
  private readonly digests: Digests;
  private readonly output: OutputPlan;
  private readonly manifest: Manifest;

  constructor(
    private readonly tools: CommitTools,
    private readonly work: Looked,
  ) {
    this.output = work.output;
    this.manifest = work.manifest;
    this.chunks = new ChunkFiles(tools.index, tools.epoch);
    this.digests = new Digests(tools.store);
  }

  /** Holds the claim, and finds nothing that stands in the way. */
  async prepare(): Promise<void> {
    for (;;) {
      const step = await this.next();
      if (step.do !== 'claim' && step.do !== 'stop') return;
      await this.take(step);
    }
  }

  async run(): Promise<void> {
    for (let round = 0; round < roundsMax; round += 1) {
      if (await this.take(await this.next())) return;
    }
    fail('broken', 'E_INTERNAL', `the commit of ${this.output.path} does not come to an end`);
  }

  private async next(): Promise<PublishStep> {
    const { files, deadLetters } = this.manifest;
    await this.chunks.load([...files, ...deadLetters].map(({ chunk }) => chunk));
    return nextStep(await gatherFacts(this.tools, this.chunks, this.digests, this.work));
  }

  /** True when nothing is left. */
  private async take(step: PublishStep): Promise<boolean> {
    const { store, self, isLive } = this.tools;
    const { text } = this.work;
    const { path } = this.output;
    switch (step.do) {
      case 'claim':
        await claimOutput(store, path, self, isLive);
        return false;
      case 'stop':
        throw new WindrowError(step.failure);
      case 'removeSuccess':
        failpoint('publish.removeSuccess.before');
        await store.delete(successPath(path));
        failpoint('publish.removeSuccess.after');
        return false;
      case 'trash':
        await this.trash(step.items);
        return false;
      case 'publish':
        await this.publish(step.files);
        return false;
      case 'settle':
        await this.settle(step.files);
        return false;
      case 'writeManifest':
        failpoint('publish.manifest.before');
        if (step.how === 'replace') await store.replace(manifestPath(path), bytesOf(text));
        else await store.create(manifestPath(path), bytesOf(text));
        failpoint('publish.manifest.after');
        return false;
      case 'writeSuccess':
        failpoint('publish.success.before');
        await store.create(successPath(path), Buffer.alloc(0));
        failpoint('publish.success.after');
        return false;
      case 'done':
        return true;
    }
  }

  private async trash(items: readonly TrashItem[]): Promise<void> {
    await this.chunks.load(items.flatMap(({ chunk }) => (chunk === undefined ? [] : [chunk])));
    const places = new Map<TrashItem, string>();
    await forEachBounded(items, transfersAtOnce, async (item) => {
      failpoint('publish.trash.before');
      const place = await this.moveToTrash(item);
      failpoint('publish.trash.after');
      if (place !== undefined) places.set(item, place);
    });
    for (const [item, place] of places) {
      if (item.chunk === undefined) this.foreignTrashed.push(item.name);
      else this.chunks.follow(item.chunk, this.target(item), place);
    }
    await this.relocate();
  }

  /** Where it went; undefined when it was gone already. */
  private async moveToTrash(item: TrashItem): Promise<string | undefined> {
    const { store } = this.tools;
    const from = this.target(item);
    const name = item.area === 'output' ? item.name : `dead/${item.name}`;
    for (let copy = 0; ; copy += 1) {
      const to = trashPath(this.output.path, this.manifest.identity, name, item.chunk, copy);
      const result = await store.move(from, to);
      if (result === 'missing') return undefined;
      if (result === 'done') return to;
      // An earlier try was killed between naming it here and removing it there.
      if ((await store.digest(from)) === (await store.digest(to))) {
        await store.delete(from);
        return to;
      }
    }
  }

  private async publish(files: readonly FileFact[]): Promise<void> {
    const { store } = this.tools;
    for (let at = 0; at < files.length; at += batchFiles) {
      const batch = files.slice(at, at + batchFiles);
      await forEachBounded(batch, transfersAtOnce, async (file) => {
        const from = sourceOf(this.chunks, file.area, file.entry);
        if (from === undefined) return;
        const to = this.target({ area: file.area, name: file.entry.name });
        failpoint('publish.rename.before');
        if (file.source === 'movable') await store.move(from, to);
        else await store.copy(from, to);
        failpoint('publish.rename.after');
      });
      // Looked at again, so that only what really lies there enters the index.
      for (const file of batch.filter(({ source }) => source === 'movable')) {
        const to = this.target({ area: file.area, name: file.entry.name });
        const from = sourceOf(this.chunks, file.area, file.entry);
        const there = (await store.head(to))?.bytes === file.entry.bytes;
        if (there && from !== undefined) this.chunks.follow(file.entry.chunk, from, to);
      }
      await this.relocate();
    }
  }

  private async settle(files: readonly FileFact[]): Promise<void> {
    await forEachBounded(files, transfersAtOnce, async (file) => {
      const from = sourceOf(this.chunks, file.area, file.entry);
      if (from === undefined) return;
      if (file.source === 'movable') {
        failpoint('publish.settle.before');
        await this.tools.store.delete(from);
        failpoint('publish.settle.after');
      }
      const to = this.target({ area: file.area, name: file.entry.name });
      this.chunks.follow(file.entry.chunk, from, to);
    });
    await this.relocate();
  }

  private async relocate(): Promise<void> {
    failpoint('publish.relocate.before');
    this.moves.push(...(await this.chunks.save()));
    failpoint('publish.relocate.after');
  }

  private target(file: { area: TrashItem['area']; name: string }): string {
    return `${areaPath(this.output, file.area)}/${file.name}`;
  }
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'utf8');
}
