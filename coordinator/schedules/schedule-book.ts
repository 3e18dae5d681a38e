/** Which schedules and backfills there are, by name and id. Changes nothing. */
import { fail } from '../../shared/failure.js';
import type { BackfillView, ScheduleView } from '../../shared/schedule-views.js';
import { nameHint } from '../../shared/spec-problems.js';
import type { BackfillState, ScheduleState } from '../core/schedule-state.js';
import { backfillView, scheduleView } from '../core/schedule-views.js';
import type { State } from '../core/state.js';

type Schedules = Pick<State, 'schedules'>;

export function scheduleNamed(state: Schedules, name: string): ScheduleState | undefined {
  return live(state).find((schedule) => schedule.name === name);
}

/** @throws WindrowError E_NO_SCHEDULE, with the nearest name */
export function findSchedule(state: Schedules, name: string): ScheduleState {
  const found = scheduleNamed(state, name);
  if (found) return found;
  const names = live(state).map((schedule) => schedule.name);
  return fail('invalidSpec', 'E_NO_SCHEDULE', `there is no schedule '${name}'`, {
    hint: nameHint(name, names) ?? 'create one with: windrow schedule create SPEC',
  });
}

/** By name. */
export function scheduleViews(state: Schedules, nowMs: number): ScheduleView[] {
  return live(state)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((schedule) => scheduleView(schedule, nowMs));
}

export interface FoundBackfill {
  readonly schedule: ScheduleState;
  readonly backfill: BackfillState;
}

/** @throws WindrowError E_NO_BACKFILL */
export function findBackfill(state: Schedules, id: string): FoundBackfill {
  return all(state).find(({ backfill }) => backfill.id === id) ?? noBackfill(id);
}

export function noBackfill(id: string): never {
  return fail('invalidSpec', 'E_NO_BACKFILL', `there is no backfill '${id}'`, {
    hint: 'see what there is: windrow backfill list',
  });
}

/** Newest first. @param name of their schedule; absent: of all */
export function backfillViews(state: Schedules, name: string | undefined): BackfillView[] {
  return all(state)
    .filter(({ schedule }) => name === undefined || schedule.name === name)
    .reverse()
    .sort((a, b) => (b.backfill.createdMs ?? 0) - (a.backfill.createdMs ?? 0))
    .map(({ schedule, backfill }) => backfillView(schedule, backfill));
}

function live({ schedules }: Schedules): ScheduleState[] {
  return [...schedules.values()].filter(({ deleted }) => !deleted);
}

function all(state: Schedules): FoundBackfill[] {
  return live(state).flatMap((schedule) =>
    [...schedule.backfills.values()].map((backfill) => ({ schedule, backfill })),
  );
}
