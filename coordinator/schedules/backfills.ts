/**
 * The verbs of backfills: finds out how many runs a range has, and asks before there are very many.
 * Never: decides which of them run; the core does, one after another.
 */
import { setImmediate as others } from 'node:timers/promises';
import {
  isInterval,
  runsBetween,
  runTimes,
  type DataInterval,
  type Timetable,
} from '../../shared/calendar/intervals.js';
import { sha256Hex } from '../../shared/chunk-identity.js';
import { fail } from '../../shared/failure.js';
import type {
  BackfillPreview,
  BackfillView,
  ReprocessPolicy,
} from '../../shared/schedule-views.js';
import { dueBackfill } from '../core/backfill.js';
import type { Event } from '../core/events.js';
import type { BackfillCreated } from '../core/schedule-events.js';
import type { BackfillState, ScheduleState } from '../core/schedule-state.js';
import { backfillView } from '../core/schedule-views.js';
import type { State } from '../core/state.js';
import { backfillViews, findBackfill, noBackfill } from './schedule-book.js';
import type { Schedules } from './schedules.js';

export interface BackfillRequest {
  readonly schedule: string;
  /** Logical dates, both included. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly reprocess: ReprocessPolicy;
  /** Absent: as many at a time as the schedule has. */
  readonly maxActiveRuns?: number;
  readonly reverse: boolean;
  /** Go ahead although it is very many runs. */
  readonly many: boolean;
  readonly requestId: string;
}

export interface BackfillsDependencies {
  readonly state: State;
  readonly schedules: Schedules;
  readonly post: (...events: Event[]) => Promise<void>;
  readonly nowMs: () => number;
}

/** More runs than people mean by a backfill without being asked. */
const runsUnasked = 1000;
const runsMost = 1_000_000;
/** Intervals that are counted before others are heard. */
const countedAtOnce = 1000;
const shown = 100;

export class Backfills {
  constructor(private readonly deps: BackfillsDependencies) {}

  /**
   * The same request id always names the same backfill.
   * @throws WindrowError E_BACKFILL_INVALID | E_BACKFILL_LARGE
   */
  async create(request: BackfillRequest): Promise<BackfillView> {
    this.deps.schedules.checkFires();
    const schedule = this.deps.schedules.find(request.schedule);
    const backfillId = idOf(request);
    const known = schedule.backfills.get(backfillId);
    if (known) return backfillView(schedule, known);
    await this.deps.post(await this.planned(schedule, request));
    const made = schedule.backfills.get(backfillId);
    // Its schedule may have been deleted in the meantime.
    return made ? backfillView(schedule, made) : noBackfill(backfillId);
  }

  /** What `create` would do, as far as it is known now. */
  async preview(request: BackfillRequest): Promise<BackfillPreview> {
    const schedule = this.deps.schedules.find(request.schedule);
    const event = await this.planned(schedule, { ...request, many: true });
    return previewOf(schedule, event);
  }

  /** Newest first, whichever schedule they are of. */
  list(name: string | undefined): BackfillView[] {
    return backfillViews(this.deps.state, name);
  }

  /** @throws WindrowError E_NO_BACKFILL */
  get(id: string): BackfillView {
    const { schedule, backfill } = findBackfill(this.deps.state, id);
    return backfillView(schedule, backfill);
  }

  async cancel(id: string): Promise<BackfillView> {
    const { schedule, backfill } = findBackfill(this.deps.state, id);
    const nowMs = this.deps.nowMs();
    await this.deps.post({
      type: 'backfill.cancelled',
      scheduleId: schedule.id,
      backfillId: backfill.id,
      nowMs,
    });
    return this.get(id);
  }

  private async planned(
    schedule: ScheduleState,
    request: BackfillRequest,
  ): Promise<BackfillCreated> {
    const { fromMs, toMs, reprocess, reverse, maxActiveRuns, many } = request;
    const { definition } = schedule;
    if (!definition.timetable) {
      return invalid(
        `schedule ${schedule.name} runs when data sets change, and has no intervals`,
        `start a run by hand: windrow schedule trigger ${schedule.name}`,
      );
    }
    if (reverse && definition.dependsOnPast) {
      invalid('a schedule with dependsOnPast cannot go backwards', 'leave out --reverse');
    }
    if (toMs < fromMs) invalid('the range ends before it begins', 'give --from before --to');
    if (!isInterval({ startMs: fromMs, endMs: toMs })) {
      invalid('the range leaves the calendar', 'give --from and --to of the years 0001 to 9999');
    }
    const timetable = {
      ...definition.timetable,
      startDateMs: fromMs,
      endDateMs: toMs,
      catchup: true,
    };
    const nowMs = this.deps.nowMs();
    const range = await counted(timetable, nowMs, many ? runsMost : runsUnasked);
    return {
      type: 'backfill.created',
      scheduleId: schedule.id,
      backfillId: idOf(request),
      timetable: { ...timetable, endDateMs: range.last.startMs },
      ...range,
      reprocess,
      maxActiveRuns: maxActiveRuns ?? definition.maxActiveRuns,
      reverse,
      nowMs,
    };
  }
}

function idOf({ requestId }: BackfillRequest): string {
  return `b${sha256Hex(requestId).slice(0, 12)}`;
}

/** The intervals of a range that are over: what is not, the schedule itself will come to. */
async function counted(
  timetable: Timetable & { readonly startDateMs: number; readonly endDateMs: number },
  nowMs: number,
  most: number,
): Promise<{ first: DataInterval; last: DataInterval; total: number }> {
  let first: DataInterval | undefined;
  let last: DataInterval | undefined;
  let total = 0;
  const { startDateMs, endDateMs } = timetable;
  for (const interval of runsBetween(timetable, startDateMs, endDateMs)) {
    if (interval.endMs > nowMs) break;
    first ??= interval;
    last = interval;
    total += 1;
    if (total > most) {
      fail('invalidSpec', 'E_BACKFILL_LARGE', `the range has more than ${most} runs`, {
        hint:
          most < runsMost
            ? 'look at it with --dry-run, then give --yes to go ahead, or a shorter range'
            : 'give a shorter range',
      });
    }
    if (total % countedAtOnce === 0) await others();
  }
  if (!first || !last)
    return invalid('no interval of the range is over', 'give another --from and --to');
  return { first, last, total };
}

/** The core's own decisions, taken for a backfill that nobody keeps. */
function previewOf(schedule: ScheduleState, event: BackfillCreated): BackfillPreview {
  const { backfillId: id, timetable, first, last, total, reprocess, reverse } = event;
  const counts = { passed: 0, unfinished: 0, succeeded: 0, failed: 0, cancelled: 0 };
  const plan = { id, timetable, first, last, total, reprocess, reverse, maxActiveRuns: shown };
  const backfill: BackfillState = { ...plan, phase: 'running', exhausted: false, counts };
  const due = dueBackfill(schedule, backfill, event.nowMs);
  let passed = 0;
  for (const each of due) {
    if (each.type === 'run.made') passed += each.backfill?.passed ?? 0;
    if (each.type === 'backfill.passed') passed += each.step.passed;
  }
  const runs = due.flatMap((each) => (each.type === 'run.made' ? [runTimes(each.interval)] : []));
  return { total, passed, runs };
}

function invalid(what: string, hint: string): never {
  return fail('invalidSpec', 'E_BACKFILL_INVALID', what, { hint });
}
