/** Data sets on a real disk, looked at under a clock of the test's: what is told, and how often. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AssetLooks } from '../../../coordinator/schedules/asset-looks.js';
import { AssetWatch } from '../../../coordinator/schedules/asset-watch.js';
import type { Event } from '../../../coordinator/core/events.js';
import { transition } from '../../../coordinator/core/transition.js';
import { emptyState, type State } from '../../../coordinator/core/state.js';
import { assetKey, type AssetCondition } from '../../../shared/asset-condition.js';
import { type Manifest, manifestBytes, manifestHash } from '../../../shared/manifest.js';
import { LocalStore } from '../../../shared/storage/local-store.js';
import { manifestPath } from '../../../shared/storage/paths.js';
import { Roots } from '../../../shared/storage/roots.js';
import { awaiting, plain, scheduleOf } from '../core/schedule-fixtures.js';

let directory: string;
let state: State;
let told: Event[];
let nowMs: number;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-assets-'));
  state = emptyState();
  told = [];
  nowMs = 0;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const at = (name: string): string => join(directory, name);
function write(name: string, text = name): void {
  mkdirSync(join(at(name), '..'), { recursive: true });
  writeFileSync(at(name), text);
}
const files = (name: string): AssetCondition => ({
  asset: { name, kind: 'files', path: at(name) },
});
const output = (name: string): AssetCondition => ({
  asset: { name, kind: 'output', path: at(name) },
});

function watchOf(roots = new Roots([directory]), store = new LocalStore()): AssetWatch {
  return new AssetWatch({
    state,
    store,
    checkPath: (path) => roots.checkAsync(path),
    post: async (...events) => {
      told.push(...events);
      for (const event of events) transition(state, event);
    },
    nowMs: () => nowMs,
    fatal: (error) => {
      throw error;
    },
  });
}

async function defined(watch: AssetWatch, condition: AssetCondition): Promise<void> {
  const event = awaiting(condition);
  transition(state, { ...event, seen: await watch.versions(event.definition) });
}

/** So many looks, each a second after the one before. */
async function looks(watch: AssetWatch, count: number): Promise<void> {
  for (let look = 0; look < count; look += 1) {
    nowMs += 1000;
    await watch.tick();
  }
}
const changes = (): string[] =>
  scheduleOf(state).assets!.changes.map(({ name, facts }) => `${name} ${JSON.stringify(facts)}`);

describe('files that a schedule waits for', () => {
  it('have changed when one came, grew, was touched or went, and not while they stay', async () => {
    write('in/a.parquet', 'aa');
    const watch = watchOf();
    await defined(watch, files('in'));
    await looks(watch, 3);
    expect(told).toEqual([]);
    write('in/deep/b.parquet', 'bbb');
    await looks(watch, 3);
    write('in/a.parquet', 'aaaa');
    await looks(watch, 3);
    utimesSync(at('in/a.parquet'), 1, 2_000_000_000);
    await looks(watch, 3);
    rmSync(at('in/deep/b.parquet'));
    await looks(watch, 3);
    expect(changes()).toEqual(
      [
        [2, 5],
        [2, 7],
        [2, 7],
        [1, 4],
      ].map(([count, bytes]) => `in {"files":${count},"bytes":${bytes}}`),
    );
  });

  it('that are still being written have not changed yet', async () => {
    const watch = watchOf();
    await defined(watch, files('in'));
    for (let part = 1; part <= 3; part += 1) {
      write(`in/${part}.parquet`);
      await looks(watch, 1);
    }
    expect(changes()).toEqual([]);
    await looks(watch, 1);
    expect(changes()).toHaveLength(1);
  });

  it('may be one file, or all whose path begins so; what is hidden is none of them', async () => {
    const watch = watchOf();
    await defined(watch, { all: [files('one.parquet'), files('in/day=*')] });
    write('in/day=1/_windrow/manifest.json');
    write('in/day=1/.part');
    write('in/month=1/a.parquet');
    await looks(watch, 3);
    expect(changes()).toEqual([]);
    write('in/day=2/a.parquet', 'a');
    write('one.parquet', 'bb');
    await looks(watch, 3);
    expect(changes()).toEqual([
      'one.parquet {"files":1,"bytes":2}',
      'in/day=* {"files":1,"bytes":1}',
    ]);
  });

  it('that go for one look and come back as they were have not changed', async () => {
    write('in/a.parquet');
    write('elsewhere/x');
    const watch = watchOf();
    await defined(watch, { all: [files('in')] });
    const version = scheduleOf(state).assets!.seen[assetKey({ kind: 'files', path: at('in') })];
    renameSync(at('in'), at('away'));
    await looks(watch, 1);
    renameSync(at('away'), at('in'));
    await looks(watch, 3);
    expect(told).toEqual([]);
    expect(version?.version).toMatch(/^[0-9a-f]{64}$/);
  });

  it('have changed when the last of them went, and once more when they are back', async () => {
    write('in/a.parquet', 'aa');
    const watch = watchOf();
    await defined(watch, files('in'));
    await looks(watch, 2);
    renameSync(at('in'), at('away'));
    await looks(watch, 4);
    renameSync(at('away'), at('in'));
    await looks(watch, 4);
    expect(changes()).toEqual(['in {"files":0,"bytes":0}', 'in {"files":1,"bytes":2}']);
  });
});

describe('an output that a schedule waits for', () => {
  const manifest = (rows: number): Manifest => ({
    format: 1,
    job: 'nightly',
    identity: `i${rows}`,
    columns: [],
    partitionBy: [],
    rows: { in: rows, out: rows, filtered: 0, deadLettered: 0 },
    files: [{ name: 'part.parquet', rows, bytes: 10, sha256: '', chunk: '' }],
    deadLetters: [],
  });
  const publish = (rows: number): void => {
    const path = manifestPath(at('out'));
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, manifestBytes(manifest(rows)));
  };

  it('has changed when a job published something else there, and its version is the manifest’s hash', async () => {
    const watch = watchOf();
    await defined(watch, output('out'));
    write('out/part.parquet');
    await looks(watch, 2);
    expect(told).toEqual([]);
    publish(7);
    await looks(watch, 2);
    publish(7);
    await looks(watch, 2);
    expect(changes()).toEqual(['out {"job":"nightly","rows":7,"files":1,"bytes":10}']);
    expect(scheduleOf(state).assets!.changes[0]?.version).toBe(manifestHash(manifest(7)));
    writeFileSync(manifestPath(at('out')), 'no manifest');
    await looks(watch, 2);
    expect(told.at(-1)).toMatchObject({ type: 'asset.unseen', failure: { code: 'E_MANIFEST' } });
  });
});

describe('whoever looks', () => {
  it('tells nothing of a look that a pause has overtaken', async () => {
    write('in/a.parquet', 'a');
    const slow = new LocalStore();
    let held = Promise.resolve();
    const list = slow.list.bind(slow);
    slow.list = async (path, most) => {
      await held;
      return list(path, most);
    };
    transition(state, awaiting(files('in')));
    const watch = watchOf(new Roots([directory]), slow);
    await looks(watch, 1);
    let release = (): void => undefined;
    held = new Promise((done) => (release = done));
    const overtaken = looks(watch, 1);
    transition(state, plain('schedule.paused'));
    await watch.tick();
    transition(state, plain('schedule.resumed'));
    const next = looks(watch, 1);
    release();
    await Promise.all([overtaken, next]);
    expect(told).toEqual([]);
    await looks(watch, 1);
    expect(changes()).toEqual(['in {"files":1,"bytes":1}']);
  });

  it('tells what it cannot look at, and that it can again, and looks at the others', async () => {
    write('inside/a.parquet');
    const watch = watchOf(new Roots([at('inside')]));
    transition(state, awaiting({ any: [files('in'), files('inside')] }));
    await looks(watch, 3);
    expect(told.map(({ type }) => type)).toEqual(['asset.unseen', 'asset.seen']);
    expect(told[0]).toMatchObject({ failure: { code: 'E_URI_DENIED' } });
    await expect(watch.versions(scheduleOf(state).definition)).rejects.toMatchObject({
      failure: { code: 'E_URI_DENIED' },
    });
    await looks(watchOf(), 1);
    expect(told.at(-1)).toMatchObject({ type: 'asset.seen' });
  });

  it('waits no longer than it may for a disk that hangs, nor begins a look behind one', async () => {
    write('in/a.parquet', 'a');
    let begun = 0;
    let release = (): void => undefined;
    const hung = new Promise<void>((done) => (release = done));
    const checkPath = async (path: string): Promise<void> => {
      begun += 1;
      if (path !== at('in')) await hung;
    };
    let limit = AbortSignal.abort();
    const deps = { store: new LocalStore(), checkPath, limit: () => limit };
    const looks = new AssetLooks(deps);
    const look = (name: string) => looks.at({ name, kind: 'files', path: at(name) });
    const late = { failure: { code: 'E_IO_ETIMEDOUT', message: 'a look took over 5 minutes' } };
    expect(await look('x')).toMatchObject(late);
    expect(await look('x')).toMatchObject(late);
    limit = new AbortController().signal;
    expect(await look('in')).toMatchObject({ facts: { files: 1 } });
    limit = AbortSignal.abort();
    expect(await look('y')).toMatchObject(late);
    limit = new AbortController().signal;
    expect(begun).toBe(3);
    const other = { failure: { message: 'looks at other data sets hang' } };
    expect(await look('in')).toMatchObject(other);
    expect(begun).toBe(3);
    release();
    await vi.waitFor(async () => expect(await look('in')).toMatchObject({ facts: { files: 1 } }));
  });

  it('hears others while it goes through very many files', async () => {
    const one = { path: at('in/a'), bytes: 1, changedMs: 1 };
    const heard: string[] = [];
    const store = Object.assign(new LocalStore(), {
      list: async () => {
        setImmediate(() => heard.push('others'));
        return Array<typeof one>(10_000).fill(one);
      },
    });
    const looks = new AssetLooks({ store, checkPath: async () => undefined });
    await looks.at({ name: 'in', kind: 'files', path: at('in') });
    heard.push('look');
    expect(heard).toEqual(['others', 'look']);
  });

  it('refuses more files than a data set may have, rather than look at some of them', async () => {
    const one = { path: at('in/a'), bytes: 1, changedMs: 1 };
    const store = Object.assign(new LocalStore(), {
      list: async (_: string, most: number) => Array<typeof one>(most).fill(one),
    });
    const looks = new AssetLooks({ store, checkPath: async () => undefined });
    const look = await looks.at({ name: 'in', kind: 'files', path: at('in/b*') });
    expect(look).toMatchObject({ failure: { code: 'E_TOO_MANY_FILES' } });
  });

  it('looks as often as the schedule says, and at none that is paused or gone', async () => {
    const watch = watchOf();
    await defined(watch, files('in'));
    await looks(watch, 1);
    write('in/a.parquet');
    for (let tick = 0; tick < 9; tick += 1) {
      nowMs += 100;
      await watch.tick();
    }
    nowMs += 100;
    await watch.tick();
    expect(told).toEqual([]);
    nowMs += 999;
    await watch.tick();
    expect(told).toEqual([]);
    nowMs += 1;
    await watch.tick();
    expect(told).toHaveLength(1);
    transition(state, plain('schedule.paused'));
    write('in/b.parquet');
    await looks(watch, 5);
    expect(told).toHaveLength(1);
    transition(state, plain('schedule.resumed'));
    await looks(watch, 2);
    expect(told).toHaveLength(2);
    transition(state, plain('schedule.deleted'));
    write('in/c.parquet');
    await looks(watch, 5);
    expect(told).toHaveLength(2);
  });
});
