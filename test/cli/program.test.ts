/** The command line as users type it: verbs, usage errors, exit codes, bad specs. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { buildProgram, usageText } from '../../cli/program.js';
import { type Ended, verbHere } from '../verb-here.js';

const entry = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const loader = fileURLToPath(import.meta.resolve('tsx'));

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-cli-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** One verb in this process, with what it printed. */
const windrow = (...args: string[]): Promise<Ended> => verbHere(args);

/** The command as a user starts it, from its sources. */
const started = (...args: string[]): Promise<Ended> => startedWith([], args);

/** @param imports modules that are there before it */
function startedWith(imports: readonly string[], args: readonly string[]): Promise<Ended> {
  const before = [loader, ...imports].flatMap((each) => ['--import', each]);
  const child = spawn(process.execPath, [...before, entry, ...args], {
    cwd: directory,
    env: { ...process.env, WINDROW_CONNECT: '', WINDROW_TOKEN: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}

test.each(['run', 'submit', 'validate'])(
  '%s ends with 130 at a signal before it has begun',
  async (verb) => {
    const code = `const on = process.on;
    process.on = function (name, ...rest) {
      if (name === 'SIGTERM') setImmediate(() => process.kill(process.pid, name));
      return on.call(this, name, ...rest);
    };`;
    const asSoonAsItListens = `data:text/javascript,${encodeURIComponent(code)}`;
    const { code: ends, stdout, stderr } = await startedWith([asSoonAsItListens], [verb, 'x.yaml']);
    expect([ends, stdout, stderr]).toEqual([130, '', '']);
  },
);

const verbs = [
  ...['run', 'submit', 'validate', 'explain', 'preview'],
  ...['list', 'get', 'describe', 'why', 'events', 'logs', 'wait', 'workers'],
  ...['cancel', 'retry', 'resubmit', 'drain', 'dev', 'coordinator', 'worker'],
  ...['schedule', 'backfill', 'doctor', 'completion'],
];

describe('the command line', () => {
  test('has every verb, and every verb that reads takes -o', () => {
    const program = buildProgram(() => undefined);
    expect(program.commands.map((command) => command.name()).sort()).toEqual([...verbs].sort());
    const reading = ['validate', 'explain', 'preview', 'list', 'get', 'describe', 'why', 'events'];
    for (const name of [...reading, 'logs', 'wait', 'workers', 'doctor']) {
      const command = program.commands.find((one) => one.name() === name)!;
      expect(
        command.options.map((option) => option.short),
        name,
      ).toContain('-o');
    }
  });

  test('hands a verb its arguments and flags as parsed values', async () => {
    const program = buildProgram(() => undefined);
    const run = program.commands.find((command) => command.name() === 'run')!;
    let seen: unknown[] = [];
    run.action((...args: unknown[]) => void (seen = args.slice(0, 2)));
    await program.parseAsync(
      ['run', 'job.yaml', '--workers', '3', '--set', 'a=1', '--set', 'b=x=y', '--state', 's'],
      { from: 'user' },
    );
    expect(seen).toEqual(['job.yaml', { workers: 3, set: ['a=1', 'b=x=y'], state: 's' }]);
  });

  test('writes its usage errors like all others', () => {
    expect(usageText("error: unknown command 'rnu'\n(Did you mean run?)")).toBe(
      "error E_USAGE: unknown command 'rnu'\n  hint: did you mean run?",
    );
  });

  test('prints help on stdout and ends with 0', async () => {
    const { code, stdout, stderr } = await started('--help');
    expect(code).toBe(0);
    for (const verb of verbs) expect(stdout).toContain(verb);
    expect(stderr).toBe('');
  });

  test.each([
    [['rnu'], 'did you mean run?'],
    [['run', 'job.yaml', '--wrokers', '2'], 'did you mean --workers?'],
    [['run'], "missing required argument 'spec'"],
    [['run', 'a.yaml', 'b.yaml'], 'too many arguments'],
    [['run', 'a.yaml', '--workers', '-1'], '--workers -1 is not a whole number'],
    [['list', '-o', 'xml'], 'use one of json, yaml, table'],
    [['wait', 'j1', '--timeout', 'soon'], '--timeout soon is not a duration'],
    [['completion', 'cmd'], 'use one of bash, zsh, fish'],
    [['worker'], '--coordinator HOST:PORT'],
    [['worker', '--coordinator', 'foo'], "--coordinator: 'foo' is not HOST:PORT"],
    [[], 'Usage: windrow'],
  ])('ends with 2 for %j', async (args, said) => {
    const { code, stdout, stderr } = await windrow(...args);
    expect(stderr).toContain(said);
    expect(code).toBe(2);
    expect(stdout).toBe('');
  });

  test('ends with 2 where there is no state directory to look at', async () => {
    const { code, stderr } = await windrow('list', '--state', join(directory, 'none'));
    expect(stderr).toContain('error E_STATE_NOT_FOUND: ');
    expect(stderr).toContain('hint: ');
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(code).toBe(2);
  });

  test('shows the stack with --debug, before the verb and after it', async () => {
    const verb = ['list', '--state', join(directory, 'none')];
    for (const args of [
      ['--debug', ...verb],
      [...verb, '--debug'],
    ]) {
      const { stderr } = await windrow(...args);
      expect(stderr).toContain('error E_STATE_NOT_FOUND: ');
      expect(stderr).toMatch(/\n\s+at /);
    }
  });

  test('ends with 4 where the coordinator cannot be reached', async () => {
    // Port 1 of loopback: reserved, and nobody listens there.
    const { code, stderr } = await started('get', 'j1', '--connect', '127.0.0.1:1');
    expect(stderr).toContain('error E_UNREACHABLE: ');
    expect(code).toBe(4);
  });

  test('is quiet when its reader goes away', async () => {
    const child = spawn(
      'bash',
      ['-c', `"$0" --import "$1" "$2" completion fish | head -1; echo "\${PIPESTATUS[0]}"`].concat(
        process.execPath,
        loader,
        entry,
      ),
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    await new Promise((resolve) => child.once('close', resolve));
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n').at(-1)).toBe('0');
  });
});

describe('bad specs', () => {
  const write = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };

  test('are all told with file, line and column, and end with 2', async () => {
    const path = write(
      'bad.yaml',
      [
        'apiVersion: windrow/v1',
        'kind: Job',
        'metadata: { name: bad }',
        'sources: { a: { parquett: a.parquet } }',
        'outputs: [{ from: a, parquet: out, mod: error }]',
      ].join('\n'),
    );
    const { code, stdout, stderr } = await windrow('validate', path);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/error E_\w+: \S*bad\.yaml:4:\d+: .*parquett/);
    expect(stderr).toMatch(/error E_\w+: \S*bad\.yaml:5:\d+: .*mod/);
    expect(stderr).toContain("did you mean 'parquet'");
  });

  test('are told as data too, where data is asked for', async () => {
    const path = write('empty.yaml', '');
    for (const format of ['json', 'yaml']) {
      const { code, stdout } = await windrow('validate', path, '-o', format);
      expect(code).toBe(2);
      // JSON is YAML, too.
      expect(parse(stdout)).toMatchObject({ valid: false, problems: [{ code: 'E_SPEC_EMPTY' }] });
    }
  });

  test('of run start nothing, not even a state directory', async () => {
    const { code, stderr } = await started('run', join(directory, 'none.yaml'));
    expect(code).toBe(2);
    expect(stderr).toContain('none.yaml');
    expect(existsSync(join(directory, '.windrow'))).toBe(false);
  });
});
