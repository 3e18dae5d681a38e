/**
 * Makes a schedule ready to travel, its job with it: what the coordinator will need when the time
 * comes. Never: asks a coordinator.
 */
import { dirname, resolve } from 'node:path';
import { mapAssetPaths } from '../shared/asset-condition.js';
import { WindrowError } from '../shared/failure.js';
import { parseScheduleText } from '../shared/schedule-file.js';
import type { ScheduleSpec } from '../shared/schedule-spec.js';
import { runVariables } from '../shared/schedule-variables.js';
import { loadOptions, text } from './arguments.js';
import { absolutePath, loadJob, readSpec, type LoadOptions } from './load.js';
import type { LoadedSchedule } from './types.js';

/**
 * Reads and checks the spec of a schedule; its job is not looked at. Paths of data sets become
 * absolute.
 * @throws WindrowError of kind invalidSpec, codes as in docs/ERRORS.md
 */
export async function readSchedule(specPath: string): Promise<ScheduleSpec> {
  text('specPath', specPath);
  const spec = parseScheduleText(await readSpec(specPath), specPath);
  const directory = dirname(resolve(specPath));
  return mapAssetPaths(spec, (path, field) =>
    absolutePath(path, directory, `trigger: ${field} of a data set`),
  );
}

/**
 * Loads a schedule and its job from YAML or JSON files. Both are taken as they are now: what changes
 * in them later counts once they are loaded again.
 * @throws WindrowError of kind invalidSpec, codes as in docs/ERRORS.md
 */
export async function loadSchedule(
  specPath: string,
  options: Pick<LoadOptions, 'bundleDirectory'> = {},
): Promise<LoadedSchedule> {
  loadOptions('options', options);
  const spec = await readSchedule(specPath);
  const set = Object.entries(spec.params).map(([name, value]) => `${name}=${String(value)}`);
  const path = resolve(dirname(specPath), spec.job);
  const job = await loadJob(path, { ...options, set, later: runVariables }).catch(
    (error: unknown) => {
      throw jobMissing(error, specPath);
    },
  );
  return { name: spec.metadata.name, specJson: JSON.stringify(spec), job };
}

/** Of a job that is not there: where its path stands. Anything else is told as it is. */
function jobMissing(error: unknown, specPath: string): unknown {
  if (!(error instanceof WindrowError) || error.failure.code !== 'E_SPEC_MISSING') return error;
  const message = `the job of this schedule: ${error.failure.message}`;
  const hint = `correct job in ${specPath}; it is relative to that file`;
  return new WindrowError({ ...error.failure, message, hint }, error);
}
