/**
 * What runs in a piscina thread: one attempt at a time, its cancel, and what the thread keeps between
 * attempts. A failure is returned, never thrown; the port is closed after the last message.
 */
import { toFailure } from '../../shared/failure.js';
import { preparePredict } from '../inference/predict.js';
import { runChunks } from './attempt.js';
import type { AttemptControl, AttemptMessage, AttemptResult, AttemptTask } from './protocol.js';
import { Runtime } from './runtime.js';

const runtime = new Runtime(preparePredict);

/** A cancel may arrive between two statements, where there is nothing to interrupt: look again. */
const cancelPollMs = 50;

export async function runAttempt(task: AttemptTask): Promise<AttemptResult> {
  const { port, control, ...attempt } = task;
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
    return failure ? { failure } : {};
  } catch (error) {
    return { failure: toFailure(error) };
  } finally {
    clearInterval(poll);
    port.removeAllListeners('message');
    port.close();
  }
}
