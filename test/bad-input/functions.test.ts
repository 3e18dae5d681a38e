/** User functions that are missing, broken or hostile: the job fails with the place, the engine goes on. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobSpecInput } from '../../shared/job-spec.js';
import type { LogView } from '../../shared/views.js';
import { verbHere } from '../verb-here.js';
import { duckdb, expectFailed, expectInvalid, Place, type Refusal, windrow } from './place.js';

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(() => place.close());

/** A job whose one step maps each row with this module. */
function mapping(name: string, module: string, more: Partial<JobSpecInput> = {}): string {
  const spec = place.spec(name, {
    steps: [
      {
        id: 'mapped',
        map: {
          from: 'orders',
          module: 'f.ts',
          reads: ['id', 'name'],
          columns: { label: 'VARCHAR' },
        },
      },
    ],
    ...more,
  });
  writeFileSync(join(dirname(spec), 'f.ts'), module);
  return spec;
}

describe('a module is refused', () => {
  const cases: (Refusal & { name: string; module: string })[] = [
    {
      name: 'that does not compile',
      module: 'export function row(r: { id: bigint }) {\n  return { label: ;\n}\n',
      code: 'E_MAP_MODULE',
      says: [/f\.ts:2:\d+/],
    },
    {
      name: 'that imports what is not there',
      module: "import { x } from './gone.js';\nexport const row = () => ({ label: x });\n",
      code: 'E_MAP_MODULE',
      says: [/f\.ts:1:\d+/, /gone\.js/],
    },
    {
      name: 'that exports nothing of use',
      module: 'export const helper = 1;\n',
      code: 'E_MAP_MODULE',
      says: [/exports helper/, /batch or row/],
    },
  ];
  it.concurrent.each(cases)('$name', async ({ name, module, code, says }) => {
    await expectInvalid(place, mapping(name, module), { code, says: [...says, /hint: /] });
  });

  it.concurrent('that is not there', async () => {
    const spec = place.spec('missing', {
      steps: [
        { id: 'mapped', map: { from: 'orders', module: 'gone.ts', columns: { label: 'VARCHAR' } } },
      ],
    });
    const says = [/step mapped/, /gone\.ts/, /hint: /];
    await expectInvalid(place, spec, { code: 'E_MAP_MODULE_MISSING', says });
  });
});

describe('a function fails the job', () => {
  it.concurrent("that throws, with its row and the line of the user's own file", async () => {
    const spec = mapping(
      'throws',
      `interface Row {
  id: bigint;
  name: string;
}

function check(row: Row): string {
  if (row.id === 31234n) throw new Error('no label for ' + row.name);
  return row.name.toUpperCase();
}

export function row(row: Row) {
  return { label: check(row) };
}
`,
    );
    const { failure } = await expectFailed(place, spec, 'E_MAP_THREW');
    expect(failure.message).toMatch(/no label for user-/);
    expect(failure.message).toMatch(/f\.ts:7:/);
    expect(failure).toMatchObject({
      kind: 'userCode',
      at: { step: 'mapped', file: place.path('data.parquet'), rowGroup: 3, row: 31234 },
    });
    expect(failure.hint).toMatch(/onError/);
  });

  it.concurrent('that throws in a timer, and what it printed before is in the log', async () => {
    const spec = mapping(
      'timer',
      `export function row(row: { id: bigint }) {
  if (row.id === 7n) {
    console.warn('seven', row);
    setTimeout(() => {
      throw new Error('later');
    }, 0);
  }
  return { label: 'x' };
}
`,
    );
    const { failure, ended } = await expectFailed(place, spec, 'E_MAP_THREW');
    expect(failure).toMatchObject({ kind: 'userCode', at: { step: 'mapped' } });
    expect(failure.message).toMatch(/later \(at f\.ts:5:/);
    expect(ended.stdout).not.toContain('seven');
    const state = join(dirname(spec), '.windrow');
    const logs = await verbHere(['logs', 'timer', '--state', state, '-o', 'json']);
    const lines = JSON.parse(logs.stdout) as LogView[];
    expect(lines).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        text: expect.stringMatching(/s0\/0\/1 step mapped, chunk 0: seven \{ id: 7n, name: /),
      }),
    );
    expect(lines.at(-1)).toMatchObject({ level: 'error', text: expect.stringMatching(/later/) });
  });

  it.concurrent('whose module throws when it is loaded', async () => {
    const spec = mapping('load', `\nthrow new Error('not today');\nexport function row() {}\n`);
    const { failure } = await expectFailed(place, spec, 'E_MAP_IMPORT');
    expect(failure.message).toMatch(/not today.*f\.ts:2:/);
    expect(failure.at).toMatchObject({ step: 'mapped' });
  });

  it.concurrent.each([
    ['calls process.exit', 'export function row() { process.exit(0); }'],
    ['calls process.exit when it is loaded', 'process.exit(3);\nexport function row() {}'],
    [
      'calls process.exit later',
      'export async function row() { setTimeout(() => process.exit(0), 1); await new Promise((r) => setTimeout(r, 60_000)); return {}; }',
    ],
  ])('that %s', async (name, module) => {
    const { failure } = await expectFailed(place, mapping(name, module), 'E_MAP_EXIT');
    expect(failure).toMatchObject({ kind: 'userCode', at: { step: 'mapped' } });
    expect(failure.message).toMatch(/process\.exit/);
  });

  it.concurrent('that gives another type than it promised', async () => {
    const spec = mapping('type', 'export function row() { return { label: { a: 1 } }; }\n');
    const { failure } = await expectFailed(place, spec, 'E_MAP_RESULT');
    expect(failure.at).toMatchObject({ step: 'mapped', column: 'label' });
  });

  it.concurrent.each([
    ['loops for ever', 1, 'export function row() { for (;;); }'],
    [
      'waits for ever',
      2,
      'export async function row() { await new Promise(() => {}); return {}; }',
    ],
  ])('that %s, once its attempts are used up: %i', async (name, attempts, module) => {
    const spec = mapping(name, module, { run: { taskTimeout: 'PT2S', attempts } });
    const { failure } = await expectFailed(place, spec, 'E_TASK_TIMEOUT');
    expect(failure.hint).toMatch(/taskTimeout/);
  });

  it.concurrent('that takes all memory there is', async () => {
    const module = `const kept: unknown[] = [];
export function row() {
  for (let k = 0; k < 2_000; k += 1) kept.push(new Array(131_072).fill(k));
  return { label: String(kept.length) };
}
`;
    const spec = mapping('memory', module, { run: { attempts: 1 } });
    const { failure } = await expectFailed(place, spec, 'E_OUT_OF_MEMORY', ['--memory', '1GiB']);
    expect(failure.at).toMatchObject({ step: 'mapped' });
    expect(failure.hint).toMatch(/memory/);
  });

  it.concurrent(
    'that keeps two gigabytes outside of its heap: its process is another next',
    async () => {
      const files = [0, 1, 2].map((k) => place.path(`kept/${k}.parquet`));
      mkdirSync(dirname(files[0]!));
      for (const file of files) {
        await duckdb(`copy (select i as id, 'n' as name from range(20000) t(i)) to '${file}'`);
      }
      const module = `const kept: Buffer[] = [];
export function batch(rows: { numRows: number }) {
  while (kept.length < 20) kept.push(Buffer.alloc(100 * 1024 * 1024, 1));
  return { label: Array.from({ length: rows.numRows }, () => String(process.pid)) };
}
`;
      const sources = { orders: { parquet: place.path('kept/*.parquet') } };
      const spec = mapping('outside', module, { sources });
      const args = ['--workers', '1', '--memory', '1GiB'];
      const { code, stderr } = await windrow(['run', spec, ...args]);
      expect(code, stderr).toBe(0);
      const out = join(dirname(spec), 'out/*.parquet');
      const [seen] = await duckdb(`select count(*) n, count(distinct label) p from '${out}'`);
      expect(seen!['n']).toBe('60000');
      expect(Number(seen!['p'])).toBeGreaterThan(1);
    },
  );
});
