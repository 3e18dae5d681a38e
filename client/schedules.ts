/** The client's verbs of schedules and backfills: ScheduleService as methods. Never: decides anything. */
import { randomUUID } from 'node:crypto';
import type { RunTimes } from '../shared/calendar/intervals.js';
import type { ScheduleServiceClient, UploadedFile } from '../shared/gen/windrow.js';
import { comingRuns } from '../shared/schedule-meaning.js';
import type {
  BackfillPreview,
  BackfillView,
  ReprocessPolicy,
  RunView,
  ScheduleView,
} from '../shared/schedule-views.js';
import { backfillOptions, loadedSchedule, nextOptions, text, triggerOptions } from './arguments.js';
import type { Calls, Unary } from './calls.js';
import type { LoadedJob, LoadedSchedule } from './types.js';

/** A range of logical dates, both included. */
export interface BackfillOptions {
  readonly from: Date;
  readonly to: Date;
  /** What becomes of intervals that were run before; default `none` of them runs again. */
  readonly reprocess?: ReprocessPolicy;
  /** Runs at a time; default as many as the schedule has. */
  readonly maxActiveRuns?: number;
  /** The latest interval first. */
  readonly reverse?: boolean;
  /** Go ahead although it is more than 1000 runs. */
  readonly many?: boolean;
  /** Same id, same backfill; default a random one. */
  readonly requestId?: string;
}

/** Which run is made by hand. */
export interface TriggerOptions {
  /** What the run covers; default the latest interval that is complete. */
  readonly interval?: { readonly start: Date; readonly end: Date };
  /** Same id, same run; default a random one. */
  readonly requestId?: string;
}

/** Which coming runs are told. */
export interface NextOptions {
  /** Those that start after it; default now. */
  readonly from?: Date;
  /** Default 10, at most 10,000; fewer where the schedule ends before. */
  readonly count?: number;
}

/** What the verbs need of the connection they go over. */
export interface ScheduleCalls {
  readonly service: ScheduleServiceClient;
  readonly calls: Calls;
  readonly upload: (job: LoadedJob) => Promise<void>;
  readonly filesOf: (job: LoadedJob) => Record<string, UploadedFile>;
}

/** Schedules and backfills of a coordinator: what `client.schedules` is. Throws as Client does. */
export class Schedules {
  /** @internal */
  private readonly service: ScheduleServiceClient;

  constructor(private readonly tools: ScheduleCalls) {
    this.service = tools.service;
  }

  /** Makes a schedule, or gives one of that name a new spec and job; its runs stay. */
  async create(schedule: LoadedSchedule): Promise<ScheduleView> {
    loadedSchedule('schedule', schedule);
    const { tools, service } = this;
    await tools.upload(schedule.job);
    const request = {
      specJson: schedule.specJson,
      jobJson: schedule.job.specJson,
      files: tools.filesOf(schedule.job),
    };
    // It lists the data sets that the schedule waits for before it answers.
    const { calls } = tools;
    const { scheduleJson } = await calls.call(service, service.putSchedule, request, calls.longMs);
    return JSON.parse(scheduleJson) as ScheduleView;
  }

  /** By name. */
  async list(): Promise<ScheduleView[]> {
    const { schedulesJson } = await this.call(this.service.listSchedules, {});
    return schedulesJson.map((json) => JSON.parse(json) as ScheduleView);
  }

  /** @throws WindrowError E_NO_SCHEDULE, as all verbs that take a name */
  async get(name: string): Promise<ScheduleView> {
    text('name', name);
    const { scheduleJson } = await this.call(this.service.getSchedule, { name });
    return JSON.parse(scheduleJson) as ScheduleView;
  }

  /** Its coming runs by the calendar, were it not behind; none where data sets alone say when. */
  async next(name: string, options: NextOptions = {}): Promise<RunTimes[]> {
    nextOptions('options', options);
    const { from, count = 10 } = options;
    const { trigger } = await this.get(name);
    return comingRuns(trigger, from?.getTime() ?? Date.now(), count);
  }

  /** No run is made and none that waits is started; what runs goes on. */
  async pause(name: string): Promise<ScheduleView> {
    text('name', name);
    const { scheduleJson } = await this.call(this.service.pauseSchedule, { name });
    return JSON.parse(scheduleJson) as ScheduleView;
  }

  /** Runs are made again, and those that wait are started. */
  async resume(name: string): Promise<ScheduleView> {
    text('name', name);
    const { scheduleJson } = await this.call(this.service.resumeSchedule, { name });
    return JSON.parse(scheduleJson) as ScheduleView;
  }

  /** A run by hand. @throws WindrowError E_RUN_EXISTS */
  async trigger(name: string, options: TriggerOptions = {}): Promise<RunView> {
    text('name', name);
    triggerOptions('options', options);
    const { interval, requestId } = options;
    const request = {
      name,
      requestId: requestId ?? randomUUID(),
      interval: interval && {
        startMs: interval.start.getTime(),
        endMs: interval.end.getTime(),
      },
    };
    const { runJson } = await this.call(this.service.triggerSchedule, request);
    return JSON.parse(runJson) as RunView;
  }

  /** @throws WindrowError E_SCHEDULE_BUSY while a job of it runs */
  async delete(name: string): Promise<void> {
    text('name', name);
    await this.tools.calls.callOnce(this.service, this.service.deleteSchedule, { name });
  }

  /** @throws WindrowError E_BACKFILL_INVALID, E_BACKFILL_LARGE */
  async backfill(name: string, options: BackfillOptions): Promise<BackfillView> {
    const request = backfillRequest(name, options);
    const { backfillJson } = await this.call(this.service.createBackfill, request);
    return JSON.parse(backfillJson) as BackfillView;
  }

  /** What `backfill` would do, as far as it is known now. */
  async previewBackfill(name: string, options: BackfillOptions): Promise<BackfillPreview> {
    const request = backfillRequest(name, options);
    const { previewJson } = await this.call(this.service.previewBackfill, request);
    return JSON.parse(previewJson) as BackfillPreview;
  }

  /** Newest first; of one schedule, or of all. */
  async backfills(name = ''): Promise<BackfillView[]> {
    text('name', name);
    const { service } = this;
    const { backfillsJson } = await this.call(service.listBackfills, { schedule: name });
    return backfillsJson.map((json) => JSON.parse(json) as BackfillView);
  }

  /** @throws WindrowError E_NO_BACKFILL */
  async getBackfill(backfill: string): Promise<BackfillView> {
    text('backfill', backfill);
    const { backfillJson } = await this.call(this.service.getBackfill, { backfill });
    return JSON.parse(backfillJson) as BackfillView;
  }

  /** Its runs are cancelled; what they published before stays. @throws WindrowError E_NO_BACKFILL */
  async cancelBackfill(backfill: string): Promise<BackfillView> {
    text('backfill', backfill);
    const { backfillJson } = await this.call(this.service.cancelBackfill, { backfill });
    return JSON.parse(backfillJson) as BackfillView;
  }

  private call<Request, Response>(
    method: Unary<Request, Response>,
    request: Request,
  ): Promise<Response> {
    return this.tools.calls.call(this.service, method, request);
  }
}

function backfillRequest(schedule: string, options: BackfillOptions) {
  text('name', schedule);
  backfillOptions('options', options);
  return {
    schedule,
    fromMs: options.from.getTime(),
    toMs: options.to.getTime(),
    reprocess: options.reprocess ?? 'none',
    maxActiveRuns: options.maxActiveRuns ?? 0,
    reverse: options.reverse ?? false,
    many: options.many ?? false,
    requestId: options.requestId ?? randomUUID(),
  };
}
