/** Constructs what schedules need of a coordinator: one room, its parts inside. */
import type { Metadata } from '@grpc/grpc-js';
import type { BlobStore } from '../blob-store.js';
import { scheduleService } from '../rpc/schedule-service.js';
import { Backfills } from './backfills.js';
import { ScheduleClock } from './clock.js';
import { RunJobs, type RunEffect, type RunJobsDependencies } from './run-jobs.js';
import { Schedules } from './schedules.js';

export interface ScheduleRoomDependencies extends RunJobsDependencies {
  readonly blobs: BlobStore;
  /** Whether this process stays to fire schedules: an embedded one ends with its job. */
  readonly fires: boolean;
}

export class ScheduleRoom {
  private readonly clock: ScheduleClock;
  private readonly runJobs: RunJobs;
  private readonly schedules: Schedules;
  private readonly backfills: Backfills;

  constructor(private readonly deps: ScheduleRoomDependencies) {
    this.clock = new ScheduleClock(deps);
    this.runJobs = new RunJobs(deps);
    this.schedules = new Schedules(deps);
    this.backfills = new Backfills({ ...deps, schedules: this.schedules });
  }

  /** Where nothing fires, nothing is started either: the next server goes on with it. */
  run(effect: RunEffect): void {
    if (this.deps.fires) this.runJobs.run(effect);
  }

  service(authorize: (metadata: Metadata) => void): ReturnType<typeof scheduleService> {
    return scheduleService(this.schedules, this.backfills, authorize);
  }

  /** Call it once reconciled. */
  start(): void {
    if (this.deps.fires) this.clock.start();
  }

  async close(): Promise<void> {
    this.clock.stop();
    await this.runJobs.close();
  }
}
