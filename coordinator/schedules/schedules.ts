/**
 * The verbs of schedules: each finds what it is about, has the core decide, and says what came of it.
 * Never: fires anything; the clock does.
 */
import { randomBytes } from 'node:crypto';
import {
  isInterval,
  manualInterval,
  type DataInterval,
  nextRuns,
  type RunTimes,
} from '../../shared/calendar/intervals.js';
import { fail } from '../../shared/failure.js';
import type { SubmitRequest } from '../../shared/gen/windrow.js';
import { makeScheduleId } from '../../shared/ids.js';
import { runIdOf } from '../../shared/schedule-variables.js';
import type { RunView, ScheduleView } from '../../shared/schedule-views.js';
import { Turns } from '../commit/turns.js';
import type { Event } from '../core/events.js';
import type { ScheduleDefinition } from '../core/schedule-events.js';
import { isFinished, type RunState, type ScheduleState } from '../core/schedule-state.js';
import { runView, scheduleView } from '../core/schedule-views.js';
import type { State } from '../core/state.js';
import { type Admit, definitionOf } from './definition.js';
import { findSchedule, scheduleNamed, scheduleViews } from './schedule-book.js';

export interface SchedulesDependencies {
  readonly state: State;
  readonly admit: Admit;
  /** Versions of its data sets by key; throws where one cannot be looked at. */
  readonly versions: (definition: ScheduleDefinition) => Promise<Record<string, string>>;
  /** Throws E_WEBHOOK_DENIED for a URL that this coordinator does not call. */
  readonly checkWebhook: (url: string) => void;
  readonly post: (...events: Event[]) => Promise<void>;
  readonly nowMs: () => number;
  /** Whether this process stays to fire them: an embedded one ends with its job. */
  readonly fires: boolean;
}

export class Schedules {
  /** Two of one name must see each other. */
  private readonly turns = new Turns();

  constructor(private readonly deps: SchedulesDependencies) {}

  /**
   * Makes a schedule, or gives one of that name a new spec; its runs stay.
   * @throws WindrowError E_SCHEDULES_OFF | E_WEBHOOK_DENIED | E_URI_DENIED, and whatever is wrong with the specs
   */
  async put(
    specJson: string,
    job: Pick<SubmitRequest, 'specJson' | 'files'>,
  ): Promise<ScheduleView> {
    this.checkFires();
    const { spec, definition } = definitionOf(specJson, job, this.deps.admit);
    const { name } = spec.metadata;
    const { assets, onSuccess, onFailure } = definition;
    for (const webhook of [onSuccess, onFailure]) {
      if (webhook) this.deps.checkWebhook(webhook.url);
    }
    return this.turns.run(async () => {
      // What is there now is no change; what comes from now on is.
      const seen = assets ? { seen: await this.deps.versions(definition) } : {};
      const nowMs = this.deps.nowMs();
      const scheduleId =
        scheduleNamed(this.deps.state, name)?.id ??
        makeScheduleId(nowMs, randomBytes(3).toString('hex'));
      await this.deps.post({
        type: 'schedule.defined',
        scheduleId,
        name,
        definition,
        ...(spec.paused === undefined ? {} : { paused: spec.paused }),
        ...seen,
        nowMs,
      });
      return this.get(name);
    }, [name]);
  }

  /** @throws WindrowError E_NO_SCHEDULE */
  get(name: string): ScheduleView {
    return scheduleView(this.find(name), this.deps.nowMs());
  }

  list(): ScheduleView[] {
    return scheduleViews(this.deps.state, this.deps.nowMs());
  }

  /** Its coming runs, none where data sets alone say when. @param fromMs absent: now */
  next(name: string, fromMs: number | undefined, count: number): RunTimes[] {
    const { timetable } = this.find(name).definition;
    return timetable ? nextRuns(timetable, fromMs ?? this.deps.nowMs(), count) : [];
  }

  async pause(name: string, paused: boolean): Promise<ScheduleView> {
    const { id: scheduleId } = this.find(name);
    const type = paused ? 'schedule.paused' : 'schedule.resumed';
    await this.deps.post({ type, scheduleId, nowMs: this.deps.nowMs() });
    return this.get(name);
  }

  /** @throws WindrowError E_SCHEDULE_BUSY while a job of it runs */
  async delete(name: string): Promise<void> {
    const { id: scheduleId } = this.find(name);
    await this.deps.post({ type: 'schedule.deleted', scheduleId, nowMs: this.deps.nowMs() });
    const left = this.deps.state.schedules.get(scheduleId);
    if (!left || left.deleted) return;
    const running = [...left.runs.values()].filter(
      ({ phase }) => phase.kind === 'running' || phase.kind === 'stopping',
    );
    fail('invalidSpec', 'E_SCHEDULE_BUSY', `runs of schedule ${name} are under way`, {
      hint: `pause it and wait, or cancel ${running.map(({ id }) => id).join(', ')}`,
    });
  }

  /**
   * A run by hand. The same request id always names the same run.
   * @param interval what it covers; absent: the latest interval that is complete
   * @throws WindrowError E_RUN_EXISTS where a run of that interval is under way, E_SPEC_INVALID for
   *   an interval that ends before it begins, or lies outside the years 0001 to 9999
   */
  trigger(name: string, requestId: string, interval: DataInterval | undefined): Promise<RunView> {
    return this.turns.run(() => this.triggered(name, requestId, interval), [name]);
  }

  private async triggered(
    name: string,
    requestId: string,
    interval: DataInterval | undefined,
  ): Promise<RunView> {
    this.checkFires();
    const schedule = this.find(name);
    const nowMs = this.deps.nowMs();
    const asked = (run: RunState): boolean => run.kind === 'manual' && run.order === requestId;
    const known = find(schedule, asked);
    if (known) return runView(schedule, known);
    const { timetable } = schedule.definition;
    // Without a calendar it covers no time.
    const latest = timetable ? manualInterval(timetable, nowMs) : { startMs: nowMs, endMs: nowMs };
    const covered = interval ?? latest;
    if (!isInterval(covered)) {
      fail('invalidSpec', 'E_SPEC_INVALID', 'a run cannot cover that interval', {
        hint: 'give a start and an end from the years 0001 to 9999, the start first',
      });
    }
    const same = find(schedule, (run) => !isFinished(run) && overlaps(run.interval, covered));
    if (same) {
      fail(
        'invalidSpec',
        'E_RUN_EXISTS',
        `run ${same.id} covers that interval and is ${same.phase.kind}`,
        {
          hint: `wait for it, or see what it waits for: windrow why ${same.id}`,
        },
      );
    }
    let atMs = nowMs;
    const idAt = (): string => `${runIdOf(name, atMs)}-manual`;
    while (schedule.runs.has(idAt())) atMs += 1;
    await this.deps.post({
      type: 'run.made',
      scheduleId: schedule.id,
      runId: idAt(),
      interval: covered,
      kind: 'manual',
      order: requestId,
      nowMs,
    });
    const made = find(this.find(name), asked);
    if (!made) return fail('io', 'E_RUN_EXISTS', 'another run was asked for at the same moment');
    return runView(schedule, made);
  }

  /** @throws WindrowError E_NO_SCHEDULE naming the nearest */
  find(name: string): ScheduleState {
    return findSchedule(this.deps.state, name);
  }

  /** @throws WindrowError E_SCHEDULES_OFF */
  checkFires(): void {
    if (this.deps.fires) return;
    fail(
      'invalidSpec',
      'E_SCHEDULES_OFF',
      'this coordinator ends with its jobs and fires nothing',
      {
        hint: 'start one that stays: windrow dev, or windrow coordinator and workers',
      },
    );
  }
}

function find({ runs }: ScheduleState, wanted: (run: RunState) => boolean): RunState | undefined {
  return [...runs.values()].find(wanted);
}

function overlaps(a: DataInterval, b: DataInterval): boolean {
  if (a.startMs === b.startMs && a.endMs === b.endMs) return true;
  return a.startMs < b.endMs && b.startMs < a.endMs;
}
