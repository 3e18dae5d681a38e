/**
 * How a session is made for each device, and how a model's external data reaches it. Never: creates
 * a session; sessions.ts and the device thread do.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fail } from '../../shared/failure.js';
import type { Device } from '../../shared/plan.js';
import type { SessionOptions } from './sync-run.js';

export interface ModelSource {
  readonly modelPath: string;
  /** Name in the model -> local path. */
  readonly externalPaths: Readonly<Record<string, string>>;
  readonly device: Device;
  readonly intraOpThreads: number;
}

/** What Node can hold in one buffer read at once. */
const externalBytesMax = 2 ** 31 - 1;

/** @throws WindrowError badData `E_MODEL_INVALID` when external data is too large to hand over */
export function sessionOptions(source: ModelSource): SessionOptions {
  const externalData = externalFiles(source);
  return {
    executionProviders: [source.device],
    intraOpNumThreads: source.intraOpThreads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    // An arena keeps what one run needed for the next; batches have few sizes, so it stays small.
    enableCpuMemArena: true,
    enableMemPattern: true,
    // Errors come back as exceptions; on stderr they would only stand a second time.
    logSeverityLevel: 4,
    ...(externalData.length > 0 ? { externalData } : {}),
  };
}

/** Files that lie beside the model under their own names are found by ONNX Runtime itself. */
function externalFiles({ modelPath, externalPaths }: ModelSource) {
  return Object.entries(externalPaths)
    .filter(([name, path]) => resolve(path) !== join(resolve(dirname(modelPath)), name))
    .map(([name, path]) => {
      const { size } = statSync(path);
      if (size > externalBytesMax) {
        fail(
          'badData',
          'E_MODEL_INVALID',
          `external data "${name}" has ${size} bytes where ${externalBytesMax} can be handed over`,
          {
            hint: 'split the data into smaller files when exporting the model',
          },
        );
      }
      return { path: name, data: readFileSync(path) };
    });
}
