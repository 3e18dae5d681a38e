/** Whether there is anything to do again of an ended job. The one rule for all who ask to retry. */
import { fail, WindrowError } from './failure.js';
import type { JobView } from './views.js';

/** @throws WindrowError E_NOTHING_TO_RETRY */
export function checkRetry(view: JobView, onlyDeadLetters: boolean): void {
  const without = onlyDeadLetters
    ? view.rows.deadLettered === 0 && view.state === 'succeeded'
    : view.state === 'succeeded';
  if (!without) return;
  const message = onlyDeadLetters
    ? `job ${view.job} has no dead-lettered rows`
    : `job ${view.job} succeeded`;
  fail('invalidSpec', 'E_NOTHING_TO_RETRY', message, {
    hint:
      !onlyDeadLetters && view.rows.deadLettered > 0
        ? 'do its dead-lettered rows again with --only-dead-letters'
        : `run it again with windrow resubmit ${view.job}`,
  });
}

/**
 * What looking at a job gives; undefined where that is a run of a schedule without one.
 * @param throws whether that is an error after all
 */
export async function unlessWithoutJob<Seen>(
  looking: Promise<Seen>,
  throws: () => Promise<boolean> = async () => false,
): Promise<Seen | undefined> {
  try {
    return await looking;
  } catch (error) {
    if (!isWithoutJob(error) || (await throws())) throw error;
    return undefined;
  }
}

/** Whether it was a run of a schedule that has no job. */
export function isWithoutJob(error: unknown): boolean {
  return error instanceof WindrowError && error.failure.code === 'E_RUN_NO_JOB';
}
