/** An input, what a run over it comes to that nothing disturbs, and a fresh copy of it for each test. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import {
  copyInput,
  filesBelow,
  makeInput,
  published,
  type Published,
  type Run,
  type RunResult,
  startRun,
  writeSpec,
} from './engine.js';

export const workers = ['--workers', '2'];

export class Undisturbed {
  published!: Published;
  books: RunResult['result'];
  /** Of the test that runs. */
  directory = '';
  private home = '';
  private running: Run[] = [];

  /** Call where a file's tests are named; `input` as of `makeInput`. */
  constructor(
    ...input: Parameters<typeof makeInput> extends [string, ...infer More] ? More : never
  ) {
    beforeAll(async () => {
      this.home = mkdtempSync(join(tmpdir(), 'windrow-chaos-'));
      const place = join(this.home, 'undisturbed');
      await makeInput(place, ...input);
      const { stderr, code, result } = await startRun(writeSpec(place), workers).done;
      expect(stderr).toBe('');
      expect(code).toBe(0);
      this.published = await published(join(place, 'out'));
      this.books = result;
    }, 120_000);
    beforeEach(() => (this.directory = this.copyOfInput('case')));
    afterEach(() => this.endAll());
    afterAll(() => rmSync(this.home, { recursive: true, force: true }));
  }

  /** A directory of its own, with the input and nothing else. */
  copyOfInput(name: string): string {
    const place = mkdtempSync(join(this.home, `${name}-`));
    copyInput(join(this.home, 'undisturbed'), place);
    return place;
  }

  /** The test begins with what was published in another directory. */
  takeOver(place: string): void {
    for (const name of ['out', 'out.dead']) {
      cpSync(join(place, name), join(this.directory, name), { recursive: true });
    }
  }

  /** A run that does not outlive its test. */
  run(...args: Parameters<typeof startRun>): Run {
    const started = startRun(...args);
    this.running.push(started);
    return started;
  }

  /** Resolves as soon as so many chunks of the run are files. */
  async untilWritten(chunks: number, { child }: Run): Promise<void> {
    const place = join(this.directory, 'out', '_windrow', 'chunks');
    const written = (): number =>
      filesBelow(place).filter((name) => name.endsWith('.chunk')).length;
    while (written() < chunks) {
      expect(child.exitCode, 'the run ended first').toBeNull();
      await setTimeout(1);
    }
  }

  /** The last run succeeded, and what it published is what an undisturbed run publishes. */
  async expectWhole(result: RunResult): Promise<void> {
    expect(result.stderr).not.toMatch(/error E_/);
    expect(result.code).toBe(0);
    expect(result.result?.rows).toEqual(this.books?.rows);
    const { in: rowsIn, out, filtered, deadLettered } = result.result!.rows;
    expect(out + filtered + deadLettered).toBe(rowsIn);
    const output = join(this.directory, 'out');
    expect(await published(output)).toEqual(this.published);
    const dead = filesBelow(`${output}.dead`).filter((file) => file.endsWith('.parquet'));
    expect(dead.length).toBeGreaterThan(0);
  }

  private async endAll(): Promise<void> {
    for (const { child } of this.running) {
      if (child.exitCode === null && child.signalCode === null)
        process.kill(-child.pid!, 'SIGKILL');
    }
    await Promise.all(this.running.map(({ done }) => done));
    this.running = [];
  }
}
