/** The HTTP door of a real coordinator: its verbs, and what it makes of requests that are no good. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningCoordinator, startCoordinator } from '../../../coordinator/main.js';
import { HttpDoor } from '../../../coordinator/http/http-door.js';
import { fail, WindrowError } from '../../../shared/failure.js';
import { duckdb } from '../../bad-input/place.js';
import { type Answered, CheckedApi } from './checked-api.js';
import { verbsOver } from './door-verbs.js';

const directory = mkdtempSync(join(tmpdir(), 'windrow-http-'));
const data = join(directory, 'orders.parquet');
const token = 'a client is known by this';
let open: RunningCoordinator;
let guarded: RunningCoordinator;
let api: CheckedApi;
let known: CheckedApi;

async function coordinator(name: string, clientToken?: string): Promise<RunningCoordinator> {
  const started = await startCoordinator({
    stateDirectory: join(directory, name),
    embedded: false,
    allowRoots: [directory],
    http: '127.0.0.1:0',
    ...(clientToken === undefined ? {} : { clientToken }),
  });
  if ('busy' in started) throw new Error('the state directory is new');
  return started;
}

beforeAll(async () => {
  await duckdb(`copy (select i as id, i * 1.5 as amount from range(1000) t(i)) to '${data}'`);
  open = await coordinator('open');
  guarded = await coordinator('guarded', token);
  api = new CheckedApi(open.httpAddress!);
  known = new CheckedApi(guarded.httpAddress!, { authorization: `Bearer ${token}` });
});
afterAll(async () => {
  await Promise.all([open.stop(), guarded.stop()]);
  rmSync(directory, { recursive: true, force: true });
});

const spec = (name: string, change: object = {}) => ({
  apiVersion: 'windrow/v1',
  kind: 'Job',
  metadata: { name },
  params: { least: 10 },
  sources: { orders: { parquet: data } },
  steps: [{ id: 'large', filter: { from: 'orders', where: 'amount > $least' } }],
  outputs: [{ from: 'large', parquet: join(directory, `out-${name}`) }],
  ...change,
});

const codeOf = ({ json }: Answered): string => (json as { code: string }).code;

describe('verbs', () => {
  it('a job is handed in once, however often the request is made', async () => {
    const body = { spec: spec('once'), requestId: 'r1' };
    const first = await api.post('/v1/jobs', body);
    expect(first.status).toBe(201);
    const { job } = first.json as { job: string };
    expect(first.headers.get('location')).toBe(`/v1/jobs/${job}`);
    const again = await api.post('/v1/jobs', body);
    expect(again.status).toBe(200);
    expect(again.json).toEqual({ job, existing: true });

    const view = await api.get(`/v1/jobs/${job}`);
    expect(view.json).toMatchObject({ job, name: 'once', state: 'queued' });
    expect((await api.get('/v1/jobs/once')).json).toMatchObject({ job });
    const { jobs } = (await api.get('/v1/jobs?state=queued&limit=5')).json as { jobs: object[] };
    expect(jobs).toContainEqual(expect.objectContaining({ job }));
    expect((await api.get(`/v1/jobs/${job}/why`)).json).toMatchObject({
      detail: { reason: expect.any(String) as string },
    });
    const told = await api.get(`/v1/jobs/${job}/description`);
    expect(told.json).toMatchObject({ job, events: [{ event: 'submitted', seq: 1 }] });
    expect((await api.get(`/v1/jobs/${job}/logs`)).json).toEqual([]);
  });

  it('events so far end the stream where nobody wants to follow, and go on after a number', async () => {
    const { job } = (await api.post('/v1/jobs', { spec: spec('told') })).json as { job: string };
    const all = (await api.get(`/v1/jobs/${job}/events?follow=false`)).json as { seq: number }[];
    expect(all[0]).toMatchObject({ event: 'submitted', job, seq: 1 });
    const later = (await api.get(`/v1/jobs/${job}/events?follow=false&after=1`)).json;
    expect(later).toEqual(all.slice(1));
  });

  it('a followed stream tells the end of a job that is cancelled, and ends with it', async () => {
    const { job } = (await api.post('/v1/jobs', { spec: spec('ends') })).json as { job: string };
    const followed = api.get(`/v1/jobs/${job}/events`);
    const cancelled = await api.post(`/v1/jobs/${job}/cancel`);
    expect(cancelled.json).toMatchObject({ job, state: 'cancelled' });
    const events = (await followed).json as { event: string }[];
    expect(events.at(-1)).toMatchObject({ event: 'cancelled', reason: 'user' });

    const retried = await api.post(`/v1/jobs/${job}/retry`);
    expect(retried.status).toBe(201);
    const next = (retried.json as { job: string }).job;
    expect(next).not.toBe(job);
    await api.post(`/v1/jobs/${next}/cancel`);
    const resubmitted = await api.post(`/v1/jobs/${next}/resubmit`, { requestId: 'r2' });
    expect(resubmitted.status).toBe(201);
    const same = await api.post(`/v1/jobs/${next}/resubmit`, { requestId: 'r2' });
    expect(same.json).toMatchObject({ existing: true });
    // By now the name is that of the job which the first request has made.
    await api.post(`/v1/jobs/${(same.json as { job: string }).job}/cancel`);
    const byName = () => api.post('/v1/jobs/ends/retry', { requestId: 'r3' });
    const [first, again] = [(await byName()).json, (await byName()).json];
    expect(first).toMatchObject({ existing: false });
    expect(again).toEqual({ ...(first as object), existing: true });
  });

  it('a verb that needs no body takes one that is called JSON and is empty', async () => {
    const { job } = (await api.post('/v1/jobs', { spec: spec('bare') })).json as { job: string };
    const empty = (verb: string) =>
      api.call('POST', `/v1/jobs/${job}/${verb}`, '', {
        headers: { 'content-type': 'application/json' },
      });
    expect((await empty('cancel')).json).toMatchObject({ job, state: 'cancelled' });
    expect((await empty('retry')).status).toBe(201);
  });

  it('a result is there when the job has ended, and not before', async () => {
    const { job } = (await api.post('/v1/jobs', { spec: spec('early') })).json as { job: string };
    const early = await api.get(`/v1/jobs/${job}/result`);
    expect([early.status, codeOf(early)]).toEqual([409, 'E_NOT_FINISHED']);
    const none = await api.get(`/v1/jobs/${job}/result?output=other`);
    expect([none.status, codeOf(none)]).toEqual([404, 'E_NO_OUTPUT']);
    const running = await api.post(`/v1/jobs/${job}/retry`);
    expect([running.status, codeOf(running)]).toEqual([409, 'E_NOT_FINISHED']);
    await api.post(`/v1/jobs/${job}/cancel`);
    const ended = await api.get(`/v1/jobs/${job}/result`);
    expect([ended.status, codeOf(ended)]).toEqual([409, 'E_NOT_FINISHED']);
    expect(ended.json).toMatchObject({ hint: expect.stringMatching(/why .*retry /) as unknown });
  });

  it('validate says what is wrong as an answer, and explain as a problem', async () => {
    const good = await api.post('/v1/validate', { spec: spec('v') });
    expect(good.json).toEqual({ valid: true, problems: [] });
    const bad = { spec: spec('v', { steps: [{ id: 'large', filter: { from: 'x' } }] }) };
    const answer = await api.post('/v1/validate', bad);
    expect(answer.status).toBe(422);
    expect(answer.json).toMatchObject({ valid: false });
    const problem = await api.post('/v1/explain', bad);
    expect(problem.status).toBe(422);
    expect((problem.json as { problems?: unknown[] }).problems ?? [problem.json]).toHaveLength(
      (answer.json as { problems: unknown[] }).problems.length,
    );
    // So is data that cannot be read, though nothing is wrong with the spec.
    const torn = join(directory, 'torn.parquet');
    writeFileSync(torn, 'PAR1 and no more');
    const unread = { spec: spec('v', { sources: { orders: { parquet: torn } } }) };
    const told = await api.post('/v1/validate', unread);
    expect([told.status, told.json]).toMatchObject([
      422,
      { valid: false, problems: [{ code: 'E_PARQUET_INVALID' }] },
    ]);
    const submitted = await api.post('/v1/jobs', unread);
    expect([submitted.status, codeOf(submitted)]).toEqual([422, 'E_PARQUET_INVALID']);
    const plan = await api.post('/v1/explain', { spec: spec('v'), params: { least: 20 } });
    expect(plan.json).toMatchObject({ plan: { stages: [{ id: 's0' }] } });
  });

  it('params are set and pasted as the client does it', async () => {
    const source = { orders: { parquet: join(directory, '{{ file }}.parquet') } };
    const body = { spec: spec('p', { params: { least: 1, file: 'none' }, sources: source }) };
    const missing = await api.post('/v1/explain', body);
    expect([missing.status, codeOf(missing)]).toEqual([422, 'E_NO_FILES']);
    const params = { file: 'orders' };
    expect((await api.post('/v1/validate', { ...body, params })).json).toMatchObject({
      valid: true,
    });
    const unknown = await api.post('/v1/explain', { ...body, params: { other: 1 } });
    expect([unknown.status, codeOf(unknown)]).toEqual([422, 'E_UNKNOWN_PARAM']);
    // No name holds a sign that could be taken for the one before its value.
    const split = await api.post('/v1/explain', { ...body, params: { 'file=orders': 'x' } });
    expect([split.status, codeOf(split)]).toEqual([400, 'E_REQUEST']);
  });

  it('a blob is kept under its digest, and not under another', async () => {
    const bytes = Buffer.from('a model, let us say');
    const digest = createHash('sha256').update(bytes).digest('hex');
    const type = { headers: { 'content-type': 'application/octet-stream' } };
    const asked = { digests: [digest] };
    expect((await api.post('/v1/blobs/missing', asked)).json).toEqual(asked);
    const wrong = await api.call('PUT', `/v1/blobs/${'0'.repeat(64)}`, bytes, type);
    expect([wrong.status, codeOf(wrong)]).toEqual([400, 'E_BLOB']);
    const put = await api.call('PUT', `/v1/blobs/${digest}`, bytes, type);
    expect([put.status, put.json]).toEqual([201, { digest, bytes: bytes.length }]);
    expect((await api.post('/v1/blobs/missing', asked)).json).toEqual({ digests: [] });
    const empty = createHash('sha256').digest('hex');
    expect((await api.call('PUT', `/v1/blobs/${empty}`, Buffer.alloc(0), type)).status).toBe(201);
  });

  it('workers are listed, and one that is not there cannot be drained', async () => {
    expect((await api.get('/v1/workers')).json).toEqual({ workers: [] });
    const drained = await api.post('/v1/workers/nobody/drain');
    expect([drained.status, codeOf(drained)]).toEqual([404, 'E_NO_WORKER']);
  });

  it('the document is served as it is committed, and metrics beside it', async () => {
    const served = await api.get('/openapi.json');
    expect(served.json).toMatchObject({ openapi: '3.1.0', info: { title: 'Windrow' } });
    const metrics = await api.get('/metrics');
    expect(metrics.body.toString()).toMatch(/^windrow_jobs_submitted_total [1-9]/m);
  });
});

it('an upload that ends in the middle is answered all the same', async () => {
  // Of a disk that is full after the first bytes.
  const put = async (parts: AsyncIterable<unknown>): Promise<never> => {
    for await (const _ of parts) fail('resource', 'E_DISK_FULL', 'no space is left');
    throw new Error('nothing came');
  };
  const verbs = verbsOver({ blobs: { put } });
  const metrics = (): Promise<string> => Promise.resolve('');
  const door = await HttpDoor.open({ listen: '127.0.0.1:0', ...verbs, metrics });
  const [host, port] = door.address.split(':');
  try {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const headers = { 'content-type': 'application/octet-stream', 'content-length': 2 ** 20 };
      const path = `/v1/blobs/${'0'.repeat(64)}`;
      const asked = httpRequest({ host, port, path, method: 'PUT', headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on('error', reject);
      asked.write(Buffer.alloc(1000));
    });
    expect(status).toBe(503);
  } finally {
    await door.close();
  }
});

describe('refused are', () => {
  const json = { headers: { 'content-type': 'application/json' } };
  const large = JSON.stringify({ spec: { text: 'x'.repeat(5 * 2 ** 20) } });
  const latin1 = Buffer.from('{"requestId":"\xff"}', 'latin1');
  const packed = gzipSync(Buffer.alloc(50 * 2 ** 20));

  it.each([
    ['a body of 5 MB', 'POST', '/v1/jobs', large, json, 413, 'E_BODY_TOO_LARGE'],
    ['malformed JSON', 'POST', '/v1/jobs', '{"spec": {', json, 400, 'E_REQUEST'],
    ['nothing where JSON is wanted', 'POST', '/v1/jobs', '', json, 400, 'E_REQUEST'],
    ['a body of another shape', 'POST', '/v1/jobs', '{"job": 1}', json, 400, 'E_REQUEST'],
    ['a list as a body', 'POST', '/v1/jobs', '[]', json, 400, 'E_REQUEST'],
    ['a prototype', 'POST', '/v1/jobs', '{"__proto__": {}}', json, 400, 'E_REQUEST'],
    [
      'deep nesting',
      'POST',
      '/v1/jobs',
      `{"spec":{"a":${'['.repeat(300_000)}${']'.repeat(300_000)}}}`,
      json,
      413,
      'E_SPEC_TOO_LARGE',
    ],
    ['an unknown query', 'GET', '/v1/jobs?limt=3', undefined, {}, 400, 'E_REQUEST'],
    ['a query where there is none', 'GET', '/v1/workers?x=1', undefined, {}, 400, 'E_REQUEST'],
    ['a body where there is none', 'POST', '/v1/jobs/x/cancel', '{"x":1}', json, 400, 'E_REQUEST'],
    ['text that is no UTF-8', 'POST', '/v1/jobs/x/retry', latin1, json, 400, 'E_REQUEST'],
    [
      'text that says it is no UTF-8',
      'POST',
      '/v1/jobs/x/cancel',
      '{}',
      { headers: { 'content-type': 'application/json; charset=latin1' } },
      415,
      'E_MEDIA_TYPE',
    ],
    ['a number that is none', 'GET', '/v1/jobs?limit=many', undefined, {}, 400, 'E_REQUEST'],
    ['an unknown route', 'GET', '/v2/jobs', undefined, {}, 404, 'E_NO_ROUTE'],
    ['a bad escape', 'GET', '/v1/jobs/%zz', undefined, {}, 400, 'E_REQUEST'],
    ['an unknown job', 'GET', '/v1/jobs/nothing/events', undefined, {}, 404, 'E_NO_JOB'],
    ['another method', 'DELETE', '/v1/jobs', undefined, {}, 405, 'E_METHOD'],
    ['another method with a body', 'PUT', '/v1/workers', 'x', {}, 405, 'E_METHOD'],
    [
      'another media type',
      'POST',
      '/v1/jobs',
      'spec=1',
      { headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      415,
      'E_MEDIA_TYPE',
    ],
    [
      'bytes where JSON is wanted',
      'POST',
      '/v1/jobs',
      '{}',
      { headers: { 'content-type': 'application/octet-stream' } },
      415,
      'E_MEDIA_TYPE',
    ],
    [
      'JSON where bytes are wanted',
      'PUT',
      `/v1/blobs/${'0'.repeat(64)}`,
      '{}',
      json,
      415,
      'E_MEDIA_TYPE',
    ],
    [
      'a body that unpacks to 50 MB',
      'POST',
      '/v1/jobs',
      packed,
      { headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' } },
      415,
      'E_MEDIA_TYPE',
    ],
    [
      'a file outside the roots',
      'POST',
      '/v1/explain',
      JSON.stringify({ spec: spec('o', { sources: { orders: { parquet: '/etc/passwd' } } }) }),
      json,
      403,
      'E_URI_DENIED',
    ],
    [
      'a relative path',
      'POST',
      '/v1/explain',
      JSON.stringify({ spec: spec('o', { sources: { orders: { parquet: 'orders.parquet' } } }) }),
      json,
      403,
      'E_URI_DENIED',
    ],
  ] as const)('%s', async (_what, method, path, body, more, status, code) => {
    const answer = await api.call(method, path, body, more as RequestInit);
    expect([answer.status, codeOf(answer)], answer.body.toString()).toEqual([status, code]);
    if (status === 405) expect(answer.headers.get('allow')).toMatch(/GET|POST/);
    expect((answer.json as { hint?: string }).hint).toBeTruthy();
  });

  it.each([
    ['what is no HTTP', 'what is no HTTP\r\n\r\n'],
    ['endless headers', `GET /v1/jobs HTTP/1.1\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`],
  ])('%s', async (_what, text) => {
    const [host, port] = open.httpAddress!.split(':');
    const socket = connect({ host: host!, port: Number(port) });
    socket.write(text);
    let heard = '';
    socket.on('data', (part: Buffer) => (heard += part.toString()));
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('close', resolve));
    expect(heard).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/);
    expect(heard).toContain('"code":"E_REQUEST"');
  });

  it('one who is refused and does not hang up, whatever is still sent', async () => {
    const [host, port] = open.httpAddress!.split(':');
    const socket = connect({ host: host!, port: Number(port), allowHalfOpen: true });
    let heard = '';
    socket.on('data', (part: Buffer) => (heard += part.toString()));
    const cut = new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve));
    const sending = setInterval(() => socket.write('what is no HTTP\r\n\r\n'), 20);
    const { code } = await cut;
    clearInterval(sending);
    expect(['ECONNRESET', 'EPIPE']).toContain(code);
    expect(heard.match(/HTTP\/1.1 400 Bad Request/g)).toHaveLength(1);
  });

  it.each([
    ['a body of 5 MB that does not say so', '/v1/jobs', 'application/json', 413],
    ['an upload under a name that is no digest', '/v1/blobs/me', 'application/octet-stream', 400],
  ])('%s, before it has come', async (_what, path, type, status) => {
    const method = path.startsWith('/v1/blobs') ? 'PUT' : 'POST';
    const [host, port] = open.httpAddress!.split(':');
    const headers = { 'content-type': type, 'transfer-encoding': 'chunked' };
    const asked = httpRequest({ host, port, path, method, headers });
    // It is let go while it still sends.
    asked.on('error', () => undefined);
    const answered = new Promise<number | undefined>((resolve) => {
      asked.once('response', (response) => resolve(response.resume().statusCode));
    });
    if (status === 413) for (let mb = 0; mb < 5; mb += 1) asked.write(Buffer.alloc(2 ** 20, ' '));
    else asked.flushHeaders();
    expect(await answered).toBe(status);
    asked.destroy();
  });

  it.each(['/v1/jobs', '/metrics', '/openapi.json', '/nothing'])(
    'callers of %s without the token',
    async (path) => {
      for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: token }]) {
        const stranger = new CheckedApi(guarded.httpAddress!, headers as Record<string, string>);
        const answer = await stranger.get(path);
        expect([answer.status, codeOf(answer)]).toEqual([401, 'E_UNAUTHENTICATED']);
        expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      }
    },
  );

  it('nobody who brings the token, web pages included', async () => {
    expect((await known.get('/v1/jobs')).json).toEqual({ jobs: [] });
    const page = await known.call('GET', '/v1/jobs', undefined, {
      headers: { origin: 'https://console.example' },
    });
    expect(page.status).toBe(200);
  });

  it.each([
    ['without TLS', { clientToken: token }],
    ['without a token', { tls: { cert: '/none', key: '/none' } }],
  ])('an address that others can reach %s', async (_what, secured) => {
    const stateDirectory = join(directory, 'insecure');
    const started = startCoordinator({
      stateDirectory,
      embedded: false,
      http: '0.0.0.0:0',
      ...secured,
    });
    await expect(started).rejects.toMatchObject({ failure: { code: 'E_INSECURE_BIND' } });
    await expect(started).rejects.toBeInstanceOf(WindrowError);
  });
});
