/**
 * Keeps the documentation true. Blocks marked `sh` in README.md and docs/*.md run here, in order, each
 * as one bash script in a scratch copy of the checkout. Blocks marked `console` are not run here: their
 * commands must stand in .ci/run. YAML jobs in README.md must stand in an example, and every example runs.
 */
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { globSync } from 'tinyglobby';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

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

/** Runs a script as a reader would, in the scratch copy, and kills what it left behind. */
async function bash(script: string): Promise<{ code: number | null; output: string }> {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: scratch,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, [mark]: scratch },
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
  const prepared = await bash('npx tsx examples/data.ts && npx tsx examples/quickstart/prepare.ts');
  expect(prepared.code, prepared.output).toBe(0);
}, 120_000);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('examples', () => {
  test.each(examples)(
    '%s is valid, runs, and has nothing left to do the second time',
    async (file) => {
      expect(readFileSync(path.join(root, file), 'utf8')).toMatch(/^# /);
      const valid = await bash(`npx windrow validate ${file}`);
      expect(valid.code, valid.output).toBe(0);

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
