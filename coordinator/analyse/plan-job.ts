/** One call from a validated spec to a plan: analyse, then plan. */
import { dirname } from 'node:path';
import type { JobId } from '../../shared/ids.js';
import type { JobSpec } from '../../shared/job-spec.js';
import type { JobPlan } from '../../shared/plan.js';
import { manifestPath, trashDirectory } from '../../shared/storage/paths.js';
import { plan, type Planned } from '../planner/plan.js';
import { forecast } from '../planner/query-forecast.js';
import { analyse, type AnalyseOptions } from './analyse.js';
import { FooterCache } from './footer-cache.js';
import type { CheckPath } from './globs.js';
import { checkPlacesApart } from './places-apart.js';
import { withTypePlaces } from './type-places.js';

export interface PlanJobOptions extends Omit<AnalyseOptions, 'footers'> {
  /** Paths absolute, parameters merged. */
  readonly spec: JobSpec;
  /** Tasks that can run at once, as far as is known now. */
  readonly slots: number;
  readonly jobId: JobId;
  readonly footers?: FooterCache;
  /** As `checkPath`, for the places that the job writes. */
  readonly checkPlace?: CheckPath;
}

export type PlannedJob = Planned;

/** Jobs of one process mostly read the same files again. */
const sharedFooters = new FooterCache();

/** @throws WindrowError of kind invalidSpec; nothing has been started then */
export async function planJob(options: PlanJobOptions): Promise<PlannedJob> {
  const { spec, jobId, nowMs, slots, checkPath, checkPlace = checkPath } = options;
  const facts = await analyse(spec, { ...options, footers: options.footers ?? sharedFooters });
  const outputs = spec.outputs.map(({ from }) => from);
  const planned = withTypePlaces(facts, outputs, () => {
    const whole = plan(spec, facts, { jobId, nowMs, slots });
    // What a stage of a query could not write is found before the first of them runs.
    if (facts.queries.size > 0) forecast(whole.plan);
    return whole;
  });
  for (const place of placesWritten(planned.plan)) checkPlace(place);
  await checkPlacesApart(planned.plan);
  return planned;
}

/** Also those whose names derive from an output's: there may be links in their places. */
function placesWritten({ chunkLocation, shuffleLocation, outputs }: JobPlan): string[] {
  const ofOutputs = outputs.flatMap(({ path, deadLetterPath }) => [
    path,
    dirname(manifestPath(path)),
    trashDirectory(path),
    deadLetterPath,
  ]);
  return [...ofOutputs, chunkLocation, ...(shuffleLocation ? [shuffleLocation] : [])];
}
