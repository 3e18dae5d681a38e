/** A coordinator that is a process of its own and can be killed and started again. Ends only what it started. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { CoordinatorOptions } from '../../coordinator/options.js';

/** What `windrow coordinator` runs, with a lease that no flag offers; it ends with whoever started it. */
const program = `
  process.stdin.on('close', () => process.exit()).resume();
  import { startCoordinator } from ${JSON.stringify(pathToFileURL(resolve('dist/coordinator/main.js')).href)};
  const started = await startCoordinator(JSON.parse(process.argv[1]));
  console.log(started.endpoint);
`;

export class CoordinatorProcess {
  private child: ChildProcess | undefined;

  constructor(private readonly options: CoordinatorOptions) {}

  /** Resolves with the endpoint, the same each time. */
  async start(): Promise<string> {
    const args = ['--input-type=module', '--eval', program, JSON.stringify(this.options)];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child = child;
    const ended = once(child, 'exit').then(() => {
      throw new Error('the coordinator ended before it was ready');
    });
    ended.catch(() => undefined);
    const [line] = (await Promise.race([once(child.stdout, 'data'), ended])) as [Buffer];
    return line.toString().trim();
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}
