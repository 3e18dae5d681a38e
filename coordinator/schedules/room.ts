/** Constructs what schedules need of a coordinator: one room, its parts inside. */
import type { Metadata } from '@grpc/grpc-js';
import { LocalStore } from '../../shared/storage/local-store.js';
import { scheduleService } from '../rpc/schedule-service.js';
import { AssetWatch } from './asset-watch.js';
import { Backfills } from './backfills.js';
import { ScheduleClock } from './clock.js';
import type { Admit } from './definition.js';
import { RunJobs, type RunEffect, type RunJobsDependencies } from './run-jobs.js';
import { Runs } from './runs.js';
import { Schedules } from './schedules.js';
import { checkWebhookHost } from './webhook-address.js';
import { Webhooks, type WebhookEffect } from './webhooks.js';

export interface ScheduleRoomDependencies extends RunJobsDependencies {
  readonly admit: Admit;
  /** Rejects with E_URI_DENIED what lies outside the roots. */
  readonly checkPath: (path: string) => Promise<void>;
  /** Whether webhooks may call addresses that are not public. */
  readonly allowPrivateWebhooks: boolean;
  /** Whether this process stays to fire schedules: an embedded one ends with its job. */
  readonly fires: boolean;
}

export type ScheduleEffect = RunEffect | WebhookEffect;

export class ScheduleRoom {
  private readonly clock: ScheduleClock;
  private readonly assetWatch: AssetWatch;
  private readonly runJobs: RunJobs;
  private readonly webhooks: Webhooks;
  readonly schedules: Schedules;
  readonly backfills: Backfills;
  readonly runs: Runs;

  constructor(private readonly deps: ScheduleRoomDependencies) {
    this.clock = new ScheduleClock(deps);
    this.runJobs = new RunJobs(deps);
    this.assetWatch = new AssetWatch({ ...deps, store: new LocalStore() });
    this.webhooks = new Webhooks(deps);
    this.schedules = new Schedules({
      ...deps,
      versions: (definition) => this.assetWatch.versions(definition),
      checkWebhook: (url) => {
        if (!deps.allowPrivateWebhooks) checkWebhookHost(url);
      },
    });
    this.backfills = new Backfills({ ...deps, schedules: this.schedules });
    this.runs = new Runs({ ...deps, checkFires: () => this.schedules.checkFires() });
  }

  /** Where nothing fires, nothing is started either: the next server goes on with it. */
  run(effect: ScheduleEffect): void {
    if (!this.deps.fires) return;
    if (effect.type === 'callWebhook') this.webhooks.run(effect);
    else this.runJobs.run(effect);
  }

  service(authorize: (metadata: Metadata) => void): ReturnType<typeof scheduleService> {
    return scheduleService(this.schedules, this.backfills, authorize);
  }

  /** Call it once reconciled. */
  start(): void {
    if (!this.deps.fires) return;
    this.clock.start();
    this.assetWatch.start();
  }

  async close(): Promise<void> {
    this.clock.stop();
    this.assetWatch.stop();
    await Promise.all([this.runJobs.close(), this.webhooks.close()]);
  }
}
