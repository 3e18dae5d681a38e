/**
 * A coordinator that says what a test tells it to, and a real worker process that has joined it.
 * Blobs are held back until the test lets them go. Never: schedules anything by itself.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import {
  type ServerDuplexStream,
  type ServerWritableStream,
  Server,
  ServerCredentials,
  status,
} from '@grpc/grpc-js';
import type { Failure } from '../../shared/failure.js';
import {
  type Assignment,
  type BlobPart,
  type CoordinatorMessage,
  type FetchBlobRequest,
  type Hello,
  type WorkerMessage,
  type WorkerServiceServer,
  WorkerServiceService,
} from '../../shared/gen/windrow.js';
import type { StageProgram } from '../../shared/plan.js';

type Stream = ServerDuplexStream<WorkerMessage, CoordinatorMessage>;

export interface Fetch {
  readonly digest: string;
  /** Sends bytes; the last part ends the call. */
  send(bytes: Uint8Array, last?: boolean): void;
  /** Resolves when the worker gives the fetch up. */
  readonly cancelled: Promise<void>;
  isCancelled(): boolean;
}

export const epoch = 5;

export class RawCoordinator {
  readonly directory = mkdtempSync(join(tmpdir(), 'windrow-raw-'));
  readonly fetches: Fetch[] = [];
  readonly ended = new Map<number, Failure | undefined>();
  hello!: Hello;
  worker!: ChildProcess;
  stderr = '';
  /** So many streams are ended as a coordinator does that is not there yet. */
  turnsAway = 0;
  private stream!: Stream;
  private readonly server = new Server();
  private wakers: (() => void)[] = [];

  static async start(slots: number): Promise<RawCoordinator> {
    const raw = new RawCoordinator();
    await raw.listen(slots);
    return raw;
  }

  say(message: NonNullable<CoordinatorMessage['message']>): void {
    this.stream.write({ message });
  }

  /** Ends the worker's stream, by default with a status that no retry mends. */
  refuse(details: string, code = status.INVALID_ARGUMENT): void {
    this.stream.emit('error', Object.assign(new Error(details), { code, details }));
  }

  /** Task `task` of a stage with this program, over a file that is not there. */
  assign(task: number, program: StageProgram, byEpoch = epoch): void {
    const programDigest = JSON.stringify(program.steps);
    const source = {
      path: join(this.directory, 'no.parquet'),
      bytes: 1,
      mtimeMs: 1,
      footerHash: '',
      rowGroup: 0,
      rowStart: 0,
      rowEnd: 1,
      hive: {},
      missingColumns: [],
    };
    const assignment: Assignment = {
      attempt: { jobId: 'j1', stageId: 's0', task, attempt: 1 },
      programDigest,
      chunks: [
        { chunk: task, identity: 'a'.repeat(64), source, inputs: [], poisonRows: [], reads: [] },
      ],
      chunkDirectory: join(this.directory, 'chunks'),
      taskTimeoutMs: 0,
      probe: false,
    };
    const programs = { [programDigest]: JSON.stringify(program) };
    this.say({ $case: 'assign', value: { programs, assignments: [assignment], epoch: byEpoch } });
  }

  cancel(task: number): void {
    const attempts = [{ jobId: 'j1', stageId: 's0', task, attempt: 1 }];
    this.say({ $case: 'cancel', value: { attempts, reason: 'asked to' } });
  }

  /** Resolves once something the worker did made it true. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((wake) => this.wakers.push(wake));
  }

  /** How the worker's attempt at a task ended. */
  async endOf(task: number): Promise<Failure | undefined> {
    await this.until(() => this.ended.has(task));
    return this.ended.get(task);
  }

  async workerExit(): Promise<number | null> {
    if (this.worker.exitCode === null && this.worker.signalCode === null) {
      await once(this.worker, 'exit');
    }
    return this.worker.exitCode;
  }

  async close(): Promise<void> {
    this.worker.kill('SIGKILL');
    await this.workerExit();
    this.server.forceShutdown();
    rmSync(this.directory, { recursive: true, force: true });
  }

  private async listen(slots: number): Promise<void> {
    const service: WorkerServiceServer = {
      session: (stream: Stream) => this.session(stream),
      fetchBlob: (call) => this.fetchBlob(call),
    };
    this.server.addService(WorkerServiceService, service);
    const address = `unix:${join(this.directory, 'sock')}`;
    await new Promise((bound) =>
      this.server.bindAsync(address, ServerCredentials.createInsecure(), bound),
    );
    this.spawnWorker(address, slots);
    await this.until(() => this.hello !== undefined);
  }

  spawnWorker(address: string, slots: number, ...flags: string[]): void {
    const main = resolve('dist/worker/main.js');
    const spill = join(this.directory, 'spill');
    const args = [main, '--coordinator', address, '--slots', String(slots), '--spill', spill];
    this.worker = spawn(process.execPath, [...args, ...flags], {
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    this.worker.stderr!.on('data', (data: Buffer) => {
      this.stderr += data.toString();
      this.wake();
    });
  }

  private session(stream: Stream): void {
    this.stream = stream;
    stream.on('error', () => undefined);
    stream.on('end', () => stream.end());
    stream.on('data', ({ message }: WorkerMessage) => {
      if (message?.$case === 'hello' && this.turnsAway > 0) {
        this.turnsAway -= 1;
        this.refuse('not yet', status.UNAVAILABLE);
      } else if (message?.$case === 'hello') {
        this.hello = message.value;
        const value = { epoch, leaseMs: 10_000, heartbeatMs: 1_000 };
        this.say({ $case: 'welcome', value });
      } else if (message?.$case === 'reports') {
        for (const { seq, report } of message.value.reports) {
          if (report?.$case === 'attemptEnded') {
            const { attempt, failureJson } = report.value;
            const failure = failureJson ? (JSON.parse(failureJson) as Failure) : undefined;
            this.ended.set(attempt!.task, failure);
          }
          this.say({ $case: 'ack', value: { seq } });
        }
      }
      this.wake();
    });
  }

  private fetchBlob(call: ServerWritableStream<FetchBlobRequest, BlobPart>): void {
    const { digest } = call.request;
    let isCancelled = false;
    const cancelled = new Promise<void>((done) =>
      call.on('cancelled', () => {
        isCancelled = true;
        done();
      }),
    );
    this.fetches.push({
      digest,
      cancelled,
      isCancelled: () => isCancelled,
      send: (data, last = true) => {
        call.write({ digest, name: '', data: Buffer.from(data) });
        if (last) call.end();
      },
    });
    this.wake();
  }

  private wake(): void {
    for (const wake of this.wakers.splice(0)) wake();
  }
}
