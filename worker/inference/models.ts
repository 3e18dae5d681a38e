/**
 * Where a step's model runs: in this thread on CPU, in the device thread on anything else. Never:
 * chooses the device; the plan has.
 */
import { startDeviceThread } from './device-thread.js';
import type { DeviceChannel, DeviceThread } from './device-thread.js';
import type { RunnableModel } from './host-tensor.js';
import { sessionOptions } from './session-options.js';
import type { ModelSource } from './session-options.js';
import { SessionCache } from './sessions.js';
import { loadShared } from './shared-call.js';
import { canRunSynchronously, loadSync } from './sync-run.js';

const cpuSessions = new SessionCache((source) => {
  const session = loadSync(source.modelPath, sessionOptions(source));
  return { run: (feeds) => session.run(feeds), release: () => session.dispose() };
});

let ownThread: DeviceThread | undefined;

/**
 * The model, ready to run; `release` it once.
 * @throws WindrowError badData `E_MODEL_INVALID`, resource `E_DEVICE_LOST`, `E_DEVICE_MEMORY`
 */
export async function acquireModel(
  { modelPath, externalPaths, device, intraOpThreads }: ModelSource,
  channel: DeviceChannel | undefined,
  cancelled: () => boolean,
): Promise<RunnableModel> {
  const source = { modelPath, externalPaths, device, intraOpThreads };
  if (device === 'cpu' && canRunSynchronously()) return cpuSessions.acquire(source);
  if (channel) return loadShared(channel, source, cancelled);
  ownThread ??= startDeviceThread();
  const own = ownThread.connect();
  // This thread sleeps during calls, so the other one has to be up before the first.
  await ownThread.ready();
  const model = loadShared(own, source, cancelled);
  return { run: (feeds, request) => model.run(feeds, request), release: () => own.port.close() };
}
