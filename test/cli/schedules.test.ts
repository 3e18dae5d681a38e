/** Verbs of schedules that ask no coordinator, what their flags take, and how answers look. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { runProgram } from '../../cli/program.js';
import {
  backfillPage,
  backfillTable,
  previewPage,
  runPage,
  schedulePage,
  scheduleTable,
  timesTable,
} from '../../cli/schedule-page.js';
import type { BackfillView, RunView, ScheduleView } from '../../shared/schedule-views.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-cli-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function windrow(...args: string[]) {
  const printed = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      printed[name] += String(text);
      return true;
    }),
  );
  try {
    return { code: await runProgram(args), ...printed };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

function spec(trigger: string): string {
  const path = join(directory, 'nightly.yaml');
  writeFileSync(
    path,
    `apiVersion: windrow/v1\nkind: Schedule\nmetadata: { name: nightly }\njob: missing.yaml\ntrigger: ${trigger}\n`,
  );
  return path;
}

describe('schedule next', () => {
  test('lists runs across a change of the clock, in UTC, without a job or a coordinator', async () => {
    const path = spec("{ cronInterval: '30 2 * * *', timezone: Europe/Berlin }");
    const flags = ['--from', '2025-03-29T12:00:00Z', '--count', '3', '-o', 'json'];
    const { code, stdout } = await windrow('schedule', 'next', path, ...flags);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(
      [
        ['2025-03-29T01:30:00.000Z', '2025-03-30T01:30:00.000Z'],
        ['2025-03-30T01:30:00.000Z', '2025-03-31T00:30:00.000Z'],
        ['2025-03-31T00:30:00.000Z', '2025-04-01T00:30:00.000Z'],
      ].map(([start, end]) => ({
        logicalDate: start,
        dataIntervalStart: start,
        dataIntervalEnd: end,
        runAt: end,
      })),
    );
  });

  test('says which data sets a schedule waits for, and lists only what has a time', async () => {
    const orders = '{ all: [{ name: orders, output: o }, { any: [{ files: a }, { files: b }] }] }';
    const path = spec(`{ asset: ${orders} }`);
    const none = await windrow('schedule', 'next', path, '-o', 'json');
    expect([none.code, JSON.parse(none.stdout)]).toEqual([0, []]);
    const awaited = `orders and (${join(directory, 'a')} or ${join(directory, 'b')})`;
    expect(none.stderr).toContain(`a run is made once these have changed: ${awaited}`);
    const both = spec('{ assetOrTime: { asset: { files: a }, delta: PT1H } }');
    const { stdout } = await windrow('schedule', 'next', both, '--count', '3', '-o', 'json');
    expect(JSON.parse(stdout)).toHaveLength(3);
  });

  test('lists fewer where the schedule ends', async () => {
    const path = spec('{ delta: PT1H, startDate: 2025-01-01, endDate: 2025-01-01T01:00 }');
    const { stdout } = await windrow(
      'schedule',
      'next',
      path,
      '--from',
      '2024-01-01',
      '-o',
      'json',
    );
    expect(JSON.parse(stdout)).toHaveLength(2);
  });

  test.each([
    ['a bad spec', ["{ cronInterval: '0 0 31 2 *' }"], /nightly.yaml:5:26\)?/],
    ['a time that is none', ['{ delta: PT1H }', '--from', 'noon'], /--from: 'noon' is not a date/],
    ['no runs at all', ['{ delta: PT1H }', '--count', '0'], /--count 0/],
  ])('%s ends with exit code 2', async (_what, [trigger, ...flags], message) => {
    const { code, stderr } = await windrow('schedule', 'next', spec(trigger!), ...flags);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message) as string]);
  });
});

test.each([
  [['backfill', 'create', 'n', '--from', '2026-01-01'], /--to/],
  [['backfill', 'create', 'n', '--from', 'x', '--to', '2026-01-01'], /--from/],
  [['backfill', 'create', 'n', '--reprocess', 'some'], /none, failed, completed/],
  [['schedule', 'trigger', 'n', '--start', '2026-01-01'], /--start and --end/],
  [['schedule', 'create', 'nothing-there.yaml'], /E_SPEC_MISSING/],
])('%j is refused before anybody is asked', async (args, message) => {
  const { code, stderr } = await windrow(...args);
  expect([code, stderr]).toEqual([2, expect.stringMatching(message) as string]);
});

test('a schedule whose job is not there is refused, and says where its path stands', async () => {
  const path = spec('{ delta: PT1H }');
  const { code, stderr } = await windrow('schedule', 'create', path);
  expect([code, stderr]).toEqual([2, expect.stringContaining('E_SPEC_MISSING')]);
  expect(stderr).toContain('missing.yaml');
  expect(stderr).toContain(`correct job in ${path}`);
});

describe('for people', () => {
  const times = {
    logicalDate: '2026-01-01T00:00:00.000Z',
    dataIntervalStart: '2026-01-01T00:00:00.000Z',
    dataIntervalEnd: '2026-01-02T00:00:00.000Z',
    runAt: '2026-01-02T00:00:00.000Z',
  };
  const run: RunView = {
    run: 'nightly-20260101T000000',
    kind: 'scheduled',
    state: 'retrying',
    ...times,
    tries: 1,
    failure: { kind: 'io', code: 'E_IO', message: 'no disk' },
    because: 'try 1 failed',
  };
  const schedule: ScheduleView = {
    schedule: 'nightly',
    state: 'active',
    job: 'job.yaml',
    trigger: { cronInterval: '@daily', timezone: 'UTC', catchup: true, startDate: '2026-01-01' },
    params: { least: 2 },
    maxActiveRuns: 1,
    next: times,
    runs: [run],
  };
  const backfill: BackfillView = {
    backfill: 'b1',
    schedule: 'nightly',
    state: 'running',
    from: times.logicalDate,
    to: times.runAt,
    reprocess: 'none',
    maxActiveRuns: 2,
    reverse: true,
    runs: { total: 3, passed: 1, unfinished: 2, succeeded: 0, failed: 0, cancelled: 0 },
  };

  test('a schedule is a line, or a page with its runs', () => {
    expect(scheduleTable([schedule]).split('\n')[1]).toBe(
      'nightly   active  @daily UTC  2026-01-02 00:00:00  retrying  job.yaml',
    );
    const page = schedulePage(schedule);
    for (const part of ['least=2', 'catchup:', 'nightly-20260101T000000', 'try 1 failed']) {
      expect(page).toContain(part);
    }
    expect(scheduleTable([])).toBe('no schedules');
  });

  test('a run tells its interval and its failure', () => {
    expect(runPage(run)).toContain('2026-01-01T00:00:00.000Z to 2026-01-02T00:00:00.000Z');
    expect(runPage(run)).toContain('E_IO');
    expect(timesTable([])).toBe('no runs');
  });

  test('a schedule of data sets tells which have changed, and its runs what for', () => {
    const asset = {
      any: [
        { name: 'orders', output: '/o' },
        { name: 'rooms', files: '/r' },
      ],
    };
    const { next: _, ...rest } = schedule;
    const waits: ScheduleView = {
      ...rest,
      trigger: { asset, timezone: 'UTC', catchup: false },
      awaits: 'orders or rooms',
      assets: [
        { name: 'orders', kind: 'output', path: '/o', changed: true, version: 'v' },
        { name: 'rooms', kind: 'files', path: '/r', changed: false },
        { name: 'far', kind: 'files', path: '/f', changed: false, failure: run.failure! },
      ],
    };
    const page = schedulePage(waits);
    for (const part of [
      'changes of orders or rooms',
      'orders    changed',
      'not there yet',
      'E_IO',
    ]) {
      expect(page).toContain(part);
    }
    const timed = {
      assetOrTime: { asset, cronTrigger: '@daily' },
      timezone: 'UTC',
      catchup: false,
    };
    expect(scheduleTable([{ ...rest, trigger: timed }])).toContain(
      'at @daily UTC, or changes of orders or rooms',
    );
    const event = { uri: '/o', timestamp: times.runAt, extra: { version: 'v' } };
    const told = runPage({
      ...run,
      kind: 'asset',
      triggeringAssetEvents: { orders: [event, event], rooms: [event] },
      webhook: { on: 'failure', state: 'givenUp', tries: 5, failure: run.failure! },
    });
    expect(told).toContain('orders (2), rooms');
    expect(told).toContain('on failure, given up, tries 5: no disk');
  });

  test('a backfill tells what became of its intervals', () => {
    expect(backfillTable([backfill])).toContain('3 in all, 2 unfinished, 1 passed');
    expect(backfillPage(backfill)).toContain('newest first');
    expect(backfillTable([])).toBe('no backfills');
    expect(previewPage({ total: 3, passed: 1, runs: [times] })).toContain('up to 1 more');
  });
});
