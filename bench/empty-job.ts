/** A job of tasks that do nothing, on a real coordinator with real worker processes: what scheduling alone costs. */
import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import type {
  CoordinatorOptions,
  RunningCoordinator,
  startCoordinator,
} from '../coordinator/main.js';
import type { JobSubmitted } from '../coordinator/core/events.js';
import { jobId, stageId } from '../shared/ids.js';
import type { JobPlan } from '../shared/plan.js';
import { cli, root } from './engine.js';

/** The built engine, not its sources: what ships is what is measured. */
export async function startBuiltCoordinator(
  stateDirectory: string,
  embedded: boolean,
  more: Pick<CoordinatorOptions, 'listen'> = {},
): Promise<RunningCoordinator> {
  const built = new URL('../dist/coordinator/main.js', import.meta.url).href;
  const main = (await import(built)) as { startCoordinator: typeof startCoordinator };
  const coordinator = await main.startCoordinator({ stateDirectory, embedded, ...more });
  if ('busy' in coordinator) throw new Error(`${stateDirectory} is in use`);
  return coordinator;
}

export const emptyJobId = jobId('jempty');

/** One task for each chunk, nothing to read, nothing to write. */
export function emptyJob(tasks: number): JobSubmitted {
  const plan: JobPlan = {
    format: 1,
    stages: [
      {
        id: stageId('s0'),
        input: { kind: 'empty', chunks: tasks },
        program: {
          scan: { kind: 'empty', columns: [], hive: [] },
          steps: [],
          sink: { columns: [], compression: 'snappy', partitionBy: [] },
          rowwise: true,
        },
        digest: '0'.repeat(64),
        deterministic: true,
        taskStarts: Array.from({ length: tasks }, (_, k) => k),
        pool: 'cpu',
        devices: ['cpu'],
        rows: 0,
      },
    ],
    outputs: [],
    notes: [],
    chunkLocation: path.join(root, 'bench/.data/chunks'),

    chunkKeepMs: 604_800_000,
    deadLetters: {},
    constants: { jobId: emptyJobId, nowMs: 0 },
  };
  return {
    type: 'job.submitted',
    jobId: emptyJobId,
    requestId: 'bench',
    name: 'empty',
    spec: '{}',
    plan,
    run: { priority: 0, weight: 1, attempts: 4 },
    reused: [],
    counts: {
      rowsTotal: 0,
      rowsReused: 0,
      rowsPruned: 0,
      reusedOut: 0,
      reusedFiltered: 0,
      reusedDead: 0,
    },
    nowMs: Date.now(),
  };
}

/** `count` worker processes with so many slots each, connected to the coordinator. */
export function startWorkers(endpoint: string, count: number, slots: number): ChildProcess[] {
  const args = [cli, 'worker', '--coordinator', endpoint, '--slots', String(slots)];
  return Array.from({ length: count }, () =>
    spawn(process.execPath, args, {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, UV_THREADPOOL_SIZE: String(2 * slots + 8) },
    }),
  );
}

export async function stopWorkers(workers: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    workers.map(async (worker) => {
      const gone = new Promise((resolve) => worker.once('exit', resolve));
      if (worker.exitCode === null && worker.signalCode === null && worker.kill('SIGKILL')) {
        await gone;
      }
    }),
  );
}

/** Resolves with what `ready` answers once that is true; looks ten times a second. */
export async function until(ready: () => Promise<boolean>, timeoutMs = 120_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await ready())) {
    if (performance.now() > deadline) throw new Error('the benchmark waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
