/**
 * What runs in a piscina thread: one attempt at a time, its cancel, and what the thread keeps between
 * attempts. A failure is returned, never thrown, but for one that ends the thread; the port is closed
 * after the last message.
 */
import { toFailure } from '../../shared/failure.js';
import type { DeviceChannel } from '../inference/device-thread.js';
import { preparePredict } from '../inference/predict.js';
import { runChunks } from './attempt.js';
import {
  type AttemptControl,
  type AttemptMessage,
  type AttemptResult,
  type AttemptTask,
  controlWord,
} from './protocol.js';
import { Runtime } from './runtime.js';
import { catchStray } from './stray.js';

/** Kept between attempts, as the models made ready in this thread speak through it. */
let device: DeviceChannel | undefined;

const runtime = new Runtime((env) => preparePredict({ ...env, ...(device ? { device } : {}) }));

/** A cancel may arrive between two statements, where there is nothing to interrupt: look again. */
const cancelPollMs = 50;

/** The device thread is gone, and with it every model that was made ready there. */
function forgetDevice(): void {
  runtime.close();
  device?.port.close();
  device = undefined;
}

/** Answers once this thread has loaded everything it needs. */
export function loaded(): true {
  return true;
}

export async function runAttempt(task: AttemptTask): Promise<AttemptResult> {
  const { port, control, device: offered, ...attempt } = task;
  if (device) offered?.port.close();
  else device = offered;
  const { scope } = runtime;
  scope.control = new Int32Array(control);
  const stop = (): void => {
    Atomics.store(scope.control, 0, controlWord.cancel);
    runtime.kernel?.interrupt();
  };
  port.on('message', (message: AttemptControl) => {
    if (message.type === 'interrupt') stop();
  });
  const release = catchStray(attempt, (error) => {
    scope.stray.abort(error);
    stop();
  });
  const { console } = globalThis;
  globalThis.console = scope.printed.console;
  const poll = setInterval(() => {
    if (scope.cancelled) runtime.kernel?.interrupt();
  }, cancelPollMs);
  let result: AttemptResult;
  try {
    const failure = await runChunks(attempt, runtime, (message: AttemptMessage) =>
      port.postMessage(message),
    );
    // Whatever a cancelled or failed statement left behind ends with its kernel.
    if (failure) runtime.closeKernel();
    if (failure?.code === 'E_DEVICE_LOST') forgetDevice();
    result = failure ? { failure } : {};
  } catch (error) {
    result = { failure: toFailure(error) };
  } finally {
    globalThis.console = console;
    clearInterval(poll);
    port.removeAllListeners('message');
    port.close();
  }
  const { signal } = scope.stray;
  if (signal.aborted) return endThread(signal.reason, release);
  release();
  return result;
}

/** A thread must not end while anything native runs in it; the pool starts another in its place. */
function endThread(error: unknown, release: () => void): Promise<never> {
  forgetDevice();
  release();
  // The module's own would keep it alive.
  process.removeAllListeners('uncaughtException');
  queueMicrotask(() => {
    throw error;
  });
  return new Promise(() => undefined);
}
