import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadJob } from '../../client/load.js';
import { sha256Hex } from '../../shared/chunk-identity.js';
import type { JobSpec } from '../../shared/job-spec.js';
import { limits } from '../../shared/limits.js';
import { buildModel } from '../../shared/onnx-model.js';
import { failureOf } from './job-server.js';

let root: string;
let bundleDirectory: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'windrow-load-'));
  bundleDirectory = join(root, 'bundles');
  mkdirSync(join(root, 'models'));
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

function write(name: string, text: string | Uint8Array): string {
  const path = join(root, name);
  writeFileSync(path, text);
  return path;
}

const head = 'apiVersion: windrow/v1\nkind: Job\nmetadata: { name: "score-{{ day }}" }\n';

function specWith(step: string): string {
  return `${head}params: { day: monday, n: 1 }
sources: { orders: { parquet: ["data/{{ day }}/*.parquet", /abs/x.parquet] } }
steps:
  - ${step}
checkpoints: { location: ../chunks }
shuffle: { location: "shuffle/{{ day }}" }
deadLetters: { path: dead }
outputs: [{ from: orders, parquet: "out/{{ day }}" }]
`;
}

const filter = '{ id: a, filter: { from: orders, where: "x > 1" } }';
const map = (more: string) => `{ id: a, map: { from: orders, columns: { y: INTEGER }, ${more} } }`;
const infer = (model: string) =>
  `{ id: a, infer: { from: orders, model: ${model}, inputs: { x: a }, outputs: { y: b } } }`;

const load = (step: string, set: readonly string[] = []) =>
  loadJob(write('job.yaml', specWith(step)), { set, bundleDirectory });

/** y = x + w, its weights in a file of their own where `location` says so. */
function model(location?: string): Uint8Array {
  return buildModel({
    inputs: [{ name: 'x', type: 'float32', dims: [null, 1] }],
    outputs: [{ name: 'y', type: 'float32', dims: [null, 1] }],
    nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
    initializers: [
      {
        name: 'w',
        type: 'float32',
        dims: [1],
        data: new Float32Array([1]),
        ...(location === undefined ? {} : { external: { location } }),
      },
    ],
  });
}

test('paths are absolute from the spec file on, and params are pasted', async () => {
  const job = await load(filter, ['day=sunday']);
  const spec = JSON.parse(job.specJson) as JobSpec;
  expect(job.name).toBe('score-sunday');
  expect(job.directory).toBe(root);
  expect(spec.params).toEqual({ day: 'sunday', n: 1 });
  expect(spec.sources['orders']?.parquet).toEqual([
    join(root, 'data/sunday/*.parquet'),
    '/abs/x.parquet',
  ]);
  expect(spec.outputs[0]?.parquet).toBe(join(root, 'out/sunday'));
  expect(spec.checkpoints.location).toBe(join(root, '../chunks'));
  expect(spec.shuffle.location).toBe(join(root, 'shuffle/sunday'));
  expect(spec.deadLetters.path).toBe(join(root, 'dead'));
});

test('params may be given by name', async () => {
  const path = write('job.yaml', specWith(filter));
  const job = await loadJob(path, { set: { day: 'x', n: '3' } });
  expect((JSON.parse(job.specJson) as JobSpec).params).toEqual({ day: 'x', n: 3 });
});

test.each([
  ['day=a/b', 'E_SPEC_INVALID'],
  ['day={{ n }}', 'E_SPEC_INVALID'],
  ['dya=1', 'E_UNKNOWN_PARAM'],
  ['n=x', 'E_PARAM_INVALID'],
])('--set %s gives %s', async (set, code) => {
  expect((await failureOf(load(filter, [set]))).code).toBe(code);
});

test('a URI is refused as long as only local files are read', async () => {
  const text = specWith(filter).replace('/abs/x.parquet', '"s3://bucket/x.parquet"');
  const failure = await failureOf(loadJob(write('job.yaml', text)));
  expect(failure).toMatchObject({ code: 'E_URI_SCHEME' });
  expect(failure.message).toContain('sources.orders.parquet[1]');
});

test('a spec that is missing, a directory, too large or not text is refused', async () => {
  const codeOf = async (path: string) => (await failureOf(loadJob(path))).code;
  expect(await codeOf(join(root, 'no.yaml'))).toBe('E_SPEC_MISSING');
  expect(await codeOf(root)).toBe('E_SPEC_MISSING');
  expect(await codeOf('/dev/zero')).toBe('E_SPEC_TOO_LARGE');
  expect(await codeOf(write('big.yaml', Buffer.alloc(limits.specBytes + 1, 35)))).toBe(
    'E_SPEC_TOO_LARGE',
  );
  expect(await codeOf(write('latin.yaml', Buffer.from([0x61, 0xff, 0xfe])))).toBe('E_SPEC_SYNTAX');
});

test('a TypeScript module becomes one file that runs, named by its digest', async () => {
  write('rate.ts', 'export const rate: number = 3;\n');
  write('fn.ts', "import { rate } from './rate.js';\nexport const row = (r: any) => r.a * rate;\n");
  const job = await load(map('module: fn.ts'));
  const file = job.files.get(join(root, 'fn.ts'));
  expect(file?.name).toBe(`${file?.digest}.mjs`);
  expect(sha256Hex(readFileSync(file?.path ?? ''))).toBe(file?.digest);
  const bundle = (await import(pathToFileURL(file?.path ?? '').href)) as {
    row(r: { a: number }): number;
  };
  expect(bundle.row({ a: 2 })).toBe(6);
  expect(JSON.parse(job.specJson)).toMatchObject({ steps: [{ map: { export: 'row' } }] });
});

test('the same code has the same digest wherever it lies', async () => {
  const other = mkdtempSync(join(tmpdir(), 'windrow-elsewhere-'));
  const code = 'export function batch(b: unknown) { return b; }\n';
  write('same.ts', code);
  writeFileSync(join(other, 'same.ts'), code);
  writeFileSync(join(other, 'job.yaml'), specWith(map('module: same.ts')));
  const here = await load(map('module: same.ts'));
  const there = await loadJob(join(other, 'job.yaml'), { bundleDirectory });
  expect(there.files.get(join(other, 'same.ts'))?.digest).toBe(
    here.files.get(join(root, 'same.ts'))?.digest,
  );
  rmSync(other, { recursive: true });
});

test('apache-arrow stays an import of the bundle', async () => {
  write(
    'arrow.ts',
    "import { Table } from 'apache-arrow';\nexport const batch = () => new Table();\n",
  );
  const file = (await load(map('module: arrow.ts'))).files.get(join(root, 'arrow.ts'));
  expect(readFileSync(file?.path ?? '', 'utf8')).toMatch(/from "apache-arrow"/);
});

test('an error in a module has its file and line', async () => {
  write('bad.ts', 'export const a = 1;\nexport const row = (r) => {{ r;\n');
  expect(await failureOf(load(map('module: bad.ts')))).toMatchObject({
    kind: 'invalidSpec',
    code: 'E_MAP_MODULE',
    at: { step: 'a', file: join(root, 'bad.ts'), line: 3 },
  });
});

test('an import that leads nowhere has its file and line', async () => {
  write('lost.ts', "import './nowhere.js';\nexport const row = 1;\n");
  const failure = await failureOf(load(map('module: lost.ts')));
  expect(failure).toMatchObject({ code: 'E_MAP_MODULE', at: { line: 1, col: 8 } });
  expect(failure.message).toContain('./nowhere.js');
});

test.each([
  ['module: none.ts', 'E_MAP_MODULE_MISSING', /no such module/],
  ['module: models', 'E_MAP_MODULE_MISSING', /not a regular file/],
  ['module: other.ts', 'E_MAP_MODULE', /exports other, not batch or row/],
  ['module: other.ts, export: mine', 'E_MAP_MODULE', /exports other, not mine/],
  ['module: both.ts, onError: deadLetter', 'E_SPEC_INVALID', /row-wise/],
])('a map of { %s } is refused', async (more, code, words) => {
  write('other.ts', 'export const other = 1;\n');
  write('both.ts', 'export const row = 1;\nexport const batch = 2;\n');
  const failure = await failureOf(load(map(more)));
  expect(failure.code).toBe(code);
  expect(failure.message).toMatch(words);
});

test('a model travels with its external data, both by digest', async () => {
  const bytes = model('w.bin');
  const path = write('models/m.onnx', bytes);
  const weights = Buffer.from(new Float32Array([1]).buffer);
  write('models/w.bin', weights);
  const job = await load(infer('models/m.onnx'));
  expect(job.files.get(path)).toEqual({
    digest: sha256Hex(bytes),
    bytes: bytes.length,
    name: 'm.onnx',
    path,
    external: [
      {
        digest: sha256Hex(weights),
        bytes: 4,
        name: 'w.bin',
        path: join(root, 'models/w.bin'),
        external: [],
      },
    ],
  });
});

test('a missing model is named with its step', async () => {
  const failure = await failureOf(load(infer('models/none.onnx')));
  expect(failure).toMatchObject({ code: 'E_MODEL_MISSING', at: { step: 'a' } });
  expect(failure.message).toContain(join(root, 'models/none.onnx'));
});

test.each([
  ['models', /not a regular file/],
  ['/dev/null', /not a regular file/],
  ['job.yaml', /not ONNX/],
])('%s is no model', async (path, words) => {
  const failure = await failureOf(load(infer(path)));
  expect(failure).toMatchObject({ code: 'E_MODEL_INVALID', at: { step: 'a' } });
  expect(failure.message).toMatch(words);
});

test.each(['/etc/hostname', '../job.yaml', 'sub/w.bin', '..', 'link.bin', 'models', 'none.bin'])(
  'external data at %s is refused',
  async (location) => {
    const data = join(root, 'models');
    rmSync(join(data, 'link.bin'), { force: true });
    symlinkSync('/etc/hostname', join(data, 'link.bin'));
    mkdirSync(join(data, 'models'), { recursive: true });
    write('models/evil.onnx', model(location));
    const failure = await failureOf(load(infer('models/evil.onnx')));
    expect(failure).toMatchObject({ code: 'E_MODEL_EXTERNAL', at: { step: 'a' } });
    expect(failure.message).toContain(`'${location}'`);
  },
);
