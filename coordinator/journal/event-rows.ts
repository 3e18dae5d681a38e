/**
 * Journal rows: runs of events of one job or schedule as compact JSON. The three frequent events are tuples,
 * so that a hundred thousand finished tasks load in well under a second. Never: I/O.
 */
import { jobId, stageId, workerId, type JobId } from '../../shared/ids.js';
import type { Failure } from '../../shared/failure.js';
import type { ChunkCounts, ChunkRecord } from '../../shared/plan.js';
import type { EntityId } from './journal.js';
import type { AttemptEnded, AttemptStarted, ChunkDone, Event } from '../core/events.js';

export interface EventRow {
  readonly id: EntityId;
  /** JSON array of encoded events, in order. */
  readonly text: string;
}

/** What a journaled `chunk.done` keeps of its record; the files are in the chunk index. */
export function slimRecord(record: ChunkRecord): ChunkRecord {
  return { identity: record.identity, files: [], counts: record.counts };
}

/** Splits events into rows where what they are about changes, so that the order of all rows is that of events. */
export function encodeEvents(events: readonly Event[]): EventRow[] {
  const rows: EventRow[] = [];
  let current: { id: EntityId; encoded: unknown[] } | undefined;
  const push = () => {
    if (current) rows.push({ id: current.id, text: JSON.stringify(current.encoded) });
  };
  for (const event of events) {
    const id = entityOf(event);
    if (current?.id !== id) {
      push();
      current = { id, encoded: [] };
    }
    current.encoded.push(encode(event));
  }
  push();
  return rows;
}

/** @throws SyntaxError when the text is not what `encodeEvents` wrote */
export function decodeEvents(row: EventRow, into: Event[]): void {
  const encoded = JSON.parse(row.text) as unknown;
  if (!Array.isArray(encoded)) throw new SyntaxError('journal row is not a JSON array');
  const job = jobId(row.id);
  for (const item of encoded as unknown[]) {
    into.push(Array.isArray(item) ? decodeTuple(item as unknown as Tuple, job) : (item as Event));
  }
}

/** The job or schedule an event belongs to. Worker events belong to none: they are not durable. */
export function entityOf(event: Event): EntityId {
  // Events of runs name jobs, too.
  if ('scheduleId' in event) return event.scheduleId;
  if ('jobId' in event) return event.jobId;
  if ('attempt' in event) return event.attempt.jobId;
  throw new TypeError(`event ${event.type} belongs to nothing and is not for the journal`);
}

type Base<Tag extends string> = readonly [
  tag: Tag,
  stage: string,
  task: number,
  attempt: number,
  worker: string,
  nowMs: number,
];
/** Zero stands for what is absent. */
type Tuple =
  | readonly [...Base<'s'>, probe: NonNullable<AttemptStarted['probe']> | 0]
  | readonly [...Base<'e'>, failure: Failure | 0, crashed: boolean | 0]
  | readonly [
      ...Base<'c'>,
      chunk: number,
      identity: string,
      rowsIn: number,
      rowsOut: number,
      filtered: number,
      dead: number,
      inferred: number,
      warnings: ChunkCounts['warnings'] | 0,
    ];

function encode(event: Event): Tuple | Event {
  switch (event.type) {
    case 'attempt.started':
      return [...base('s', event), event.probe ?? 0];
    case 'chunk.done': {
      const { identity, counts } = event.record;
      const { rowsIn, rowsOut, filtered, dead, inferred, warnings } = counts;
      return [
        ...base('c', event),
        event.chunk,
        identity,
        rowsIn,
        rowsOut,
        filtered,
        dead,
        inferred,
        Object.keys(warnings).length > 0 ? warnings : 0,
      ];
    }
    case 'attempt.ended':
      return [...base('e', event), event.failure ?? 0, event.crashed ?? 0];
    default:
      return event;
  }
}

function base<Tag extends string>(
  tag: Tag,
  event: AttemptStarted | ChunkDone | AttemptEnded,
): Base<Tag> {
  const { stageId: stage, task, attempt } = event.attempt;
  return [tag, stage, task, attempt, event.workerId, event.nowMs];
}

function decodeTuple(tuple: Tuple, job: JobId): Event {
  const [, stage, task, number, worker, nowMs] = tuple;
  const attempt = { jobId: job, stageId: stageId(stage), task, attempt: number };
  const common = { attempt, workerId: workerId(worker), nowMs };
  switch (tuple[0]) {
    case 's':
      return { type: 'attempt.started', ...common, ...(tuple[6] ? { probe: tuple[6] } : {}) };
    case 'c': {
      const [, , , , , , chunk, identity, rowsIn, rowsOut, filtered, dead, inferred, warnings] =
        tuple;
      const counts = { rowsIn, rowsOut, filtered, dead, inferred, warnings: warnings || {} };
      return { type: 'chunk.done', ...common, chunk, record: { identity, files: [], counts } };
    }
    case 'e':
      return {
        type: 'attempt.ended',
        ...common,
        ...(tuple[6] ? { failure: tuple[6] } : {}),
        ...(tuple[7] === 0 ? {} : { crashed: tuple[7] }),
      };
    default:
      throw new SyntaxError(`journal row holds an unknown event: ${JSON.stringify(tuple)}`);
  }
}
