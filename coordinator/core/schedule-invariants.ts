/** What must always hold of schedules, by number (docs/STATE-MACHINES.md). Never: repairs. */
import { assetsOf, assetKey } from '../../shared/asset-condition.js';
import { assetRunIdOf, runIdOf } from '../../shared/schedule-variables.js';
import { holds } from './holds.js';
import {
  isFinished,
  triesOf,
  type BackfillState,
  type RunState,
  type ScheduleState,
} from './schedule-state.js';
import { hindranceOf } from './schedule-waiting.js';

/** @throws WindrowError E_INVARIANT naming the number of the first invariant that does not hold */
export function checkSchedule(schedule: ScheduleState): void {
  for (const [id, run] of schedule.runs) {
    const idOf = run.kind === 'asset' ? assetRunIdOf : runIdOf;
    const expected = idOf(schedule.name, run.interval.startMs);
    const named = id === run.id && (run.kind === 'manual' || id === expected);
    holds(14, named, () => `run ${id} of ${schedule.name} is not the one of its interval`);
    checkRun(schedule, run);
  }
  for (const backfill of schedule.backfills.values()) checkBackfill(schedule, backfill);
  checkAssets(schedule);
  for (const [id, call] of schedule.calls) {
    const owed = id === call.id && call.tries < call.triesMost;
    holds(20, owed, () => `webhook ${id} of ${schedule.name} is owed after ${call.tries} tries`);
  }
}

function checkRun(schedule: ScheduleState, run: RunState): void {
  const where = (): string => `run ${run.id} is ${run.phase.kind}`;
  holds(15, isFinished(run) === (run.endedMs !== undefined), () => `${where()}, end time wrong`);
  const tried = triesOf(run) > 0 === (run.startedMs !== undefined);
  holds(15, tried, () => `${where()}, tried ${run.tries} times`);
  const ready = run.phase.kind === 'queued' && !hindranceOf(schedule, run);
  holds(16, !ready || schedule.deleted, () => `${where()} and waits for nothing`);
  const { last } = schedule;
  const late = run.kind !== 'scheduled' || (last && run.interval.endMs <= last.endMs) === true;
  holds(17, late, () => `${where()}, and the schedule does not know that it made it`);
}

function checkBackfill(schedule: ScheduleState, backfill: BackfillState): void {
  const { id, counts, phase, exhausted, total } = backfill;
  const own = [...schedule.runs.values()].filter((run) => run.backfillId === id);
  const unfinished = own.filter((run) => !isFinished(run)).length;
  const counted = `${unfinished} unfinished, ${counts.unfinished} counted`;
  holds(18, unfinished === counts.unfinished, () => `backfill ${id}: ${counted}`);
  const seen = Object.values(counts).reduce((sum, count) => sum + count, 0);
  holds(18, seen <= total, () => `backfill ${id}: ${seen} of ${total} intervals`);
  const done = phase === 'succeeded' || phase === 'failed' || phase === 'cancelled';
  holds(18, !done || unfinished === 0, () => `backfill ${id} is ${phase}, ${counted}`);
  const over = exhausted && unfinished === 0;
  holds(18, phase !== 'running' || !over, () => `backfill ${id} runs with nothing left to do`);
}

function checkAssets(schedule: ScheduleState): void {
  const { name, definition, assets, runs, lastAssetMs = -Infinity } = schedule;
  const wanted = definition.assets ? assetsOf(definition.assets.condition).map(assetKey) : [];
  const { seen = {}, changes = [] } = assets ?? {};
  const known = wanted.length === Object.keys(seen).length && wanted.every((key) => seen[key]);
  holds(19, known, () => `schedule ${name} does not keep what was seen of its data sets`);
  const latest = new Map(changes.map(({ key, version }) => [key, version]));
  for (const [key, version] of latest) {
    holds(19, seen[key]?.version === version, () => `${name}: ${key} is not what changed last`);
  }
  for (const { id, kind, interval } of runs.values()) {
    const made = kind !== 'asset' || interval.endMs <= lastAssetMs;
    holds(19, made, () => `run ${id} was made of changes that are kept for another`);
  }
}
