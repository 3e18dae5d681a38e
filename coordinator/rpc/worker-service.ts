/**
 * Speaks the worker's wire: hellos, heartbeats and reports in, assignments out. Watches leases.
 * Turns messages into events for the loop; decides nothing about tasks. A worker that speaks it
 * wrongly loses its stream. Never: lets a message end the coordinator.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
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
import { bearerToken } from '../../shared/endpoints.js';
import { fail, formatFailure, toFailure, type Failure } from '../../shared/failure.js';
import { workerId, type WorkerId } from '../../shared/ids.js';
import { limits } from '../../shared/limits.js';
import { failureToStatus } from '../../shared/rpc.js';
import { isInside } from '../../shared/storage/paths.js';
import type { ModelRuns } from '../../shared/model-runs.js';
import { attemptFromWire, modelRunsFromWire } from '../../shared/wire.js';
import type { BlobStore } from '../blob-store.js';
import type { Event } from '../core/events.js';
import type { KnownDevices } from '../known-devices.js';
import { authorizeWorker, checkHello, outOfTurn } from './admission.js';
import { sendAll } from './streams.js';
import type { WorkerReports } from './worker-reports.js';

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
  readonly reports: Pick<WorkerReports, 'event'>;
  readonly post: (...events: Event[]) => Promise<void>;
  readonly log: (entry: LogEntry) => void;
  /** Runs of models that workers tell of; nobody has to listen. */
  readonly modelRuns?: (runs: readonly ModelRuns[]) => void;
}

/** A user's error may be of any length. */
const logTextMax = 10_000;
/** Paths in one message. */
const discardedAtOnce = 1_000;

interface Connection {
  readonly id: WorkerId;
  readonly incarnation: string;
  readonly pid: number;
  readonly shuffleDirectory: string | undefined;
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
  private readonly lookEveryMs: number;
  private lookedMs: number;

  constructor(private readonly deps: WorkerServiceDependencies) {
    this.lookEveryMs = Math.max(50, deps.leaseMs / 4);
    this.lookedMs = this.now();
    this.leaseTimer = setInterval(() => this.expireLeases(), this.lookEveryMs);
    this.leaseTimer.unref();
  }

  /** @param token what workers must bring; undefined admits everyone (UNIX socket, loopback) */
  implementation(token: string | undefined): WorkerServiceServer {
    return {
      session: (stream: Stream) => this.accept(stream, token),
      fetchBlob: (call) =>
        sendAll(call, () => {
          authorizeWorker(token, bearerToken(call.metadata));
          return this.deps.blobs.read(call.request.digest);
        }),
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

  /** The worker that wrote the files deletes them; if it is not here, they are orphans one day. */
  discard(id: WorkerId, paths: readonly string[]): void {
    this.write(id, { $case: 'discard', value: { paths: [...paths] } });
  }

  /**
   * What a job left with workers, or workers of the same machines before them: those that are here
   * delete what they have of it. Nothing else is sent to them.
   */
  discardLeft(paths: readonly string[]): void {
    for (const { id, shuffleDirectory } of this.connections.values()) {
      if (shuffleDirectory === undefined) continue;
      const own = paths.filter((path) => isInside(shuffleDirectory, path));
      for (let at = 0; at < own.length; at += discardedAtOnce) {
        this.discard(id, own.slice(at, at + discardedAtOnce));
      }
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
    let refused = false;
    stream.on('data', ({ message }: WorkerMessage) => {
      // What was on its way when the stream was refused.
      if (refused) return;
      try {
        if (message?.$case === 'hello') {
          authorizeWorker(token, message.value.token);
          if (connection) outOfTurn(`worker ${connection.id} says hello twice on one stream`);
          connection = this.hello(stream, message.value);
        } else if (connection && message) {
          this.receive(connection, message);
        } else {
          outOfTurn('a worker says something else before its hello');
        }
      } catch (error) {
        refused = true;
        const failure = toFailure(error);
        this.log(connection?.id ?? '', 'error', `refused: ${formatFailure(failure)}`);
        // gRPC sends the status of an emitted error; a destroyed stream would just hang.
        stream.emit('error', asStatus(failure));
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
    checkHello(hello);
    const known = this.connections.get(id);
    if (!known && this.connections.size >= limits.workersConnected) {
      fail('resource', 'E_LIMIT', `this coordinator takes ${limits.workersConnected} workers`);
    }
    const same = known?.incarnation === hello.incarnation;
    // Of one that is gone, the stream is closed or has been silent for some heartbeats.
    if (known?.stream && !same && this.now() - known.lastHeardMs < this.deps.leaseMs / 2) {
      // The worker prints the message alone: it says what to do by itself.
      const message = `a worker called ${id} is here already, process ${known.pid}`;
      fail('invalidSpec', 'E_WORKER_ID', `${message}; give each a name of its own with --id`);
    }
    if (known?.stream && known.stream !== stream) known.stream.end();
    const connection: Connection = {
      id,
      incarnation: hello.incarnation,
      pid: hello.pid,
      shuffleDirectory: hello.shuffleDirectory,
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
      ...(hello.shuffleAddress === undefined ? {} : { shuffleAddress: hello.shuffleAddress }),
      ...(hello.shuffleDirectory === undefined ? {} : { shuffleDirectory: hello.shuffleDirectory }),
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

  private heartbeat(connection: Connection, heartbeat: Heartbeat): void {
    const { rssBytes, progress, logs, modelRuns } = heartbeat;
    connection.rssBytes = rssBytes;
    connection.progress = progress;
    for (const { level, text } of logs) this.log(connection.id, level, text);
    this.deps.modelRuns?.(modelRuns.map(modelRunsFromWire));
  }

  private reports(connection: Connection, { reports }: Reports): void {
    const events: Event[] = [];
    try {
      for (const report of reports) {
        if (report.seq <= connection.seenSeq) continue;
        const event = this.deps.reports.event(connection, report, this.now());
        connection.seenSeq = report.seq;
        if (event) events.push(event);
      }
    } finally {
      // What came before a wrong report is right.
      const { id, incarnation, seenSeq: seq } = connection;
      const acknowledge = (): void => {
        // A new process of that name counts its reports from the beginning.
        if (this.connections.get(id)?.incarnation !== incarnation) return;
        this.write(id, { $case: 'ack', value: { seq } });
      };
      this.deps.post(...events).then(acknowledge, () => undefined);
    }
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
    // What this process slept through (Ctrl-Z, a laptop's lid) nobody could have been heard in.
    const sleptMs = Math.max(0, nowMs - this.lookedMs - 2 * this.lookEveryMs);
    this.lookedMs = nowMs;
    if (sleptMs > 0) {
      for (const connection of this.connections.values()) {
        connection.lastHeardMs = Math.min(nowMs, connection.lastHeardMs + sleptMs);
      }
    }
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

  private log(id: string, level: string, text: string): void {
    this.deps.log({
      timeMs: this.now(),
      level,
      workerId: id,
      text: text.slice(0, logTextMax),
    });
  }

  private post(event: Event): void {
    this.deps.post(event).catch(() => undefined);
  }

  private now(): number {
    return this.deps.nowMs();
  }
}

function asStatus(failure: Failure): Error {
  return Object.assign(new Error(failure.message), failureToStatus(failure));
}
