/**
 * Looks at one data set: the manifest that a job published, or the files there. Reads no data, writes
 * nothing, and holds no decision about what a new version brings about.
 */
import { createHash } from 'node:crypto';
import { dirname, relative, sep } from 'node:path';
import { assetKey, type Asset } from '../../shared/asset-condition.js';
import { fail, toFailure } from '../../shared/failure.js';
import { limits } from '../../shared/limits.js';
import { manifestHash } from '../../shared/manifest.js';
import type { ListedObject, ObjectHead, ObjectStore } from '../../shared/storage/object-store.js';
import { manifestPath } from '../../shared/storage/paths.js';
import { parseManifest } from '../commit/output-files.js';
import type { AssetLook } from '../core/schedule-assets.js';

export interface AssetLooksDependencies {
  readonly store: Pick<ObjectStore, 'get' | 'head' | 'list'>;
  /** Throws E_URI_DENIED for what lies outside the roots. */
  readonly checkPath: (path: string) => void;
}

/** Of a name that stands in a file that others may write. */
const jobNameMost = 200;

/** Remembers what it read of manifests, so that one that stays is not read again. */
export class AssetLooks {
  private readonly manifests = new Map<string, { head: ObjectHead; look: AssetLook }>();

  constructor(private readonly deps: AssetLooksDependencies) {}

  /** What cannot be looked at is told as a failure: E_URI_DENIED, E_TOO_MANY_FILES, E_IO_… */
  async at(asset: Asset): Promise<AssetLook> {
    try {
      this.deps.checkPath(asset.path);
      return await (asset.kind === 'output' ? this.output(asset) : this.files(asset.path));
    } catch (error) {
      return { failure: toFailure(error) };
    }
  }

  /** Forgets what is not waited for any more. */
  keep(keys: ReadonlySet<string>): void {
    for (const key of this.manifests.keys()) if (!keys.has(key)) this.manifests.delete(key);
  }

  private async output(asset: Asset): Promise<AssetLook> {
    const { store } = this.deps;
    const path = manifestPath(asset.path);
    const head = await store.head(path);
    if (!head) return {};
    const known = this.manifests.get(assetKey(asset));
    if (known?.head.bytes === head.bytes && known.head.changedMs === head.changedMs) {
      return known.look;
    }
    const bytes = await store.get(path);
    if (!bytes) return {};
    const manifest = parseManifest(bytes.toString('utf8'));
    if (!manifest) {
      return fail('badData', 'E_MANIFEST', 'this is no manifest', {
        at: { file: path },
        hint: 'let the job publish that output again',
      });
    }
    const { files } = manifest;
    const rows = files.reduce((sum, file) => sum + file.rows, 0);
    const job = manifest.job.slice(0, jobNameMost);
    const facts = { job, rows, files: files.length, bytes: bytesOf(files) };
    const look = { version: manifestHash(manifest), facts };
    this.manifests.set(assetKey(asset), { head, look });
    return look;
  }

  private async files(path: string): Promise<AssetLook> {
    const found = await this.found(path);
    if (found.length === 0) return {};
    const hash = createHash('sha256');
    for (const { path: name, bytes, changedMs } of found) {
      hash.update(`${JSON.stringify(name)} ${bytes} ${changedMs}\n`);
    }
    const facts = { files: found.length, bytes: bytesOf(found) };
    return { version: hash.digest('hex'), facts };
  }

  /** In order of path. */
  private async found(path: string): Promise<ListedObject[]> {
    if (path.endsWith('*')) {
      const prefix = path.slice(0, -1);
      const directory = dirname(path);
      const all = await this.below(directory);
      return all.filter((file) => file.path.startsWith(prefix) && isData(directory, file.path));
    }
    const itself = await this.deps.store.head(path);
    if (itself) return [{ path, ...itself }];
    return (await this.below(path)).filter((file) => isData(path, file.path));
  }

  /** A part of them would be another part at each look: all, or a failure. */
  private async below(directory: string): Promise<ListedObject[]> {
    const most = limits.filesPerSource;
    const found = await this.deps.store.list(directory, most + 1);
    if (found.length <= most) return found;
    return fail('invalidSpec', 'E_TOO_MANY_FILES', `there are over ${most} files`, {
      at: { file: directory },
      hint: 'wait for a directory that holds fewer',
    });
  }
}

/** Names that begin with _ or . are work in progress, or books: as everywhere in such folders. */
function isData(directory: string, path: string): boolean {
  return !relative(directory, path)
    .split(sep)
    .some((part) => /^[_.]/.test(part));
}

function bytesOf(files: readonly { readonly bytes: number }[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}
