/** Looks at an output and at the staged files, and says what is there. Never: a change, a decision. */
import type { Manifest, ManifestFile } from '../../shared/manifest.js';
import type { ChunkFile, ChunkRecord, OutputPlan } from '../../shared/plan.js';
import type { ObjectStore } from '../../shared/storage/object-store.js';
import { isInside, manifestPath, successPath, placeOf } from '../../shared/storage/paths.js';
import type { ChunkFiles } from './chunk-files.js';
import { holdsClaim } from './claim-files.js';
import type { Claim } from './claims.js';
import type { Area, FileFact, PublishFacts } from './decide.js';
import { deadLetterName, namedFiles } from './ledger.js';
import { areaPath, readManifest, visibleFiles } from './output-files.js';
import { forEachBounded } from './parallel.js';

export interface Looked {
  readonly output: OutputPlan;
  readonly manifest: Manifest;
  readonly text: string;
  readonly replaces: string | undefined;
  readonly kept: number;
  readonly chunkLocation: string;
}

const looksAtOnce = 32;

/** Digests of files already read in this commit; a file that changed since is read again. */
export class Digests {
  private readonly known = new Map<
    string,
    { readonly changedMs: number; readonly sha256: string }
  >();

  constructor(private readonly store: ObjectStore) {}

  async of(path: string, changedMs: number): Promise<string | undefined> {
    const known = this.known.get(path);
    if (known?.changedMs === changedMs) return known.sha256;
    const sha256 = await this.store.digest(path);
    if (sha256 !== undefined) this.known.set(path, { changedMs, sha256 });
    return sha256;
  }
}

/** `chunks` has loaded every chunk that the manifest names. */
export async function gatherFacts(
  { store, self }: { readonly store: ObjectStore; readonly self: Claim },
  chunks: ChunkFiles,
  digests: Digests,
  { output, manifest, text, replaces, kept, chunkLocation }: Looked,
): Promise<PublishFacts> {
  const wanted: { area: Area; entry: ManifestFile }[] = [
    ...manifest.files.map((entry) => ({ area: 'output' as const, entry })),
    ...manifest.deadLetters.map((entry) => ({ area: 'deadLetters' as const, entry })),
  ];
  const files = new Array<FileFact>(wanted.length);
  await forEachBounded(wanted, looksAtOnce, async ({ area, entry }, at) => {
    const target = `${areaPath(output, area)}/${entry.name}`;
    const source = await lookAtSource(store, sourceOf(chunks, area, entry), target, chunkLocation);
    files[at] = {
      area,
      entry,
      source,
      target: await lookAtTarget(store, digests, target, entry, source),
    };
  });
  return {
    path: output.path,
    mode: output.mode,
    claimed: await holdsClaim(store, output.path, self),
    manifest,
    text,
    replaces,
    kept,
    previous: await readManifest(store, manifestPath(output.path)),
    success: (await store.head(successPath(output.path))) !== undefined,
    files,
    visible: await visibleFiles(store, output),
  };
}

/** Where the index says that the bytes of a manifest's entry lie. */
export function sourceOf(chunks: ChunkFiles, area: Area, entry: ManifestFile): string | undefined {
  const record = chunks.get(entry.chunk);
  return record && fileOf(record, area, entry)?.path;
}

function fileOf(record: ChunkRecord, area: Area, entry: ManifestFile): ChunkFile | undefined {
  const named =
    area === 'output'
      ? namedFiles(record, placeOf(entry.name)).find(({ name }) => name === entry.name)?.file
      : deadLetterName(record) === entry.name
        ? record.deadLetters
        : undefined;
  // Another result under the same identity is not what was frozen.
  return named?.sha256 === entry.sha256 ? named : undefined;
}

async function lookAtSource(
  store: ObjectStore,
  source: string | undefined,
  target: string,
  chunkLocation: string,
): Promise<FileFact['source']> {
  if (source === undefined || source === target) return 'here';
  if (!(await store.head(source))) return 'gone';
  return isInside(chunkLocation, source) ? 'movable' : 'elsewhere';
}

async function lookAtTarget(
  store: ObjectStore,
  digests: Digests,
  target: string,
  entry: ManifestFile,
  source: FileFact['source'],
): Promise<FileFact['target']> {
  const head = await store.head(target);
  if (!head) return 'absent';
  if (head.bytes !== entry.bytes) return 'different';
  // What the index places here was verified when it was reused; all else is read.
  if (source === 'here') return 'equal';
  return (await digests.of(target, head.changedMs)) === entry.sha256 ? 'equal' : 'different';
}
