/**
 * Fetches ranges of files from one worker over one stream. A stream that breaks goes on where it was; a
 * worker that does not answer leaves wrong what did not come. Never: waits for ever.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { crc32 } from '@node-rs/crc32';
import { type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import type { Failure } from '../../shared/failure.js';
import { type PartBytes, type PartRange, ShuffleServiceClient } from '../../shared/gen/windrow.js';
import { channelOptions, statusToError } from '../../shared/rpc.js';
import type { Arrival } from './arrival.js';
import type { ShuffleLimits } from './limits.js';
import { type PeerAccess, peerCredentials, peerMetadata } from './peers.js';
import { type Asked, Questions } from './questions.js';

type Call = ClientDuplexStream<PartRange, PartBytes>;

/** What no other try would mend. */
const finalStatus = new Set([
  status.INVALID_ARGUMENT,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.UNIMPLEMENTED,
]);

/** A stream ended before all was there, and may be tried again. */
class Broken extends Error {}

export class RemoteWorker {
  constructor(
    private readonly address: string,
    private readonly access: PeerAccess,
    private readonly limits: ShuffleLimits,
    private readonly stop: AbortSignal,
  ) {}

  async fetch(arrivals: readonly Arrival[]): Promise<void> {
    for (const arrival of arrivals) await arrival.restart();
    const wanted = (): Arrival[] => arrivals.filter(({ complete, wrong }) => !complete && !wrong);
    const { reconnects, reconnectMs } = this.limits;
    let inVain = 0;
    for (let todo = wanted(); todo.length > 0; todo = wanted()) {
      const before = writtenOf(arrivals);
      try {
        await this.stream(todo);
      } catch (error) {
        this.stop.throwIfAborted();
        if (!(error instanceof Broken)) throw error;
        inVain = writtenOf(arrivals) > before ? 0 : inVain + 1;
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

  /** @throws Broken when the stream ends early */
  private async stream(arrivals: readonly Arrival[]): Promise<void> {
    this.stop.throwIfAborted();
    const client = new ShuffleServiceClient(
      this.address,
      peerCredentials(this.address, this.access),
      {
        ...channelOptions,
        'grpc-node.flow_control_window': this.limits.windowBytes,
        // A connection of its own, which ends with the stream: nobody looks after one while rows are
        // computed.
        'grpc.use_local_subchannel_pool': 1,
      },
    );
    const call = client.readParts(peerMetadata(this.access));
    const cancel = (): void => call.cancel();
    this.stop.addEventListener('abort', cancel, { once: true });
    // A cancelled call reports so after nobody listens any more, and an unheard 'error' is fatal.
    call.on('error', () => undefined);
    const silence = new Silence(this.limits.blockTimeoutMs, cancel);
    try {
      await this.receive(call, new Questions(call, arrivals, this.limits), silence);
    } catch (error) {
      if (silence.broken) throw new Broken(`no answer for ${this.limits.blockTimeoutMs} ms`);
      if (!isStatus(error)) throw error;
      if (finalStatus.has(error.code)) throw statusToError(error);
      throw new Broken(error.details);
    } finally {
      silence.end();
      this.stop.removeEventListener('abort', cancel);
      cancel();
      client.close();
    }
  }

  private async receive(call: Call, questions: Questions, silence: Silence): Promise<void> {
    questions.ask();
    silence.begin();
    for await (const reply of call) {
      silence.end();
      const asked = questions.answered();
      if (!asked) throw new Broken('it says more than it was asked');
      await this.take(asked, reply as PartBytes);
      questions.ask();
      // How the call ends does not matter any more, and nobody watches how long that takes.
      if (questions.open === 0) return;
      silence.begin();
    }
    throw new Broken('it ended the stream');
  }

  private async take({ arrival, bytes }: Asked, { data, crc32: sum, failureJson }: PartBytes) {
    if (arrival.wrong !== undefined) return;
    if (failureJson !== undefined) {
      const { code, message } = JSON.parse(failureJson) as Failure;
      arrival.wrong = `cannot be had from ${this.address} (${code}: ${message})`;
      return;
    }
    if (data.length !== bytes || crc32(data) !== sum) {
      throw new Broken(`${bytes} bytes came as ${data.length} others`);
    }
    await arrival.take(data);
  }
}

/** Time in which a worker that owes an answer says nothing. */
class Silence {
  broken = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly ms: number,
    private readonly onTooLong: () => void,
  ) {}

  begin(): void {
    this.timer = setTimeout(() => {
      this.broken = true;
      this.onTooLong();
    }, this.ms);
  }

  end(): void {
    clearTimeout(this.timer);
  }
}

function writtenOf(arrivals: readonly Arrival[]): number {
  return arrivals.reduce((sum, { written }) => sum + written, 0);
}

function isStatus(error: unknown): error is ServiceError {
  const status = error as Partial<ServiceError> | null;
  return typeof status?.code === 'number' && typeof status.details === 'string';
}
