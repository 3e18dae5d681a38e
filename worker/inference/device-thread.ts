/**
 * Starts and ends the one thread of a process that owns sessions on a GPU, and hands out channels
 * to it. Runs where the event loop is free. Never: blocks, or touches a session itself.
 */
import { MessageChannel, Worker } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';

/** Slots of `DeviceChannel.signal`, an Int32Array over shared memory. */
export const signalAnswers = 0;
export const signalDead = 1;

/** A caller's way to the device thread; structured clone with `port` in the transfer list. */
export interface DeviceChannel {
  readonly port: MessagePort;
  /** [0] counts answers of all channels, [1] is 1 once the thread is gone. */
  readonly signal: SharedArrayBuffer;
}

export interface DeviceThread {
  /** A new channel; starts the thread, or a new one where the last has died. */
  connect(): DeviceChannel;
  /** Resolves when the thread answers. @throws what ended it before it did */
  ready(): Promise<void>;
  /** Ends the thread once its run in progress is over; callers still waiting get `E_DEVICE_LOST`. */
  close(): Promise<void>;
}

interface Generation {
  readonly worker: Worker;
  readonly signal: SharedArrayBuffer;
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
}

/** Messages from here to the thread. */
export type DeviceThreadMessage =
  { readonly type: 'connect'; readonly port: MessagePort } | { readonly type: 'close' };

/** The thread starts with the first `connect` and does not keep the process alive. */
export function startDeviceThread(
  entry = new URL('./device-loop.js', import.meta.url),
): DeviceThread {
  let current: Generation | undefined;

  const alive = (): Generation => {
    if (!current || isDead(current.signal)) current = startGeneration(entry);
    return current;
  };

  return {
    connect() {
      const { worker, signal } = alive();
      const { port1, port2 } = new MessageChannel();
      const message: DeviceThreadMessage = { type: 'connect', port: port2 };
      worker.postMessage(message, [port2]);
      return { port: port1, signal };
    },
    ready: () => alive().ready,
    async close() {
      if (!current) return;
      const { worker, ended } = current;
      const message: DeviceThreadMessage = { type: 'close' };
      worker.postMessage(message);
      // Terminating a thread inside native code aborts the process, so it ends itself.
      await ended;
      current = undefined;
    },
  };
}

function isDead(signal: SharedArrayBuffer): boolean {
  return Atomics.load(new Int32Array(signal), signalDead) === 1;
}

function startGeneration(entry: URL): Generation {
  const signal = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT);
  const worker = new Worker(entry, { workerData: { signal } });
  worker.unref();
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', () => {
      const words = new Int32Array(signal);
      Atomics.store(words, signalDead, 1);
      Atomics.notify(words, signalAnswers);
      resolve();
    });
  });
  const ready = new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve());
    worker.once('error', reject);
    void ended.then(() => reject(new Error('the device thread ended before it was ready')));
  });
  // A death that nobody waits for is told by the signal; callers then get E_DEVICE_LOST.
  ready.catch(() => undefined);
  return { worker, signal, ready, ended };
}
