/**
 * What runs in a piscina thread: one attempt at a time, its cancel, and what the thread keeps between
 * attempts. A failure is returned, never thrown; the port is closed after the last message.
 */
import { toFailure } from '../../shared/failure.js';
import type { DeviceChannel } from '../inference/device-thread.js';
import { preparePredict } from '../inference/predict.js';
import { runChunks } from './attempt.js';
import type { AttemptControl, AttemptMessage, AttemptResult, AttemptTask } from './protocol.js';
import { Runtime } from './runtime.js';

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
  port.on('message', (message: AttemptControl) => {
    if (message.type !== 'interrupt') return;
    Atomics.store(scope.control, 0, 1);
    runtime.kernel?.interrupt();
  });
  const poll = setInterval(() => {
    if (scope.cancelled) runtime.kernel?.interrupt();
  }, cancelPollMs);
  try {
    const failure = await runChunks(attempt, runtime, (message: AttemptMessage) =>
      port.postMessage(message),
    );
    // Whatever a cancelled or failed statement left behind ends with its kernel.
    if (failure) runtime.closeKernel();
    if (failure?.code === 'E_DEVICE_LOST') forgetDevice();
    return failure ? { failure } : {};
  } catch (error) {
    return { failure: toFailure(error) };
  } finally {
    clearInterval(poll);
    port.removeAllListeners('message');
    port.close();
  }
}
