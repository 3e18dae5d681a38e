/** Servers: paths outside their roots, tokens that do not match, listeners that anybody could reach. */
import type { ChildProcess } from 'node:child_process';
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, loadJob } from '../../client/index.js';
import { ended, filesBelow, lineOf, Place, type Refusal, start, windrow } from './place.js';

let place: Place;
let server: ChildProcess;
let address: string;

beforeAll(async () => {
  place = await Place.open();
  mkdirSync(place.path('root'));
  copyFileSync(place.path('data.parquet'), place.path('root/data.parquet'));
  copyFileSync(place.path('model.onnx'), place.path('root/model.onnx'));
  symlinkSync(place.path('data.parquet'), place.path('root/link.parquet'));
  mkdirSync(place.path('outside'));
  symlinkSync(place.path('outside'), place.path('root/way-out'));
  place.write('client.token', 'a client is known by this\n');
  place.write('worker.token', 'a worker is known by this\n');
  place.write('wrong.token', 'anybody\n');
  server = start([
    'coordinator',
    ...['--listen', '127.0.0.1:0', '--state', place.path('server')],
    ...['--allow-root', place.path('root')],
    ...['--client-token-file', place.path('client.token')],
    ...['--worker-token-file', place.path('worker.token')],
  ]);
  address = (await lineOf(server, /ready on (\S+)/))[1]!;
});

afterAll(async () => {
  const gone = ended(server);
  server.kill('SIGTERM');
  await gone;
  place.close();
});

describe('a coordinator refuses', () => {
  const paths: (Refusal & { name: string; parquet: string; out?: string })[] = [
    {
      name: 'a path outside',
      parquet: 'ROOT/../data.parquet',
      code: 'E_URI_DENIED',
      says: [/outside the allowed roots/],
    },
    {
      name: 'a file of the system',
      parquet: '/etc/passwd',
      code: 'E_URI_DENIED',
      says: [/outside the allowed roots/],
    },
    {
      name: 'a glob outside',
      parquet: '/etc/*',
      code: 'E_URI_DENIED',
      says: [/outside the allowed roots/],
    },
    {
      name: 'a link that escapes',
      parquet: 'ROOT/link.parquet',
      code: 'E_URI_DENIED',
      says: [/outside the allowed roots/],
    },
    {
      name: 'a link that a glob finds',
      parquet: 'ROOT/l*.parquet',
      code: 'E_URI_DENIED',
      says: [/outside the allowed roots/],
    },
    {
      name: 'an encoded way up',
      parquet: 'ROOT/%2e%2e/data.parquet',
      code: 'E_URI_DENIED',
      says: [/encoded/],
    },
    { name: 'a NUL', parquet: 'ROOT/data%00.parquet', code: 'E_URI_DENIED', says: [/NUL/] },
    {
      name: 'an output outside',
      parquet: 'ROOT/data.parquet',
      out: 'outside/out',
      code: 'E_URI_DENIED',
      says: [/outside the allowed roots/],
    },
    {
      name: 'an output behind a link',
      parquet: 'ROOT/data.parquet',
      out: 'root/way-out/out',
      code: 'E_URI_DENIED',
      says: [/outside the allowed roots/],
    },
  ];
  it.concurrent.each(paths)('$name', async ({ name, parquet, out, code, says }) => {
    const spec = place.spec(name, {
      sources: { orders: { parquet: parquet.replace('ROOT', place.path('root')) } },
      outputs: [{ name: 'result', from: 'orders', parquet: place.path(out ?? 'root/out') }],
    });
    const run = await windrow([
      ...['run', spec, '--connect', address],
      ...['--token-file', place.path('client.token')],
    ]);
    expect(run.stderr).toContain(`error ${code}: `);
    for (const words of says) expect(run.stderr).toMatch(words);
    expect(run.stderr).toMatch(/hint: /);
    expect(run.code, run.stderr).toBe(2);
    expect(filesBelow(place.path('outside'))).toEqual([]);
    expect(filesBelow(place.path('root/out'))).toEqual([]);
  });

  it.concurrent.each([
    ['the folder of an output', 'linked/_windrow', {}],
    ['its chunks', 'linked-chunks/_windrow/chunks', {}],
    ['its dead letters', 'linked-dead.dead', {}],
    ['a place for chunks', 'chunks', { checkpoints: { location: 'ROOT/chunks' } }],
    ['a place for shuffle files', 'shuffled', { shuffle: { location: 'ROOT/shuffled' } }],
  ])('%s behind a link', async (name, link, change) => {
    const inRoot = (text: string): string => text.replaceAll('ROOT', place.path('root'));
    const out = /^linked[^./]*/.exec(link)?.[0] ?? 'plain';
    mkdirSync(dirname(place.path('root', link)), { recursive: true });
    symlinkSync(place.path('outside'), place.path('root', link));
    const spec = place.spec(name, {
      sources: { orders: { parquet: inRoot('ROOT/data.parquet') } },
      outputs: [{ name: 'result', from: 'orders', parquet: inRoot(`ROOT/${out}`) }],
      ...(JSON.parse(inRoot(JSON.stringify(change))) as typeof change),
    });
    const token = ['--token-file', place.path('client.token')];
    const run = await windrow(['run', spec, '--connect', address, ...token]);
    expect(run.stderr).toMatch(/error E_URI_DENIED: .*outside the allowed roots/);
    expect(run.code, run.stderr).toBe(2);
    expect(filesBelow(place.path('outside'))).toEqual([]);
  });

  it.concurrent('paths that a client of somebody else sends as they are', async () => {
    const source = place.path('root/data.parquet');
    const spec = place.spec('raw', { sources: { orders: { parquet: source } } });
    const job = await loadJob(spec);
    const client = connect(address, { token: 'a client is known by this' });
    const paths = [
      place.path('root/%2e%2e/data.parquet'),
      `${place.path('root')}/../data.parquet`,
      `${place.path('root')}/*/../../data.parquet`,
      'root/data.parquet',
    ];
    for (const path of paths) {
      const sent = { ...job, specJson: job.specJson.replace(source, path) };
      await expect(client.submit(sent)).rejects.toMatchObject({
        failure: { code: 'E_URI_DENIED' },
      });
    }
    client.close();
  });

  it.concurrent(
    'a model that was not uploaded, wherever it lies: it reads none by their paths',
    async () => {
      const client = connect(address, { token: 'a client is known by this' });
      for (const model of [place.path('model.onnx'), place.path('root/model.onnx')]) {
        const spec = place.spec('model by path', {
          sources: { orders: { parquet: place.path('root/data.parquet') } },
          steps: [
            {
              id: 's',
              infer: { from: 'orders', model, inputs: { x: ['age'] }, outputs: { y: 'p' } },
            },
          ],
          outputs: [{ name: 'result', from: 's', parquet: place.path('root/out') }],
        });
        const job = { ...(await loadJob(spec)), files: new Map() };
        const failure = {
          code: 'E_MODEL_MISSING',
          message: `'${model}' was not uploaded with the job`,
        };
        await expect(client.submit(job)).rejects.toMatchObject({ failure });
      }
      client.close();
    },
  );

  it.concurrent('a preview of a job that it would refuse', async () => {
    const spec = place.spec('preview outside', {
      sources: { orders: { parquet: place.path('root/data.parquet') } },
      outputs: [{ name: 'result', from: 'orders', parquet: place.path('outside/out') }],
    });
    const token = ['--token-file', place.path('client.token')];
    const run = await windrow(['preview', spec, '--connect', address, ...token]);
    expect(run.stderr).toMatch(/error E_URI_DENIED: .*outside the allowed roots/);
    expect(run.code, run.stderr).toBe(2);
  });

  it.concurrent('a function, where it was not told to run code', async () => {
    const spec = place.spec('code', {
      sources: { orders: { parquet: place.path('root/data.parquet') } },
      steps: [{ id: 'a', map: { from: 'orders', module: 'f.js', columns: { b: 'VARCHAR' } } }],
      outputs: [{ name: 'result', from: 'a', parquet: place.path('root/out') }],
    });
    place.write('code/f.js', 'export const row = () => ({ b: "" });\n');
    const run = await windrow([
      ...['run', spec, '--connect', address],
      ...['--token-file', place.path('client.token')],
    ]);
    expect(run.stderr).toMatch(/error E_CODE_DENIED: .*\n.*--allow-code/);
    expect(run.code, run.stderr).toBe(2);
  });

  it.concurrent.each(['127.0.0.1', 'nonsense', 'http://127.0.0.1:1', ':7433', '127.0.0.1:99999'])(
    'an address that is none: %s',
    async (given) => {
      const run = await windrow(['list', '--connect', given], place.directory);
      expect(run.stderr).toMatch(/error E_USAGE: .*--connect.*HOST:PORT/s);
      expect(run.code, run.stderr).toBe(2);
    },
  );

  it.concurrent.each([
    ['a client without a token', []],
    ['a client with a wrong token', ['--token-file', 'wrong.token']],
  ])('%s', async (_, flags) => {
    const run = await windrow(['list', '--connect', address, ...flags], place.directory);
    expect(run.stderr).toMatch(/error E_UNAUTHENTICATED: .*\n.*hint: /);
    expect(run.code, run.stderr).toBe(2);
  });

  it.concurrent.each([
    ['a worker without a token', []],
    ['a worker with a wrong token', ['--token-file', 'wrong.token']],
  ])('%s', async (_, flags) => {
    const args = ['worker', '--coordinator', address, '--slots', '1', ...flags];
    const run = await windrow(args, place.directory);
    expect(run.stderr).toMatch(/error E_UNAUTHENTICATED: the worker token/);
    expect(run.stderr).toMatch(/--token-file/);
    expect(run.code, run.stderr).toBe(2);
  });
});

describe('a coordinator whose state lies outside its roots', () => {
  it('previews jobs nevertheless', async () => {
    const worker = start([
      ...['worker', '--coordinator', address, '--slots', '1'],
      ...['--token-file', place.path('worker.token')],
    ]);
    const gone = ended(worker);
    const spec = place.spec('preview inside', {
      sources: { orders: { parquet: place.path('root/data.parquet') } },
      outputs: [{ name: 'result', from: 'orders', parquet: place.path('root/preview') }],
    });
    const token = ['--token-file', place.path('client.token')];
    const flags = ['--rows', '3', '-o', 'json', '--connect', address, ...token];
    const run = await windrow(['preview', spec, ...flags]);
    expect(run.code, run.stderr).toBe(0);
    expect(JSON.parse(run.stdout)).toHaveLength(3);
    expect(filesBelow(place.path('root/preview'))).toEqual([]);

    const client = connect(address, { token: 'a client is known by this' });
    expect(await client.list()).toEqual([]);
    expect(await client.get('preview-inside-preview')).toMatchObject({ state: 'succeeded' });
    const unknown = client.preview(await loadJob(spec), { step: 'order' })[Symbol.asyncIterator]();
    await expect(unknown.next()).rejects.toMatchObject({
      failure: { code: 'E_UNKNOWN_STEP', hint: expect.stringContaining("'orders'") as string },
    });
    client.close();
    worker.kill('SIGTERM');
    await gone;
  });
});

describe('a stream that cannot begin ends with its error', () => {
  it.concurrent.each(['events', 'logs', 'wait'])('%s of a job that is not there', async (verb) => {
    const flags = verb === 'wait' ? [] : ['--follow'];
    const token = ['--token-file', place.path('client.token')];
    const run = await windrow([verb, 'nope', ...flags, '--connect', address, ...token]);
    expect(run.stderr).toMatch(/error E_\w+: .*nope/);
    expect(run.code, run.stderr).toBe(2);
  });
});

describe('a listener is refused', () => {
  it.concurrent.each([
    [['coordinator', '--listen', '0.0.0.0:0']],
    [['coordinator', '--listen', '[::]:0']],
    [['dev', '--listen', '0.0.0.0:0', '--workers', '1']],
    [['coordinator', '--listen', '0.0.0.0:0', '--client-token-file', 'client.token']],
  ])('%j', async (args) => {
    const run = await windrow([...args, '--state', place.path('open')], place.directory);
    expect(run.stderr).toMatch(/error E_INSECURE_BIND: .*--tls-cert.*\n.*127\.0\.0\.1/);
    expect(run.code, run.stderr).toBe(2);
  });
});

describe('an address is refused', () => {
  it.concurrent('where nobody listens', async () => {
    const run = await windrow(['list', '--connect', '127.0.0.1:1']);
    expect(run.stderr).toMatch(/error E_UNREACHABLE: .*\n.*hint: /);
    expect(run.code, run.stderr).toBe(4);
  });
});
