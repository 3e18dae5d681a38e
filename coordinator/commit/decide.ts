/**
 * Publishing as facts in, next step out (docs/COMMIT.md). Every step may be done again; killed
 * anywhere, the facts found next lead to the same end. Pure. Never: a step that drops the only copy.
 */
import type { Failure } from '../../shared/failure.js';
import type { Manifest, ManifestFile } from '../../shared/manifest.js';
import type { OutputMode } from '../../shared/plan.js';
import { partitionOf } from '../../shared/storage/paths.js';

/** Published rows and published dead letters lie in two directories under the same rules. */
export type Area = 'output' | 'deadLetters';

export interface FileFact {
  readonly area: Area;
  readonly entry: ManifestFile;
  /** What lies under the file's final name. */
  readonly target: 'absent' | 'equal' | 'different';
  /**
   * What the chunk index says of the file: `here`: it lies under its final name, or the index does
   * not know it; `movable`: it lies in the chunk directory; `elsewhere`: another output published
   * it and keeps it; `gone`: nothing lies where the index points.
   */
  readonly source: 'here' | 'movable' | 'elsewhere' | 'gone';
}

export interface VisibleFact {
  readonly area: Area;
  readonly name: string;
}

export interface PublishFacts {
  readonly path: string;
  readonly mode: OutputMode;
  readonly claimed: boolean;
  /** The frozen manifest, and its text as it is to lie there. */
  readonly manifest: Manifest;
  readonly text: string;
  /** SHA-256 of the manifest that the frozen one takes the place of; undefined for none. */
  readonly replaces: string | undefined;
  /** How many of its files, the first ones, are an earlier job's that stay. */
  readonly kept: number;
  /** What lies there as the manifest now. */
  readonly previous:
    | {
        readonly manifest: Manifest | undefined;
        readonly text: string;
        readonly sha256: string;
      }
    | undefined;
  readonly success: boolean;
  /** One for each entry of the frozen manifest. */
  readonly files: readonly FileFact[];
  /** Every file that a glob for Parquet would see. */
  readonly visible: readonly VisibleFact[];
}

export interface TrashItem extends VisibleFact {
  /** Absent for a foreign file. */
  readonly chunk?: string;
}

export type PublishStep =
  | { readonly do: 'claim' }
  | { readonly do: 'stop'; readonly failure: Failure }
  | { readonly do: 'removeSuccess' }
  | { readonly do: 'trash'; readonly items: readonly TrashItem[] }
  | { readonly do: 'publish'; readonly files: readonly FileFact[] }
  /** The file is in place but the index (or a left-over staged name) does not know it yet. */
  | { readonly do: 'settle'; readonly files: readonly FileFact[] }
  | { readonly do: 'writeManifest'; readonly how: 'create' | 'replace' }
  | { readonly do: 'writeSuccess' }
  | { readonly do: 'done' };

export function nextStep(facts: PublishFacts): PublishStep {
  if (!facts.claimed) return { do: 'claim' };
  const obstacle = findObstacle(facts);
  if (obstacle) return { do: 'stop', failure: obstacle };

  const items = toTrash(facts);
  const absent = facts.files.filter(({ target }) => target === 'absent');
  const manifestDiffers = facts.previous?.text !== facts.text;
  // _SUCCESS says that files and manifest agree, so it goes before either changes.
  if (facts.success && (items.length > 0 || absent.length > 0 || manifestDiffers)) {
    return { do: 'removeSuccess' };
  }
  // Old files go before new ones come: a glob may see part of a set, never a doubled one.
  if (items.length > 0) return { do: 'trash', items };
  if (absent.length > 0) return { do: 'publish', files: absent };
  const unsettled = facts.files.filter(({ source }) => source === 'movable' || source === 'gone');
  if (unsettled.length > 0) return { do: 'settle', files: unsettled };
  if (manifestDiffers) {
    return { do: 'writeManifest', how: facts.previous === undefined ? 'create' : 'replace' };
  }
  return facts.success ? { do: 'done' } : { do: 'writeSuccess' };
}

function findObstacle(facts: PublishFacts): Failure | undefined {
  const { previous, replaces } = facts;
  // Ours comes last of all we write, so whatever we did before a kill, it is the old one or ours.
  if (previous?.text !== facts.text && previous?.sha256 !== replaces) {
    const found = previous ? `a manifest${ofJob(previous.manifest)} lies there` : 'none lies there';
    return superseded(facts.path, `${found} instead of the one that this commit was frozen over`);
  }
  const stranger = findStranger(facts);
  if (stranger) return inTheWay(facts.path, stranger.name, 'appeared while the job ran');
  const own = ownNames(facts.previous?.manifest);
  for (const file of facts.files) {
    const { target, source, entry, area } = file;
    if (target === 'equal') continue;
    const available = source === 'movable' || source === 'elsewhere';
    if (target === 'absent' && !available) {
      return superseded(facts.path, `${entry.name} is neither staged nor published`);
    }
    if (target === 'different' && !available) {
      return superseded(facts.path, `${entry.name} was changed after it was published`);
    }
    const mayReplace = facts.mode === 'overwrite' || own.has(key({ area, name: entry.name }));
    if (target === 'different' && !mayReplace) {
      return inTheWay(facts.path, entry.name, 'would have to be replaced');
    }
  }
  return undefined;
}

/** Under `error` an output without a manifest was empty at submit: all that lies there is ours. */
function findStranger({
  mode,
  previous,
  manifest,
  visible,
}: PublishFacts): VisibleFact | undefined {
  if (mode !== 'error' || previous !== undefined) return undefined;
  const names = new Set(manifest.files.map(({ name }) => name));
  return visible.find(({ area, name }) => area === 'output' && !names.has(name));
}

function ofJob(manifest: Manifest | undefined): string {
  return manifest ? ` of job ${manifest.job}` : '';
}

function inTheWay(path: string, name: string, what: string): Failure {
  return {
    kind: 'invalidSpec',
    code: 'E_OUTPUT_EXISTS',
    message: `${name} in ${path} is not ours and ${what}`,
    at: { file: `${path}/${name}` },
    hint: 'move it away, or set mode: overwrite',
  };
}

function superseded(path: string, what: string): Failure {
  return {
    kind: 'invalidSpec',
    code: 'E_SUPERSEDED_COMMIT',
    message: `the commit of ${path} stopped: ${what}, so someone newer was here`,
    at: { file: path },
    hint: 'look at what lies there, then run the job again if you want its result: finished chunks are reused',
  };
}

/** What the output shows now and must not show beside the new files. */
function toTrash(facts: PublishFacts): TrashItem[] {
  const own = ownNames(facts.previous?.manifest);
  const staying = new Set<string>();
  const written = facts.manifest.files.slice(facts.kept);
  const touched = new Set(written.map(({ name }) => partitionOf(name)));
  for (const { area, entry, target } of facts.files) {
    if (target !== 'different') staying.add(key({ area, name: entry.name }));
  }
  return facts.visible.flatMap((file): TrashItem[] => {
    if (staying.has(key(file))) return [];
    const chunk = own.get(key(file));
    if (chunk !== undefined) return [{ ...file, chunk }];
    return file.area === 'output' && replacesForeign(facts.mode, touched, file.name) ? [file] : [];
  });
}

/** Foreign files that would double or mix rows in a glob go too, where the mode says so. */
function replacesForeign(mode: OutputMode, touched: ReadonlySet<string>, name: string): boolean {
  switch (mode) {
    case 'overwrite':
      return true;
    case 'overwritePartitions':
      return touched.has(partitionOf(name));
    case 'error':
    case 'append':
      return false;
  }
}

/** Chunk by name of what the old manifest put there. */
function ownNames(manifest: Manifest | undefined): Map<string, string> {
  const own = new Map<string, string>();
  for (const { name, chunk } of manifest?.files ?? [])
    own.set(key({ area: 'output', name }), chunk);
  for (const { name, chunk } of manifest?.deadLetters ?? []) {
    own.set(key({ area: 'deadLetters', name }), chunk);
  }
  return own;
}

function key(file: VisibleFact): string {
  return `${file.area}:${file.name}`;
}
