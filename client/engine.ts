/**
 * An engine that works on a state directory, in this process or another, and how a job is gone on
 * with when the process that worked on it ends. Never: starts one.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { WindrowError } from '../shared/failure.js';
import type { Client } from './types.js';

/** A coordinator and its workers, as whoever runs a job on them sees them. */
export interface Engine {
  readonly client: Client;
  /** Of its coordinator, `unix:…`. */
  readonly endpoint: string;
  /** The process that owns the state directory, where its coordinator is used. */
  readonly ownerPid?: number;
  /** Aborted when the engine cannot go on; the reason is an error to show, or OwnerGone. */
  readonly lost: AbortSignal;
  /** Waits for whatever others have submitted here, then stops all; `signal` cuts the wait short. */
  finish(signal: AbortSignal): Promise<void>;
  /** Stops all at once; unfinished jobs stay as they are and can be gone on with. */
  suspend(): Promise<void>;
}

/** The process whose coordinator was used has ended; the state directory is free again. */
export class OwnerGone extends Error {}

const ownerCheckMs = 500;

/** Works in another process's coordinator, and notices when that process is gone. */
export function guestEngine(client: Client, endpoint: string, ownerPid: number): Engine {
  const lost = new AbortController();
  const timer = setInterval(() => {
    if (!processLives(ownerPid)) lost.abort(new OwnerGone());
  }, ownerCheckMs);
  timer.unref();
  const leave = (): Promise<void> => {
    clearInterval(timer);
    client.close();
    return Promise.resolve();
  };
  return { client, endpoint, ownerPid, lost: lost.signal, finish: leave, suspend: leave };
}

function processLives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // A process of another user lives, too.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

export interface EngineWork<Result> {
  /** An engine of one's own, or as a guest in another's. */
  readonly open: () => Promise<Engine>;
  /** Begins or goes on with the same work; the signal ends it. */
  readonly work: (engine: Engine, signal: AbortSignal) => Promise<Result>;
  /** How far the work has come; it only grows. */
  readonly reached: () => number;
  /** The user's wish to leave: all is suspended, and its reason thrown. */
  readonly signal: AbortSignal;
  /** Told of each engine, with the owner that was gone before it, if any. */
  readonly opened?: (engine: Engine, gone?: number) => void;
}

/** Owners in a row that were gone before the work came on; more is not just bad luck. */
const ownersGoneMax = 10;
const pauseMs = 50;

/**
 * Does the work on an engine. When the process that owns it ends before the work does, whoever comes
 * first goes on with it.
 */
export async function workOnEngine<Result>(course: EngineWork<Result>): Promise<Result> {
  const { signal } = course;
  for (let inVain = 0, gone: number | undefined; ;) {
    const engine = await course.open();
    course.opened?.(engine, gone);
    const before = course.reached();
    try {
      const result = await course.work(engine, AbortSignal.any([signal, engine.lost]));
      await engine.finish(signal);
      return result;
    } catch (error) {
      await engine.suspend();
      signal.throwIfAborted();
      if (!ownerGone(engine, error)) throw engine.lost.aborted ? engine.lost.reason : error;
      inVain = course.reached() > before ? 0 : inVain + 1;
      if (inVain > ownersGoneMax) throw error;
    }
    await delay(inVain * pauseMs, undefined, { signal });
    gone = engine.ownerPid;
  }
}

/** An owner that is just ending lives, but answers no more. */
function ownerGone(engine: Engine, error: unknown): boolean {
  const unanswered = error instanceof WindrowError && error.failure.code === 'E_UNREACHABLE';
  return (engine.ownerPid !== undefined && unanswered) || engine.lost.reason instanceof OwnerGone;
}
