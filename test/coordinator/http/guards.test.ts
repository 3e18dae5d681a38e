/** What browsers may ask of an open HTTP door, and what they may not: as they ask it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningCoordinator, startCoordinator } from '../../../coordinator/main.js';
import type { Failure } from '../../../shared/failure.js';

const directory = mkdtempSync(join(tmpdir(), 'windrow-guards-'));
let coordinator: RunningCoordinator;

beforeAll(async () => {
  const started = await startCoordinator({
    stateDirectory: join(directory, 'state'),
    embedded: false,
    http: '127.0.0.1:0',
  });
  if ('busy' in started) throw new Error('the state directory is new');
  coordinator = started;
});
afterAll(async () => {
  await coordinator.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** With headers that `fetch` would set itself. */
function ask(
  path: string,
  { method = 'GET', ...headers }: Record<string, string> = {},
): Promise<{ status: number | undefined; headers: IncomingHttpHeaders; body: string }> {
  const [host, port] = coordinator.httpAddress!.split(':');
  return new Promise((resolve, reject) => {
    request({ host, port, path, method, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (part: string) => (body += part));
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body }),
      );
    })
      .on('error', reject)
      .end();
  });
}

/** What browsers say of a link of another site that somebody followed. */
const followed = {
  'sec-fetch-site': 'cross-site',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
};

it.each([
  ['/v1/jobs', 200],
  ['/v1/jobs/nothing/description', 404],
])('a link to %s shows a document that no page can look into', async (path, status) => {
  const shown = await ask(path, followed);
  expect(shown.status).toBe(status);
  expect(shown.headers).toMatchObject({
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cross-origin-opener-policy': 'same-origin',
    'x-frame-options': 'DENY',
  });
});

const link = (path: string, change: object) => ({ path, headers: { ...followed, ...change } });
it.each([
  ['a page of this machine', { path: '/v1/jobs', headers: { origin: 'http://127.0.0.1:8000' } }],
  ['a picture', { path: '/v1/jobs', headers: { 'sec-fetch-site': 'cross-site' } }],
  ['a script', link('/v1/jobs', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' })],
  ['a frame', link('/v1/jobs', { 'sec-fetch-dest': 'iframe' })],
  ['a fetch that calls itself a link', link('/v1/jobs', { origin: 'https://console.example' })],
  ['a form', link('/v1/jobs/x/cancel', { method: 'POST' })],
  ['a name that was made to lead here', link('/v1/jobs', { host: 'rebound.example:80' })],
  // Saved where it is there, and shown where it is not: that would tell the page which.
  ['a link to rows', link('/v1/jobs/x/result', {})],
  ['a link to events', link('/v1/jobs/x/events', {})],
])('%s is refused', async (_what, { path, headers }) => {
  const { status, body } = await ask(path, headers);
  expect([status, (JSON.parse(body) as Failure).code]).toEqual([403, 'E_BROWSER_DENIED']);
});

it('where there is GET there is HEAD, but of a stream', async () => {
  for (const [path, status] of [
    ['/v1/workers', 200],
    ['/metrics', 200],
    ['/v1/jobs/nothing', 404],
    ['/v1/workers?x=1', 400],
  ] as const) {
    const head = await ask(path, { method: 'HEAD' });
    expect([head.status, head.body], path).toEqual([status, '']);
    expect(Number(head.headers['content-length']), path).toBeGreaterThan(0);
  }
  const stream = await ask('/v1/jobs/nothing/events', { method: 'HEAD' });
  expect([stream.status, stream.headers.allow]).toEqual([405, 'GET']);
  const other = await ask('/v1/workers', { method: 'PUT' });
  expect([other.status, other.headers.allow]).toEqual([405, 'GET, HEAD']);
});
