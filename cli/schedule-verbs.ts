/** The verbs of schedules and backfills: their flags, and what each loads. Never: doing anything itself. */
import type { Command } from 'commander';
import { reprocessPolicies } from '../shared/schedule-views.js';
import { instant, oneOf, wholeNumber } from './arguments.js';

/** What a verb does; it gets what commander parsed: the arguments, then the flags. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- commander hands over what it parsed
type Work = (...args: any[]) => Promise<number>;
export type Run = (work: Work) => (...args: unknown[]) => Promise<void>;

export interface VerbTools {
  /** Adds a verb, or one of another verb's own. */
  readonly verb: (name: string, description: string, of?: Command) => Command;
  readonly reading: (command: Command) => Command;
  readonly withConnection: (command: Command) => Command;
  readonly run: Run;
}

export function scheduleVerbs({ verb, reading, withConnection, run }: VerbTools): void {
  const schedule = verb('schedule', 'make jobs run by the calendar');
  const read = (name: string, description: string): Command =>
    reading(verb(name, description, schedule));
  read('create <spec>', 'make a schedule, or give one of that name a new spec and job').action(
    run(async (spec, flags) => (await import('./schedules.js')).createSchedule(spec, flags)),
  );
  read('list', 'list schedules').action(
    run(async (flags) => (await import('./schedules.js')).listSchedules(flags)),
  );
  read('get <name>', 'show a schedule and its runs').action(
    run(async (name, flags) => (await import('./schedules.js')).getSchedule(name, flags)),
  );
  read('next <spec-or-name>', 'list the coming runs; of a spec without any coordinator')
    .option('--from <time>', 'runs after this, in UTC (default: now)', instant('--from'))
    .option('--count <n>', 'how many', wholeNumber('--count', 1, 10_000), 10)
    .action(run(async (of, flags) => (await import('./schedules.js')).nextOfSchedule(of, flags)));
  read('pause <name>', 'make and start no runs; what runs goes on').action(
    run(async (name, flags) => (await import('./schedules.js')).pauseSchedule(name, flags)),
  );
  read('resume <name>', 'go on after a pause').action(
    run(async (name, flags) => (await import('./schedules.js')).resumeSchedule(name, flags)),
  );
  read('trigger <name>', 'start a run by hand')
    .option(
      '--start <time>',
      'where its data interval starts (default: the latest that is complete)',
      instant('--start'),
    )
    .option('--end <time>', 'where it ends; goes with --start', instant('--end'))
    .option('--request-id <id>', 'same id, same run (default: a new one)')
    .action(
      run(async (name, flags) => (await import('./schedules.js')).triggerSchedule(name, flags)),
    );
  withConnection(verb('delete <name>', 'forget a schedule; its jobs stay', schedule)).action(
    run(async (name, flags) => (await import('./schedules.js')).deleteSchedule(name, flags)),
  );
}

export function backfillVerbs({ verb, reading, run }: VerbTools): void {
  const backfill = verb('backfill', 'run the intervals of a range of a schedule');
  const read = (name: string, description: string): Command =>
    reading(verb(name, description, backfill));
  read('create <schedule>', 'run the intervals of a range that were not run before')
    .requiredOption('--from <time>', 'first logical date, in UTC', instant('--from'))
    .requiredOption('--to <time>', 'last logical date', instant('--to'))
    .option(
      '--reprocess <which>',
      'also those that failed, or all that completed',
      oneOf('--reprocess', reprocessPolicies),
      'none',
    )
    .option(
      '--max-active-runs <n>',
      "runs at a time (default: the schedule's)",
      wholeNumber('--max-active-runs', 1, 1000),
    )
    .option('--reverse', 'newest first')
    .option('--dry-run', 'say what would run, and start nothing')
    .option('--yes', 'go ahead although it is more than 1000 runs')
    .option('--request-id <id>', 'same id, same backfill (default: a new one)')
    .action(
      run(async (name, flags) => (await import('./backfills.js')).createBackfill(name, flags)),
    );
  read('list', 'list backfills, newest first')
    .option('--schedule <name>', 'only of this schedule')
    .action(run(async (flags) => (await import('./backfills.js')).listBackfills(flags)));
  read('get <backfill>', 'show a backfill').action(
    run(async (id, flags) => (await import('./backfills.js')).getBackfill(id, flags)),
  );
  read('cancel <backfill>', 'cancel its runs and make no more').action(
    run(async (id, flags) => (await import('./backfills.js')).cancelBackfill(id, flags)),
  );
}
