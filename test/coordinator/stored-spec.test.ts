/** What jobs are done again from. */
import { expect, it } from 'vitest';
import {
  type Again,
  doneAgain,
  inputsOf,
  type JobFiles,
  readStored,
  runSoFar,
  storedSpec,
} from '../../coordinator/stored-spec.js';
import type { SubmitRequest } from '../../shared/gen/windrow.js';
import { jobId } from '../../shared/ids.js';
import type { JobPlan } from '../../shared/plan.js';
import { jobPlan } from './core/fixtures.js';

const filesOf = (map: string, model = 'm'): JobFiles => ({
  '/map.js': { digest: map, bytes: 1, name: 'map.mjs', external: [] },
  '/model.onnx': { digest: model, bytes: 1, name: 'model.onnx', external: [] },
});
const request = { requestId: 'r', specJson: '{}', files: filesOf('1'), redoDeadLetters: false };
const how = (files: JobFiles, onlyDeadLetters = true): Again => ({
  requestId: 'r2',
  onlyDeadLetters,
  files,
});
const planOf = (identity: string, nowMs = 1): JobPlan => ({
  ...jobPlan([{}]),
  constants: { jobId: jobId('j'), nowMs },
  outputs: jobPlan([{}]).outputs.map((output) => ({
    ...output,
    identity,
    mode: 'append' as const,
  })),
});
const storedOf = (
  of: SubmitRequest,
  earlier: readonly JobFiles[] = [],
  plan: JobPlan = planOf('i'),
): string => storedSpec(of, plan, earlier);
const mended = (digest: string): JobFiles => ({ '/map.js': filesOf(digest)['/map.js']! });

it('a retry has the files that were mended, and knows all of before, each once', () => {
  const second = doneAgain(readStored(storedOf(request)), how(mended('2')), 'succeeded');
  expect(second.request).toEqual({
    requestId: 'r2',
    specJson: '{}',
    files: filesOf('2'),
    redoDeadLetters: true,
  });
  expect(second.earlier).toEqual([filesOf('1')]);
  const stored = readStored(storedOf(second.request, second.earlier));
  expect(doneAgain(stored, how(mended('3')), 'succeeded').earlier).toEqual([
    filesOf('2'),
    filesOf('1'),
  ]);
  // Done again as it was, and with what was there before.
  expect(doneAgain(stored, how({}, false), 'succeeded').earlier).toEqual([filesOf('1')]);
  expect(doneAgain(stored, how(mended('1')), 'succeeded').earlier).toEqual([filesOf('2')]);
});

it('a job stored before there were fixes has no earlier files', () => {
  const stored = readStored(JSON.stringify({ request }));
  expect(stored).toEqual({ request, earlier: [], identities: {}, inputs: [] });
  expect(doneAgain(stored, how({}), 'succeeded').earlier).toEqual([]);
});

it('the same run has the clock and salt of the first', () => {
  const first = readStored(storedOf(request));
  const again = doneAgain(first, how({}), 'succeeded');
  expect(again.constants).toEqual({ jobId: 'j', nowMs: 1 });
  expect(doneAgain(first, how({}, false), 'failed').constants).toEqual(again.constants);
  // What succeeded and is wanted once more is another run.
  expect(doneAgain(first, how({}, false), 'succeeded').constants).toBeUndefined();
});

it('a run has published what its jobs have, and was made of what those read that succeeded', () => {
  const job = (state: string, identity: string, name = 'j') => ({
    state,
    spec: storedOf(request, [], {
      ...planOf(identity),
      constants: { jobId: jobId(name), nowMs: 1 },
    }),
  });
  const failed = [job('failed', 'a')];
  const { constants } = planOf('a');
  expect(runSoFar(constants, failed)).toEqual({
    identities: { out: ['a'] },
    published: false,
    inputs: [],
  });
  const jobs = [
    ...failed,
    job('succeeded', 'b'),
    job('succeeded', 'b'),
    job('succeeded', 'c', 'k'),
  ];
  expect(runSoFar(constants, jobs)).toEqual({
    identities: { out: ['a', 'b'] },
    published: true,
    inputs: inputsOf(planOf('a')),
  });
});
