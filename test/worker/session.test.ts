/** How reports travel on a worker's stream: a session of its own over a UNIX socket. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { channelTo } from '../../shared/channel.js';
import {
  type CoordinatorMessage,
  type WorkerMessage,
  type WorkerServiceServer,
  WorkerServiceService,
} from '../../shared/gen/windrow.js';
import { ReportQueue } from '../../worker/reports.js';
import { Session } from '../../worker/session.js';

const nothing = (): void => undefined;
const directory = mkdtempSync(join(tmpdir(), 'windrow-session-'));
const server = new Server();
const reports = new ReportQueue();
/** What arrived: the numbers of the reports of each message, or `heartbeat`. */
const heard: (number[] | 'heartbeat')[] = [];
let session: Session;
let arrived = nothing;

beforeAll(async () => {
  const service = {
    session: (stream: ServerDuplexStream<WorkerMessage, CoordinatorMessage>) => {
      stream.on('error', nothing);
      stream.on('data', ({ message }: WorkerMessage) => {
        if (message?.$case === 'hello') {
          const value = { epoch: 1, leaseMs: 60_000, heartbeatMs: 60_000 };
          stream.write({ message: { $case: 'welcome', value } });
          return;
        }
        if (message?.$case === 'heartbeat') heard.push('heartbeat');
        if (message?.$case === 'reports') heard.push(message.value.reports.map(({ seq }) => seq));
        arrived();
      });
    },
  };
  server.addService(WorkerServiceService, service as unknown as WorkerServiceServer);
  const address = `unix:${join(directory, 'sock')}`;
  await new Promise((bound) =>
    server.bindAsync(address, ServerCredentials.createInsecure(), bound),
  );
  await new Promise<void>((resolve) => {
    session = new Session(channelTo(address), undefined, reports, {
      welcome: () => resolve(),
      away: nothing,
      assign: nothing,
      cancel: nothing,
      drain: nothing,
      discard: nothing,
      refused: nothing,
      hello: () => ({
        workerId: 'w',
        incarnation: 'i',
        pools: [],
        slots: 1,
        pid: 1,
        host: '',
        version: '1',
        devices: [],
        hardware: [],
        running: [],
      }),
      heartbeat: () => ({ rssBytes: 0, progress: [], logs: [], modelRuns: [] }),
    });
    session.connect();
  });
});

afterAll(() => {
  vi.useRealTimers();
  session.close();
  server.forceShutdown();
  rmSync(directory, { recursive: true, force: true });
});

function send(urgent: boolean): void {
  session.send(reports.attemptEnded({ attempt: undefined, workerExiting: false }), urgent);
}

/** Resolves when the next message arrives. */
function next(): Promise<void> {
  return new Promise((resolve) => (arrived = resolve));
}

it('reports that nobody waits for travel with the next that somebody does, or after a blink', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  send(false);
  session.beat();
  await next();
  send(false);
  send(true);
  await next();
  expect(heard).toEqual(['heartbeat', [1, 2, 3]]);
  send(false);
  send(false);
  vi.advanceTimersByTime(1000);
  await next();
  expect(heard.at(-1)).toEqual([4, 5]);
});
