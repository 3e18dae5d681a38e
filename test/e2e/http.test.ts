/** A job over HTTP, from the upload of its model to its rows, on servers as users start them. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { tableFromIPC } from 'apache-arrow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, job, parquet } from '../../client/index.js';
import type { EventView, JobView } from '../../shared/views.js';
import { CheckedApi } from '../coordinator/http/checked-api.js';
import { freePort } from '../servers.js';
import { scoringJob, Workplace } from './workplace.js';

const rows = 60_000;
const token = 'a client is known by this';
const place = new Workplace();
let address: string;
let grpc: string;
let api: CheckedApi;

beforeAll(async () => {
  await place.numbers(rows);
  place.model(4);
  place.write('client.token', `${token}\n`);
  place.write('job.yaml', scoringJob('scores', { output: 'by-cli' }));
  const server = place.start([
    'coordinator',
    ...['--listen', '127.0.0.1:0', '--http', '127.0.0.1:0', '--state', 'server'],
    ...['--allow-root', '.', '--client-token-file', 'client.token'],
  ]);
  address = (await server.says(/HTTP ready on (\S+)/))[1]!;
  grpc = (await server.says(/coordinator ready on (\S+)/))[1]!;
  place.start(['worker', '--coordinator', grpc, '--slots', '1']);
  api = new CheckedApi(address, { authorization: `Bearer ${token}` });
});
afterAll(() => place.close());

/** The job of `scoringJob` as JSON, its paths absolute, its model uploaded. */
async function jobOverHttp(name: string, output: string): Promise<object> {
  const model = readFileSync(place.path('model.onnx'));
  const digest = createHash('sha256').update(model).digest('hex');
  const bytes = { headers: { 'content-type': 'application/octet-stream' } };
  expect((await api.call('PUT', `/v1/blobs/${digest}`, model, bytes)).status).toBe(201);
  const path = place.path('model.onnx');
  return {
    spec: {
      apiVersion: 'windrow/v1',
      kind: 'Job',
      metadata: { name },
      sources: { numbers: { parquet: place.path('data/*.parquet') } },
      steps: [
        { id: 'kept', filter: { from: 'numbers', where: 'i >= 0' } },
        {
          id: 'scored',
          infer: {
            from: 'kept',
            model: path,
            inputs: { x: ['a', 'b'] },
            outputs: { y: 'score' },
            device: 'cpu',
          },
        },
      ],
      outputs: [{ from: 'scored', parquet: place.path(output), mode: 'overwrite' }],
    },
    files: { [path]: { digest, bytes: model.length, name: 'model.onnx' } },
  };
}

/** Runs it to its end by the event stream alone. */
async function run(name: string, output: string): Promise<JobView> {
  const { json } = await api.post('/v1/jobs', await jobOverHttp(name, output));
  const { job } = json as { job: string };
  const events = (await api.get(`/v1/jobs/${job}/events`)).json as EventView[];
  expect(events.map(({ event }) => event)).toContain('started');
  expect(events.at(-1)).toMatchObject({ event: 'result', state: 'succeeded' });
  return (await api.get(`/v1/jobs/${job}`)).json as JobView;
}

/** The same job by the typed builder, over gRPC. */
async function runByClient(name: string, output: string): Promise<JobView> {
  const client = connect(grpc, { token });
  try {
    const loaded = await job(name)
      .source('numbers', parquet('data/*.parquet'))
      .filter('kept', { from: 'numbers', where: 'i >= 0' })
      .infer('scored', {
        from: 'kept',
        model: 'model.onnx',
        inputs: { x: ['a', 'b'] },
        outputs: { y: 'score' },
        device: 'cpu',
      })
      .output({ from: 'scored', parquet: output, mode: 'overwrite' })
      .load(place.directory);
    return await client.wait((await client.submit(loaded)).jobId);
  } finally {
    client.close();
  }
}

it('gives the same manifest as the same job by the command line and by the client, and its rows as Arrow', async () => {
  const embedded = await place.windrow(['run', 'job.yaml', '--workers', '1']);
  expect(embedded.code, embedded.stderr).toBe(0);
  const byCli = await place.json<JobView>(['get', 'scores', '-o', 'json']);
  const byHttp = await run('scores', 'over-http');
  expect(byHttp.rows).toEqual({ in: rows, out: rows, filtered: 0, deadLettered: 0 });
  expect(byHttp.outputs[0]!.manifestHash).toMatch(/^[0-9a-f]{64}$/);
  expect(byHttp.outputs[0]!.manifestHash).toBe(byCli.outputs[0]!.manifestHash);
  const byClient = await runByClient('scores', 'by-client');
  expect(byClient.outputs[0]!.manifestHash).toBe(byCli.outputs[0]!.manifestHash);

  const result = await api.get(`/v1/jobs/${byHttp.job}/result`);
  const table = tableFromIPC(result.body);
  expect(table.numRows).toBe(rows);
  expect(table.schema.fields.map(({ name }) => name)).toEqual(['i', 'a', 'b', 'score']);
  const few = await api.get(`/v1/jobs/${byHttp.job}/result?maxRows=7&output=scored`);
  expect(tableFromIPC(few.body).numRows).toBe(7);

  const preview = await api.post(
    '/v1/preview?rows=3&step=kept',
    await jobOverHttp('scores', 'looked-at'),
  );
  expect(tableFromIPC(preview.body).numRows).toBe(3);
  const again = await api.post(`/v1/jobs/${byHttp.job}/retry`);
  expect([again.status, again.json]).toMatchObject([409, { code: 'E_NOTHING_TO_RETRY' }]);
});

function installed(command: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, command)).find((path) => existsSync(path));
}

const prometheus = installed('prometheus');
const promtool = installed('promtool');
const required = process.env['WINDROW_REQUIRE_PROMETHEUS'] === '1';

// Where there is none, its tests are not there either; with WINDROW_REQUIRE_PROMETHEUS=1 they fail.
if (required || (prometheus !== undefined && promtool !== undefined)) {
  describe('a real Prometheus', () => {
    it('scrapes a job while it runs, with the token', async () => {
      const port = await freePort();
      place.write(
        'prometheus.yml',
        JSON.stringify({
          global: { scrape_interval: '100ms', scrape_timeout: '100ms' },
          scrape_configs: [
            {
              job_name: 'windrow',
              authorization: { credentials_file: place.path('client.token') },
              static_configs: [{ targets: [address] }],
            },
          ],
        }),
      );
      const server = spawn(
        prometheus!,
        [
          `--config.file=${place.path('prometheus.yml')}`,
          `--storage.tsdb.path=${place.path('tsdb')}`,
          `--web.listen-address=127.0.0.1:${String(port)}`,
        ],
        { cwd: place.directory, stdio: 'ignore' },
      );
      const ended = new Promise((resolve) => server.once('exit', resolve));
      const ask = async (query: string): Promise<number | undefined> => {
        const url = `http://127.0.0.1:${String(port)}/api/v1/query?query=${encodeURIComponent(query)}`;
        const answer = await fetch(url).catch(() => undefined);
        if (!answer?.ok) return undefined;
        const { data } = (await answer.json()) as {
          data: { result: { value: [number, string] }[] };
        };
        const [first] = data.result;
        return first && Number(first.value[1]);
      };
      const until = async (query: string, wanted: (value: number) => boolean): Promise<void> => {
        const late = Date.now() + 60_000;
        let last: number | undefined;
        for (;;) {
          last = await ask(query);
          if (last !== undefined && wanted(last)) return;
          expect(Date.now(), `${query} is ${String(last)}`).toBeLessThan(late);
          await new Promise((wait) => setTimeout(wait, 50));
        }
      };
      try {
        await until('up{job="windrow"}', (up) => up === 1);
        const before = (await ask('windrow_rows_inferred_total')) ?? 0;
        const runsBefore = (await ask('windrow_model_run_rows_sum{device="cpu"}')) ?? 0;
        // Enough to keep one slot busy for many scrapes.
        const more = 5 * rows;
        await place.numbers(more, 'data/more.parquet');
        await run('scraped', 'scraped');
        await until('windrow_rows_inferred_total', (seen) => seen >= before + more);
        await until(
          'windrow_model_run_rows_sum{device="cpu"}',
          (seen) => seen >= runsBefore + more,
        );
        await until('windrow_jobs_ended_total{state="succeeded"}', (seen) => seen >= 1);
        const was = async (query: string) => ask(`max_over_time(${query}[5m])`);
        expect(await was('windrow_jobs{state="running"}')).toBe(1);
        expect(await was('windrow_slots{state="busy"}')).toBe(1);
        expect(await ask('windrow_workers{state="connected"}')).toBe(1);
        const p99 = 'histogram_quantile(0.99, windrow_journal_append_seconds_bucket)';
        expect(await ask(p99)).toBeGreaterThan(0);
        expect(await ask('process_resident_memory_bytes{job="windrow"}')).toBeGreaterThan(1e6);
      } finally {
        server.kill('SIGTERM');
        await ended;
      }
    });

    it('finds nothing wrong with the names and the text', async () => {
      const { body } = await api.get('/metrics');
      const checked = spawnSync(promtool!, ['check', 'metrics'], { input: body });
      expect(checked.stderr.toString()).toBe('');
      expect(checked.status).toBe(0);
    });
  });
}
