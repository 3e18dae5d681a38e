/**
 * The command line: verbs, flags, and what each loads. Every verb's module is imported only when it
 * is called, so that help and small jobs start fast. Never: doing anything itself.
 */
import { Command, CommanderError } from 'commander';
import { byteSize, collect, collectNames, duration, oneOf, wholeNumber } from './arguments.js';
import { exitCodeOf, exitCodes, failuresOf } from './exit.js';
import { guardOutput, note, reportError } from './output.js';
import { backfillVerbs, scheduleVerbs, type Run, type VerbTools } from './schedule-verbs.js';
import { outputFormats } from './table.js';
import { packageVersion } from '../shared/package-version.js';
import { jobStateNames } from '../shared/views.js';

export async function main(argv: readonly string[]): Promise<void> {
  guardOutput();
  const code = await runProgram(argv.slice(2));
  // Native libraries and open channels keep a process alive; what was printed goes out first.
  process.stdout.write('', () => process.exit(code));
}

/** Runs one verb to its end, errors told on stderr. @returns the exit code */
export async function runProgram(args: readonly string[]): Promise<number> {
  let code: number = exitCodes.done;
  try {
    await buildProgram((ended) => (code = ended)).parseAsync([...args], { from: 'user' });
  } catch (error) {
    code = codeOfError(error, args.includes('--debug'));
  }
  return code;
}

function codeOfError(error: unknown, debug: boolean): number {
  if (error instanceof CommanderError) {
    const asked = ['commander.helpDisplayed', 'commander.version'].includes(error.code);
    return asked ? exitCodes.done : exitCodes.usage;
  }
  reportError(error, debug);
  return exitCodeOf(failuresOf(error)[0]!);
}

const groups = {
  work: 'Work:',
  plan: 'Plan ahead:',
  look: 'Look:',
  change: 'Change:',
  serve: 'Serve:',
  more: 'More:',
};
const slots = wholeNumber('--workers', 1, 1024);
const format = oneOf('-o', outputFormats);
const state = oneOf('--status', jobStateNames);

/** `finish` gets the exit code of the verb that ran. */
export function buildProgram(finish: (code: number) => void): Command {
  const program = new Command('windrow')
    .description('batch jobs over Parquet: SQL, TypeScript functions, ONNX models')
    .exitOverride()
    .configureOutput({ outputError: (text) => note(usageText(text)) })
    .helpOption('-h, --help', 'show this')
    .option('--debug', 'show stacks of errors')
    .version(packageVersion(), '-V, --version', 'show the version')
    .helpCommand(false);

  const verb = (
    name: string,
    group: keyof typeof groups,
    description: string,
    of = program,
  ): Command =>
    of
      .command(name)
      .description(description)
      .helpGroup(groups[group])
      .helpCommand(false)
      .option('--debug', 'show stacks of errors');
  const run: Run =
    (work) =>
    async (...args) =>
      finish(await work(...args));

  runVerbs(verb, run);
  lookVerbs(verb, run);
  changeVerbs(verb, run);
  serveVerbs(verb, run);
  const tools: VerbTools = {
    verb: (name, description, of) => verb(name, 'plan', description, of),
    reading,
    withConnection,
    run,
  };
  scheduleVerbs(tools);
  backfillVerbs(tools);

  verb('doctor', 'more', 'check this machine: what is missing, and what to do')
    .option('--state <dir>', 'state directory to check')
    .option('-o, --output <format>', 'json, yaml or table', format, 'table')
    .action(run(async (flags) => (await import('./doctor.js')).runDoctor(flags)));
  verb('completion', 'more', 'print a completion script: source <(windrow completion bash)')
    .argument('<shell>', 'bash, zsh or fish', oneOf('shell', ['bash', 'zsh', 'fish']))
    .action(
      run(async (shell: 'bash' | 'zsh' | 'fish') => {
        const { completionScript } = await import('./completion.js');
        process.stdout.write(completionScript(program, shell));
        return exitCodes.done;
      }),
    );
  return program;
}

type Verb = (name: string, group: keyof typeof groups, description: string) => Command;

function runVerbs(verb: Verb, run: Run): void {
  withConnection(withSet(verb('run <spec>', 'work', 'run a job to its end and show its way')))
    .option('--workers <n>', 'slots to run with (default: the cores of this machine)', slots)
    .option('--memory <size>', 'most memory of all slots, such as 4GiB', byteSize('--memory'))
    .action(run(async (spec, flags) => (await import('./run.js')).runSpec(spec, flags)));
  withConnection(withSet(verb('submit <spec>', 'work', 'hand a job over and print its id')))
    .option('--request-id <id>', 'same id, same job (default: a new one)')
    .action(run(async (spec, flags) => (await import('./changes.js')).submitSpec(spec, flags)));
  reading(withSet(verb('validate <spec>', 'work', 'check a spec, its data and its models')))
    .option('--spec-only', 'check the spec alone, without looking at data')
    .action(run(async (spec, flags) => (await import('./specs.js')).validateSpec(spec, flags)));
  reading(
    withSet(verb('explain <spec>', 'work', 'show the plan: stages, pushdown, splits, why')),
  ).action(run(async (spec, flags) => (await import('./specs.js')).explainSpec(spec, flags)));
  reading(
    withSet(
      verb(
        'preview <spec>',
        'work',
        'show the first rows of a step, source or output, computed over the first of each source',
      ),
    ),
  )
    .option('--step <id>', 'step, source or output (default: the first output)')
    .option('--rows <n>', 'rows to show', wholeNumber('--rows', 1, 10_000), 20)
    .action(run(async (spec, flags) => (await import('./specs.js')).previewSpec(spec, flags)));
}

function lookVerbs(verb: Verb, run: Run): void {
  reading(verb('list', 'look', 'list jobs, newest first'))
    .option('--status <state>', 'only jobs in this state, such as running or failed', state)
    .option('--limit <n>', 'most jobs to list', wholeNumber('--limit', 1, 10_000))
    .action(run(async (flags) => (await import('./jobs.js')).listJobs(flags)));
  reading(verb('get <job>', 'look', 'show a job (by id or name)')).action(
    run(async (job, flags) => (await import('./jobs.js')).getJob(job, flags)),
  );
  reading(
    verb('describe <job>', 'look', 'show all about a job: stages, outputs, events, why'),
  ).action(run(async (job, flags) => (await import('./jobs.js')).describeJob(job, flags)));
  reading(verb('why <job>', 'look', 'say why a job is not done yet')).action(
    run(async (job, flags) => (await import('./jobs.js')).whyJob(job, flags)),
  );
  reading(verb('events <job>', 'look', "show a job's events"))
    .option('-f, --follow', 'go on until the job ends')
    .option('--after <seq>', 'only later ones', wholeNumber('--after', 0, Number.MAX_SAFE_INTEGER))
    .action(run(async (job, flags) => (await import('./jobs.js')).showEvents(job, flags)));
  reading(verb('logs <job>', 'look', "show workers' log lines about a job"))
    .option('-f, --follow', 'go on until the job ends')
    .action(run(async (job, flags) => (await import('./jobs.js')).showLogs(job, flags)));
  reading(verb('wait <job>', 'look', 'wait for the end of a job; its exit code is that of run'))
    .option('--timeout <duration>', 'such as 10m; then exit with 124', duration('--timeout'))
    .action(run(async (job, flags) => (await import('./jobs.js')).waitForJob(job, flags)));
  reading(verb('workers', 'look', 'list workers')).action(
    run(async (flags) => (await import('./changes.js')).listWorkers(flags)),
  );
}

function changeVerbs(verb: Verb, run: Run): void {
  const workers = 'slots to run with, where no coordinator is running';
  reading(verb('cancel <job>', 'change', 'end a job; what it published before stays')).action(
    run(async (job, flags) => (await import('./changes.js')).cancelJob(job, flags)),
  );
  withConnection(verb('retry <job>', 'change', 'run a failed job again, reusing finished work'))
    .option('--only-dead-letters', 'do the chunks with dead-lettered rows again')
    .option('--workers <n>', workers, slots)
    .action(run(async (job, flags) => (await import('./changes.js')).retryJob(job, flags)));
  withConnection(verb('resubmit <job>', 'change', 'run the spec of an ended job again'))
    .option('--workers <n>', workers, slots)
    .action(run(async (job, flags) => (await import('./changes.js')).resubmitJob(job, flags)));
  withConnection(
    verb('drain <worker>', 'change', 'let a worker finish what it runs, then leave'),
  ).action(run(async (worker, flags) => (await import('./changes.js')).drainWorker(worker, flags)));
}

function serveVerbs(verb: Verb, run: Run): void {
  listening(verb('dev', 'serve', 'a coordinator and workers in one command, on loopback'))
    .option('--workers <n>', 'slots (default: the cores of this machine)', slots)
    .action(run(async (flags) => (await import('./coordinator.js')).serveDev(flags)));
  listening(verb('coordinator', 'serve', 'a coordinator that clients and workers connect to'))
    .option('--allow-code', 'accept jobs that bring functions')
    .action(run(async (flags) => (await import('./coordinator.js')).serveCoordinator(flags)));
  withTls(verb('worker', 'serve', 'a worker that joins a coordinator'))
    .option('--coordinator <address>', 'HOST:PORT or unix:PATH (or env WINDROW_CONNECT)')
    .option(
      '--slots <n>',
      'attempts at a time (default: the cores)',
      wholeNumber('--slots', 1, 256),
    )
    .option(
      '--pool <name>',
      "pool to serve, repeatable; '*' serves all (default: cpu)",
      collectNames('--pool'),
    )
    .option('--id <name>', 'name of the worker (default: host and process)')
    .option('--token-file <file>', 'join token (or env WINDROW_WORKER_TOKEN)')
    .option('--memory <size>', 'most memory to use, such as 4GiB', byteSize('--memory'))
    .option('--spill <dir>', 'directory for spill files and cached models')
    .option(
      '--shuffle-listen <address>',
      'HOST:PORT at which other workers reach this one (default: only from this machine)',
    )
    .option(
      '--shuffle-dir <dir>',
      'directory for rows between stages, kept when the worker ends (default: beside --spill)',
    )
    .option('--health-listen <address>', 'HOST:PORT for probes of health, in plain text')
    .action(run(async (flags) => (await import('./worker.js')).serveWorker(flags)));
}

function withSet(command: Command): Command {
  return command.option('--set <name=value>', 'set a parameter, repeatable', collect);
}

function withTls(command: Command): Command {
  return command
    .option('--tls-ca <file>', 'PEM of the authority to trust')
    .option('--tls-cert <file>', 'PEM of our certificate')
    .option('--tls-key <file>', 'PEM of our key');
}

function withConnection(command: Command): Command {
  return withTls(
    command
      .option('--connect <address>', 'coordinator, HOST:PORT or unix:PATH (or env WINDROW_CONNECT)')
      .option('--state <dir>', 'state directory (default: .windrow)')
      .option('--token-file <file>', 'client token (or env WINDROW_TOKEN)'),
  );
}

function reading(command: Command): Command {
  return withConnection(command).option(
    '-o, --output <format>',
    'json, yaml or table',
    format,
    'table',
  );
}

function listening(command: Command): Command {
  return withTls(
    command
      .option('--listen <address>', 'HOST:PORT to listen on', '127.0.0.1:7433')
      .option('--http <address>', 'HOST:PORT for JSON over HTTP, and for metrics (default: none)')
      .option('--state <dir>', 'state directory (default: .windrow)')
      .option('--allow-root <dir>', 'directory that jobs may read and write, repeatable', collect)
      .option('--allow-private-webhooks', 'let webhooks call addresses that are not public')
      .option('--client-token-file <file>', 'token that clients must show')
      .option('--worker-token-file <file>', 'token that workers must show')
      .option(
        '--scaler-token-file <file>',
        'token that an autoscaler must show (default: as clients)',
      )
      .option('--health-listen <address>', 'HOST:PORT for probes of health, in plain text'),
  );
}

/** Commander's messages in the form of all our errors. */
export function usageText(text: string): string {
  const message = text.replace(/^error: /, '').trim();
  const near = /\n\(Did you mean (.*)\?\)$/s.exec(message);
  const said = near ? message.slice(0, near.index) : message;
  const hint = near ? `did you mean ${near[1]!}?` : 'see windrow --help';
  return `error E_USAGE: ${said}\n  hint: ${hint}`;
}
