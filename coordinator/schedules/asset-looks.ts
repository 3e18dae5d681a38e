/**
 * Looks at one data set: the manifest that a job published, or the files there. Reads no data, writes
 * nothing, and holds no decision about what a new version brings about.
 */
import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import { setImmediate as others } from 'node:timers/promises';
import { assetKey, type Asset } from '../../shared/asset-condition.js';
import { fail, toFailure, type Failure } from '../../shared/failure.js';
import { limits } from '../../shared/limits.js';
import { manifestHash } from '../../shared/manifest.js';
import type { ListedObject, ObjectHead, ObjectStore } from '../../shared/storage/object-store.js';
import { manifestPath } from '../../shared/storage/paths.js';
import { unlessAborted } from '../../shared/unless-aborted.js';
import { parseManifest } from '../commit/output-files.js';
import type { AssetLook } from '../core/schedule-assets.js';

export interface AssetLooksDependencies {
  readonly store: Pick<ObjectStore, 'get' | 'head' | 'list'>;
  /** Rejects with E_URI_DENIED what lies outside the roots. */
  readonly checkPath: (path: string) => Promise<void>;
  /** Aborts when a look that begins now has taken too long; default after five minutes. */
  readonly limit?: () => AbortSignal;
}

const lookMinutes = 5;
const defaultLimit = (): AbortSignal => AbortSignal.timeout(lookMinutes * 60_000);
/** Looks that hang before none is begun: each holds a thread of the process, and it may have but four. */
const hangingMost = 2;
/** Files that are gone through before others are heard. */
const filesAtOnce = 5000;

/** Of a name that stands in a file that others may write. */
const jobNameMost = 200;

interface LookUnderWay {
  readonly result: Promise<AssetLook>;
  /** It took longer than it may. */
  hangs: boolean;
}

/** Remembers what it read of manifests, so that one that stays is not read again. */
export class AssetLooks {
  /** By key, those that nobody waits for any more included. */
  private readonly underWay = new Map<string, LookUnderWay>();
  private readonly manifests = new Map<string, { head: ObjectHead; look: AssetLook }>();

  constructor(private readonly deps: AssetLooksDependencies) {}

  /** What cannot be looked at is told as a failure: E_URI_DENIED, E_TOO_MANY_FILES, E_IO_… */
  async at(asset: Asset): Promise<AssetLook> {
    const key = assetKey(asset);
    const { limit = defaultLimit } = this.deps;
    const late = { failure: timedOut(asset, `a look took over ${lookMinutes} minutes`) };
    const known = this.underWay.get(key);
    if (known?.hangs) return late;
    const hanging = [...this.underWay.values()].filter(({ hangs }) => hangs);
    if (hanging.length >= hangingMost) {
      return { failure: timedOut(asset, 'looks at other data sets hang') };
    }
    const look = known ?? this.begin(key, asset);
    return unlessAborted(look.result, limit()).catch(() => {
      look.hangs = true;
      return late;
    });
  }

  private begin(key: string, asset: Asset): LookUnderWay {
    const result = this.look(asset).finally(() => this.underWay.delete(key));
    const look = { result, hangs: false };
    this.underWay.set(key, look);
    return look;
  }

  private async look(asset: Asset): Promise<AssetLook> {
    try {
      await this.deps.checkPath(asset.path);
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
    const itself = path.endsWith('*') ? undefined : await this.deps.store.head(path);
    const prefix = path.endsWith('*') ? path.slice(0, -1) : path;
    const directory = path.endsWith('*') ? dirname(path) : path;
    const found = itself ? [{ path, ...itself }] : await this.below(directory);
    const hash = createHash('sha256');
    const facts = { files: 0, bytes: 0 };
    for (const [at, file] of found.entries()) {
      if (at % filesAtOnce === filesAtOnce - 1) await others();
      if (!file.path.startsWith(prefix) || !isData(directory, file.path)) continue;
      hash.update(`${JSON.stringify(file.path)} ${file.bytes} ${file.changedMs}\n`);
      facts.files += 1;
      facts.bytes += file.bytes;
    }
    return facts.files === 0 ? {} : { version: hash.digest('hex'), facts };
  }

  /** In order of path. A part of them would be another part at each look: all, or a failure. */
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
  return !/(^|\/)[_.]/.test(path.slice(directory.length));
}

/** In the words of a file system that notices it by itself. */
function timedOut({ path }: Asset, message: string): Failure {
  const hint = 'look at the disk that it lies on: it answers too slowly, or not at all';
  return { kind: 'io', code: 'E_IO_ETIMEDOUT', message, at: { file: path }, hint };
}

function bytesOf(files: readonly { readonly bytes: number }[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}
