/**
 * Calls over one channel: each with a deadline, made again where that is harmless, and none left open
 * when the client goes. Never: what is asked.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client as Service, ClientUnaryCall, Metadata, ServiceError } from '@grpc/grpc-js';
import { WindrowError } from '../shared/failure.js';
import { statusToError } from '../shared/rpc.js';
import { leavable } from './streams.js';

/** A unary method of a generated service client. */
export type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: { deadline: number },
  callback: Callback<Response>,
) => ClientUnaryCall;

type Callback<Response> = (error: ServiceError | null, response: Response) => void;

/** Calls that read the job's data, start it or bring its files may take so many times longer. */
const longFactor = 10;
const againFirstMs = 50;
const againMaxMs = 1_000;
/** What timers and gRPC's deadlines take: 24 days. */
export const timerMsMax = 2 ** 31 - 1;

/** Aborted after that time, which may be longer than a timer takes. */
export function endOf(timeoutMs: number): AbortSignal {
  const end = new AbortController();
  const endsAtMs = performance.now() + timeoutMs;
  const wait = (): void => {
    const leftMs = Math.ceil(endsAtMs - performance.now());
    if (leftMs <= 0) end.abort();
    else setTimeout(wait, Math.min(leftMs, timerMsMax)).unref();
  };
  wait();
  return end.signal;
}

export class Calls {
  private readonly open = new Set<{ cancel(): void }>();
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

  /** Deadline of a call that the coordinator may have to work for. */
  get longMs(): number {
    return longFactor * this.timeoutMs;
  }

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
  async callOnce<Request, Response>(
    service: Service,
    method: Unary<Request, Response>,
    request: Request,
    timeoutMs = this.timeoutMs,
  ): Promise<Response> {
    const { answer } = this.begin<ClientUnaryCall, Response>(timeoutMs, (options, done) =>
      method.call(service, request, this.metadata, options, done),
    );
    return answer;
  }

  /** The call that `make` makes, and its one answer: ended by its deadline and by `close`. */
  begin<Call extends { cancel(): void }, Response>(
    timeoutMs: number,
    make: (options: { deadline: number }, done: Callback<Response>) => Call,
  ): { call: Call; answer: Promise<Response> } {
    if (this.closed.aborted) throw closedError();
    let call!: Call;
    const answer = new Promise<Response>((resolve, reject) => {
      call = make({ deadline: Date.now() + Math.min(timeoutMs, timerMsMax) }, (error, reply) => {
        this.open.delete(call);
        if (error) reject(this.closed.aborted ? closedError() : statusToError(error));
        else resolve(reply);
      });
    });
    this.open.add(call);
    return { call, answer };
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

function closedError(): WindrowError {
  const message = 'this client has been closed';
  return new WindrowError({ kind: 'cancelled', code: 'E_CANCELLED', message });
}

export function isUnanswered(error: unknown): boolean {
  return error instanceof WindrowError && error.failure.code === 'E_UNREACHABLE';
}
