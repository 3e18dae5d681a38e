/**
 * A worker that says what a test tells it to: the protocol's client without any of its rules, and
 * the true answers to be spoiled. Never: computes anything.
 */
import { type ClientDuplexStream, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import {
  type Assignment,
  type ChunkDone,
  type CoordinatorMessage,
  type Hello,
  type WorkerMessage,
  WorkerServiceClient,
} from '../../../shared/gen/windrow.js';
import { attemptTag, chunkFilePath } from '../../../shared/storage/paths.js';
import { attemptFromWire } from '../../../shared/wire.js';

type Heard = NonNullable<CoordinatorMessage['message']>;

export class RawWorker {
  readonly client: WorkerServiceClient;
  private stream: ClientDuplexStream<WorkerMessage, CoordinatorMessage>;
  private readonly heard: Heard[] = [];
  private wake: () => void = () => undefined;
  /** The status its stream ended with. */
  refusal!: Promise<ServiceError>;

  constructor(
    endpoint: string,
    readonly id: string,
    readonly incarnation = `of-${id}`,
  ) {
    this.client = new WorkerServiceClient(endpoint, credentials.createInsecure());
    this.stream = this.open();
  }

  hello(change: Partial<Hello> = {}): void {
    const value: Hello = {
      workerId: this.id,
      incarnation: this.incarnation,
      pools: ['*'],
      slots: 1,
      pid: 1,
      host: 'here',
      version: '1',
      devices: ['cpu'],
      hardware: [],
      running: [],
      token: '',
      epoch: 0,
      ...change,
    };
    this.say({ $case: 'hello', value });
  }

  say(message: NonNullable<WorkerMessage['message']>): void {
    this.stream.write({ message });
  }

  report(value: ChunkDone, seq = 1): void {
    this.say({
      $case: 'reports',
      value: { reports: [{ seq, report: { $case: 'chunkDone', value } }] },
    });
  }

  /** The next message of a kind, those before it thrown away. */
  async next<Case extends Heard['$case']>(kind: Case): Promise<Extract<Heard, { $case: Case }>> {
    for (;;) {
      const message = this.heard.shift();
      if (message?.$case === kind) return message as Extract<Heard, { $case: Case }>;
      if (!message) await new Promise<void>((wake) => (this.wake = wake));
    }
  }

  /** The first assignment, of that job where one is named. */
  async assignment(job?: string): Promise<Assignment> {
    for (;;) {
      const { assignments } = (await this.next('assign')).value;
      const found = assignments.find(({ attempt }) => !job || attempt!.jobId === job);
      if (found) return found;
    }
  }

  /** What a worker that has done the first chunk of an assignment would report. */
  truth({ attempt, chunks, chunkDirectory }: Assignment): ChunkDone {
    const { chunk, identity } = chunks[0]!;
    const tag = attemptTag(attemptFromWire(attempt!), this.incarnation);
    const path = chunkFilePath(chunkDirectory, identity, tag);
    return {
      attempt,
      chunk,
      identity,
      files: [{ path, rows: 1, bytes: 1, sha256: 'a'.repeat(64), partition: [] }],
      counts: { rowsIn: 1, rowsOut: 1, filtered: 0, dead: 0, inferred: 0, warnings: {} },
      deadLetters: undefined,
    };
  }

  /** Gives back what it was assigned, on whatever stream is left. */
  async leave(): Promise<void> {
    this.stream.cancel();
    this.stream = this.open();
    this.hello();
    await this.next('welcome');
    this.say({ $case: 'goodbye', value: { reason: 'exiting' } });
    this.stream.end();
    await this.refusal;
    this.client.close();
  }

  private open(): ClientDuplexStream<WorkerMessage, CoordinatorMessage> {
    const stream = this.client.session(new Metadata());
    stream.on('data', ({ message }: CoordinatorMessage) => {
      if (message) this.heard.push(message);
      this.wake();
    });
    stream.on('error', () => undefined);
    this.refusal = new Promise((resolve) => stream.on('status', resolve as never));
    return stream;
  }
}
