/**
 * The reading half of the SQLite journal, shared by its owner and by verbs that only look.
 * Never: writes.
 */
import type { JobId } from '../../shared/ids.js';
import { jobId } from '../../shared/ids.js';
import type { ChunkRecord } from '../../shared/plan.js';
import type { Event } from '../core/events.js';
import { decodeEvents } from './event-rows.js';
import type { ArchivedJob, ChunkIndex, Journal, Loaded, StoredNotice } from './journal.js';
import { previewRequest } from './journal.js';
import { guarded, inTransaction, journalPath, openForReading, type Sqlite } from './sqlite-file.js';

/** What can be asked of a journal that somebody else may write. */
export type ReadOnlyJournal = Pick<Journal, 'load' | 'archived' | 'notices' | 'close'> &
  Pick<ChunkIndex, 'lookup'>;

/** SQLite takes JSON lists whole, so one prepared statement serves any number of identities. */
const identityList = 'select value from json_each(?)';

export class JournalReader {
  readonly path: string;
  private readonly db: Sqlite;

  constructor(db: Sqlite, path: string) {
    this.db = db;
    this.path = path;
  }

  load(): Loaded {
    return guarded(this.path, () =>
      // One transaction, so that a snapshot and the events after it are of the same moment.
      inTransaction(this.db, 'deferred', () => {
        const events: Event[] = [];
        const rows = this.db.prepare('select job_id, data from events order by seq').raw();
        for (const [id, text] of rows.iterate() as Iterable<[string, string]>) {
          decodeEvents({ id: jobId(id), text }, events);
        }
        const snapshots = this.db.prepare('select row from snapshots order by job_id').raw().all();
        return { snapshots: (snapshots as [string][]).map(([row]) => row), events };
      }),
    );
  }

  archived(query: Parameters<Journal['archived']>[0]): ArchivedJob[] {
    return guarded(this.path, () => {
      const wanted = {
        job_id: query.jobId,
        name: query.name,
        request_id: query.requestId,
        state: query.state,
      };
      const given = Object.entries(wanted).filter(([, value]) => value !== undefined);
      const where = given.map(([column]) => `${column} = ? and `).join('');
      const shown = query.withoutPreviews ? `request_id not glob '${previewRequest}*'` : 'true';
      const rows = this.db
        .prepare(
          `select job_id, request_id, name, state, submitted_ms, ended_ms, view, spec
           from archive where ${where}${shown} order by submitted_ms desc, job_id desc limit ?`,
        )
        .raw()
        .all(...given.map(([, value]) => value), query.limit);
      return (rows as ArchiveRow[]).map(
        ([id, requestId, name, state, submittedMs, endedMs, view, spec]) => ({
          jobId: jobId(id),
          requestId,
          name,
          state,
          submittedMs,
          endedMs,
          view,
          spec,
        }),
      );
    });
  }

  notices(job: JobId, afterSeq: number, limit: number): StoredNotice[] {
    return guarded(this.path, () => {
      const rows = this.db
        .prepare(
          `select seq, time_ms, kind, data from notices
           where job_id = ? and seq > ? order by seq limit ?`,
        )
        .raw()
        .all(job, afterSeq, limit);
      return (rows as [number, number, string, string][]).map(([seq, timeMs, kind, data]) => ({
        jobId: job,
        seq,
        timeMs,
        kind,
        data,
      }));
    });
  }

  lookup(identities: readonly string[]): Map<string, ChunkRecord> {
    return guarded(this.path, () => {
      const rows = this.db
        .prepare(`select identity, record from chunks where identity in (${identityList})`)
        .raw()
        .all(JSON.stringify(identities));
      const found = new Map<string, ChunkRecord>();
      for (const [identity, record] of rows as [string, string][]) {
        found.set(identity, parseRecord(identity, record));
      }
      return found;
    });
  }

  expired(nowMs: number, limit: number): ChunkRecord[] {
    return guarded(this.path, () => {
      const rows = this.db
        .prepare(
          `select identity, record from chunks where keep_until_ms < ?
           order by keep_until_ms, identity limit ?`,
        )
        .raw()
        .all(nowMs, limit);
      return (rows as [string, string][]).map(([identity, record]) =>
        parseRecord(identity, record),
      );
    });
  }
}

type ArchiveRow = [string, string, string, string, number, number, string, string];

/** The identity is the row's key, so the text leaves it out. */
export function recordText(record: ChunkRecord): string {
  const { identity: _, ...rest } = record;
  return JSON.stringify(rest);
}

function parseRecord(identity: string, text: string): ChunkRecord {
  return { identity, ...(JSON.parse(text) as Omit<ChunkRecord, 'identity'>) };
}

/**
 * For verbs that look at a state directory nobody owns; undefined when there is no journal in it.
 * @throws WindrowError E_STATE_CORRUPT | E_STATE_NEWER
 */
export function openReadOnly(stateDir: string): ReadOnlyJournal | undefined {
  const db = openForReading(stateDir);
  if (!db) return undefined;
  const reader = new JournalReader(db, journalPath(stateDir));
  return {
    load: async () => reader.load(),
    archived: async (query) => reader.archived(query),
    notices: async (job, afterSeq, limit) => reader.notices(job, afterSeq, limit),
    lookup: async (identities) => reader.lookup(identities),
    close: async () => {
      db.close();
    },
  };
}
