/** What jobs are done again from. */
import { expect, it } from 'vitest';
import {
  type Again,
  doneAgain,
  type JobFiles,
  readStored,
  storedSpec,
} from '../../coordinator/stored-spec.js';

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
const mended = (digest: string): JobFiles => ({ '/map.js': filesOf(digest)['/map.js']! });

it('a retry has the files that were mended, and knows all of before, each once', () => {
  const second = doneAgain(readStored(storedSpec(request, [])), how(mended('2')));
  expect(second.request).toEqual({
    requestId: 'r2',
    specJson: '{}',
    files: filesOf('2'),
    redoDeadLetters: true,
  });
  expect(second.earlier).toEqual([filesOf('1')]);
  const stored = readStored(storedSpec(second.request, second.earlier));
  expect(doneAgain(stored, how(mended('3'))).earlier).toEqual([filesOf('2'), filesOf('1')]);
  // Done again as it was, and with what was there before.
  expect(doneAgain(stored, how({}, false)).earlier).toEqual([filesOf('1')]);
  expect(doneAgain(stored, how(mended('1'))).earlier).toEqual([filesOf('2')]);
});

it('a job stored before there were fixes has no earlier files', () => {
  const stored = readStored(JSON.stringify({ request }));
  expect(stored).toEqual({ request, earlier: [] });
  expect(doneAgain(stored, how({})).earlier).toEqual([]);
});
