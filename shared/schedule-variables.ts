/**
 * What a run's job may ask of its run: variables bound in SQL (`$ds`) and pasted in paths
 * (`{{ ds }}`), under Airflow's names. Never: the clock; a run is the same whenever it is made.
 */
import { assetEventsOf, type AssetChange } from './asset-condition.js';
import type { JobSpec, ParamValue } from './job-spec.js';
import { mapPaths, pasteTemplates } from './spec-paths.js';
import { SpecProblems } from './spec-problems.js';

export const runVariables = [
  'data_interval_start',
  'data_interval_end',
  'logical_date',
  'ds',
  'ds_nodash',
  'ts',
  'ts_nodash',
  'run_id',
  'prev_data_interval_start_success',
  'triggering_asset_events',
] as const;

/** The run that a job is submitted for; instants in ms since 1970. */
export interface RunFacts {
  readonly runId: string;
  readonly startMs: number;
  readonly endMs: number;
  /** Where the interval of the latest earlier run that succeeded began; absent: there is none. */
  readonly previousSuccessMs?: number;
  /** Changes of data sets that it was made for. */
  readonly changes?: readonly AssetChange[];
}

/**
 * Times are in UTC. `prev_data_interval_start_success` is null where no run succeeded before;
 * `triggering_asset_events` is JSON text of AssetEvents, `{}` where no change made the run.
 */
export function variablesOf(run: RunFacts): Record<(typeof runVariables)[number], ParamValue> {
  const { runId, startMs, endMs, previousSuccessMs, changes = [] } = run;
  const ts = timeText(startMs);
  return {
    data_interval_start: ts,
    data_interval_end: timeText(endMs),
    logical_date: ts,
    ds: ts.slice(0, 10),
    ds_nodash: ts.slice(0, 10).replaceAll('-', ''),
    ts,
    ts_nodash: ts.slice(0, 19).replace(/[-:]/g, ''),
    run_id: runId,
    prev_data_interval_start_success:
      previousSuccessMs === undefined ? null : timeText(previousSuccessMs),
    triggering_asset_events: JSON.stringify(assetEventsOf(changes)),
  };
}

/**
 * The job of one run, named after it: two runs of a schedule are two jobs, whatever its spec says.
 * @param spec as it was loaded for the schedule: nothing but variables of runs is left to paste
 * @throws WindrowError E_SPEC_INVALID where a variable cannot stand in a path
 */
export function jobOfRun(spec: JobSpec, run: RunFacts): JobSpec {
  refuseEventsInPaths(spec);
  const params = { ...spec.params, ...variablesOf(run) };
  return pasteTemplates({ ...spec, params, metadata: { ...spec.metadata, name: run.runId } });
}

/** JSON text is a value for SQL: as a path it would mean nothing that anybody wants. */
function refuseEventsInPaths(spec: JobSpec): void {
  const problems = new SpecProblems();
  mapPaths(spec, (text, _role, at) => {
    if (/\{\{\s*triggering_asset_events\s*\}\}/.test(text)) {
      problems.add('E_SPEC_INVALID', at, 'triggering_asset_events is JSON, and no part of a path', {
        hint: 'use it in SQL, as $triggering_asset_events; paths may hold ts_nodash or run_id',
      });
    }
    return text;
  });
  problems.throwIfAny();
}

/** `2026-01-31T06:00:00+00:00`, as Airflow writes it; milliseconds only where there are some. */
function timeText(ms: number): string {
  return new Date(ms).toISOString().replace('.000', '').replace('Z', '+00:00');
}

/** The id of the run that changes of data sets led to; never that of an interval's. */
export function assetRunIdOf(schedule: string, atMs: number): string {
  return `${runIdOf(schedule, atMs)}-asset`;
}

/** The id of a schedule's run of an interval: `nightly-20260131T060000`. */
export function runIdOf(schedule: string, startMs: number): string {
  const stamp = new Date(startMs).toISOString().replace(/[-:]/g, '');
  return `${schedule}-${stamp.replace('.000', '').replace('Z', '')}`;
}
