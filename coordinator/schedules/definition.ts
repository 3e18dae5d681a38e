/**
 * From what a client sends to what the core keeps of a schedule: checked whole, so that what can be
 * wrong with every run is told when the schedule is made. Never: looks at data.
 */
import type { SubmitRequest } from '../../shared/gen/windrow.js';
import type { JobSpec } from '../../shared/job-spec.js';
import { parseDurationMs } from '../../shared/duration.js';
import { validateSchedule } from '../../shared/schedule-file.js';
import { assetTriggerOf, timetableOf } from '../../shared/schedule-meaning.js';
import type { ScheduleSpec, WebhookSpec } from '../../shared/schedule-spec.js';
import { jobOfRun, runIdOf, runVariables } from '../../shared/schedule-variables.js';
import { validateSpec } from '../../shared/spec-file.js';
import type { ScheduleDefinition, WebhookDefinition } from '../core/schedule-events.js';
import { parseSpec } from '../preparation.js';

/** Whether this server would take a job of these files; throws where not. */
export type Admit = (job: JobSpec, files: SubmitRequest['files']) => void;

/** @throws WindrowError of kind invalidSpec, for the schedule as for its job */
export function definitionOf(
  specJson: string,
  job: Pick<SubmitRequest, 'specJson' | 'files'>,
  admit: Admit,
): { spec: ScheduleSpec; definition: ScheduleDefinition } {
  const spec = validateSchedule(parseSpec(specJson));
  admit(someRunsJob(spec, job.specJson), job.files);
  const { maxActiveRuns, overlap, startWithin, dependsOnPast, retries, timeout } = spec;
  const { onSuccess, onFailure } = spec;
  const timetable = timetableOf(spec.trigger);
  const assets = assetTriggerOf(spec.trigger);
  const definition = {
    spec: JSON.stringify(spec),
    job: JSON.stringify({ specJson: job.specJson, files: job.files }),
    ...(timetable ? { timetable } : {}),
    ...(assets ? { assets } : {}),
    maxActiveRuns,
    overlap,
    ...(startWithin === undefined ? {} : { startWithinMs: parseDurationMs(startWithin) }),
    dependsOnPast,
    retries: retries.count,
    retryDelayMs: parseDurationMs(retries.delay),
    ...(timeout === undefined ? {} : { timeoutMs: parseDurationMs(timeout) }),
    ...(onSuccess ? { onSuccess: webhookOf(onSuccess) } : {}),
    ...(onFailure ? { onFailure: webhookOf(onFailure) } : {}),
  };
  return { spec, definition };
}

function webhookOf({ url, tries, timeout }: WebhookSpec): WebhookDefinition {
  return { url, tries, timeoutMs: parseDurationMs(timeout) };
}

/** As it would be submitted. */
function someRunsJob({ metadata: { name } }: ScheduleSpec, specJson: string): JobSpec {
  const job = validateSpec(parseSpec(specJson), { variables: runVariables });
  const runId = runIdOf(name, 0);
  return validateSpec(jobOfRun(job, { runId, startMs: 0, endMs: 0, previousSuccessMs: 0 }));
}
