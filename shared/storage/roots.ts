/**
 * Turns what users call a path into an absolute local one, and keeps servers inside their allowed
 * roots. Never: a file opened; a path that passes here may be read by native code.
 */
import { lstatSync, realpathSync } from 'node:fs';
import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fail } from '../failure.js';
import { isInside } from './paths.js';

export class Roots {
  private readonly allowed: readonly string[] | undefined;

  /** @param allowed directories a server may touch; undefined: no limit (embedded mode) */
  constructor(allowed?: readonly string[]) {
    this.allowed = allowed?.map((root) => realpathOfDeepest(resolve(root)));
  }

  /**
   * @param base directory that relative paths start from
   * @throws WindrowError E_URI_DENIED | E_URI_SCHEME
   */
  resolve(text: string, base: string): string {
    const path = toAbsolute(text, base);
    this.check(path, text);
    return path;
  }

  /**
   * Whether a path is absolute, plainly written and inside the roots once symlinks are followed.
   * For a glob that says so of the part before its first special character: every match has to pass
   * as well, because a symlink further down may lead elsewhere.
   * @throws WindrowError E_URI_DENIED
   */
  check(path: string, text = path): void {
    if (this.checkText(path, text)) this.checkInside(realpathOfDeepest(path), text);
  }

  /** As `check`; a disk that hangs holds up nobody but the caller. */
  async checkAsync(path: string): Promise<void> {
    if (this.checkText(path, path)) this.checkInside(await realpathOfDeepestAsync(path), path);
  }

  /** Whether it depends on what lies there as well. */
  private checkText(path: string, text: string): boolean {
    if (path.includes('\0')) denied(text, 'it holds a NUL byte');
    if (!this.allowed) return false;
    refuseTricks(path, text);
    if (!isAbsolute(path)) denied(text, 'it is not absolute');
    if (/(^|[/{,])\.\.([/},]|$)/.test(path)) denied(text, 'it goes up with ..');
    return true;
  }

  private checkInside(real: string, text: string): void {
    if (this.allowed?.some((root) => isInside(root, real)) === false) {
      denied(text, 'it lies outside the allowed roots');
    }
  }
}

function toAbsolute(text: string, base: string): string {
  refuseTricks(text, text);
  if (/^file:/i.test(text)) return fromFileUrl(text);
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1];
  if (scheme !== undefined) {
    fail('invalidSpec', 'E_URI_SCHEME', `${scheme}:// is not supported: ${JSON.stringify(text)}`, {
      hint: 'use a path on a local or mounted disk',
    });
  }
  return isAbsolute(text) ? resolve(text) : resolve(base, text);
}

function fromFileUrl(text: string): string {
  try {
    return resolve(fileURLToPath(text));
  } catch (error) {
    return denied(text, error instanceof Error ? error.message.toLowerCase() : String(error));
  }
}

/**
 * Nothing here decodes `%xx` in a plain path, but something behind us may: what would climb or cut
 * when decoded is refused. Hive folders may hold an encoded slash in their value.
 */
function refuseTricks(part: string, text: string): void {
  if (part.includes('\0') || /%00/.test(part)) denied(text, 'it holds a NUL byte');
  let decoded = part;
  for (let round = 0; round < 3; round += 1) {
    const next = decoded.replace(/%(2e|2f|5c|25)/gi, (escape) => decodeURIComponent(escape));
    if (next === decoded) break;
    decoded = next;
  }
  if (decoded === part) return;
  if (/(^|[/\\=])\.\.([/\\]|$)/.test(decoded)) denied(text, 'it holds an encoded ..');
  for (const segment of part.split('/')) {
    if (/%(25)*(2f|5c)/i.test(segment) && !/^[^=]+=/.test(segment)) {
      denied(text, 'it holds an encoded slash');
    }
  }
}

/** realpath of what exists of a path, with what does not exist yet appended. */
function realpathOfDeepest(path: string): string {
  const missing: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    try {
      return join(realpathSync.native(at), ...missing);
    } catch (error) {
      checkMissing(path, error, isLink(at));
      if (at === dirname(at)) return path;
      missing.unshift(basename(at));
    }
  }
}

/** Where a path truly leads, as far as it is there; the path itself where that cannot be told. */
export function realPlace(path: string): Promise<string> {
  return realpathOfDeepestAsync(path).catch(() => path);
}

async function realpathOfDeepestAsync(path: string): Promise<string> {
  const missing: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    try {
      return join(await realpath(at), ...missing);
    } catch (error) {
      const there = await lstat(at).catch(() => undefined);
      checkMissing(path, error, there?.isSymbolicLink() === true);
      if (at === dirname(at)) return path;
      missing.unshift(basename(at));
    }
  }
}

/** What cannot be resolved may only be what is not there yet. */
function checkMissing(path: string, error: unknown, isLink: boolean): void {
  const code = (error as { code?: unknown }).code;
  if (code !== 'ENOENT' && code !== 'ENOTDIR') {
    denied(path, `it cannot be resolved (${String(code)})`);
  }
  if (isLink) denied(path, 'it is a link to nowhere, which may come to lead outside');
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}

function denied(text: string, why: string): never {
  return fail('invalidSpec', 'E_URI_DENIED', `path ${JSON.stringify(text)} is refused: ${why}`, {
    hint: 'use a path inside the directories given with --allow-root, written plainly',
  });
}
