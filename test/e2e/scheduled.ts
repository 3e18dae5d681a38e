/** A workplace with a coordinator that fires schedules, a worker, and a job of a few rows a day. */
import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { connect } from '../../client/client.js';
import { loadSchedule } from '../../client/load-schedule.js';
import type { Client } from '../../client/types.js';
import {
  type CoordinatorOptions,
  type RunningCoordinator,
  startCoordinator,
} from '../../coordinator/main.js';
import type { RunView, ScheduleView } from '../../shared/schedule-views.js';
import { Workplace } from './workplace.js';

/** Rows of the day that each run is about; `dir` is where they go. */
export function dayJob(dir = 'out'): string {
  return `apiVersion: windrow/v1
kind: Job
metadata: { name: day }
params: { least: 0 }
sources: { rows: { parquet: rows.parquet } }
steps:
  - id: own
    filter: { from: rows, where: "strftime(seen, '%Y-%m-%d') = $ds and n >= $least" }
  - id: told
    select:
      from: own
      columns: { '*': true, run: $run_id, before: "coalesce($prev_data_interval_start_success, 'none')" }
outputs: [{ from: told, parquet: "${dir}/{{ ds }}" }]
`;
}

export class Scheduled {
  readonly place = new Workplace();
  private coordinator: RunningCoordinator | undefined;
  private worker: ChildProcess | undefined;
  private open: Client | undefined;

  /** Three rows a day for 30 days from 2026-01-01 on. */
  async data(name = 'rows.parquet'): Promise<void> {
    await this.place.sql(`copy (
      select timestamp '2026-01-01' + to_hours(8 * i) as seen, i as n from range(90) t(i)
    ) to '${this.place.path(name)}' (format parquet)`);
  }

  get client(): Client {
    if (!this.open) throw new Error('no coordinator was started');
    return this.open;
  }

  async start(
    embedded = false,
    more: Pick<CoordinatorOptions, 'allowPrivateWebhooks'> = {},
  ): Promise<void> {
    const started = await startCoordinator({
      stateDirectory: this.place.path('state'),
      embedded,
      allowRoots: [this.place.directory],
      ...more,
    });
    if ('busy' in started) throw new Error('the state directory is busy');
    this.coordinator = started;
    this.open = connect(started.endpoint);
    this.worker ??= spawn(
      process.execPath,
      [resolve('dist/worker/main.js'), '--coordinator', started.endpoint, '--slots', '2'],
      { stdio: 'inherit', env: { ...process.env, UV_THREADPOOL_SIZE: '12' } },
    );
  }

  async stop(): Promise<void> {
    this.open?.close();
    const { coordinator } = this;
    this.coordinator = undefined;
    await coordinator?.stop();
  }

  async close(): Promise<void> {
    const { worker } = this;
    if (worker && worker.exitCode === null && worker.signalCode === null) {
      const gone = new Promise((done) => worker.once('exit', done));
      worker.kill('SIGKILL');
      await gone;
    }
    await this.stop();
    await this.place.close();
  }

  /** @param more lines of the schedule, its trigger among them */
  async create(name: string, more: string, job = dayJob()): Promise<ScheduleView> {
    this.place.write(`${name}-job.yaml`, job);
    const spec = `apiVersion: windrow/v1\nkind: Schedule\nmetadata: { name: ${name} }\njob: ${name}-job.yaml\n${more}\n`;
    return this.client.schedules.create(await loadSchedule(this.place.write(`${name}.yaml`, spec)));
  }

  /** Asks until the schedule's runs, oldest interval first, are as wanted. */
  async runs(name: string, wanted: (runs: readonly RunView[]) => boolean): Promise<RunView[]> {
    for (;;) {
      const { runs } = await this.client.schedules.get(name);
      if (wanted(runs)) return runs.toReversed();
      const failed = runs.find(({ state }) => state === 'failed');
      if (failed) throw new Error(`${failed.run} failed: ${JSON.stringify(failed.failure)}`);
      await new Promise((go) => setTimeout(go, 25));
    }
  }
}
