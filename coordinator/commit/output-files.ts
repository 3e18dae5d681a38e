/** Reads what lies in an output: manifest, visible files. Never: writes, decisions. */
import { sha256Hex } from '../../shared/chunk-identity.js';
import type { Manifest } from '../../shared/manifest.js';
import type { OutputPlan } from '../../shared/plan.js';
import type { ObjectStore } from '../../shared/storage/object-store.js';
import { isInside, visibleName } from '../../shared/storage/paths.js';
import type { Area, VisibleFact } from './decide.js';

export interface FoundManifest {
  readonly text: string;
  readonly sha256: string;
  /** Absent when the text is not a manifest. */
  readonly manifest: Manifest | undefined;
}

export function areaPath(output: OutputPlan, area: Area): string {
  return area === 'output' ? output.path : output.deadLetterPath;
}

export async function readManifest(
  store: ObjectStore,
  path: string,
): Promise<FoundManifest | undefined> {
  const bytes = await store.get(path);
  if (!bytes) return undefined;
  const text = bytes.toString('utf8');
  return { text, sha256: sha256Hex(bytes), manifest: parseManifest(text) };
}

export function parseManifest(text: string): Manifest | undefined {
  try {
    const value = JSON.parse(text) as Partial<Manifest> | null;
    const whole =
      value?.format === 1 &&
      typeof value.identity === 'string' &&
      Array.isArray(value.columns) &&
      Array.isArray(value.partitionBy) &&
      Array.isArray(value.files) &&
      Array.isArray(value.deadLetters);
    return whole ? (value as Manifest) : undefined;
  } catch {
    return undefined;
  }
}

export interface VisibleFile extends VisibleFact {
  readonly bytes: number;
}

/** Every file that a glob for Parquet would see below the output or among its dead letters. */
export async function visibleFiles(store: ObjectStore, output: OutputPlan): Promise<VisibleFile[]> {
  const found: VisibleFile[] = [];
  for (const area of ['output', 'deadLetters'] as const) {
    const directory = areaPath(output, area);
    for (const { path, bytes } of await store.list(directory)) {
      // Dead letters may have been given a place below the output; they are judged once.
      if (area === 'output' && isInside(output.deadLetterPath, path)) continue;
      const name = visibleName(directory, path);
      if (name !== undefined) found.push({ area, name, bytes });
    }
  }
  return found;
}
