/**
 * Keeps the documentation true. Blocks marked `sh` in README.md and docs/*.md run here, in order, each
 * as one bash script in a scratch copy of the checkout. Blocks marked `console` are not run here: their
 * commands must stand in .ci/run. YAML jobs in README.md must stand in an example, and every example runs.
 */
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { globSync } from 'tinyglobby';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verbHere } from './verb-here.js';

const root = path.resolve(import.meta.dirname, '..');
const documents = ['README.md', ...globSync('docs/**/*.md', { cwd: root }).sort()];
const specs = globSync('examples/*.yaml', { cwd: root }).sort();
const schedules = specs.filter((file) =>
  /^kind: Schedule$/m.test(readFileSync(path.join(root, file), 'utf8')),
);
const examples = specs.filter((file) => !schedules.includes(file));

interface Block {
  readonly document: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

function blocksOf(document: string): Block[] {
  const blocks: Block[] = [];
  let open: { language: string; line: number; lines: string[] } | undefined;
  readFileSync(path.join(root, document), 'utf8')
    .split('\n')
    .forEach((line, index) => {
      const fence = /^\s*```(\w*)/.exec(line);
      if (!fence) open?.lines.push(line);
      else if (!open) open = { language: fence[1] ?? '', line: index + 1, lines: [] };
      else {
        blocks.push({ document, ...open, text: open.lines.join('\n') });
        open = undefined;
      }
    });
  return blocks;
}

const blocks = documents.flatMap(blocksOf);
const scripts = blocks.filter(({ language }) => language === 'sh');

let scratch = '';

const mark = 'WINDROW_DOCS_TEST';

/** Ends every process that a script left behind, those that made themselves independent included. */
function killMarked(): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      if (environment.includes(`${mark}=${scratch}`)) process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended meanwhile, or is somebody else's.
    }
  }
}

/** Stands for npx, which takes longer than most of what it starts: what it finds is looked up here. */
function writeShortNpx(): void {
  const { bin } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    bin: Readonly<Record<string, string>>;
  };
  const own = Object.entries(bin).map(([name, file]) => `${name}) exec node ${file} "$@";;`);
  const script = `#!/bin/sh
name=$1; shift
case $name in
${own.join('\n')}
*) exec "node_modules/.bin/$name" "$@";;
esac
`;
  mkdirSync(path.join(scratch, 'short'));
  writeFileSync(path.join(scratch, 'short/npx'), script, { mode: 0o755 });
}

/** Runs a script as a reader would, in the scratch copy, and kills what it left behind. */
async function bash(
  script: string,
  npx: 'short' | 'real' = 'short',
): Promise<{ code: number | null; output: string }> {
  const { PATH = '' } = process.env;
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: scratch,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      PATH: npx === 'real' ? PATH : `${path.join(scratch, 'short')}:${PATH}`,
      [mark]: scratch,
    },
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (output += data.toString()));
  const code = await new Promise<number | null>((resolve) => child.on('exit', resolve));
  killMarked();
  return { code, output };
}

/** A checkout that scripts may write to: sources are copied, what was installed and built is shared. */
beforeAll(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), 'windrow-docs-'));
  for (const name of ['examples', 'scripts', 'package.json', 'package-lock.json', 'README.md']) {
    cpSync(path.join(root, name), path.join(scratch, name), {
      recursive: true,
      preserveTimestamps: true,
      filter: (source) => !source.includes('.windrow'),
    });
  }
  for (const name of ['node_modules', 'dist', 'shared', 'schema', 'docs', 'tsconfig.json']) {
    symlinkSync(path.join(root, name), path.join(scratch, name));
  }
  writeShortNpx();
  const prepared = await bash('npx tsx examples/data.ts && npx tsx examples/quickstart/prepare.ts');
  expect(prepared.code, prepared.output).toBe(0);
}, 120_000);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('examples', () => {
  test.each(examples)(
    '%s is valid, runs, and has nothing left to do the second time',
    async (file) => {
      expect(readFileSync(path.join(root, file), 'utf8')).toMatch(/^# /);
      const valid = await verbHere(['validate', path.join(scratch, file)]);
      expect(valid.code, valid.stderr).toBe(0);

      const first = await bash(`npx windrow run ${file} --workers 1`);
      expect(first.code, first.output).toBe(0);
      const rows = resultOf(first.output).rows;
      expect(rows.in).toBeGreaterThan(0);

      const second = await bash(`npx windrow run ${file} --workers 1`);
      expect(second.code, second.output).toBe(0);
      expect(resultOf(second.output).rowsInferred).toBe(0);
    },
  );
});

describe('examples of the client', () => {
  test('all of them run, one after the other, against one coordinator', async () => {
    const programs = globSync('examples/client/*.ts', { cwd: root }).sort();
    expect(programs.length).toBeGreaterThan(2);
    const { code, output } = await bash(`
      npx windrow dev --listen 127.0.0.1:0 --state client-state --workers 1 &
      for _ in $(seq 100); do
        if npx windrow workers --state client-state > /dev/null 2>&1; then break; fi
      done
      for program in ${programs.join(' ')}; do
        npx tsx "$program" unix:client-state/windrow.sock
      done`);
    expect(code, output).toBe(0);
    expect(output).toContain('succeeded: 8 of 10 rows');
    expect(output).toContain('hello Ada');
    expect(output).toContain('succeeded: 2 of 2 runs done');
    expect(output).toContain('DE: 3');
    expect(output).toMatch(/10 rows in [0-9a-f]{64}/);
  });
});

describe('schedules among the examples', () => {
  test.each(schedules)('%s has coming runs', async (file) => {
    const { code, output } = await bash(`npx windrow schedule next ${file} --count 3 -o json`);
    expect(code, output).toBe(0);
    expect(output.match(/"runAt"/g)).toHaveLength(3);
  });
});

interface Result {
  readonly rows: { readonly in: number; readonly out: number };
  readonly rowsInferred: number;
}

function resultOf(output: string): Result {
  const line = output.split('\n').findLast((text) => text.startsWith('{"event":"result"'));
  if (line === undefined) throw new Error(`no result in:\n${output}`);
  return JSON.parse(line) as Result;
}

describe('documents', () => {
  test('the README shows commands and a job', () => {
    expect(scripts.some(({ document }) => document === 'README.md')).toBe(true);
    expect(blocks.some(({ language }) => language === 'yaml')).toBe(true);
  });

  test('npx itself finds the command in a built checkout', async () => {
    const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
      version: string;
    };
    const { code, output } = await bash('npx windrow --version', 'real');
    expect(code, output).toBe(0);
    expect(output).toContain(version);
  });

  test.each(scripts)(
    'the commands in $document, line $line, work',
    async ({ text }) => {
      const { code, output } = await bash(text);
      expect(code, `${text}\n${output}`).toBe(0);
    },
    180_000,
  );

  test('commands that are not run here are run by .ci/run', () => {
    const ci = readFileSync(path.join(root, '.ci/run'), 'utf8');
    const missing = blocks
      .filter(({ language }) => language === 'console')
      .flatMap(({ document, line, text }) =>
        text
          .split('\n')
          .filter((command) => command !== '' && !ci.includes(command.trim()))
          .map((command) => `${document}:${line}: ${command}`),
      );
    expect(missing).toEqual([]);
  });

  test('jobs in the README stand in an example', () => {
    const all = examples.map((file) => readFileSync(path.join(root, file), 'utf8')).join('\n');
    const strange = blocks.filter(
      ({ document, language, text }) =>
        document === 'README.md' && language === 'yaml' && !all.includes(text),
    );
    expect(strange).toEqual([]);
  });

  test('docs/ARCHITECTURE.md names every file that ships', () => {
    const text = readFileSync(path.join(root, 'docs/ARCHITECTURE.md'), 'utf8');
    const files = globSync('{cli,client,coordinator,worker,shared}/**/*.ts', {
      cwd: root,
      ignore: 'shared/gen/**',
    });
    const rooms = text.split(/^### /m);
    const unnamed = files.filter((file) => {
      const room = rooms.find((part) => part.startsWith(`${path.dirname(file)}/:`));
      return room?.includes(`- \`${path.basename(file)}\``) !== true;
    });
    expect(unnamed).toEqual([]);
  });

  test('links between documents lead somewhere', () => {
    const broken = documents.flatMap((document) => {
      const text = readFileSync(path.join(root, document), 'utf8');
      return [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)]
        .map(([, target]) => target ?? '')
        .filter((target) => !existsSync(path.join(root, path.dirname(document), target)))
        .map((target) => `${document}: ${target}`);
    });
    expect(broken).toEqual([]);
  });
});
