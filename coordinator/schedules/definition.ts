/**
 * From what a client sends to what the core keeps of a schedule: checked whole, so that what can be
 * wrong with every run is told when the schedule is made. Never: looks at data.
 */
import type { SubmitRequest } from '../../shared/gen/windrow.js';
import { parseDurationMs } from '../../shared/duration.js';
import { validateSchedule } from '../../shared/schedule-file.js';
import { timetableOf } from '../../shared/schedule-meaning.js';
import type { ScheduleSpec } from '../../shared/schedule-spec.js';
import { jobOfRun, runIdOf, runVariables } from '../../shared/schedule-variables.js';
import { validateSpec } from '../../shared/spec-file.js';
import type { ScheduleDefinition } from '../core/schedule-events.js';
import { parseSpec } from '../preparation.js';

/** @throws WindrowError of kind invalidSpec, for the schedule as for its job */
export function definitionOf(
  specJson: string,
  job: Pick<SubmitRequest, 'specJson' | 'files'>,
): { spec: ScheduleSpec; definition: ScheduleDefinition } {
  const spec = validateSchedule(parseSpec(specJson));
  checkJob(spec, job.specJson);
  const { maxActiveRuns, overlap, startWithin, dependsOnPast, retries, timeout } = spec;
  const definition = {
    spec: JSON.stringify(spec),
    job: JSON.stringify({ specJson: job.specJson, files: job.files }),
    timetable: timetableOf(spec.trigger),
    maxActiveRuns,
    overlap,
    ...(startWithin === undefined ? {} : { startWithinMs: parseDurationMs(startWithin) }),
    dependsOnPast,
    retries: retries.count,
    retryDelayMs: parseDurationMs(retries.delay),
    ...(timeout === undefined ? {} : { timeoutMs: parseDurationMs(timeout) }),
  };
  return { spec, definition };
}

/** Some run's job, as it would be submitted. */
function checkJob({ metadata: { name } }: ScheduleSpec, specJson: string): void {
  const job = validateSpec(parseSpec(specJson), { variables: runVariables });
  const runId = runIdOf(name, 0);
  validateSpec(jobOfRun(job, { runId, startMs: 0, endMs: 0, previousSuccessMs: 0 }));
}
