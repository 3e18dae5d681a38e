/** Says how a followed job went; the one way for `run`, `retry` and `resubmit`. */
import type { JobView } from '../shared/views.js';
import type { ExitCode } from './exit.js';
import { exitCodeOfState } from './exit.js';
import { reportError } from './output.js';
import { WindrowError } from '../shared/failure.js';
import type { Reporter } from './reporter.js';

/** Prints the end of a job (its failure on stderr too) and gives the code to exit with. */
export function concludeJob(view: JobView, reporter: Reporter): ExitCode {
  reporter.finished(view);
  if (view.failure && view.state !== 'succeeded') {
    reportError(new WindrowError(view.failure), false);
  }
  return exitCodeOfState(view.state);
}
