/** The job of `wide-engine.ts`: what a run of it comes to that nothing disturbs, and a copy of its input for each test. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { type Run, type RunEvent, type RunResult, startRun } from './engine.js';
import {
  copyWideInput,
  makeWideInput,
  publishedWide,
  visibleLeftovers,
  type WidePublished,
  writeWideSpec,
} from './wide-engine.js';

export const workers = ['--workers', '2'];
/** Where the coordinator is killed, its workers do not matter. */
export const oneWorker = ['--workers', '1'];

/** Stage by stage as an undisturbed run does them; what is between two of one number is divided. */
export const allStages = ['s0_1', 's0_2', 's0', 's1', 's2', 's3_1', 's3_2', 's3'];

export const begins =
  (stage: string) =>
  (event: RunEvent): boolean =>
    event.event === 'stage' && event['stage'] === stage && event['state'] === 'running';

/** Stages in which something was done, in the order in which they began. */
export function stagesRun({ events }: RunResult): string[] {
  const begun = events.filter(({ event, state }) => event === 'stage' && state === 'running');
  return begun.map(({ stage }) => String(stage));
}

export class WideUndisturbed {
  published!: WidePublished;
  first!: RunResult;
  /** Of the test that runs. */
  directory = '';
  home = '';
  private running: Run[] = [];

  /** Call where a file's tests are named. */
  constructor() {
    beforeAll(async () => {
      this.home = mkdtempSync(join(tmpdir(), 'windrow-wide-'));
      const place = join(this.home, 'undisturbed');
      await makeWideInput(place);
      this.first = await startRun(writeWideSpec(place), workers).done;
      expect(this.first.stderr).toBe('');
      this.published = await publishedWide(place);
    }, 120_000);
    beforeEach(() => {
      this.directory = mkdtempSync(join(this.home, 'case-'));
      copyWideInput(join(this.home, 'undisturbed'), this.directory);
    });
    afterEach(async () => {
      for (const { child } of this.running) {
        if (child.exitCode === null && child.signalCode === null) {
          process.kill(-child.pid!, 'SIGKILL');
        }
      }
      await Promise.all(this.running.map(({ done }) => done));
      this.running = [];
    });
    afterAll(() => rmSync(this.home, { recursive: true, force: true }));
  }

  /** A run that does not outlive its test. */
  run(...args: Parameters<typeof startRun>): Run {
    const started = startRun(...args);
    this.running.push(started);
    return started;
  }

  /** The last run succeeded, and what it published is what an undisturbed run publishes. */
  async expectWhole(result: RunResult): Promise<void> {
    expect(result.stderr).not.toMatch(/error E_/);
    expect(result.code).toBe(0);
    expect(result.result?.rows).toEqual(this.first.result?.rows);
    expect(await publishedWide(this.directory)).toEqual(this.published);
    expect(visibleLeftovers(this.directory)).toEqual([]);
  }
}
