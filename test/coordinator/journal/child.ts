/** Runs a TypeScript file as a process of its own, so that it can be killed for real. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

export function startChild(
  file: string,
  args: readonly string[],
  env: Record<string, string> = {},
): ChildProcess {
  return spawn(process.execPath, ['--import', 'tsx', file, ...args], {
    cwd: repository,
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

/** How it ended: `SIGKILL`, or its exit code, with what it printed. */
export async function ended(child: ChildProcess): Promise<{ how: string; output: string }> {
  let output = '';
  child.stdout?.on('data', (part: Buffer) => {
    output += part.toString('utf8');
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { how: signal ?? String(code), output };
}
