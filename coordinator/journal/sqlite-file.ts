/**
 * The journal's SQLite file: opening, schema, and the translation of SQLite's errors into ours.
 * Never: what the rows mean.
 */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'libsql';
import { WindrowError, fail, toFailure } from '../../shared/failure.js';
import { diskHint } from '../../shared/full-disk.js';

export type Sqlite = Database.Database;

/** Bump with a migration in `migrate` when a table changes. */
export const journalSchemaVersion = 2;

const schema = `
  create table meta (key text primary key, value integer not null) without rowid;
  insert into meta values ('epoch', 0);
  create table events (seq integer primary key, job_id text not null, data text not null);
  create index events_by_job on events (job_id);
  create table snapshots (job_id text primary key, row text not null);
  create table archive (
    job_id text primary key, request_id text not null, name text not null, state text not null,
    submitted_ms integer not null, ended_ms integer not null, view text not null, spec text not null
  );
  create index archive_by_request on archive (request_id);
  create index archive_by_name on archive (name);
  create table notices (
    job_id text not null, seq integer not null, time_ms integer not null, kind text not null,
    data text not null, primary key (job_id, seq)
  ) without rowid;
  create table chunks (
    identity text not null, record text not null, keep_until_ms integer not null
  );
  create unique index chunks_by_identity on chunks (identity);
  create index chunks_by_end on chunks (keep_until_ms);
`;

/** Version 1 kept the time of the last use, and `checkpoints.keep` was 7 days unless said otherwise. */
const from1 = `
  drop index chunks_by_use;
  alter table chunks rename column used_ms to keep_until_ms;
  update chunks set keep_until_ms = keep_until_ms + 604800000;
  create index chunks_by_end on chunks (keep_until_ms);
`;

export function journalPath(stateDir: string): string {
  return join(stateDir, 'journal.db');
}

/**
 * Opens (and makes, if need be) the journal for its one owner.
 * @throws WindrowError E_STATE_CORRUPT | E_STATE_NEWER | E_STATE_NOT_WRITABLE | E_DISK_FULL
 */
export function openForWriting(stateDir: string): Sqlite {
  const path = journalPath(stateDir);
  return guarded(path, () => {
    mkdirSync(stateDir, { recursive: true });
    const db = new Database(path);
    return configured(db, () => {
      db.pragma('busy_timeout = 5000');
      db.pragma('journal_mode = wal');
      db.pragma('synchronous = full');
      db.pragma('cache_size = -8192');
      db.pragma('wal_autocheckpoint = 4000');
      inTransaction(db, 'immediate', () => migrate(db, path));
    });
  });
}

/**
 * Opens the journal of a directory that nobody owns at the moment; undefined when there is none. One
 * that is not ours to write is read as it lies there.
 * @throws WindrowError E_STATE_CORRUPT | E_STATE_NEWER, E_STATE_NOT_WRITABLE where a killed owner's
 * log is there without its index (`-shm`), which reading would make
 */
export function openForReading(stateDir: string): Sqlite | undefined {
  const path = journalPath(stateDir);
  if (!existsSync(path)) return undefined;
  return guarded(path, () => {
    const db = openToLook(path);
    // Whoever made it was killed before there was anything in it.
    if (versionOf(db) > 0) return db;
    db.close();
    return undefined;
  });
}

function openToLook(path: string): Sqlite {
  const look = (name: string): Sqlite => {
    const db = new Database(name);
    return configured(db, () => {
      db.pragma('busy_timeout = 5000');
      // libsql ignores `readonly: true`; this refuses every write on the connection.
      db.pragma('query_only = on');
      db.pragma('cache_size = -8192');
      checkVersion(versionOf(db), path);
    });
  };
  try {
    return look(path);
  } catch (error) {
    // SQLite wants its log and index beside a file it reads. As an immutable one it needs neither, and
    // would not see what only the log has.
    const log = statSync(`${path}-wal`, { throwIfNoEntry: false });
    if (!isUnwritable(error) || (log?.size ?? 0) > 0) throw error;
    return look(`${pathToFileURL(path).href}?immutable=1`);
  }
}

function configured(db: Sqlite, configure: () => void): Sqlite {
  try {
    configure();
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function migrate(db: Sqlite, path: string): void {
  const version = versionOf(db);
  checkVersion(version, path);
  if (version === 0) db.exec(schema);
  if (version === 1) db.exec(from1);
  if (version < journalSchemaVersion) {
    db.pragma(`user_version = ${journalSchemaVersion}`);
  }
}

function versionOf(db: Sqlite): number {
  const [row] = db.pragma('user_version') as { user_version: number }[];
  return row?.user_version ?? 0;
}

function checkVersion(version: number, path: string): void {
  if (version > journalSchemaVersion) {
    fail(
      'invalidSpec',
      'E_STATE_NEWER',
      `${path} has schema version ${version}, this Windrow knows ${journalSchemaVersion}`,
      { at: { file: path }, hint: 'use the newer Windrow, or another directory with --state' },
    );
  }
}

/**
 * As `db.transaction`, which forgets why it failed where SQLite has rolled back by itself, as it does
 * when the disk is full.
 */
export function inTransaction<T>(db: Sqlite, kind: 'deferred' | 'immediate', action: () => T): T {
  db.exec(`begin ${kind}`);
  try {
    const result = action();
    db.exec('commit');
    return result;
  } catch (error) {
    try {
      db.exec('rollback');
    } catch {
      // There is nothing left to roll back.
    }
    throw error;
  }
}

/** Runs something that touches the file at `path`; what SQLite throws comes out as a WindrowError. */
export function guarded<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof WindrowError) throw error;
    const code = (error as { code?: unknown }).code;
    const message = error instanceof Error ? error.message : String(error);
    const more = { at: { file: path }, cause: error };
    if (error instanceof SyntaxError || isCorrupt(code)) {
      return fail('io', 'E_STATE_CORRUPT', `the journal is damaged: ${message}`, {
        ...more,
        hint: 'restore the directory from a copy, or move it away: finished outputs are not lost',
      });
    }
    if (code === 'SQLITE_FULL') {
      return fail('resource', 'E_DISK_FULL', `the journal cannot grow: ${message}`, {
        ...more,
        hint: diskHint('state'),
      });
    }
    if (isUnwritable(error)) {
      return fail('io', 'E_STATE_NOT_WRITABLE', `the journal cannot be written: ${message}`, {
        ...more,
        hint: 'check the owner and mode of that directory, or name another with --state',
      });
    }
    throw new WindrowError(toFailure(error, { kind: 'io', code: 'E_STATE_IO' }), error);
  }
}

function isUnwritable(error: unknown): boolean {
  const { code, rawCode } = error as { readonly code?: unknown; readonly rawCode?: number };
  // libsql has no name for SQLITE_READONLY_DIRECTORY.
  return (
    rawCode === 1544 || (typeof code === 'string' && /^SQLITE_(CANTOPEN|READONLY|PERM)/.test(code))
  );
}

function isCorrupt(code: unknown): boolean {
  return typeof code === 'string' && /^SQLITE_(CORRUPT|NOTADB)/.test(code);
}
