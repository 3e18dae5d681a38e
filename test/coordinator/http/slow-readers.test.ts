/** Readers of events that stop reading: what is kept for them is bounded, and they are told why. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Catalogue } from '../../../coordinator/catalogue.js';
import { HttpDoor } from '../../../coordinator/http/http-door.js';
import type { Journal } from '../../../coordinator/journal/journal.js';
import { openJournal } from '../../../coordinator/journal/sqlite-journal.js';
import { Notices } from '../../../coordinator/notices.js';
import { ProgressMeter } from '../../../coordinator/progress-meter.js';
import { after, J, submitted } from '../core/fixtures.js';
import { verbsOver } from './door-verbs.js';

let directory: string;
let journal: Journal;
let notices: Notices;
let door: HttpDoor;
let socket: Socket | undefined;

async function open(stallMs: number): Promise<void> {
  const catalogue = new Catalogue({
    state: after(submitted({ stages: [{ rows: 8 }] })),
    journal,
    notices,
    meter: new ProgressMeter(),
    held: new Set(),
    rssBytes: () => 0,
    nowMs: () => 1,
  });
  // Of what a coordinator has, events need no more.
  const verbs = verbsOver({ catalogue });
  const metrics = (): Promise<string> => Promise.resolve('');
  door = await HttpDoor.open({ listen: '127.0.0.1:0', ...verbs, metrics, stallMs });
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-slow-'));
  journal = openJournal(directory);
  notices = new Notices();
});
afterEach(async () => {
  socket?.destroy();
  await door.close();
  await journal.close();
  rmSync(directory, { recursive: true, force: true });
});

const turn = (): Promise<void> => new Promise((go) => setImmediate(go));

/** A socket that has asked for events and reads none of them. */
async function silentReader(): Promise<Socket> {
  const [host, port] = door.address.split(':');
  const made = connect({ host: host!, port: Number(port) });
  made.pause();
  made.write(`GET /v1/jobs/${J}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
  while ([...notices.watched()].length === 0) await turn();
  return made;
}

const data = JSON.stringify({ text: 'x'.repeat(4_000) });

/** Far more than sockets hold, with the turns that a writer needs in between. */
async function flood(count: number): Promise<void> {
  for (let seq = 1; seq <= count; seq += 1) {
    notices.publish({ jobId: J, seq, timeMs: 1, kind: 'warning', data });
    if (seq % 100 === 0) await turn();
  }
}

/** All that comes until the other side ends. */
function rest(from: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    from.on('data', (part: Buffer) => (text += part.toString('latin1')));
    from.on('error', () => resolve(text));
    from.on('close', () => resolve(text));
    from.resume();
  });
}

it('one who reads again is told that too much was missed, and from where to go on', async () => {
  await open(60_000);
  socket = await silentReader();
  await flood(15_000);
  // 60 MB were told; of what waits for this reader nothing is kept any more.
  const heard = rest(socket);
  const text = await heard;
  expect(text).toContain('"code":"E_SLOW_READER"');
  const last = JSON.parse(text.slice(text.lastIndexOf('{"event":"brokenOff"')).split('\n')[0]!) as {
    problem: { status: number; hint: string };
  };
  expect(last.problem).toMatchObject({ status: 503 });
  const told = [...text.matchAll(/"seq":(\d+)/g)].map(([, seq]) => Number(seq));
  expect(told).toEqual(told.map((_, index) => index + 1));
  expect(last.problem.hint).toContain(`after event ${told.length}`);
});

it('one who reads nothing for a while is told so, and nobody is left watching', async () => {
  await open(50);
  socket = await silentReader();
  await flood(3_000);
  while ([...notices.watched()].length > 0) await new Promise((go) => setTimeout(go, 5));
  expect(await rest(socket)).toContain('200 OK');
});

it('one who hangs up leaves nobody watching', async () => {
  await open(60_000);
  socket = await silentReader();
  socket.destroy();
  while ([...notices.watched()].length > 0) await turn();
  expect([...notices.watched()]).toEqual([]);
});

it('a door that closes ends its streams, and nobody is left watching', async () => {
  await open(60_000);
  socket = await silentReader();
  const heard = rest(socket);
  await door.close();
  expect(await heard).toContain('200 OK');
  while ([...notices.watched()].length > 0) await turn();
});
