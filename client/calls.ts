/**
 * Calls over one channel: each with a deadline, made again where that is harmless, and none left open
 * when the client goes. Never: what is asked.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client as Service, ClientUnaryCall, Metadata, ServiceError } from '@grpc/grpc-js';
import { fail, WindrowError } from '../shared/failure.js';
import { statusToError } from '../shared/rpc.js';
import { leavable } from './streams.js';

/** A unary method of a generated service client. */
export type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: { deadline: number },
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

const againFirstMs = 50;
const againMaxMs = 1_000;

export class Calls {
  private readonly open = new Set<ClientUnaryCall>();
  private readonly closing = new AbortController();

  /**
   * @param timeoutMs deadline of a call that names no other
   * @param retryMs how long a call is made again while nobody answers
   */
  constructor(
    readonly metadata: Metadata,
    readonly timeoutMs: number,
    private readonly retryMs: number,
  ) {}

  /** Aborted by `close`. */
  get closed(): AbortSignal {
    return this.closing.signal;
  }

  /** A call that may be made twice: it asks, or it brings the id of what it asks for. */
  call<Request, Response>(
    service: Service,
    method: Unary<Request, Response>,
    request: Request,
    timeoutMs = this.timeoutMs,
  ): Promise<Response> {
    return this.again(timeoutMs, (leftMs) => this.callOnce(service, method, request, leftMs));
  }

  /** Asks again while nobody answers, as when a coordinator starts anew; one deadline for all. */
  async again<Result>(
    timeoutMs: number,
    ask: (leftMs: number) => Promise<Result>,
  ): Promise<Result> {
    const beganMs = performance.now();
    const patienceMs = Math.min(this.retryMs, timeoutMs);
    for (let pauseMs = againFirstMs; ; pauseMs = Math.min(2 * pauseMs, againMaxMs)) {
      try {
        return await ask(timeoutMs - (performance.now() - beganMs));
      } catch (error) {
        const pastMs = performance.now() - beganMs;
        if (!isUnanswered(error) || pastMs >= patienceMs || this.closed.aborted) throw error;
        await delay(Math.min(pauseMs * (0.5 + Math.random() / 2), patienceMs - pastMs));
      }
    }
  }

  /** @throws WindrowError E_DEADLINE, E_UNREACHABLE, and what the coordinator answers */
  callOnce<Request, Response>(
    service: Service,
    method: Unary<Request, Response>,
    request: Request,
    timeoutMs = this.timeoutMs,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (this.closed.aborted) fail('cancelled', 'E_CANCELLED', 'this client has been closed');
      const options = { deadline: Date.now() + timeoutMs };
      const call = method.call(service, request, this.metadata, options, (error, reply) => {
        this.open.delete(call);
        if (error) reject(statusToError(error));
        else resolve(reply);
      });
      this.open.add(call);
    });
  }

  /** What `make` gives, ended by `signal`, by leaving the loop and by `close`. */
  streamed<Item>(
    make: (left: AbortSignal) => AsyncGenerator<Item, void, undefined>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Item, void, undefined> {
    return leavable(make, signal, this.closed);
  }

  /** A closed channel would let them wait; the other side must hear that nobody does any more. */
  close(): void {
    this.closing.abort();
    for (const call of this.open) call.cancel();
  }
}

export function isUnanswered(error: unknown): boolean {
  return error instanceof WindrowError && error.failure.code === 'E_UNREACHABLE';
}
