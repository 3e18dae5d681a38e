/**
 * Who owns a state directory. The lock is the operating system's (SQLite's, held on a file of its
 * own), so it goes when the process goes, kill -9 included. Never: decided by a pid in a file;
 * `owner.json` only tells others whom to talk to.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'libsql';
import { WindrowError, toFailure } from '../../shared/failure.js';
import { inDirectory } from '../../shared/full-disk.js';

export interface Owner {
  readonly pid: number;
  /** Where the owner listens, such as `unix:/…/coordinator.sock`; absent until it does. */
  readonly endpoint?: string;
}

export interface StateLock {
  readonly busy: false;
  /** Tells others where the owner listens. */
  announce(endpoint: string): void;
  /** Tells others that the owner listens no more and will release the directory. */
  withdraw(): void;
  release(): void;
}

export interface StateBusy {
  readonly busy: true;
  /** Absent while the owner has not said who it is. */
  readonly owner?: Owner;
}

/** Milliseconds to wait for a holder that is only looking (see `isLocked`). */
const patienceMs = 200;

export function stateLockPath(stateDir: string): string {
  return join(stateDir, 'owner.lock');
}

/**
 * Takes the directory (made if absent) for this process, or says who has it.
 * @throws WindrowError E_NOT_PERMITTED, E_DISK_FULL and other I/O failures of the directory
 */
export function lockStateDirectory(stateDir: string): StateLock | StateBusy {
  const held = holdLock(stateLockPath(stateDir));
  if (!held) {
    const owner = readOwner(stateDir);
    return owner ? { busy: true, owner } : { busy: true };
  }
  writeOwner(stateDir, { pid: process.pid });
  return {
    busy: false,
    announce: (endpoint) => writeOwner(stateDir, { pid: process.pid, endpoint }),
    withdraw: () => {
      try {
        writeOwner(stateDir, { pid: process.pid });
      } catch {
        // Those who come now are refused at the socket instead, and look again.
      }
    },
    release: () => {
      rmSync(ownerPath(stateDir), { force: true });
      held.release();
    },
  };
}

/** What the owner last said of itself; says nothing about whether it still lives. */
export function readOwner(stateDir: string): Owner | undefined {
  try {
    const parsed = JSON.parse(readFileSync(ownerPath(stateDir), 'utf8')) as Partial<Owner>;
    if (typeof parsed.pid !== 'number') return undefined;
    return typeof parsed.endpoint === 'string'
      ? { pid: parsed.pid, endpoint: parsed.endpoint }
      : { pid: parsed.pid };
  } catch {
    return undefined;
  }
}

/** Whether a process holds the directory now. Makes nothing; looks for an instant. */
export function isLocked(stateDir: string): boolean {
  const path = stateLockPath(stateDir);
  if (!existsSync(path)) return false;
  const db = new Database(path);
  try {
    db.pragma('busy_timeout = 0');
    db.prepare('select count(*) from sqlite_master').all();
    return false;
  } catch (error) {
    if (isBusy(error)) return true;
    throw new WindrowError(toFailure(error, { kind: 'io', code: 'E_STATE_IO' }), error);
  } finally {
    db.close();
  }
}

/** Holds an exclusive lock on a file of its own until released or until the process ends. */
export function holdLock(path: string): { release(): void } | undefined {
  try {
    mkdirSync(join(path, '..'), { recursive: true });
    const db = new Database(path);
    try {
      db.pragma(`busy_timeout = ${patienceMs}`);
      // Rollback journal in memory: the lock leaves no second file behind.
      db.pragma('journal_mode = memory');
      db.pragma('locking_mode = exclusive');
      db.exec('begin exclusive');
    } catch (error) {
      db.close();
      if (isBusy(error)) return undefined;
      throw error;
    }
    return { release: () => letGo(db) };
  } catch (error) {
    throw new WindrowError(toFailure(error, { kind: 'io', code: 'E_STATE_IO' }), error);
  }
}

/** libsql's close leaves the file open until the garbage collector comes by, so the lock goes first. */
function letGo(db: Database.Database): void {
  db.exec('rollback');
  db.pragma('locking_mode = normal');
  // SQLite drops an exclusive lock at the end of the first access in normal mode.
  db.prepare('select count(*) from sqlite_master').all();
  db.close();
}

function isBusy(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^SQLITE_(BUSY|LOCKED)/.test(code);
}

function ownerPath(stateDir: string): string {
  return join(stateDir, 'owner.json');
}

function writeOwner(stateDir: string, owner: Owner): void {
  const path = ownerPath(stateDir);
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = openSync(temporary, 'w');
    try {
      writeSync(file, `${JSON.stringify(owner)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    const told = inDirectory(error, stateDir, 'state');
    const failure = toFailure(told, { kind: 'io', code: 'E_STATE_IO' });
    throw new WindrowError({ ...failure, at: { file: path } }, error);
  }
}
