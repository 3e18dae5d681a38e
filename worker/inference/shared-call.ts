/**
 * The caller's side of a device channel: a request goes out as a message, then this thread sleeps
 * on shared memory until the answer is there, so that a DuckDB callback can use a GPU. Never: used
 * on a thread that has anything else to do.
 */
import { receiveMessageOnPort } from 'node:worker_threads';
import { WindrowError, fail } from '../../shared/failure.js';
import type { DeviceAnswer, DeviceRequest } from './device-protocol.js';
import { signalAnswers, signalDead } from './device-thread.js';
import type { DeviceChannel } from './device-thread.js';
import type { RunnableModel, Tensors } from './host-tensor.js';
import type { ModelSource } from './session-options.js';

/** How long a sleep lasts before cancel and the thread's death are looked at again. */
const sliceMs = 100;

let lastId = 0;

/**
 * Loads the model in the device thread, or finds it there.
 * @throws WindrowError badData `E_MODEL_INVALID`, resource `E_DEVICE_LOST`, `E_DEVICE_MEMORY`
 */
export function loadShared(
  channel: DeviceChannel,
  source: ModelSource,
  cancelled: () => boolean,
): RunnableModel {
  const model = JSON.stringify([source.modelPath, source.externalPaths, source.device]);
  call(channel, { type: 'load', id: ++lastId, model, source }, cancelled);
  return {
    run(feeds, request) {
      const rows = Object.values(feeds)[0]?.dims[0] ?? 0;
      const { joinRows } = request;
      const id = ++lastId;
      return call(channel, { type: 'run', id, model, feeds, rows, joinRows }, request.cancelled);
    },
    // Sessions stay in the device thread for the next attempt.
    release: () => undefined,
  };
}

function call(channel: DeviceChannel, request: DeviceRequest, cancelled: () => boolean): Tensors {
  const words = new Int32Array(channel.signal);
  channel.port.postMessage(request);
  for (;;) {
    // Read before the port: an answer that comes in between then ends the wait at once.
    const seen = Atomics.load(words, signalAnswers);
    const answer = takeAnswer(channel, request.id);
    if (answer) {
      if ('failure' in answer) throw new WindrowError(answer.failure);
      return answer.results;
    }
    if (Atomics.load(words, signalDead) === 1) {
      fail('resource', 'E_DEVICE_LOST', 'the thread that owns the device has ended', {
        hint: 'look in the worker log for what ended it; the attempt is made again',
      });
    }
    if (cancelled()) fail('cancelled', 'E_CANCELLED', 'cancelled while waiting for the device');
    Atomics.wait(words, signalAnswers, seen, sliceMs);
  }
}

/** Answers to calls that were cancelled are dropped on the way. */
function takeAnswer({ port }: DeviceChannel, id: number): DeviceAnswer | undefined {
  for (;;) {
    const received = receiveMessageOnPort(port) as { message: DeviceAnswer } | undefined;
    if (!received || received.message.id === id) return received?.message;
  }
}
