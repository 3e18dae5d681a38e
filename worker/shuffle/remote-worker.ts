/**
 * Fetches ranges of files from one worker over one connection. An answer that breaks goes on where it
 * was; a worker that does not answer leaves wrong what did not come. Never: waits for ever.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { fail } from '../../shared/failure.js';
import type { Arrival } from './arrival.js';
import type { ShuffleLimits } from './limits.js';
import { type Answer, RangeConnection } from './range-connection.js';
import { endsAll, rangeHeader, readFailure, targetOf } from './parts-protocol.js';
import { type PeerAccess, peerHeaders, peerTarget, peerTls } from './peers.js';

/** Of a failure as JSON. */
const refusalBytesMax = 64 * 1024;

/** An answer ended before all was there, and may be asked for again. */
class Broken extends Error {}

/** Ranges of one file that follow one another, and come in one answer. */
interface Stretch {
  readonly arrivals: Arrival[];
  readonly offset: number;
  bytes: number;
}

export class RemoteWorker {
  constructor(
    private readonly address: string,
    private readonly access: PeerAccess,
    private readonly limits: ShuffleLimits,
    private readonly stop: AbortSignal,
  ) {}

  /** Ends with each arrival complete or wrong. */
  async fetch(arrivals: readonly Arrival[]): Promise<void> {
    await this.fromTheFirstByte(arrivals);
    // Altered on the way, perhaps: what is altered again lies so on the worker's disk.
    await this.fromTheFirstByte(arrivals.filter(({ altered }) => altered));
  }

  private async fromTheFirstByte(arrivals: readonly Arrival[]): Promise<void> {
    for (const arrival of arrivals) await arrival.restart();
    const wanted = (): Arrival[] => arrivals.filter(({ complete, wrong }) => !complete && !wrong);
    const { reconnects, reconnectMs } = this.limits;
    let inVain = 0;
    for (let todo = wanted(); todo.length > 0; todo = wanted()) {
      const before = arrivedOf(arrivals);
      try {
        await this.connection(todo);
      } catch (error) {
        this.stop.throwIfAborted();
        if (!(error instanceof Broken)) throw error;
        inVain = arrivedOf(arrivals) > before ? 0 : inVain + 1;
        if (inVain > reconnects) {
          const why = `cannot be fetched from ${this.address}: ${error.message}`;
          for (const arrival of wanted()) arrival.wrong = why;
          return;
        }
        await delay(reconnectMs * 2 ** inVain, undefined, { signal: this.stop }).catch(
          () => undefined,
        );
      }
    }
  }

  /**
   * One after the other over a connection of its own, which ends here: nobody looks after one while
   * rows are computed.
   * @throws Broken when an answer ends early
   */
  private async connection(arrivals: readonly Arrival[]): Promise<void> {
    this.stop.throwIfAborted();
    const connection = new RangeConnection({
      to: peerTarget(this.address),
      secure: peerTls(this.address, this.access),
      timeoutMs: this.limits.blockTimeoutMs,
      stop: this.stop,
    });
    try {
      for (const stretch of stretchesOf(arrivals)) await this.receive(stretch, connection);
    } finally {
      connection.close();
    }
  }

  private async receive({ arrivals, offset, bytes }: Stretch, connection: RangeConnection) {
    const [first] = arrivals as [Arrival];
    if (bytes === 0) return first.take(new Uint8Array());
    const range = rangeHeader({ offset, bytes });
    const headers = { ...peerHeaders(this.access), range };
    const asking = connection.get(targetOf(first.range.path), headers);
    const answer = await asking.catch((error: unknown) => this.broken(error));
    if (answer.status !== 206) return this.refused(answer, arrivals);
    if (answer.bytes !== bytes) throw new Broken(`${bytes} bytes come as ${answer.bytes}`);
    let at = 0;
    for await (const piece of this.heard(answer)) {
      for (let rest = piece; rest.length > 0;) {
        const arrival = arrivals[at]!;
        const part = rest.subarray(0, arrival.missing);
        await arrival.take(part);
        rest = rest.subarray(part.length);
        if (arrival.missing === 0) at += 1;
      }
    }
  }

  /** The wire's failures, and none of who writes down what comes. */
  private async *heard({ body }: Answer): AsyncGenerator<Uint8Array> {
    const pieces = body[Symbol.asyncIterator]();
    const next = () => pieces.next().catch((error: unknown) => this.broken(error));
    for (let piece = await next(); !piece.done; piece = await next()) yield piece.value;
  }

  /** @throws Broken, or what the attempt was stopped for */
  private broken(error: unknown): never {
    this.stop.throwIfAborted();
    const { message, code } = error as NodeJS.ErrnoException;
    throw new Broken(message || String(code));
  }

  /** @throws WindrowError that no fetching again would mend */
  private async refused(answer: Answer, arrivals: readonly Arrival[]): Promise<void> {
    if (answer.bytes > refusalBytesMax) throw new Broken(`it answers with ${answer.bytes} bytes`);
    const pieces: Buffer[] = [];
    for await (const piece of this.heard(answer)) pieces.push(Buffer.from(piece));
    const failure = readFailure(Buffer.concat(pieces).toString());
    if (!failure) throw new Broken(`it answers with status ${answer.status}`);
    const { code, message } = failure;
    if (endsAll(answer.status)) {
      fail('invalidSpec', code, `worker ${this.address}: ${message}`, {
        hint: 'start all workers with the same --token-file and version of windrow',
      });
    }
    for (const arrival of arrivals) {
      arrival.wrong = `cannot be had from ${this.address} (${code}: ${message})`;
    }
  }
}

/** What is missing of the arrivals. */
function stretchesOf(arrivals: readonly Arrival[]): Stretch[] {
  const stretches: Stretch[] = [];
  for (const arrival of arrivals) {
    const last = stretches.at(-1);
    const offset = arrival.range.offset + arrival.arrived;
    const follows = last?.arrivals[0]!.target === arrival.target;
    if (
      last &&
      follows &&
      last.bytes > 0 &&
      arrival.missing > 0 &&
      last.offset + last.bytes === offset
    ) {
      last.arrivals.push(arrival);
      last.bytes += arrival.missing;
    } else {
      stretches.push({ arrivals: [arrival], offset, bytes: arrival.missing });
    }
  }
  return stretches;
}

function arrivedOf(arrivals: readonly Arrival[]): number {
  return arrivals.reduce((sum, { arrived }) => sum + arrived, 0);
}
