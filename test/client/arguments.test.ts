/** Arguments of another kind than the client's types say, as JavaScript gives them. */
import { expect, test } from 'vitest';
import { parquet } from '../../client/builder.js';
import { connect } from '../../client/client.js';
import { runEmbedded } from '../../client/embedded.js';
import { loadSchedule, readSchedule } from '../../client/load-schedule.js';
import { loadJob, prepareJob } from '../../client/load.js';
import { WindrowError } from '../../shared/failure.js';

const client = connect('unix:/nowhere', { retryMs: 0, reconnectMs: 0 });
const { schedules } = client;
const loaded = { name: 'n', specJson: '{}', files: new Map(), directory: '/' };
const range = { from: new Date(0), to: new Date(1) };
const never = new Date(NaN);

type Loose = (...values: unknown[]) => unknown;
/** A method that takes whatever it is given. */
function loose<Owner extends object>(owner: Owner, method: keyof Owner): Loose {
  return (owner[method] as Loose).bind(owner);
}

const of = {
  connect: connect as Loose,
  submit: loose(client, 'submit'),
  explain: loose(client, 'explain'),
  preview: loose(client, 'preview'),
  get: loose(client, 'get'),
  list: loose(client, 'list'),
  events: loose(client, 'events'),
  wait: loose(client, 'wait'),
  why: loose(client, 'why'),
  cancel: loose(client, 'cancel'),
  retry: loose(client, 'retry'),
  result: loose(client, 'result'),
  logs: loose(client, 'logs'),
  drain: loose(client, 'drain'),
  create: loose(schedules, 'create'),
  getSchedule: loose(schedules, 'get'),
  next: loose(schedules, 'next'),
  pause: loose(schedules, 'pause'),
  resume: loose(schedules, 'resume'),
  trigger: loose(schedules, 'trigger'),
  delete: loose(schedules, 'delete'),
  backfill: loose(schedules, 'backfill'),
  previewBackfill: loose(schedules, 'previewBackfill'),
  backfills: loose(schedules, 'backfills'),
  getBackfill: loose(schedules, 'getBackfill'),
  cancelBackfill: loose(schedules, 'cancelBackfill'),
  runEmbedded: runEmbedded as Loose,
  loadJob: loadJob as Loose,
  prepareJob: prepareJob as Loose,
  loadSchedule: loadSchedule as Loose,
  readSchedule: readSchedule as Loose,
  parquet: parquet as Loose,
};

const cases: [method: keyof typeof of, says: string, values: unknown[]][] = [
  ['connect', 'target is undefined', [undefined]],
  ['connect', 'options is null', ['unix:/x', null]],
  ['connect', 'options.token is 42', ['unix:/x', { token: 42 }]],
  ['connect', 'options.tls is text', ['unix:/x', { tls: 'ca.pem' }]],
  ['connect', 'options.tls.ca is an object', ['unix:/x', { tls: { ca: Buffer.of(1) } }]],
  ['connect', 'options.timeoutMs is NaN', ['unix:/x', { timeoutMs: NaN }]],
  ['connect', 'options.retryMs is text', ['unix:/x', { retryMs: '5' }]],
  ['connect', 'options.reconnectMs is -1', ['unix:/x', { reconnectMs: -1 }]],
  ['connect', 'options.onOutage is true', ['unix:/x', { onOutage: true }]],
  ['submit', 'job is undefined', [undefined]],
  ['submit', 'job is 42', [42]],
  ['submit', 'job is a promise', [Promise.resolve(loaded)]],
  ['submit', 'job is an object', [{ ...loaded, specJson: {} }]],
  ['submit', 'job is an object', [{ ...loaded, files: {} }]],
  ['submit', 'job is an object', [{ ...loaded, files: new Map([['/m', {}]]) }]],
  ['submit', 'options.requestId is 1', [loaded, { requestId: 1 }]],
  ['submit', 'options.redoDeadLetters is text', [loaded, { redoDeadLetters: 'yes' }]],
  ['explain', 'job is null', [null]],
  ['preview', 'job is text', ['job.yaml']],
  ['preview', 'options.rows is NaN', [loaded, { rows: NaN }]],
  ['preview', 'options.rows is 2147483648', [loaded, { rows: 2 ** 31 }]],
  ['preview', 'options.step is 1', [loaded, { step: 1 }]],
  ['preview', 'options.signal is an object', [loaded, { signal: {} }]],
  ['get', 'job is undefined', [undefined]],
  ['list', 'query is null', [null]],
  ['list', 'query.limit is NaN', [{ limit: NaN }]],
  ['list', 'query.limit is -1', [{ limit: -1 }]],
  ['list', 'query.limit is 1.5', [{ limit: 1.5 }]],
  ['list', 'query.state is a list', [{ state: [] }]],
  ['events', 'job is an object', [{}]],
  ['events', 'options.afterSeq is -1', ['j', { afterSeq: -1 }]],
  ['events', 'options.follow is 0', ['j', { follow: 0 }]],
  ['wait', 'job is 1', [1]],
  ['wait', 'options.timeoutMs is -1', ['j', { timeoutMs: -1 }]],
  ['wait', 'options is 500', ['j', 500]],
  ['why', 'job is undefined', []],
  ['cancel', 'job is undefined', []],
  ['retry', 'job is undefined', []],
  ['retry', 'options.onlyDeadLetters is 1', ['j', { onlyDeadLetters: 1 }]],
  ['retry', 'options.files is a list', ['j', { files: [] }]],
  ['result', 'output is 1', ['j', 1]],
  ['result', 'options.maxRows is Infinity', ['j', 'o', { maxRows: Infinity }]],
  ['logs', 'options.signal is text', ['j', { signal: 'stop' }]],
  ['drain', 'worker is a bigint', [7n]],
  ['create', 'schedule is an object', [loaded]],
  ['getSchedule', 'name is undefined', []],
  ['next', 'options.count is -1', ['s', { count: -1 }]],
  ['next', 'options.count is 1000000000', ['s', { count: 1e9 }]],
  ['next', 'options.from is text', ['s', { from: '2026-01-01' }]],
  ['next', 'options.from is a Date that is invalid', ['s', { from: never }]],
  ['pause', 'name is a function', [() => 1]],
  ['resume', 'name is null', [null]],
  ['trigger', 'options.interval.end is undefined', ['s', { interval: { start: range.from } }]],
  ['delete', 'name is undefined', []],
  ['backfill', 'options is undefined', ['s']],
  ['backfill', 'options.to is a Date that is invalid', ['s', { ...range, to: never }]],
  ['backfill', 'options.reprocess is text', ['s', { ...range, reprocess: 'all' }]],
  ['previewBackfill', 'options.maxActiveRuns is 0', ['s', { ...range, maxActiveRuns: 0 }]],
  ['backfills', 'name is 3', [3]],
  ['getBackfill', 'backfill is undefined', []],
  ['cancelBackfill', 'backfill is undefined', []],
  ['runEmbedded', 'job is undefined', [undefined]],
  ['runEmbedded', 'options.workers is 0', [loaded, { workers: 0 }]],
  ['runEmbedded', 'options.onEvent is 1', [loaded, { onEvent: 1 }]],
  ['runEmbedded', 'options.collect is text', [loaded, { collect: 'out' }]],
  ['runEmbedded', 'options.state is an object', [loaded, { state: {} }]],
  ['loadJob', 'specPath is undefined', [undefined]],
  ['loadJob', 'options.set is null', ['job.yaml', { set: null }]],
  ['loadJob', 'options.later is text', ['job.yaml', { later: 'ds' }]],
  ['prepareJob', 'directory is undefined', [{}, undefined]],
  ['loadSchedule', 'specPath is 1', [1]],
  ['loadSchedule', 'options.bundleDirectory is 1', ['s.yaml', { bundleDirectory: 1 }]],
  ['readSchedule', 'specPath is undefined', []],
  ['parquet', 'path is 42', [42]],
];

test.each(cases)('%s says: %s', async (method, says, values) => {
  const error = await (async () => of[method](...values))().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(WindrowError);
  const { code, message, hint } = (error as WindrowError).failure;
  expect({ code, message }).toEqual({ code: 'E_USAGE', message: says });
  expect(hint).toMatch(/^give /);
});

test('a text that is no number is not shown: it may be a secret', () => {
  expect(() => of.connect('unix:/x', { retryMs: 'secret' })).toThrow(/^(?!.*secret).*retryMs/);
});

test('reconnectMs may be longer than a timer takes', async () => {
  const stop = new AbortController();
  const patient = connect('unix:/nowhere', { reconnectMs: Number.MAX_VALUE });
  const events = patient.events('j', { signal: stop.signal })[Symbol.asyncIterator]();
  const pause = new Promise((resolve) => setTimeout(() => resolve('waiting'), 100));
  const ended = events.next();
  expect(await Promise.race([ended, pause])).toBe('waiting');
  stop.abort();
  expect(await ended).toMatchObject({ done: true });
  patient.close();
});
