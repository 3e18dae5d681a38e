/**
 * Workers on machines of their own, as far as their disks go: each process is told the same shuffle
 * directory, a path that means another place to each (/proc/self/cwd) and nothing to anybody else.
 * Ends only processes that it started.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { filesBelow } from './engine.js';

const program = resolve('dist/worker/main.js');

export class Machine {
  stderr = '';
  private child: ChildProcess | undefined;

  constructor(
    readonly directory: string,
    private readonly endpoint: string,
  ) {
    mkdirSync(directory, { recursive: true });
  }

  /** Its shuffle directory as it lies here. */
  get shuffle(): string {
    return join(this.directory, 'shuffle');
  }

  start(...flags: string[]): this {
    const spill = join(this.directory, 'spill');
    const args = ['--coordinator', this.endpoint, '--pool', '*', '--spill', spill];
    this.child = spawn(
      process.execPath,
      [program, ...args, '--shuffle-dir', '/proc/self/cwd/shuffle', ...flags],
      { cwd: this.directory, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.child.stderr!.on('data', (data: Buffer) => (this.stderr += data.toString()));
    return this;
  }

  get pid(): number {
    return this.child!.pid!;
  }

  /** Finished chunks that lie there. */
  parts(): string[] {
    return filesBelow(this.shuffle).filter((name) => name.endsWith('.chunk'));
  }

  /** At once, and the disk with it if told so. */
  async kill(withDisk = false): Promise<void> {
    const { child } = this;
    if (child && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    if (withDisk) rmSync(this.shuffle, { recursive: true, force: true });
  }
}
