/** The verbs of an HTTP door, over as much of a coordinator as a test has. */
import { JobVerbs } from '../../../coordinator/job-verbs.js';
import { Backfills } from '../../../coordinator/schedules/backfills.js';
import { Schedules } from '../../../coordinator/schedules/schedules.js';

/** @param rooms those that what is asked for needs */
export function verbsOver(rooms: object) {
  const some = rooms as never;
  return {
    jobs: new JobVerbs(some),
    schedules: new Schedules(some),
    backfills: new Backfills(some),
  };
}
