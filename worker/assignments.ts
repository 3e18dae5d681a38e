/**
 * From an assignment to an attempt in a slot: its program, its blobs, its way to a device. An
 * attempt that is told to stop while it is being made ready ends at once, whatever it waits for.
 * Never: runs an attempt.
 */
import { type Failure, toFailure, WindrowError } from '../shared/failure.js';
import type {
  Assign,
  Assignment,
  ChunkWork as WireChunk,
  LeafRead as WireRead,
} from '../shared/gen/windrow.js';
import { attemptKey, type AttemptRef } from '../shared/ids.js';
import type { BlobRef, ChunkRecord, StageProgram } from '../shared/plan.js';
import { attemptTag } from '../shared/storage/paths.js';
import { unlessAborted } from '../shared/unless-aborted.js';
import {
  attemptFromWire,
  chunkFileFromWire,
  fileSliceFromWire,
  servedFileFromWire,
} from '../shared/wire.js';
import { type ChunkWork, isEmpty, type LeafRead } from './attempt/protocol.js';
import type { BlobCache } from './blob-cache.js';
import {
  type DeviceChannel,
  type DeviceThread,
  startDeviceThread,
} from './inference/device-thread.js';
import type { Slots, SlotTask } from './slots.js';

export const cancelledFailure: Failure = {
  kind: 'cancelled',
  code: 'E_CANCELLED',
  message: 'the attempt was told to stop',
};

const drainedFailure: Failure = {
  kind: 'workerLost',
  code: 'E_WORKER_DRAINED',
  message: 'the worker is leaving; another one goes on',
};

/** What an attempt has beside its program and its chunks. */
type Needed = Pick<SlotTask, 'blobs' | 'device'>;

const bare: Needed = { blobs: {} };

export interface AssignmentsDependencies {
  readonly incarnation: string;
  readonly blobs: BlobCache;
  readonly slots: Pick<Slots, 'start'>;
  /** For every attempt of this worker. */
  readonly limits: Pick<SlotTask, 'memoryLimitBytes' | 'spillDirectory' | 'peers'>;
  readonly chunk: (ref: AttemptRef, chunk: number, record: ChunkRecord) => void;
  /** An attempt ended without or before its slot. */
  readonly ended: (ref: AttemptRef, failure: Failure | undefined) => void;
  /** An attempt is in its slot, or has ended. */
  readonly settled: () => void;
}

export class Assignments {
  private readonly programs = new Map<string, StageProgram>();
  private readonly waiting = new Map<string, { ref: AttemptRef; stop: AbortController }>();
  private device: DeviceThread | undefined;
  private draining = false;

  constructor(private readonly deps: AssignmentsDependencies) {}

  /** Attempts that are not in their slots yet. */
  attempts(): AttemptRef[] {
    return [...this.waiting.values()].map(({ ref }) => ref);
  }

  accept(message: Assign): void {
    for (const [digest, json] of Object.entries(message.programs)) {
      this.programs.set(digest, JSON.parse(json) as StageProgram);
    }
    for (const assignment of message.assignments) {
      const ref = attemptFromWire(assignment.attempt!);
      this.begin(ref, assignment)
        .catch((error: unknown) => {
          // Before it is reported: whoever hears of its end may expect it to be gone.
          this.waiting.delete(attemptKey(ref));
          this.deps.ended(ref, toFailure(error, { kind: 'io', code: 'E_BLOB' }));
        })
        .finally(() => this.deps.settled());
    }
  }

  /** False when no such attempt waits here. */
  cancel(ref: AttemptRef): boolean {
    const waiting = this.waiting.get(attemptKey(ref));
    waiting?.stop.abort(new WindrowError(cancelledFailure));
    return waiting !== undefined;
  }

  /** What waits goes elsewhere, and so does what still comes. */
  drain(): void {
    this.draining = true;
    for (const { stop } of this.waiting.values()) stop.abort(new WindrowError(drainedFailure));
  }

  private async begin(ref: AttemptRef, assignment: Assignment): Promise<void> {
    const program = this.programs.get(assignment.programDigest);
    if (!program) throw new Error(`program ${assignment.programDigest} was never sent`);
    if (isEmpty(program)) return this.runEmpty(ref, assignment);
    if (this.draining) throw new WindrowError(drainedFailure);
    // What has nothing to wait for needs nothing to be stopped by.
    const needed =
      blobsOf(program).length > 0 || needsDevice(program) ? await this.fetch(ref, program) : bare;
    // From here it is the slot that is told to stop.
    this.waiting.delete(attemptKey(ref));
    this.deps.slots.start({
      ...this.deps.limits,
      ref,
      program,
      programDigest: assignment.programDigest,
      chunks: assignment.chunks.map(chunkWork),
      chunkDirectory: assignment.chunkDirectory,
      attemptTag: attemptTag(ref, this.deps.incarnation),
      probe: assignment.probe,
      ...needed,
    });
  }

  private async fetch(ref: AttemptRef, program: StageProgram): Promise<Needed> {
    const stop = new AbortController();
    this.waiting.set(attemptKey(ref), { ref, stop });
    const blobs: Record<string, string> = {};
    for (const blob of blobsOf(program)) {
      blobs[blob.digest] = await this.deps.blobs.path(blob, stop.signal);
    }
    const device = needsDevice(program) ? await this.deviceChannel(stop.signal) : undefined;
    stop.signal.throwIfAborted();
    return { blobs, ...(device ? { device } : {}) };
  }

  /** One thread of the process owns the device's sessions; each attempt gets a way to it. */
  private async deviceChannel(stop: AbortSignal): Promise<DeviceChannel> {
    this.device ??= startDeviceThread();
    await unlessAborted(this.device.ready(), stop);
    return this.device.connect();
  }

  /** Stages without data measure the scheduler alone; no thread is involved. */
  private runEmpty(ref: AttemptRef, assignment: Assignment): void {
    const counts = { rowsIn: 0, rowsOut: 0, filtered: 0, dead: 0, inferred: 0, warnings: {} };
    for (const { chunk, identity } of assignment.chunks) {
      this.deps.chunk(ref, chunk, { identity, files: [], counts });
    }
    this.deps.ended(ref, undefined);
  }
}

function needsDevice({ steps }: StageProgram): boolean {
  return steps.some((step) => step.kind === 'infer' && step.device !== 'cpu');
}

function blobsOf(program: StageProgram): BlobRef[] {
  return program.steps.flatMap((step) => {
    if (step.kind === 'infer') return [step.model, ...step.externalData];
    if (step.kind === 'map') return [step.bundle];
    return [];
  });
}

function chunkWork(message: WireChunk): ChunkWork {
  const { source } = message;
  return {
    chunk: message.chunk,
    identity: message.identity,
    inputs: message.inputs.map(chunkFileFromWire),
    poisonRows: message.poisonRows,
    ...(source ? { source } : {}),
    reads: message.reads.map(leafRead),
  };
}

function leafRead({ leaf, sources, files, slices }: WireRead): LeafRead {
  return {
    leaf,
    sources,
    files: files.map(servedFileFromWire),
    slices: slices.map(fileSliceFromWire),
  };
}
