/**
 * One worker from its first hello to its goodbye: what the coordinator says goes to the rooms that
 * do it, what they report goes back; and when to leave. Never: blocks its thread, so that leases and
 * heartbeats never wait for data.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Channel, TlsFiles } from '../shared/channel.js';
import { type Failure, formatFailure } from '../shared/failure.js';
import { HealthDoor } from '../shared/health-door.js';
import { checkListenable } from '../shared/listening.js';
import type { Report } from '../shared/gen/windrow.js';
import type { AttemptRef } from '../shared/ids.js';
import type { ChunkRecord } from '../shared/plan.js';
import { makeDirectory } from '../shared/storage/directories.js';
import { attemptFromWire, attemptToWire, chunkDoneToWire } from '../shared/wire.js';
import { Assignments, cancelledFailure } from './assignments.js';
import { BlobCache } from './blob-cache.js';
import { type MemoryShares, memoryShares } from './memory-shares.js';
import { OwnFiles } from './own-files.js';
import { ReportQueue } from './reports.js';
import { Session, type SessionEvents } from './session.js';
import { BlockPool } from './shuffle/block-pool.js';
import { shuffleLimits } from './shuffle/limits.js';
import { PartsService } from './shuffle/parts-service.js';
import { checkShuffleListen, type PeerAccess } from './shuffle/peers.js';
import { ServedFiles } from './shuffle/served-files.js';
import {
  defaultShuffleDirectory,
  makeShuffleDirectory,
  removeOldShuffleFiles,
} from './shuffle/shuffle-directory.js';
import { ShuffleDoor, socketAddress } from './shuffle/shuffle-door.js';
import { Slots } from './slots.js';
import { Telemetry } from './telemetry.js';

export interface WorkerOptions {
  /** To the coordinator. */
  readonly channel: Channel;
  /** The join token, which workers also want from one another. */
  readonly token?: string;
  /** What `channel` is secured with; others reach the shuffle service with it. */
  readonly tls?: TlsFiles;
  readonly slots: number;
  /** `*` serves every pool. */
  readonly pools: readonly string[];
  /** Names of the devices it has, and which of them are hardware. */
  readonly devices: { readonly devices: string[]; readonly hardware: string[] };
  readonly id?: string;
  /** RSS above which the process recycles itself between attempts. */
  readonly memoryLimitBytes?: number;
  readonly spillDirectory?: string;
  /** For what later stages of a query read; outlives the process. Default: beside the spill directory. */
  readonly shuffleDirectory?: string;
  /**
   * Where other workers reach this one, `unix:PATH` or HOST:PORT. Default: a UNIX socket where the
   * coordinator has one, else loopback.
   */
  readonly shuffleListen?: string;
  /** HOST:PORT for probes of its health, and of whether it has work; default none. */
  readonly healthListen?: string;
}

/** Exit codes that a parent may act on; any other than 0 is a crash. */
export const workerExit = { drained: 0, refused: 2, recycled: 75 } as const;

/** What a probe asks for to learn whether attempts are here. */
const workProbe = 'work';

const cancelGraceMs = 10_000;
const drainGraceMs = 60_000;
const farewellMs = 3_000;
/** Asking for the size of the process takes as long as all else that an attempt costs this thread. */
const weighEveryMs = 50;

export class Worker {
  /** Resolves with the exit code once the worker has left. */
  readonly done: Promise<number>;
  private readonly id: string;
  private readonly incarnation = randomBytes(8).toString('hex');
  private readonly reports = new ReportQueue();
  private readonly ownFiles: OwnFiles;
  private readonly telemetry: Telemetry;
  private readonly memory: MemoryShares;
  private readonly session: Session;
  private readonly slots: Slots;
  private readonly assignments: Assignments;
  private readonly scratch: string;
  private readonly shuffleDirectory: string;
  private readonly served = new ServedFiles();
  private readonly peers: PeerAccess;
  private shuffle: ShuffleDoor | undefined;
  private health: HealthDoor | undefined;
  private standing: 'joined' | 'away' | undefined;
  private draining = false;
  private leaving = false;
  private weighedMs = -Infinity;
  private left: Promise<void> | undefined;
  private finish: (code: number) => void = () => undefined;

  constructor(private readonly options: WorkerOptions) {
    const { channel, token, tls, slots, memoryLimitBytes, spillDirectory } = options;
    this.peers = { ...(token === undefined ? {} : { token }), ...(tls ? { tls } : {}) };
    this.done = new Promise((resolveDone) => (this.finish = resolveDone));
    this.id = options.id ?? `${hostname()}-${process.pid}-${this.incarnation.slice(0, 4)}`;
    this.scratch = resolve(spillDirectory ?? join(tmpdir(), `windrow-${this.incarnation}`));
    this.shuffleDirectory = resolve(
      options.shuffleDirectory ?? defaultShuffleDirectory(spillDirectory),
    );
    this.ownFiles = new OwnFiles(this.incarnation, this.shuffleDirectory);
    this.served.toldToWrite(this.shuffleDirectory);
    this.telemetry = new Telemetry(this.id);
    this.memory = memoryShares(slots, memoryLimitBytes);
    this.session = new Session(channel, token, this.reports, this.heard());
    this.slots = new Slots(
      { slots, cancelGraceMs, heapBytes: this.memory.heapBytes },
      {
        chunk: (ref, chunk, record) => this.chunkDone(ref, chunk, record),
        progress: (ref, rows, rowsTotal, doing) =>
          this.telemetry.progress(ref, rows, rowsTotal, doing),
        modelRuns: (runs) => this.telemetry.modelRuns(runs),
        log: (ref, level, text) => this.telemetry.log(ref, level, text),
        ended: (ref, failure) => this.ended(ref, failure),
        stuck: (ref) => void this.recycle(ref),
      },
    );
    this.assignments = new Assignments({
      incarnation: this.incarnation,
      blobs: new BlobCache(join(this.scratch, 'blobs'), (digest, signal) =>
        this.session.fetchBlob(digest, signal),
      ),
      slots: this.slots,
      limits: {
        memoryLimitBytes: this.memory.kernelBytes,
        spillDirectory: join(this.scratch, 'spill'),
        peers: this.peers,
      },
      chunk: (ref, chunk, record) => this.chunkDone(ref, chunk, record),
      ended: (ref, failure) => this.ended(ref, failure),
      settled: () => {
        this.tellWork();
        this.leaveIfDone();
      },
    });
  }

  async start(): Promise<void> {
    const { shuffleListen, healthListen } = this.options;
    try {
      if (shuffleListen !== undefined) checkShuffleListen(shuffleListen, this.peers);
      await checkListenable({ '--shuffle-listen': shuffleListen, '--health-listen': healthListen });
      await makeDirectory(this.scratch);
      await makeShuffleDirectory(this.shuffleDirectory);
      this.shuffle = await this.listen();
      await this.openHealth();
    } catch (error) {
      this.shuffle?.close();
      await this.slots.close();
      throw error;
    }
    this.session.connect();
    // What cannot be removed now is old next time, too.
    removeOldShuffleFiles(this.shuffleDirectory, Date.now()).catch(() => undefined);
  }

  /** Finishes the chunks that run, takes nothing new, then leaves. */
  drain(): void {
    if (this.draining) return;
    this.startDraining();
    this.leaveIfDone();
  }

  private listen(): Promise<ShuffleDoor> {
    const { channel, shuffleListen } = this.options;
    const ours = channel.target.startsWith('unix:')
      ? socketAddress(this.scratch, `windrow-${this.incarnation}`)
      : '127.0.0.1:0';
    const blocks = new BlockPool(shuffleLimits.blocksServed, shuffleLimits.blockBytes);
    const service = new PartsService({ files: this.served, blocks, token: this.peers.token });
    return ShuffleDoor.open(shuffleListen ?? ours, service, this.peers);
  }

  private heard(): SessionEvents {
    return {
      welcome: () => {
        this.tellStanding('joined', `joined ${this.options.channel.target} as ${this.id}`);
        this.leaveIfDone();
      },
      away: (reason) => this.tellAway(reason),
      assign: (message) => {
        for (const { chunkDirectory } of message.assignments) {
          this.ownFiles.toldToWrite(chunkDirectory);
          this.served.toldToWrite(chunkDirectory);
        }
        this.assignments.accept(message);
        this.tellWork();
      },
      cancel: (attempts) => attempts.forEach((attempt) => this.cancel(attemptFromWire(attempt))),
      drain: () => this.drain(),
      discard: (paths) => void this.discard(paths),
      refused: (message) => this.refused(message),
      hello: () => ({
        workerId: this.id,
        incarnation: this.incarnation,
        pools: [...this.options.pools],
        slots: this.options.slots,
        pid: process.pid,
        host: hostname(),
        version: '1',
        ...this.options.devices,
        ...(this.shuffle ? { shuffleAddress: this.shuffle.address } : {}),
        shuffleDirectory: this.shuffleDirectory,
        running: [...this.slots.attempts(), ...this.assignments.attempts()].map(attemptToWire),
      }),
      heartbeat: () => this.telemetry.heartbeat(),
    };
  }

  private tellAway(reason: string): void {
    const { target } = this.options.channel;
    const what = this.standing === undefined ? 'cannot reach' : 'lost';
    this.tellStanding('away', `${what} the coordinator at ${target} (${reason}): still trying`);
  }

  /** A line for each change, however often it is tried. */
  private tellStanding(standing: 'joined' | 'away', line: string): void {
    if (this.standing === standing) return;
    this.standing = standing;
    process.stderr.write(`${line}\n`);
  }

  private cancel(ref: AttemptRef): void {
    if (this.assignments.cancel(ref) || this.slots.cancel(ref)) return;
    this.ended(ref, cancelledFailure);
  }

  private async discard(paths: readonly string[]): Promise<void> {
    for (const path of await this.ownFiles.discard(paths)) {
      process.stderr.write(`warning: told to delete ${path}, which this worker did not write\n`);
    }
  }

  private chunkDone(ref: AttemptRef, chunk: number, record: ChunkRecord): void {
    this.telemetry.chunkReported(ref, record.counts.rowsIn);
    this.tellLogs();
    this.send(this.reports.chunkDone(chunkDoneToWire(ref, chunk, record)));
  }

  private ended(ref: AttemptRef, failure: Failure | undefined): void {
    this.telemetry.ended(ref);
    // What was told to stop has nothing to tell.
    if (failure && failure.kind !== 'cancelled') {
      this.telemetry.log(ref, 'error', formatFailure(failure));
    }
    const over = this.draining ? undefined : this.overLimit();
    if (over !== undefined) {
      this.telemetry.log(ref, 'warn', over);
      process.stderr.write(`${over}\n`);
    }
    this.tellLogs();
    this.send(
      this.reports.attemptEnded({
        attempt: attemptToWire(ref),
        ...(failure ? { failureJson: JSON.stringify(failure) } : {}),
        workerExiting: this.leaving,
      }),
    );
    if (over !== undefined) this.drain();
    this.tellWork();
    this.leaveIfDone();
  }

  /** Says so where the process has grown beyond what it may take. */
  private overLimit(): string | undefined {
    const nowMs = performance.now();
    if (nowMs - this.weighedMs < weighEveryMs) return undefined;
    this.weighedMs = nowMs;
    const [rss, most] = [process.memoryUsage.rss(), this.memory.processBytes];
    if (rss <= most) return undefined;
    const [taken, allowed] = [rss, most].map((bytes) => Math.round(bytes / 1e6));
    return `this worker process takes ${taken} MB, may take ${allowed} (--memory), and ends after what it runs`;
  }

  /** A slot without its next attempt waits for the coordinator's answer; others have time. */
  private send(report: Report): void {
    this.session.send(report, this.slots.busy < this.options.slots);
  }

  /** What an attempt said comes before its reports: with the last of them its job may be over. */
  private tellLogs(): void {
    if (this.telemetry.hasLogs) this.session.beat();
  }

  private async openHealth(): Promise<void> {
    if (this.options.healthListen === undefined) return;
    this.health = await HealthDoor.open(this.options.healthListen);
    this.tellWork();
  }

  private tellWork(): void {
    this.health?.tell(workProbe, this.slots.busy > 0 || this.assignments.attempts().length > 0);
  }

  private startDraining(): void {
    this.draining = true;
    this.session.goodbye('draining');
    this.slots.drain();
    this.assignments.drain();
  }

  private leaveIfDone(): void {
    if (!this.draining || this.slots.busy > 0 || this.assignments.attempts().length > 0) return;
    void this.leave(this.leaving ? workerExit.recycled : workerExit.drained);
  }

  private leave(code: number): Promise<void> {
    this.left ??= this.takeLeave(code);
    return this.left;
  }

  /** Waits for the reports to be acknowledged, within bounds, then says goodbye and goes. */
  private async takeLeave(code: number): Promise<void> {
    const until = Date.now() + farewellMs;
    while (!this.reports.empty && Date.now() < until) {
      await new Promise((wake) => setTimeout(wake, 20));
    }
    this.session.goodbye('exiting');
    this.health?.stopServing();
    await new Promise((wake) => setTimeout(wake, 20));
    this.session.close();
    this.shuffle?.close();
    this.health?.close();
    if (code === workerExit.drained) await this.slots.close();
    await rm(this.scratch, { recursive: true, force: true });
    this.finish(code);
  }

  /** An attempt that will not come back takes the process along, after its neighbours are done. */
  private async recycle(ref: AttemptRef): Promise<void> {
    if (this.leaving) return;
    this.leaving = true;
    const text = 'an attempt did not stop when told to: this worker process is recycled';
    this.telemetry.log(ref, 'warn', text);
    this.startDraining();
    const until = Date.now() + drainGraceMs;
    while (this.slots.busy > 1 && Date.now() < until) {
      await new Promise((wake) => setTimeout(wake, 50));
    }
    for (const stuck of this.slots.attempts()) this.ended(stuck, cancelledFailure);
    await this.leave(workerExit.recycled);
    // The stuck thread may be in native code, where only the end of the process is safe.
    process.kill(process.pid, 'SIGKILL');
  }

  /** Nobody waits for what runs here. */
  private refused(message: string): void {
    const code = /^E_\w+: /.test(message) ? '' : 'E_WORKER_REFUSED: ';
    process.stderr.write(`error ${code}${message}\n`);
    this.session.close();
    this.assignments.drain();
    for (const ref of this.slots.attempts()) this.slots.cancel(ref);
    void this.slots.close().finally(() => this.finish(workerExit.refused));
  }
}
