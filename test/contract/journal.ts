/** What every journal and chunk index must do, whatever it stores on. */
import { describe, expect, it } from 'vitest';
import type { ChunkIndex, Journal, StoredNotice } from '../../coordinator/journal/journal.js';
import type { ChunkDone, Event } from '../../coordinator/core/events.js';
import { chunkIdentity, jobId, scheduleId, stageId, workerId } from '../../shared/ids.js';
import type { ChunkRecord } from '../../shared/plan.js';

export type JournalUnderTest = Journal & ChunkIndex;

/** `reopen` opens what was stored before, as after a restart of the process. */
export interface JournalFixture {
  readonly journal: JournalUnderTest;
  reopen(): Promise<JournalUnderTest>;
}

const job = jobId('jone');
const other = jobId('jtwo');

export function record(seed: string, rows = 10): ChunkRecord {
  const identity = chunkIdentity(seed.repeat(64).slice(0, 64));
  return {
    identity,
    files: [
      { path: `/chunks/${seed}`, rows, bytes: rows * 8, sha256: seed.repeat(64), partition: [] },
    ],
    counts: { rowsIn: rows, rowsOut: rows, filtered: 0, dead: 0, inferred: rows, warnings: {} },
  };
}

export function chunkDone(of: ChunkRecord, chunk: number, nowMs = 1000, id = job): ChunkDone {
  const attempt = { jobId: id, stageId: stageId('s0'), task: chunk, attempt: 1 };
  return { type: 'chunk.done', attempt, workerId: workerId('w'), chunk, record: of, nowMs };
}

const ended = (id = job): Event => ({
  type: 'attempt.ended',
  attempt: { jobId: id, stageId: stageId('s0'), task: 1, attempt: 2 },
  workerId: workerId('w'),
  failure: { kind: 'io', code: 'E_IO_EIO', message: 'i/o error', at: { file: '/f' } },
  crashed: false,
  nowMs: 5,
});

export function journalContract(name: string, open: () => Promise<JournalFixture>): void {
  describe(name, () => {
    it('gives back events in the order they were appended, across a restart', async () => {
      const fixture = await open();
      const epoch = await fixture.journal.acquire();
      const events: Event[] = [
        {
          type: 'attempt.started',
          attempt: { jobId: job, stageId: stageId('s0'), task: 0, attempt: 1 },
          workerId: workerId('w'),
          probe: { chunk: 1, rowStart: 2, rowEnd: 3 },
          nowMs: 1,
        },
        ended(other),
        ended(),
        { type: 'job.cancel', jobId: job, reason: 'user', nowMs: 9 },
      ];
      await fixture.journal.append(epoch, events.slice(0, 3));
      await fixture.journal.append(epoch, events.slice(3));
      const again = await fixture.reopen();
      expect((await again.load()).events).toEqual(events);
      await again.close();
    });

    it('keeps identity and counts of a finished chunk in the event, its files in the index', async () => {
      const fixture = await open();
      const epoch = await fixture.journal.acquire();
      const base = record('a');
      const done = { ...base, counts: { ...base.counts, warnings: { 'e.c': 3 } } };
      await fixture.journal.append(epoch, [chunkDone(done, 4)]);
      const { events } = await fixture.journal.load();
      expect(events).toEqual([chunkDone({ ...done, files: [] }, 4)]);
      expect((await fixture.journal.lookup([done.identity])).get(done.identity)).toEqual(done);
      await fixture.journal.close();
    });

    it('keeps the first record of an identity until it is forgotten', async () => {
      const { journal } = await open();
      const epoch = await journal.acquire();
      const first = record('a', 1);
      const second = { ...record('a', 1), files: [] };
      await journal.append(epoch, [chunkDone(first, 0)]);
      await journal.append(epoch, [chunkDone(second, 0)]);
      expect((await journal.lookup([first.identity])).get(first.identity)).toEqual(first);
      await journal.forget(epoch, [first.identity]);
      expect((await journal.lookup([first.identity])).size).toBe(0);
      await journal.append(epoch, [chunkDone(second, 0)]);
      expect((await journal.lookup([first.identity])).get(first.identity)).toEqual(second);
      await journal.close();
    });

    it('refuses every write of an older epoch and lets those of the newer one through', async () => {
      const { journal } = await open();
      const old = await journal.acquire();
      const current = await journal.acquire();
      expect(current).toBeGreaterThan(old);
      const fenced = journal.append(old, [ended()]);
      const accepted = journal.append(current, [ended(other)]);
      await expect(fenced).rejects.toMatchObject({ failure: { code: 'E_FENCED' } });
      await accepted;
      await expect(journal.forget(old, ['x'])).rejects.toMatchObject({
        failure: { code: 'E_FENCED' },
      });
      expect((await journal.load()).events).toEqual([ended(other)]);
      await journal.close();
    });

    it('replaces the events of a job by its snapshot and keeps what comes after', async () => {
      const { journal } = await open();
      const epoch = await journal.acquire();
      void journal.append(epoch, [ended(), ended(other), ended()]);
      void journal.snapshot(epoch, [{ id: job, row: '{"a":1}' }]);
      await journal.append(epoch, [{ type: 'job.cancel', jobId: job, reason: 'user', nowMs: 1 }]);
      expect(await journal.load()).toEqual({
        snapshots: ['{"a":1}'],
        events: [ended(other), { type: 'job.cancel', jobId: job, reason: 'user', nowMs: 1 }],
      });
      await journal.close();
    });

    it('keeps the events of a schedule, also those that name jobs, and drops all of it when told to', async () => {
      const { journal } = await open();
      const epoch = await journal.acquire();
      const id = scheduleId('s1');
      const about = { scheduleId: id, runId: 'r', nowMs: 1 };
      const events = [
        { type: 'run.retried', ...about },
        { type: 'run.started', ...about, try: 1, jobId: job },
      ] as const;
      await journal.append(epoch, [events[0], ended(), events[1]]);
      expect((await journal.load()).events).toEqual([events[0], ended(), events[1]]);
      await journal.snapshot(epoch, [{ id, row: '{"s":1}' }]);
      await journal.append(epoch, [events[0]]);
      expect(await journal.load()).toEqual({
        snapshots: ['{"s":1}'],
        events: [ended(), events[0]],
      });
      await journal.snapshot(epoch, [{ id, row: undefined }]);
      expect(await journal.load()).toEqual({ snapshots: [], events: [ended()] });
      await journal.close();
    });

    it('finds an archived job by id, name, request and state, newest first, and loads it no more', async () => {
      const { journal } = await open();
      const epoch = await journal.acquire();
      await journal.append(epoch, [ended(), ended(other)]);
      await journal.snapshot(epoch, [{ id: job, row: '{}' }]);
      const archive = (id: typeof job, submittedMs: number, state: string) => ({
        jobId: id,
        requestId: `r-${id}`,
        name: 'n',
        state,
        submittedMs,
        endedMs: 9,
        view: '{}',
        spec: '{}',
      });
      await journal.archive(epoch, archive(job, 1, 'failed'));
      await journal.archive(epoch, archive(other, 2, 'succeeded'));
      expect(await journal.load()).toEqual({ snapshots: [], events: [] });
      const ids = async (query: object) =>
        (await journal.archived({ ...query, limit: 10 })).map(({ jobId: id }) => id);
      expect(await ids({})).toEqual([other, job]);
      expect(await ids({ name: 'n', state: 'failed' })).toEqual([job]);
      expect(await ids({ requestId: 'r-jtwo' })).toEqual([other]);
      expect(await ids({ jobId: 'nobody' })).toEqual([]);
      await journal.close();
    });

    it('pages through the notices of one job', async () => {
      const { journal } = await open();
      const epoch = await journal.acquire();
      const notice = (seq: number, id = job): StoredNotice => ({
        jobId: id,
        seq,
        timeMs: seq,
        kind: 'k',
        data: `{"n":${seq}}`,
      });
      await journal.append(epoch, [ended()], [notice(1), notice(2), notice(3), notice(1, other)]);
      expect(await journal.notices(job, 1, 1)).toEqual([notice(2)]);
      expect(await journal.notices(job, 2, 10)).toEqual([notice(3)]);
      await journal.close();
    });

    it('follows moved chunks and tells which nobody asked to keep until now', async () => {
      const { journal } = await open();
      const epoch = await journal.acquire();
      const [a, b] = [record('a'), record('b')];
      await journal.append(epoch, [chunkDone(a, 0, 100), chunkDone(b, 1, 200)]);
      const moved = { ...a, files: a.files.map((file) => ({ ...file, path: '/out/a' })) };
      await journal.relocate(epoch, [{ identity: a.identity, record: moved }]);
      expect((await journal.lookup([a.identity, b.identity, 'no'])).size).toBe(2);
      expect(await journal.expired(150, 10)).toEqual([moved]);
      await journal.keep(epoch, [a.identity], 300);
      expect(await journal.expired(250, 10)).toEqual([b]);
      await journal.keep(epoch, [a.identity], 50);
      expect(await journal.expired(299, 10)).toEqual([b]);
      expect(await journal.expired(400, 1)).toEqual([b]);
      await journal.close();
    });

    it('refuses writes once it is closed', async () => {
      const { journal } = await open();
      const epoch = await journal.acquire();
      await journal.close();
      await expect(journal.append(epoch, [ended()])).rejects.toMatchObject({
        failure: { code: 'E_STATE_CLOSED' },
      });
    });
  });
}
