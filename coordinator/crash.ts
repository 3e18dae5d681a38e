/**
 * The end of a coordinator that cannot go on: its journal is lost, or a rule of ours is broken.
 * Says what is known and stops at once, before a wrong state can do anything. Never: cleans up.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatFailure, toFailure } from '../shared/failure.js';
import { jobToRow } from './core/snapshot.js';
import type { State } from './core/state.js';

/** As for anything that broke on our side (docs/CLI.md). Whoever starts us again may do so at once. */
const exitCode = 1;

/** Writes `crash-PID.json` into the state directory: `{ error, jobs, workers }`. */
export function crash(error: unknown, state: State, stateDirectory: string): never {
  const dump = join(stateDirectory, `crash-${process.pid}.json`);
  const failure = toFailure(error);
  let hint = 'start again: finished work is kept';
  try {
    const jobs = [...state.jobs.values()].map((job) => JSON.parse(jobToRow(job)) as unknown);
    const workers = [...state.workers.values()].map(({ attempts, ...worker }) => ({
      ...worker,
      attempts: [...attempts.keys()],
    }));
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    writeFileSync(dump, JSON.stringify({ error: text, jobs, workers }), { mode: 0o600 });
    hint += `; what it knew is in ${dump}`;
  } catch {
    // The disk may be what failed; the message still says why.
  }
  const { hint: own, ...rest } = failure;
  process.stderr.write(
    `error ${formatFailure({ ...rest, message: `the coordinator stops: ${failure.message}` })}\n` +
      `  hint: ${own === undefined ? hint : `${own}; ${hint}`}\n`,
  );
  process.exit(exitCode);
}
