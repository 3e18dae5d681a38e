/**
 * Journal and chunk index on SQLite, in `journal.db` of the state directory. Writes asked for in
 * one turn of the event loop share one transaction, and so one fsync. Never: two owners; the state
 * directory's lock (state-lock.ts) is taken before this is opened.
 */
import { failpoint } from '../../shared/failpoint.js';
import { WindrowError, fail } from '../../shared/failure.js';
import type { JobId } from '../../shared/ids.js';
import type { ChunkRecord } from '../../shared/plan.js';
import type { Event } from '../core/events.js';
import { encodeEvents } from './event-rows.js';
import { JournalReader, recordText } from './journal-reader.js';
import type {
  ArchivedJob,
  ChunkIndex,
  EntityId,
  Journal,
  Loaded,
  StoredNotice,
} from './journal.js';
import { guarded, inTransaction, journalPath, openForWriting, type Sqlite } from './sqlite-file.js';

/** One asked-for write, waiting for the transaction it will share. */
interface Write {
  readonly epoch: number;
  readonly run: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Opens or makes the journal of a state directory whose lock the caller holds.
 * @throws WindrowError E_STATE_CORRUPT | E_STATE_NEWER | E_STATE_NOT_WRITABLE
 */
export function openJournal(stateDir: string): Journal & ChunkIndex {
  return new SqliteJournal(openForWriting(stateDir), journalPath(stateDir));
}

class SqliteJournal implements Journal, ChunkIndex {
  private readonly db: Sqlite;
  private readonly path: string;
  private readonly reader: JournalReader;
  private readonly statements: ReturnType<typeof prepare>;
  private queue: Write[] = [];
  private closed = false;

  constructor(db: Sqlite, path: string) {
    this.db = db;
    this.path = path;
    this.reader = new JournalReader(db, path);
    this.statements = guarded(path, () => prepare(db));
  }

  async acquire(): Promise<number> {
    this.flush();
    return guarded(this.path, () =>
      inTransaction(this.db, 'immediate', () => {
        this.db.exec("update meta set value = value + 1 where key = 'epoch'");
        return this.currentEpoch();
      }),
    );
  }

  append(
    epoch: number,
    events: readonly Event[],
    notices: readonly StoredNotice[] = [],
  ): Promise<void> {
    if (events.length === 0 && notices.length === 0) return Promise.resolve();
    const rows = encodeEvents(events);
    return this.write(epoch, () => {
      for (const row of rows) this.statements.insertEvents.run(row.id, row.text);
      for (const event of events) {
        if (event.type === 'chunk.done') {
          const { record } = event;
          this.statements.insertChunk.run(record.identity, recordText(record), event.nowMs);
        }
      }
      for (const notice of notices) {
        const { jobId, seq, timeMs, kind, data } = notice;
        this.statements.insertNotice.run(jobId, seq, timeMs, kind, data);
      }
    });
  }

  async load(): Promise<Loaded> {
    this.flush();
    return this.reader.load();
  }

  snapshot(
    epoch: number,
    entities: readonly { readonly id: EntityId; readonly row: string | undefined }[],
  ): Promise<void> {
    return this.write(epoch, () => {
      for (const { id, row } of entities) {
        this.statements.deleteEvents.run(id);
        if (row === undefined) this.statements.deleteSnapshot.run(id);
        else this.statements.putSnapshot.run(id, row);
      }
    });
  }

  archive(epoch: number, job: ArchivedJob): Promise<void> {
    return this.write(epoch, () => {
      this.statements.deleteEvents.run(job.jobId);
      this.statements.deleteSnapshot.run(job.jobId);
      const { jobId, requestId, name, state, submittedMs, endedMs, view, spec } = job;
      this.statements.putArchive.run(
        jobId,
        requestId,
        name,
        state,
        submittedMs,
        endedMs,
        view,
        spec,
      );
    });
  }

  async archived(query: Parameters<Journal['archived']>[0]): Promise<ArchivedJob[]> {
    this.flush();
    return this.reader.archived(query);
  }

  async notices(jobId: JobId, afterSeq: number, limit: number): Promise<StoredNotice[]> {
    this.flush();
    return this.reader.notices(jobId, afterSeq, limit);
  }

  async lookup(identities: readonly string[]): Promise<Map<string, ChunkRecord>> {
    this.flush();
    return this.reader.lookup(identities);
  }

  relocate(
    epoch: number,
    moves: readonly { readonly identity: string; readonly record: ChunkRecord }[],
  ): Promise<void> {
    return this.write(epoch, () => {
      for (const move of moves) {
        this.statements.updateChunk.run(recordText(move.record), move.identity);
      }
    });
  }

  forget(epoch: number, identities: readonly string[]): Promise<void> {
    if (identities.length === 0) return Promise.resolve();
    return this.write(epoch, () => {
      this.statements.deleteChunks.run(JSON.stringify(identities));
    });
  }

  async expired(nowMs: number, limit: number): Promise<ChunkRecord[]> {
    this.flush();
    return this.reader.expired(nowMs, limit);
  }

  keep(epoch: number, identities: readonly string[], untilMs: number): Promise<void> {
    if (identities.length === 0) return Promise.resolve();
    return this.write(epoch, () => {
      this.statements.keepChunks.run(untilMs, JSON.stringify(identities));
    });
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.flush();
    this.closed = true;
    guarded(this.path, () => {
      // libsql's close may leave the log behind; a reader should find one whole file.
      this.db.pragma('wal_checkpoint(truncate)');
      this.db.close();
    });
  }

  private write(epoch: number, run: () => void): Promise<void> {
    if (this.closed) {
      return Promise.reject(
        new WindrowError({
          kind: 'broken',
          code: 'E_STATE_CLOSED',
          message: `the journal ${this.path} is closed`,
        }),
      );
    }
    return new Promise((resolve, reject) => {
      this.queue.push({ epoch, run, resolve, reject });
      // After the callbacks of this turn, so that everything they ask for shares the fsync.
      if (this.queue.length === 1) setImmediate(() => this.flush());
    });
  }

  /** Commits what is waiting; a fenced write fails alone, any other error fails all of them. */
  private flush(): void {
    const writes = this.queue;
    if (writes.length === 0) return;
    this.queue = [];
    let fenced: Write[];
    let current = 0;
    try {
      failpoint('journal.commit.before');
      [fenced, current] = guarded(this.path, () =>
        inTransaction(this.db, 'immediate', (): [Write[], number] => {
          const epoch = this.currentEpoch();
          const late: Write[] = [];
          for (const write of writes) {
            if (write.epoch === epoch) write.run();
            else late.push(write);
          }
          return [late, epoch];
        }),
      );
      failpoint('journal.commit.after');
    } catch (error) {
      for (const write of writes) write.reject(error);
      return;
    }
    for (const write of writes) {
      if (fenced.includes(write)) write.reject(fencedError(write.epoch, current));
      else write.resolve();
    }
  }

  private currentEpoch(): number {
    const [row] = this.statements.epoch.raw().all() as [number][];
    if (!row) return fail('io', 'E_STATE_CORRUPT', `${this.path} has no epoch`);
    return row[0];
  }
}

function fencedError(epoch: number, current: number): WindrowError {
  return new WindrowError({
    kind: 'io',
    code: 'E_FENCED',
    message: `epoch ${epoch} was taken over by epoch ${current}`,
    hint: 'stop this coordinator; another one owns the state directory now',
  });
}

function prepare(db: Sqlite) {
  const listed = 'identity in (select value from json_each(?))';
  return {
    epoch: db.prepare("select value from meta where key = 'epoch'"),
    insertEvents: db.prepare('insert into events (job_id, data) values (?, ?)'),
    deleteEvents: db.prepare('delete from events where job_id = ?'),
    putSnapshot: db.prepare('insert or replace into snapshots (job_id, row) values (?, ?)'),
    deleteSnapshot: db.prepare('delete from snapshots where job_id = ?'),
    putArchive: db.prepare(
      `insert or replace into archive
       (job_id, request_id, name, state, submitted_ms, ended_ms, view, spec)
       values (?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    insertNotice: db.prepare(
      'insert or replace into notices (job_id, seq, time_ms, kind, data) values (?, ?, ?, ?, ?)',
    ),
    // The first record of an identity wins: a later one's files are discarded by who sent it.
    insertChunk: db.prepare(
      'insert or ignore into chunks (identity, record, keep_until_ms) values (?, ?, ?)',
    ),
    updateChunk: db.prepare('update chunks set record = ? where identity = ?'),
    deleteChunks: db.prepare(`delete from chunks where ${listed}`),
    keepChunks: db.prepare(
      `update chunks set keep_until_ms = max(keep_until_ms, ?) where ${listed}`,
    ),
  };
}
