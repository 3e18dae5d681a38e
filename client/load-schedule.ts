/**
 * Makes a schedule ready to travel, its job with it: what the coordinator will need when the time
 * comes. Never: asks a coordinator.
 */
import { dirname, resolve } from 'node:path';
import { parseScheduleText } from '../shared/schedule-file.js';
import type { ScheduleSpec } from '../shared/schedule-spec.js';
import { runVariables } from '../shared/schedule-variables.js';
import { loadJob, readSpec, type LoadOptions } from './load.js';
import type { LoadedSchedule } from './types.js';

/**
 * Reads and checks the spec of a schedule; its job is not looked at.
 * @throws WindrowError of kind invalidSpec, codes as in docs/ERRORS.md
 */
export async function readSchedule(specPath: string): Promise<ScheduleSpec> {
  return parseScheduleText(await readSpec(specPath), specPath);
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
  const spec = await readSchedule(specPath);
  const set = Object.entries(spec.params).map(([name, value]) => `${name}=${String(value)}`);
  const job = await loadJob(resolve(dirname(specPath), spec.job), {
    ...options,
    set,
    later: runVariables,
  });
  return { name: spec.metadata.name, specJson: JSON.stringify(spec), job };
}
