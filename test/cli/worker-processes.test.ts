/** Keeping worker processes alive, with real processes. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { WorkerProcessesOptions } from '../../cli/worker-processes.js';
import { startWorkerProcesses } from '../../cli/worker-processes.js';
import type { WindrowError } from '../../shared/failure.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-workers-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** A process in a worker's place; what is tested is how processes are kept, not what they do. */
function program(text: string): string {
  const path = join(directory, 'program.mjs');
  writeFileSync(path, text);
  return path;
}

const livesWithParent = `
  import { appendFileSync } from 'node:fs';
  process.stdin.on('end', () => process.exit(0));
  process.stdin.resume();
  console.log(process.argv.slice(2).join(' ') + ' ' + process.env.UV_THREADPOOL_SIZE);
`;

function options(
  entry: string,
  changes: Partial<WorkerProcessesOptions> = {},
): WorkerProcessesOptions {
  return {
    endpoint: 'unix:/nowhere/windrow.sock',
    count: 1,
    slotsEach: 1,
    pools: ['*'],
    logDirectory: join(directory, 'logs'),
    scratchDirectory: join(directory, 'scratch'),
    shuffleDirectory: join(directory, 'shuffle'),
    memoryLimitBytes: 2 ** 30,
    program: entry,
    saidHello: () => Promise.resolve(false),
    onExit: () => undefined,
    onGiveUp: () => undefined,
    backoffMs: 1,
    ...changes,
  };
}

describe('worker processes', () => {
  test('that die before their hello are given up after five starts, with the reason', async () => {
    const exits: boolean[] = [];
    const error = await new Promise<WindrowError>((resolve) => {
      startWorkerProcesses(
        options(program(`console.error('no such library'); process.exit(3);`), {
          onExit: (_pid, crashed) => exits.push(crashed),
          onGiveUp: resolve,
        }),
      );
    });
    expect(error.failure).toMatchObject({ kind: 'resource', code: 'E_WORKER_START' });
    expect(error.failure.message).toContain('exit code 3');
    expect(error.failure.message).toContain('no such library');
    expect(exits).toEqual([true, true, true, true, true]);
  });

  test('that said hello are started again for as long as it takes', async () => {
    const exits: { pid: number; crashed: boolean }[] = [];
    let workers: ReturnType<typeof startWorkerProcesses> | undefined;
    await new Promise<void>((resolve, reject) => {
      workers = startWorkerProcesses(
        options(program(`process.kill(process.pid, 'SIGKILL');`), {
          saidHello: () => Promise.resolve(true),
          onGiveUp: reject,
          onExit: (pid, crashed) => {
            exits.push({ pid, crashed });
            if (exits.length === 7) resolve();
          },
        }),
      );
    });
    await workers!.stop();
    expect(new Set(exits.map((exit) => exit.pid)).size).toBe(exits.length);
    expect(exits.every((exit) => exit.crashed)).toBe(true);
  });

  test('that recycle themselves are replaced and not taken for crashed', async () => {
    const crashed = await new Promise<boolean>((resolve) => {
      const workers = startWorkerProcesses(
        options(program(`process.exit(75);`), {
          saidHello: () => Promise.resolve(true),
          onExit: (_pid, how) => {
            void workers.stop().then(() => resolve(how));
          },
        }),
      );
    });
    expect(crashed).toBe(false);
  });

  test('end when told to, and leave no scratch files', async () => {
    let exits = 0;
    const workers = startWorkerProcesses(
      options(program(livesWithParent), { count: 3, onExit: () => exits++ }),
    );
    const pids = workers.pids;
    expect(pids).toHaveLength(3);
    await workers.stop();
    expect(workers.pids).toEqual([]);
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(existsSync(join(directory, 'scratch'))).toBe(false);
    // An end that we asked for is not news for the coordinator.
    expect(exits).toBe(0);
  });

  test('start after the first one where that is to go ahead, or never where all is over', async () => {
    const workers = startWorkerProcesses(
      options(program(livesWithParent), { count: 3, headStartMs: 60_000 }),
    );
    expect(workers.pids).toHaveLength(1);
    await workers.stop();
    expect(workers.pids).toEqual([]);

    const all = startWorkerProcesses(
      options(program(livesWithParent), { count: 3, headStartMs: 1 }),
    );
    await vi.waitUntil(() => all.pids.length === 3);
    await all.stop();
  });

  test('that listen to nothing end as well', async () => {
    const workers = startWorkerProcesses(options(program(`setInterval(() => {}, 1000);`)));
    const [pid] = workers.pids;
    await workers.stop();
    expect(() => process.kill(pid!, 0)).toThrow('ESRCH');
  });

  test('get their share of memory, a folder for spilling and enough threads', async () => {
    const log = join(directory, 'logs', 'worker-0.log');
    await new Promise<void>((resolve) => {
      const workers = startWorkerProcesses(
        options(program(`${livesWithParent} process.exit(0);`), {
          count: 2,
          slotsEach: 2,
          onExit: () => void workers.stop().then(resolve),
        }),
      );
    });
    const args = readFileSync(log, 'utf8') || readFileSync(log.replace('-0', '-1'), 'utf8');
    expect(args).toContain('--coordinator unix:/nowhere/windrow.sock --slots 2');
    expect(args).toContain(`--memory ${String(2 ** 29)}`);
    expect(args).toMatch(
      /--spill \S+scratch\/worker-[01] --shuffle-dir \S+\/shuffle --pool \* --exit-with-parent 12/,
    );
  });
});
