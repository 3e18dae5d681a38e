/** Runs a TypeScript file as a process of its own, so that it can be killed for real. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const repository = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const bundles = new Map<string, string>();

export function startChild(
  file: string,
  args: readonly string[],
  env: Record<string, string> = {},
): ChildProcess {
  return spawn(process.execPath, [bundled(file), ...args], {
    cwd: repository,
    // The bundle lies outside the repository and still finds its packages.
    env: { ...process.env, NODE_PATH: join(repository, 'node_modules'), ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

/** Compiled once, because a process that compiles first takes seconds to start. */
function bundled(file: string): string {
  const known = bundles.get(file);
  if (known !== undefined) return known;
  const outfile = join(
    mkdtempSync(join(tmpdir(), 'windrow-child-')),
    basename(file).replace(/ts$/, 'cjs'),
  );
  buildSync({
    entryPoints: [file],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    packages: 'external',
    logLevel: 'error',
  });
  bundles.set(file, outfile);
  return outfile;
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
