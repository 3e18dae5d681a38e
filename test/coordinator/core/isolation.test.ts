/** A row that kills every process that reads it: suspects, deaths, halves, and the verdict. */
import { describe, expect, it } from 'vitest';
import type { AttemptStarted } from '../../../coordinator/core/events.js';
import { attemptChunks } from '../../../coordinator/core/stage.js';
import type { StageState, State } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';
import { place } from '../../../coordinator/scheduling/placement.js';
import { workerId } from '../../../shared/ids.js';
import {
  after,
  chunkDone,
  ended,
  hello,
  J,
  jobOf,
  submitted,
  type StageShape,
} from './fixtures.js';

interface Story {
  readonly state: State;
  readonly attempts: number;
  readonly deaths: number;
}

/** One worker with one slot, restarted after each crash, until the job commits or ends. */
function play(shape: StageShape, deadly: (row: number) => boolean, rows: readonly number[]): Story {
  const state = after(submitted({ stages: [shape] }));
  const job = jobOf(state);
  const stage = job.stages[0] as StageState;
  const starts = rows.map((_, k) => rows.slice(0, k).reduce((sum, each) => sum + each, 0));
  let deaths = 0;
  let attempts = 0;
  const kills = (chunk: number, from: number, to: number) =>
    Array.from({ length: to - from }, (_, k) => from + k).some(
      (row) => deadly(row) && !stage.poison.get(chunk)?.includes(row),
    );
  const crash = () => {
    transition(state, {
      type: 'worker.exited',
      workerId: workerId('w1'),
      incarnation: `i${deaths}`,
      crashed: true,
      nowMs: 1,
    });
    deaths += 1;
  };
  while (job.phase.kind === 'running' && attempts < 500) {
    transition(state, hello({ incarnation: `i${deaths}` }));
    const [start] = place(state, 10) as [AttemptStarted];
    transition(state, start);
    attempts += 1;
    const { attempt, probe } = start;
    if (probe) {
      if (kills(probe.chunk, probe.rowStart, probe.rowEnd)) crash();
      else transition(state, ended(attempt));
      continue;
    }
    let died = false;
    for (const chunk of attemptChunks(stage, attempt.task)) {
      const from = starts[chunk] ?? 0;
      died = kills(chunk, from, from + (rows[chunk] ?? 0));
      if (died) break;
      transition(state, chunkDone(attempt, chunk));
    }
    if (died) crash();
    else transition(state, ended(attempt));
  }
  return { state, attempts, deaths };
}

describe('a poison row', () => {
  const rows = [100, 1000, 100];

  it.each([0, 99, 100, 612, 1099, 1199])('row %i is found and named', (poison) => {
    const { state, deaths } = play({ rows, starts: [0] }, (row) => row === poison, rows);
    expect(jobOf(state).phase).toMatchObject({
      kind: 'failed',
      failure: { code: 'E_POISON_ROW', at: { file: '/data/a.parquet', row: poison } },
    });
    expect(deaths).toBeLessThanOrEqual(1 + 3 + 1 + Math.ceil(Math.log2(1000)) + 1);
  });

  it('is dead-lettered unseen where a step of the stage allows it', () => {
    const { state } = play({ rows, starts: [0], deadLetter: true }, (row) => row === 612, rows);
    expect(jobOf(state).phase.kind).toBe('committing');
    expect(jobOf(state).stages[0]?.poison).toEqual(new Map([[1, [612]]]));
  });

  it('has company, and all are found', () => {
    const bad = [5, 612, 613, 1199];
    const { state } = play(
      { rows, starts: [0], deadLetter: true },
      (row) => bad.includes(row),
      rows,
    );
    expect(jobOf(state).phase.kind).toBe('committing');
    expect(
      [...(jobOf(state).stages[0]?.poison.values() ?? [])].flat().sort((a, b) => a - b),
    ).toEqual(bad);
  });

  it('in a chunk without rows of a file fails the job naming the chunk', () => {
    const state = after(submitted({ stages: [{ rows: 2 }] }));
    for (let round = 0; round < 5; round += 1) {
      transition(state, hello({ incarnation: `i${round}` }));
      for (const start of place(state, 1)) transition(state, start);
      transition(state, {
        type: 'worker.exited',
        workerId: workerId('w1'),
        incarnation: `i${round}`,
        crashed: true,
        nowMs: 1,
      });
    }
    expect(jobOf(state).phase).toMatchObject({ failure: { code: 'E_POISON_CHUNK' } });
  });
});

describe('deaths', () => {
  it('the first crash only makes suspects, of everything that ran there', () => {
    const state = after(hello({ slots: 4 }), submitted());
    for (const start of place(state, 0)) transition(state, start);
    transition(state, {
      type: 'worker.exited',
      workerId: workerId('w1'),
      incarnation: 'i1',
      crashed: true,
      nowMs: 1,
    });
    const histories = [...(jobOf(state).stages[0]?.tasks.values() ?? [])].map((t) => t.history);
    expect(histories).toHaveLength(4);
    for (const history of histories) expect(history).toMatchObject({ alone: true, deaths: 0 });
  });

  it('do not count when the process was killed from outside and the task moves on', () => {
    let kills = 0;
    const rows = [10, 10, 10, 10, 10, 10];
    // Each chunk kills once, on its first try: progress is made between the deaths.
    const seen = new Set<number>();
    const { state, attempts } = play(
      { rows, starts: [0] },
      (row) => {
        if (row % 10 !== 0 || seen.has(row)) return false;
        seen.add(row);
        kills += 1;
        return true;
      },
      rows,
    );
    expect(kills).toBe(6);
    expect(attempts).toBe(7);
    expect(state.jobs.get(J)?.phase.kind).toBe('committing');
  });

  it('without a guilty row are forgiven after the search', () => {
    const rows = [8];
    let kills = 0;
    // Dies five times for a reason of its own, and then never again.
    const { state } = play(
      { rows, starts: [0] },
      (row) => {
        if (row !== 7 || kills >= 5) return false;
        kills += 1;
        return true;
      },
      rows,
    );
    expect(state.jobs.get(J)?.phase.kind).toBe('committing');
    expect(state.jobs.get(J)?.stages[0]?.poison.size).toBe(0);
  });
});
