import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'libsql';
import { describe, expect, it } from 'vitest';
import { openReadOnly } from '../../../coordinator/journal/journal-reader.js';
import {
  guarded,
  inTransaction,
  journalPath,
  journalSchemaVersion,
} from '../../../coordinator/journal/sqlite-file.js';
import { openJournal } from '../../../coordinator/journal/sqlite-journal.js';
import type { Event } from '../../../coordinator/core/events.js';
import { jobId } from '../../../shared/ids.js';
import { chunkDone, record } from '../../contract/journal.js';
import { ended, startChild } from './child.js';

const place = () => mkdtempSync(join(tmpdir(), 'windrow-sqlite-'));
const appender = fileURLToPath(new URL('append-child.ts', import.meta.url));
const cancel = (nowMs: number): Event => ({
  type: 'job.cancel',
  jobId: jobId('j'),
  reason: 'user',
  nowMs,
});
const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    return (error as { failure: { code: string } }).failure.code;
  }
  return 'nothing was thrown';
};

describe('the SQLite journal file', () => {
  it('says that the disk is full, where SQLite has rolled back by itself', () => {
    const path = journalPath(place());
    const full = (): void => {
      const db = new Database(path);
      db.exec('create table t (x blob)');
      db.pragma('max_page_count = 10');
      guarded(path, () =>
        inTransaction(db, 'immediate', () => db.exec('insert into t values (zeroblob(1000000))')),
      );
    };
    expect(codeOf(full)).toBe('E_DISK_FULL');
  });

  it('shares one transaction among the appends of one turn', async () => {
    const directory = place();
    const journal = openJournal(directory);
    const epoch = await journal.acquire();
    const watcher = new Database(journalPath(directory));
    const version = () => (watcher.pragma('data_version') as { data_version: number }[])[0];
    const rows = () => watcher.prepare('select count(*) from events').raw().all();
    const before = version();
    const all = Promise.all([1, 2, 3].map((n) => journal.append(epoch, [cancel(n)])));
    expect(version()).toEqual(before);
    await all;
    expect(rows()).toEqual([[3]]);
    watcher.close();
    await journal.close();
  });

  it('is written all or nothing: one bad write of a shared transaction fails every one', async () => {
    const journal = openJournal(place());
    const epoch = await journal.acquire();
    const good = journal.append(epoch, [cancel(1)]);
    const bad = journal.snapshot(epoch, [{ id: jobId('j'), row: null as unknown as string }]);
    await expect(Promise.all([good, bad])).rejects.toThrow(/NOT NULL/);
    await expect(good).rejects.toThrow(/NOT NULL/);
    expect((await journal.load()).events).toEqual([]);
    await journal.close();
  });

  it('says which file is damaged', async () => {
    const directory = place();
    writeFileSync(journalPath(directory), 'this is not a database'.repeat(500));
    expect(codeOf(() => openJournal(directory))).toBe('E_STATE_CORRUPT');
    expect(codeOf(() => openReadOnly(directory))).toBe('E_STATE_CORRUPT');
    expect(() => openJournal(directory)).toThrow(journalPath(directory));
  });

  it('notices a file that was cut short', async () => {
    const directory = place();
    const journal = openJournal(directory);
    const epoch = await journal.acquire();
    const events = Array.from({ length: 2000 }, (_, n) => chunkDone(record('a'), n));
    await journal.append(epoch, events);
    await journal.close();
    truncateSync(journalPath(directory), 8192);
    await expect(
      (async () => {
        const damaged = openJournal(directory);
        await damaged.load();
      })(),
    ).rejects.toMatchObject({ failure: { code: 'E_STATE_CORRUPT' } });
  });

  it('refuses the schema of a newer Windrow', async () => {
    const directory = place();
    await openJournal(directory).close();
    const db = new Database(journalPath(directory));
    db.pragma(`user_version = ${journalSchemaVersion + 1}`);
    db.close();
    expect(codeOf(() => openJournal(directory))).toBe('E_STATE_NEWER');
    expect(codeOf(() => openReadOnly(directory))).toBe('E_STATE_NEWER');
  });

  it('takes over chunks of version 1, which knew when they were used last', async () => {
    const directory = place();
    const done = record('b');
    const journal = openJournal(directory);
    await journal.append(await journal.acquire(), [chunkDone(done, 0, 1000)]);
    await journal.close();
    const db = new Database(journalPath(directory));
    db.exec(`drop index chunks_by_end; alter table chunks rename column keep_until_ms to used_ms;
      create index chunks_by_use on chunks (used_ms); pragma user_version = 1`);
    db.close();
    const migrated = openJournal(directory);
    expect((await migrated.lookup([done.identity])).get(done.identity)).toEqual(done);
    const week = 7 * 24 * 3_600_000;
    expect(await migrated.expired(1000 + week, 10)).toEqual([]);
    expect(await migrated.expired(1001 + week, 10)).toEqual([done]);
    await migrated.close();
  });

  it('can be read where nobody owns it, and is not made by looking', async () => {
    const directory = place();
    expect(openReadOnly(directory)).toBeUndefined();
    expect(readdirSync(directory)).toEqual([]);
    // Made by somebody who was killed at once.
    writeFileSync(journalPath(directory), '');
    expect(openReadOnly(directory)).toBeUndefined();
    const journal = openJournal(directory);
    const epoch = await journal.acquire();
    const done = record('b');
    await journal.append(epoch, [chunkDone(done, 0), cancel(2)]);
    await journal.close();
    const reader = openReadOnly(directory);
    expect((await reader?.load())?.events).toHaveLength(2);
    expect((await reader?.lookup([done.identity]))?.get(done.identity)).toEqual(done);
    await reader?.close();
  });

  it('can be read where nothing can be made beside it, unless its log has more', async () => {
    const [owned, closed, killed] = [place(), place(), place()] as const;
    const journal = openJournal(owned);
    const epoch = await journal.acquire();
    await journal.append(epoch, [cancel(1)]);
    copyFileSync(`${journalPath(owned)}-wal`, `${journalPath(killed)}-wal`);
    copyFileSync(journalPath(owned), journalPath(killed));
    await journal.close();
    copyFileSync(journalPath(owned), journalPath(closed));
    // Not even root makes a file through such a link.
    const nowhere = join(place(), 'gone', 'file');
    symlinkSync(nowhere, `${journalPath(closed)}-wal`);
    symlinkSync(nowhere, `${journalPath(killed)}-shm`);
    const reader = openReadOnly(closed);
    expect((await reader?.load())?.events).toHaveLength(1);
    await reader?.close();
    expect(codeOf(() => openReadOnly(killed))).toBe('E_STATE_NOT_WRITABLE');
    expect(codeOf(() => openJournal(closed))).toBe('E_STATE_NOT_WRITABLE');
  });

  it.each(['journal.commit.before:5', 'journal.commit.after:5'])(
    'holds everything it acknowledged, and whole appends only, when killed at %s',
    async (failpoint) => {
      const directory = place();
      const child = startChild(appender, [directory], { WINDROW_FAILPOINT: failpoint });
      const { how, output } = await ended(child);
      expect(how).toBe('SIGKILL');
      const acknowledged = output.split('\n').filter(Boolean).length;
      expect(acknowledged).toBe(4);
      const journal = openJournal(directory);
      const { events } = await journal.load();
      expect(events).toHaveLength(failpoint.includes('before') ? 8 : 10);
      expect(await journal.acquire()).toBe(2);
      await journal.close();
    },
  );
});
