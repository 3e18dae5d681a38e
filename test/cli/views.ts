/** Views that tests of the command line start from. */
import type { EventView, JobView, ProgressView } from '../../shared/views.js';

export const halfway: ProgressView = {
  rowsDone: 1_240_000,
  rowsTotal: 2_480_000,
  rowsPerSecond: 438_200,
  chunksDone: 10,
  chunksTotal: 20,
  etaSeconds: 2.83,
  tasksRunning: 2,
};

export function jobView(changes: Partial<JobView> = {}): JobView {
  return {
    job: 'jabc123',
    name: 'score-orders',
    state: 'succeeded',
    submittedAt: '2026-11-20T10:00:00.000Z',
    endedAt: '2026-11-20T10:01:05.000Z',
    rows: { in: 1000, out: 900, filtered: 90, deadLettered: 10 },
    rowsInferred: 700,
    rowsReused: 200,
    upToDate: false,
    progress: { ...halfway, rowsDone: 1000, rowsTotal: 1000 },
    stages: [
      {
        id: 's0',
        state: 'done',
        tasks: 4,
        tasksDone: 4,
        tasksRunning: 0,
        chunks: 8,
        chunksDone: 8,
      },
    ],
    outputs: [{ name: 'scored', path: '/data/out/scored', rows: 900, files: 3 }],
    warnings: {},
    retries: 0,
    ...changes,
  };
}

export function event(kind: string, members: Record<string, unknown> = {}): EventView {
  return { event: kind, job: 'jabc123', seq: 7, time: '2026-11-20T10:00:01.000Z', ...members };
}
