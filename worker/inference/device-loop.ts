/**
 * The device thread: owns the sessions on a GPU, answers callers in the order they came, and lets
 * rows that wait for the same model share a run. Never: runs in a thread that has other duties.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { toFailure } from '../../shared/failure.js';
import { joinFeeds, joinKey, splitResults } from './batch-join.js';
import type { DeviceAnswer, DeviceRequest, RunFeeds } from './device-protocol.js';
import { signalAnswers, signalDead } from './device-thread.js';
import type { DeviceThreadMessage } from './device-thread.js';
import type { Tensors } from './host-tensor.js';
import { sessionOptions } from './session-options.js';
import { loadAsync } from './sync-run.js';

type DeviceSession = Awaited<ReturnType<typeof loadAsync>>;
interface Waiting {
  readonly port: MessagePort;
  readonly request: RunFeeds;
  readonly key: string;
}

const words = new Int32Array((workerData as { signal: SharedArrayBuffer }).signal);
const sessions = new Map<string, Promise<DeviceSession>>();
const queue: Waiting[] = [];
let draining = false;
let closing = false;

process.once('exit', () => {
  Atomics.store(words, signalDead, 1);
  Atomics.notify(words, signalAnswers);
});

parentPort!.on('message', (message: DeviceThreadMessage) => {
  if (message.type === 'connect') serve(message.port);
  else {
    closing = true;
    // A run in progress ends the thread itself when it is over.
    if (!draining) process.exit(0);
  }
});
parentPort!.postMessage('ready');

function serve(port: MessagePort): void {
  port.on('message', (request: DeviceRequest) => {
    if (request.type === 'load') void load(port, request);
    else {
      queue.push({ port, request, key: joinKey(request) });
      if (!draining) {
        draining = true;
        setImmediate(() => void drain());
      }
    }
  });
}

function answer(port: MessagePort, message: DeviceAnswer): void {
  port.postMessage(message);
  Atomics.add(words, signalAnswers, 1);
  Atomics.notify(words, signalAnswers);
}

async function load(port: MessagePort, request: Extract<DeviceRequest, { type: 'load' }>) {
  const key = request.model;
  let session = sessions.get(key);
  try {
    if (!session) {
      const { source } = request;
      session = loadAsync(source.modelPath, sessionOptions(source));
      sessions.set(key, session);
    }
    await session;
    answer(port, { id: request.id, results: {} });
  } catch (error) {
    sessions.delete(key);
    answer(port, { id: request.id, failure: toFailure(error) });
  }
}

/** One batch after the other; messages that came in meanwhile join the next one. */
async function drain(): Promise<void> {
  while (queue.length > 0 && !closing) {
    const batch = takeBatch();
    await runBatch(batch);
    await new Promise((resolve) => setImmediate(resolve));
  }
  draining = false;
  if (closing) process.exit(0);
}

/** The first in the queue, and those behind it that may share its run. */
function takeBatch(): Waiting[] {
  const first = queue.shift()!;
  const batch = [first];
  let rows = first.request.rows;
  for (let i = 0; i < queue.length;) {
    const next = queue[i]!;
    const room = Math.min(first.request.joinRows, next.request.joinRows) - rows;
    if (next.key === first.key && next.request.rows <= room) {
      batch.push(next);
      rows += next.request.rows;
      queue.splice(i, 1);
    } else i++;
  }
  return batch;
}

async function runBatch(batch: readonly Waiting[]): Promise<void> {
  if (batch.length > 1) {
    const rows = batch.map(({ request }) => request.rows);
    try {
      const joined = joinFeeds(batch.map(({ request }) => request.feeds));
      const parts = splitResults(await run(batch[0]!.request.model, joined), rows);
      if (parts) {
        batch.forEach(({ port, request }, i) =>
          answer(port, { id: request.id, results: parts[i]! }),
        );
        return;
      }
    } catch {
      // Whose rows were refused is found by running each caller's alone, below.
    }
  }
  for (const { port, request } of batch) {
    try {
      answer(port, { id: request.id, results: await run(request.model, request.feeds) });
    } catch (error) {
      answer(port, { id: request.id, failure: toFailure(error) });
    }
  }
}

async function run(model: string, feeds: Tensors): Promise<Tensors> {
  const session = sessions.get(model);
  if (!session) throw new Error(`model ${model} was not loaded in this thread`);
  return (await session).run(feeds);
}
