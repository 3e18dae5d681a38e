/**
 * Speaks the worker's wire: hellos, heartbeats and reports in, assignments out. Watches leases.
 * Turns messages into events for the loop; decides nothing about tasks.
 */
import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import type {
  Assignment,
  AttemptProgress,
  CoordinatorMessage,
  Heartbeat,
  Hello,
  Reports,
  WorkerMessage,
  WorkerServiceServer,
} from '../../shared/gen/windrow.js';
import { toFailure, type Failure } from '../../shared/failure.js';
import { workerId, type WorkerId } from '../../shared/ids.js';
import { limits } from '../../shared/limits.js';
import { failureToStatus } from '../../shared/rpc.js';
import { attemptFromWire, chunkRecordFromWire } from '../../shared/wire.js';
import type { BlobStore } from '../blob-store.js';
import type { Event } from '../core/events.js';
import type { KnownDevices } from '../known-devices.js';
import { bearerToken, tokenMatches } from './servers.js';

type Stream = ServerDuplexStream<WorkerMessage, CoordinatorMessage>;

export interface LogEntry {
  readonly timeMs: number;
  readonly level: string;
  readonly workerId: string;
  readonly text: string;
}

export interface WorkerServiceDependencies {
  readonly epoch: number;
  readonly leaseMs: number;
  readonly nowMs: () => number;
  readonly blobs: BlobStore;
  readonly devices: KnownDevices;
  /** Chunks of a stage; 0 for what is not known here. A report of any other number is dropped. */
  readonly chunkCount: (job: string, stage: string) => number;
  readonly post: (...events: Event[]) => Promise<void>;
  readonly log: (entry: LogEntry) => void;
}

interface Connection {
  readonly id: WorkerId;
  readonly incarnation: string;
  readonly pid: number;
  stream: Stream | undefined;
  lastHeardMs: number;
  /** Reports up to this number were posted already; what arrives again is dropped. */
  seenSeq: number;
  rssBytes: number;
  progress: readonly AttemptProgress[];
  programsSent: Set<string>;
  outbox: { assignments: Assignment[]; programs: Record<string, string> };
  flushing: boolean;
}

export class WorkerService {
  private readonly connections = new Map<WorkerId, Connection>();
  private readonly leaseTimer: NodeJS.Timeout;

  constructor(private readonly deps: WorkerServiceDependencies) {
    this.leaseTimer = setInterval(() => this.expireLeases(), Math.max(50, deps.leaseMs / 4));
    this.leaseTimer.unref();
  }

  /** @param token what workers must bring; undefined admits everyone (UNIX socket, loopback) */
  implementation(token: string | undefined): WorkerServiceServer {
    return {
      session: (stream: Stream) => this.accept(stream, token),
      fetchBlob: (call) => {
        const refused = tokenRefusal(token, bearerToken(call.metadata));
        if (refused) return void call.emit('error', refused);
        const send = async (): Promise<void> => {
          for await (const part of this.deps.blobs.read(call.request.digest)) {
            if (!call.write(part)) await new Promise((resolve) => call.once('drain', resolve));
          }
          call.end();
        };
        send().catch((error: unknown) => call.emit('error', asStatus(toFailure(error))));
      },
    };
  }

  /** Queues an assignment; all of one turn travel as one message. False: the worker is not here. */
  assign(id: WorkerId, assignment: Assignment, program: () => string): boolean {
    const connection = this.connections.get(id);
    if (!connection?.stream) return false;
    if (!connection.programsSent.has(assignment.programDigest)) {
      connection.programsSent.add(assignment.programDigest);
      connection.outbox.programs[assignment.programDigest] = program();
    }
    connection.outbox.assignments.push(assignment);
    if (!connection.flushing) {
      connection.flushing = true;
      setImmediate(() => this.flush(connection));
    }
    return true;
  }

  cancel(id: WorkerId, attempt: Parameters<typeof attemptFromWire>[0], reason: string): void {
    this.write(id, { $case: 'cancel', value: { attempts: [attempt], reason } });
  }

  drain(id: WorkerId): void {
    this.write(id, { $case: 'drain', value: {} });
  }

  /** Any worker can delete files of shared storage; the first connected one is asked. */
  discard(paths: readonly string[]): void {
    for (const [id, { stream }] of this.connections) {
      if (!stream) continue;
      return this.write(id, { $case: 'discard', value: { paths: [...paths] } });
    }
  }

  /** The process was seen to exit by its parent. */
  exited(pid: number, crashed: boolean): void {
    for (const { id, incarnation, pid: itsPid } of this.connections.values()) {
      if (itsPid === pid) this.gone(id, incarnation, crashed);
    }
  }

  rssBytes(id: WorkerId): number {
    return this.connections.get(id)?.rssBytes ?? 0;
  }

  progress(): AttemptProgress[] {
    return [...this.connections.values()].flatMap(({ progress }) => progress);
  }

  close(): void {
    clearInterval(this.leaseTimer);
    for (const { stream } of this.connections.values()) stream?.end();
  }

  private accept(stream: Stream, token: string | undefined): void {
    let connection: Connection | undefined;
    stream.on('data', ({ message }: WorkerMessage) => {
      if (message?.$case === 'hello') {
        const failure =
          tokenRefusal(token, message.value.token) ??
          (this.connections.size >= limits.workersConnected
            ? { code: status.RESOURCE_EXHAUSTED, details: 'E_LIMIT: too many workers' }
            : undefined);
        // gRPC sends the status of an emitted error; a destroyed stream would just hang.
        if (failure)
          return void stream.emit('error', Object.assign(new Error(failure.details), failure));
        connection = this.hello(stream, message.value);
      } else if (connection && message) {
        this.receive(connection, message);
      } else {
        const refusal = { code: status.FAILED_PRECONDITION, details: 'hello first' };
        stream.emit('error', Object.assign(new Error(refusal.details), refusal));
      }
    });
    const lost = (): void => {
      if (!connection || connection.stream !== stream) return;
      connection.stream = undefined;
      const { id, incarnation } = connection;
      this.post({ type: 'worker.disconnected', workerId: id, incarnation, nowMs: this.now() });
    };
    stream.on('end', () => {
      stream.end();
      lost();
    });
    stream.on('error', lost);
    stream.on('cancelled', lost);
    stream.on('close', lost);
  }

  private hello(stream: Stream, hello: Hello): Connection {
    const id = workerId(hello.workerId);
    const known = this.connections.get(id);
    const same = known?.incarnation === hello.incarnation;
    if (known?.stream && known.stream !== stream) known.stream.end();
    const connection: Connection = {
      id,
      incarnation: hello.incarnation,
      pid: hello.pid,
      stream,
      lastHeardMs: this.now(),
      seenSeq: same ? known.seenSeq : 0,
      rssBytes: 0,
      progress: [],
      programsSent: new Set(),
      outbox: { assignments: [], programs: {} },
      flushing: false,
    };
    this.connections.set(id, connection);
    this.deps.devices.heard(id, hello);
    this.write(id, {
      $case: 'welcome',
      value: {
        epoch: this.deps.epoch,
        leaseMs: this.deps.leaseMs,
        heartbeatMs: Math.max(50, Math.floor(this.deps.leaseMs / 5)),
      },
    });
    this.post({
      type: 'worker.hello',
      workerId: id,
      incarnation: hello.incarnation,
      pools: hello.pools,
      slots: Math.min(hello.slots, limits.slotsPerWorker),
      devices: hello.devices,
      host: hello.host,
      pid: hello.pid,
      running: hello.running.map(attemptFromWire),
      nowMs: this.now(),
    });
    return connection;
  }

  private receive(connection: Connection, message: NonNullable<WorkerMessage['message']>): void {
    connection.lastHeardMs = this.now();
    switch (message.$case) {
      case 'hello':
        return;
      case 'heartbeat':
        return this.heartbeat(connection, message.value);
      case 'reports':
        return this.reports(connection, message.value);
      case 'goodbye':
        if (message.value.reason === 'draining') {
          return this.post({ type: 'worker.drain', workerId: connection.id, nowMs: this.now() });
        }
        return this.gone(connection.id, connection.incarnation, false);
    }
  }

  private heartbeat(connection: Connection, { rssBytes, progress, logs }: Heartbeat): void {
    connection.rssBytes = rssBytes;
    connection.progress = progress;
    for (const log of logs) this.deps.log(log);
  }

  private reports(connection: Connection, { reports }: Reports): void {
    const events: Event[] = [];
    for (const { seq, report } of reports) {
      if (seq <= connection.seenSeq || !report) continue;
      connection.seenSeq = seq;
      const event = this.eventOf(connection, report);
      if (event) events.push(event);
    }
    const seq = connection.seenSeq;
    this.deps.post(...events).then(
      () => this.write(connection.id, { $case: 'ack', value: { seq } }),
      () => undefined,
    );
  }

  private eventOf(
    { id }: Connection,
    report: NonNullable<Reports['reports'][number]['report']>,
  ): Event | undefined {
    if (!report.value.attempt) return undefined;
    const attempt = attemptFromWire(report.value.attempt);
    const nowMs = this.now();
    if (report.$case === 'chunkDone') {
      const known = this.deps.chunkCount(attempt.jobId, attempt.stageId);
      if (report.value.chunk < 0 || (known > 0 && report.value.chunk >= known)) return undefined;
      const record = chunkRecordFromWire(report.value);
      return {
        type: 'chunk.done',
        attempt,
        workerId: id,
        chunk: report.value.chunk,
        record,
        nowMs,
      };
    }
    const { failureJson } = report.value;
    return {
      type: 'attempt.ended',
      attempt,
      workerId: id,
      ...(failureJson ? { failure: failureOf(failureJson) } : {}),
      nowMs,
    };
  }

  private gone(id: WorkerId, incarnation: string, crashed: boolean): void {
    const connection = this.connections.get(id);
    if (connection?.incarnation !== incarnation) return;
    this.connections.delete(id);
    this.deps.devices.gone(id);
    this.post({ type: 'worker.exited', workerId: id, incarnation, crashed, nowMs: this.now() });
  }

  private expireLeases(): void {
    const nowMs = this.now();
    for (const { id, incarnation, lastHeardMs, stream } of [...this.connections.values()]) {
      if (nowMs - lastHeardMs <= this.deps.leaseMs) continue;
      this.connections.delete(id);
      this.deps.devices.gone(id);
      stream?.end();
      this.post({ type: 'worker.leaseExpired', workerId: id, incarnation, nowMs });
    }
  }

  private flush(connection: Connection): void {
    connection.flushing = false;
    const { assignments, programs } = connection.outbox;
    connection.outbox = { assignments: [], programs: {} };
    const { epoch } = this.deps;
    this.write(connection.id, { $case: 'assign', value: { assignments, programs, epoch } });
  }

  private write(id: WorkerId, message: NonNullable<CoordinatorMessage['message']>): void {
    const stream = this.connections.get(id)?.stream;
    if (stream?.writable) stream.write({ message });
  }

  private post(event: Event): void {
    this.deps.post(event).catch(() => undefined);
  }

  private now(): number {
    return this.deps.nowMs();
  }
}

function tokenRefusal(wanted: string | undefined, given: string) {
  if (wanted === undefined || tokenMatches(given, wanted)) return undefined;
  const details =
    'E_UNAUTHENTICATED: the worker token is missing or wrong; start the worker with --token-file';
  return { code: status.UNAUTHENTICATED, details, name: 'Error', message: details };
}

/** A worker's words must never end the coordinator. */
function failureOf(json: string): Failure {
  try {
    return JSON.parse(json) as Failure;
  } catch {
    const message = `a worker reported a failure that is not JSON: ${json.slice(0, 200)}`;
    return { kind: 'broken', code: 'E_INTERNAL', message };
  }
}

function asStatus(failure: Failure): Error {
  return Object.assign(new Error(failure.message), failureToStatus(failure));
}
