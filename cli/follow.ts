/** Follows a job to its end and says how it went; the one way for `run`, `retry` and `resubmit`. */
import type { Client } from '../client/types.js';
import type { JobView } from '../shared/views.js';
import type { ExitCode } from './exit.js';
import { exitCodeOfState } from './exit.js';
import { reportError } from './output.js';
import { WindrowError } from '../shared/failure.js';
import type { Reporter } from './reporter.js';

/** How far a job was followed, so that whoever follows it next tells no event twice. */
export interface Followed {
  jobId?: string;
  lastSeq: number;
}

/** Resolves with the ended job. @throws the signal's reason when it is aborted */
export async function followJob(
  client: Client,
  jobId: string,
  reporter: Reporter,
  signal: AbortSignal,
  followed: Followed = { lastSeq: 0 },
): Promise<JobView> {
  if (followed.jobId !== jobId) Object.assign(followed, { jobId, lastSeq: 0 });
  reporter.accepted(await client.get(jobId));
  const afterSeq = followed.lastSeq;
  for await (const event of client.events(jobId, { follow: true, signal, afterSeq })) {
    followed.lastSeq = Math.max(followed.lastSeq, event.seq);
    reporter.event(event);
  }
  signal.throwIfAborted();
  // The stream may end a moment before the job is put away; `wait` answers at once if it has ended.
  return client.wait(jobId, { signal });
}

/** Prints the end of a job (its failure on stderr too) and gives the code to exit with. */
export function concludeJob(view: JobView, reporter: Reporter): ExitCode {
  reporter.finished(view);
  if (view.failure && view.state !== 'succeeded') {
    reportError(new WindrowError(view.failure), false);
  }
  return exitCodeOfState(view.state);
}
