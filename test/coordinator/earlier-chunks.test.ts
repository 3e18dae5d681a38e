/** Which chunks stay as earlier code made them, found in a real journal over real files. */
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EarlierChunks } from '../../coordinator/earlier-chunks.js';
import { JobChunks } from '../../coordinator/job-chunks.js';
import type { Prepared } from '../../coordinator/preparation.js';
import { specOf } from '../../coordinator/preparation.js';
import { inputsOf, type JobFiles, type RunSoFar } from '../../coordinator/stored-spec.js';
import { fail } from '../../shared/failure.js';
import type { SubmitRequest } from '../../shared/gen/windrow.js';
import { jobId } from '../../shared/ids.js';
import type { Manifest } from '../../shared/manifest.js';
import type { JobPlan, OutputMode } from '../../shared/plan.js';
import { ChunkWorld, S0 } from './chunk-world.js';
import { jobPlan } from './core/fixtures.js';

const shapes = [{ rows: [10, 10, 10, 10, 10] }];
const hour = 3_600_000;
let world: ChunkWorld;
let mode: OutputMode;
/** Versions of the code whose bundles are gone. */
let gone: string[];
/** Whether what is published are chunks over chunks. */
let rewritten: boolean;
/** What lies in the output. */
let there: Manifest | undefined;

beforeEach(async () => {
  world = await ChunkWorld.open();
  mode = 'overwrite';
  gone = [];
  rewritten = false;
  there = manifest();
});
afterEach(() => world.close());

/** Files of a version: what they make differs in their digest alone. */
const version = (digest: string): JobFiles => ({
  '/m.js': { digest, bytes: 1, name: 'm.js', external: [] },
});
const planOf =
  (files: JobFiles) =>
  (plan: JobPlan): JobPlan => ({
    ...plan,
    outputs: plan.outputs.map((output) => ({ ...output, mode })),
    stages: plan.stages.map((stage) => ({ ...stage, digest: files['/m.js']!.digest })),
  });
const specJson = JSON.stringify({
  apiVersion: 'windrow/v1',
  kind: 'Job',
  metadata: { name: 'n' },
  sources: { orders: { parquet: '/data' } },
  steps: [],
  outputs: [{ from: 'orders', parquet: '/out' }],
});

const manifest = (by?: string): Manifest => ({
  format: 1,
  job: 'n',
  identity: 'theirs',
  columns: [],
  partitionBy: [],
  rows: { in: 0, out: 0, filtered: 0, deadLettered: 0 },
  files: [{ name: 'f', rows: 1, bytes: 1, sha256: '', chunk: 'c', ...(by ? { by } : {}) }],
  deadLetters: [],
});

/** Planning as such has its own tests: here a version has a plan, or none. */
async function prepare(request: SubmitRequest): Promise<Prepared> {
  const { digest } = request.files['/m.js']!;
  if (gone.includes(digest)) fail('invalidSpec', 'E_BLOB', '1 files of this job were not uploaded');
  const all = rewritten ? [...shapes, { id: 's1', over: 's0' }] : shapes;
  const planned = { plan: planOf(request.files)(jobPlan(all)), rowsTotal: 50, rowsPruned: 0 };
  return { id: jobId('new'), spec: specOf(request), specJson, planned };
}

async function keep(now: string, ...before: readonly string[]) {
  return keepOf(now, before);
}

async function keepOf(now: string, before: readonly string[], soFar?: RunSoFar) {
  const files = version(now);
  const request = { requestId: 'r', specJson, files, redoDeadLetters: true };
  const earlier = new EarlierChunks({
    ...world.tools(),
    lost: world.lost,
    preparation: { prepare },
    keepUntilMs: () => world.nowMs + hour,
    manifestOf: () => Promise.resolve(there),
  });
  const signal = new AbortController().signal;
  const found = await earlier.keep(
    request,
    await prepare(request),
    before.map(version),
    soFar,
    signal,
  );
  const { plan } = found.prepared.planned;
  return {
    plan,
    kept: plan.stages[0]!.earlier?.map(({ digest, chunks }) => [digest, chunks]),
    versions: found.earlier.map((each) => each['/m.js']!.digest),
    notes: plan.notes.map(({ text }) => text),
  };
}

/** A job of this version that did these chunks, some with a dead letter. */
async function done(name: string, chunks: readonly number[], dead: readonly number[] = []) {
  await world.submit(name, shapes, planOf(version(name)));
  const records = [];
  for (const chunk of chunks) {
    records.push(await world.finish(name, 's0', chunk, 1, dead.includes(chunk) ? 1 : 0));
  }
  return records;
}

it('those without dead letters stay, of the newest code that has them', async () => {
  await done('v1', [0, 1, 2, 3, 4], [1, 3, 4]);
  await done('v2', [0, 1, 3, 4], [3]);
  await done('v3', [4]);
  const { kept, versions, notes } = await keep('v3', 'v2', 'v1');
  expect(kept).toEqual([
    ['v2', [[0, 2]]],
    ['v1', [[2, 3]]],
  ]);
  expect(versions).toEqual(['v2', 'v1']);
  expect(notes).toEqual([
    '3 of 5 chunks of s0 stay as earlier code made them, without dead letters',
  ]);
  // What none of them is left of need not be known any more.
  expect((await keep('v3', 'v2', 'v0')).versions).toEqual(['v2']);
});

it('one whose file is not what it was does not stay', async () => {
  const [first] = await done('v1', [0, 1]);
  writeFileSync(first!.files[0]!.path, 'something else');
  expect((await keep('v2', 'v1')).kept).toEqual([['v1', [[1, 2]]]]);
});

it('those of code that is gone are done again, and the job says so', async () => {
  await done('v1', [0, 1]);
  gone = ['v1'];
  const { plan, kept, versions, notes } = await keep('v2', 'v1');
  expect([kept, versions]).toEqual([undefined, []]);
  expect(plan.outputs[0]!.identity).toBe('identity');
  expect(notes).toEqual([
    'what earlier code made is done again (E_BLOB: 1 files of this job were not uploaded)',
  ]);
  mode = 'append';
  await expect(keep('v2', 'v1')).rejects.toThrow('output out keeps what is not replaced');
});

it('where an output keeps what is not replaced, chunks of before have to be known', async () => {
  mode = 'append';
  await expect(keep('v2', 'v1')).rejects.toThrow('no chunk of s0 is known any more');
  await done('v1', [0], [0]);
  const { plan, kept, versions } = await keep('v2', 'v1');
  // Nothing stays, but what there was is to be told from what others put there.
  expect([kept, versions]).toEqual([[['v1', []]], ['v1']]);
  const [own, before] = [plan, planOf(version('v1'))(plan)].map(
    (of) => new JobChunks(jobId('j'), { plan: of }),
  );
  expect(own!.earlierIdentities(S0, 0)).toEqual([before!.identity(S0, 0)]);
});

it('one that gets lost is done again by every job that counts on it, by the code that made it', async () => {
  const [record] = await done('v1', [0, 1]);
  const { plan } = await keep('v2', 'v1');
  const reused = [{ stageId: S0, chunks: [0, 1] }];
  await world.submit('mended', shapes, () => plan, { reused });
  world.news();
  writeFileSync(record!.files[0]!.path, 'something else');
  await world.lost.check(world.chunks('v1'), S0, new Map([[record!.identity, 0]]));
  expect(world.news()).toEqual(['v1 s0/0 lost', 'mended s0/0 lost']);
  const again = await world.finish('mended', 's0', 0);
  expect(again.identity).toBe(record!.identity);
  expect(world.chunks('mended').program(S0, 0).digest).toBe('v1');
});

const soFar = (more: Partial<RunSoFar> = {}): RunSoFar => ({
  identities: { out: ['second', 'first'] },
  published: true,
  inputs: [],
  ...more,
});
const replaced = async (...args: Parameters<typeof keepOf>): Promise<unknown> =>
  (await keepOf(...args)).plan.outputs[0]!.replaces;

it('what the jobs of a run put there is replaced, as far as files are said to be theirs', async () => {
  mode = 'append';
  there = manifest('first');
  expect(await replaced('v2', ['v1'], soFar())).toEqual(['second', 'first']);
  // Nothing is there to be told from other rows.
  there = undefined;
  expect(await replaced('v2', ['v1'], soFar())).toBeUndefined();
  // As earlier versions published.
  there = manifest();
  await expect(keepOf('v2', ['v1'], soFar())).rejects.toThrow('published by an earlier version');
  mode = 'overwrite';
  expect(await replaced('v2', ['v1'], soFar())).toBeUndefined();
});

it('files that were grouped by size are only told by what is said of them', async () => {
  mode = 'append';
  rewritten = true;
  await expect(keepOf('v1', [], soFar())).rejects.toThrow('not told by the chunks');
  // No job of the run has put anything there.
  await keepOf('v1', [], soFar({ published: false }));
  there = manifest('third');
  await keepOf('v1', [], soFar());
  there = manifest();
  rewritten = false;
  await keepOf('v1', [], soFar());
});

it('rows whose input is gone are not replaced by nothing', async () => {
  mode = 'append';
  there = manifest('first');
  const inputs = inputsOf(jobPlan(shapes));
  expect(await replaced('v1', [], soFar({ inputs }))).toEqual(['second', 'first']);
  const gone = soFar({ inputs: [...inputs, 'another'] });
  // Their names tell those that are made again.
  expect(await replaced('v1', [], gone)).toBeUndefined();
  rewritten = true;
  await expect(keepOf('v1', [], gone)).rejects.toThrow('1 of the files that its rows were made of');
});
