/** What of a job's models and functions has changed at their paths. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { changedFiles, filesNow } from '../../cli/changed-files.js';
import { bundleFile } from '../../client/bundles.js';
import { readModel } from '../../client/models.js';
import type { Client } from '../../client/types.js';
import { buildModel } from '../../shared/onnx-model.js';
import { failureOf } from '../client/job-server.js';

const root = mkdtempSync(join(tmpdir(), 'windrow-changed-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const write = (name: string, content: string | Uint8Array): string => {
  const path = join(root, name);
  writeFileSync(path, content);
  return path;
};

it('is sent as it is now, a model with all of its weights', async () => {
  const weights = write('w.bin', Uint8Array.of(0, 0, 128, 63));
  const data = new Float32Array([1]);
  const model = write(
    'm.onnx',
    buildModel({
      inputs: [{ name: 'x', type: 'float32', dims: [null, 1] }],
      outputs: [{ name: 'y', type: 'float32', dims: [null, 1] }],
      nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
      initializers: [
        { name: 'w', type: 'float32', dims: [1], data, external: { location: 'w.bin' } },
      ],
    }),
  );
  const code = write('f.ts', 'export const row = () => ({ y: 1 });');
  const [then, bundle] = [await readModel(model), await bundleFile(code)];
  const files = {
    event: 'files',
    models: {
      [model]: then.digest,
      [weights]: then.external[0]!.digest,
      [join(root, 'elsewhere.onnx')]: 'its digest',
    },
    functions: { [code]: bundle.digest },
    external: { [weights]: model },
  };
  const client = {
    events: async function* () {
      yield files;
    },
  } as unknown as Client;
  expect(await changedFiles(client, 'j')).toEqual({ paths: [], models: [], functions: [] });

  write('w.bin', Uint8Array.of(0, 0, 0, 64));
  write('f.ts', 'export const row = () => ({ y: 2 });');
  const changed = await changedFiles(client, 'j');
  expect(changed).toEqual({ paths: [weights, code], models: [model], functions: [code] });
  expect(await filesNow(changed)).toEqual(
    new Map([
      [model, await readModel(model)],
      [code, await bundleFile(code)],
    ]),
  );

  write('f.ts', 'export const row = (');
  const failure = await failureOf(filesNow(await changedFiles(client, 'j')));
  expect(failure).toMatchObject({ code: 'E_MAP_MODULE', at: { file: code, line: 1 } });
});
