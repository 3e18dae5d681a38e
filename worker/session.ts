/**
 * The worker's stream to the coordinator: hello, heartbeats, reports until acknowledged,
 * assignments in. Reconnects by itself; the end of a stream ends nothing. Decides nothing.
 */
import { type ClientDuplexStream, Metadata, status, type StatusObject } from '@grpc/grpc-js';
import type { Channel } from '../shared/channel.js';
import { bearer } from '../shared/endpoints.js';
import { WorkerServiceClient } from '../shared/gen/windrow.js';
import type {
  Assign,
  AttemptId,
  BlobPart,
  CoordinatorMessage,
  Heartbeat,
  Hello,
  Report,
  WorkerMessage,
} from '../shared/gen/windrow.js';
import type { ReportQueue } from './reports.js';

export interface SessionEvents {
  /** A Welcome arrived: the coordinator's epoch is known and reports can flow. */
  welcome(epoch: number): void;
  /** The stream ended, or its coordinator says nothing; told of each try. */
  away(reason: string): void;
  assign(message: Assign): void;
  cancel(attempts: readonly AttemptId[], reason: string): void;
  drain(): void;
  discard(paths: readonly string[]): void;
  /** The coordinator refuses this worker for good (wrong token, for one). */
  refused(message: string): void;
  hello(): Omit<Hello, 'token' | 'epoch'>;
  heartbeat(): Heartbeat;
}

const reconnectMs = { first: 50, most: 2_000 } as const;
/** An address that drops what is sent to it keeps a connection waiting for minutes. */
const silentMs = 5_000;
const endedReason = 'it ended the connection';
/** How long reports wait for others to travel with where no slot waits for what they bring. */
const gatherMs = 10;
/** gRPC status codes that no retry mends: INVALID_ARGUMENT, PERMISSION_DENIED, UNAUTHENTICATED. */
const finalStatus = new Set([3, 7, 16]);

export class Session {
  private readonly client: WorkerServiceClient;
  private stream: ClientDuplexStream<WorkerMessage, CoordinatorMessage> | undefined;
  private epoch = 0;
  private welcomed = false;
  private closed = false;
  private backoffMs: number = reconnectMs.first;
  private heartbeatTimer: NodeJS.Timeout | undefined;
  private retryTimer: NodeJS.Timeout | undefined;
  private silentTimer: NodeJS.Timeout | undefined;
  private outbox: Report[] = [];
  private flushing = false;
  private gatherTimer: NodeJS.Timeout | undefined;
  private paused = false;

  constructor(
    { target, credentials, options }: Channel,
    private readonly token: string | undefined,
    private readonly reports: ReportQueue,
    private readonly events: SessionEvents,
  ) {
    this.client = new WorkerServiceClient(target, credentials, options);
  }

  connect(): void {
    if (this.closed) return;
    const stream = this.client.session(this.metadata());
    this.stream = stream;
    this.welcomed = false;
    this.paused = false;
    stream.on('data', (message: CoordinatorMessage) => this.receive(message));
    stream.on('error', (error: Error & { code?: number; details?: string }) => {
      if (error.code !== undefined && finalStatus.has(error.code)) {
        this.events.refused(error.details ?? error.message);
      }
    });
    // A call that never got through has a status and no close; the first of the two counts.
    stream.on('status', (end: StatusObject) => this.reconnect(stream, reasonOf(end)));
    stream.on('close', () => this.reconnect(stream, endedReason));
    stream.on('drain', () => {
      this.paused = false;
      this.flush();
    });
    clearTimeout(this.silentTimer);
    this.silentTimer = setTimeout(() => this.events.away('no answer'), silentMs);
    this.write({
      $case: 'hello',
      value: { ...this.events.hello(), token: this.token ?? '', epoch: this.epoch },
    });
  }

  /**
   * Queues a report; all that gather travel as one message.
   * @param urgent sends what has gathered at the end of this turn of the event loop
   */
  send(report: Report, urgent: boolean): void {
    this.outbox.push(report);
    if (!urgent) {
      this.gatherTimer ??= setTimeout(() => this.flush(), gatherMs);
      return;
    }
    if (this.flushing) return;
    this.flushing = true;
    setImmediate(() => {
      this.flushing = false;
      this.flush();
    });
  }

  /** A heartbeat out of turn, ahead of what is sent next. */
  beat(): void {
    if (this.welcomed && !this.paused) {
      this.write({ $case: 'heartbeat', value: this.events.heartbeat() });
    }
  }

  goodbye(reason: string): void {
    if (this.welcomed) this.write({ $case: 'goodbye', value: { reason } });
  }

  /** A blob's bytes, as the coordinator sends them. @throws the status of a call that was cut */
  async *fetchBlob(digest: string, signal: AbortSignal): AsyncGenerator<BlobPart> {
    const call = this.client.fetchBlob({ digest }, this.metadata());
    const cancel = (): void => call.cancel();
    // A cancelled call ends with an error; when nobody reads it any more, nobody would catch it.
    call.on('error', () => undefined);
    signal.addEventListener('abort', cancel, { once: true });
    try {
      for await (const part of call) yield part as BlobPart;
    } finally {
      signal.removeEventListener('abort', cancel);
      cancel();
    }
  }

  close(): void {
    this.closed = true;
    clearInterval(this.heartbeatTimer);
    clearTimeout(this.retryTimer);
    clearTimeout(this.silentTimer);
    clearTimeout(this.gatherTimer);
    this.stream?.end();
    this.client.close();
  }

  private metadata(): Metadata {
    const metadata = new Metadata();
    if (this.token !== undefined) metadata.set('authorization', bearer(this.token));
    return metadata;
  }

  private receive({ message }: CoordinatorMessage): void {
    switch (message?.$case) {
      case 'welcome': {
        const { epoch, heartbeatMs } = message.value;
        // A coordinator of the past must not command us; it will be fenced by its journal.
        if (epoch < this.epoch) return void this.stream?.cancel();
        this.epoch = epoch;
        this.welcomed = true;
        clearTimeout(this.silentTimer);
        this.backoffMs = reconnectMs.first;
        clearInterval(this.heartbeatTimer);
        this.heartbeatTimer = setInterval(() => this.beat(), heartbeatMs);
        this.outbox = [...this.reports.pending()];
        this.events.welcome(epoch);
        return this.flush();
      }
      case 'assign':
        if (message.value.epoch >= this.epoch) this.events.assign(message.value);
        return;
      case 'cancel':
        return this.events.cancel(message.value.attempts, message.value.reason);
      case 'ack':
        return this.reports.acknowledge(message.value.seq);
      case 'drain':
        return this.events.drain();
      case 'discard':
        return this.events.discard(message.value.paths);
      case undefined:
        return;
    }
  }

  private flush(): void {
    clearTimeout(this.gatherTimer);
    this.gatherTimer = undefined;
    if (!this.welcomed || this.paused || this.outbox.length === 0) return;
    const reports = this.outbox;
    this.outbox = [];
    this.write({ $case: 'reports', value: { reports } });
  }

  private write(message: NonNullable<WorkerMessage['message']>): void {
    if (this.stream?.writable && !this.stream.write({ message })) this.paused = true;
  }

  private reconnect(
    ended: ClientDuplexStream<WorkerMessage, CoordinatorMessage>,
    reason: string,
  ): void {
    if (this.closed || this.stream !== ended) return;
    clearTimeout(this.silentTimer);
    this.events.away(reason);
    this.stream = undefined;
    this.welcomed = false;
    clearInterval(this.heartbeatTimer);
    this.retryTimer = setTimeout(() => this.connect(), this.backoffMs);
    this.backoffMs = Math.min(this.backoffMs * 2, reconnectMs.most);
  }
}

function reasonOf({ code, details }: StatusObject): string {
  if (code === status.OK || details === '') return endedReason;
  return details.replace(/ ?Resolution note: $/, '');
}
