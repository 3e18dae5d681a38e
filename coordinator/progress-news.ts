/** Measures living jobs twice a second, and tells those who watch one how far it is. Keeps nothing. */
import type { JobId } from '../shared/ids.js';
import type { Catalogue } from './catalogue.js';
import { isEnded, type State } from './core/state.js';
import { sourceRows } from './core/task.js';
import type { Notices } from './notices.js';
import type { ProgressMeter } from './progress-meter.js';
import type { WorkerService } from './rpc/worker-service.js';

export interface ProgressNewsDependencies {
  readonly state: State;
  readonly meter: ProgressMeter;
  readonly notices: Pick<Notices, 'watched' | 'publish'>;
  readonly catalogue: Pick<Catalogue, 'progress'>;
  readonly workers: Pick<WorkerService, 'progress'>;
  readonly nowMs: () => number;
}

const everyMs = 500;

export class ProgressNews {
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly deps: ProgressNewsDependencies) {}

  start(): void {
    this.timer = setInterval(() => this.tell(), everyMs);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private tell(): void {
    const { state, meter, notices, catalogue } = this.deps;
    const timeMs = this.deps.nowMs();
    meter.underWay(this.rowsUnderWay());
    for (const job of state.jobs.values()) if (!isEnded(job.phase)) meter.sample(job, timeMs);
    for (const id of notices.watched()) {
      const job = state.jobs.get(id);
      if (!job || isEnded(job.phase)) continue;
      const data = JSON.stringify(catalogue.progress(job));
      notices.publish({ jobId: id, seq: 0, timeMs, kind: 'progress', data });
    }
  }

  /** Source rows of unfinished chunks, by job. */
  private rowsUnderWay(): Map<string, number> {
    const rows = new Map<string, number>();
    for (const { attempt, rows: done } of this.deps.workers.progress()) {
      if (!attempt) continue;
      const { jobId, stageId } = attempt;
      const stages = this.deps.state.jobs.get(jobId as JobId)?.plan.stages;
      const stage = stages?.find(({ id }) => id === stageId);
      if (stage) rows.set(jobId, (rows.get(jobId) ?? 0) + sourceRows(stage, done));
    }
    return rows;
  }
}
