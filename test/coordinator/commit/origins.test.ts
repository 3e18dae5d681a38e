/** What an output says of the files its rows are of, and what a job makes of that. */
import { expect, it } from 'vitest';
import {
  addedAgain,
  isTakenOver,
  originsWith,
  redoneRuns,
} from '../../../coordinator/commit/origins.js';
import type { Manifest, ManifestFile, ManifestOrigin } from '../../../shared/manifest.js';
import type { OutputMode, OutputPlan } from '../../../shared/plan.js';
import { outputOf, plan } from './fixture.js';

const run = (more: Partial<ManifestOrigin> = {}): ManifestOrigin => {
  const sources = more.sources ?? ['a', 'b'];
  const contents = sources.map((source) => `${source} content`);
  const versions = { engine: 'windrow 1, duckdb 1', by: 'o1' };
  return { work: 'steps', program: 'p1', sources, contents, ...versions, ...more };
};

function output(
  more: Partial<ManifestOrigin> = {},
  replaces?: readonly string[],
  mode: OutputMode = 'append',
): OutputPlan {
  const { by, ...origin } = run(more);
  const of = outputOf(plan('/r', [{ name: 'c', rows: 1 }], mode));
  return { ...of, identity: by, origin, ...(replaces ? { replaces } : {}) };
}

const manifest = (...origins: ManifestOrigin[]): Manifest => ({ origins }) as unknown as Manifest;
const by = (...names: (string | undefined)[]): ManifestFile[] =>
  names.map((name) => (name === undefined ? {} : { by: name }) as ManifestFile);
const upgraded = { program: 'p2', engine: 'windrow 1, duckdb 2' };

it('the same version adds a file more and says all of them once', () => {
  const more = output({ sources: ['a', 'b', 'c'], by: 'o2' });
  expect(addedAgain(more, manifest(run()))).toBeUndefined();
  const other = run({ program: 'other', by: 'o0' });
  expect(originsWith(more, [run(), other], by('o0', 'o1'))).toEqual([
    other,
    run({ sources: ['a', 'b', 'c'], by: 'o2' }),
  ]);
  const next = output({ sources: ['b', 'c'], by: 'o2' });
  expect(originsWith(next, [run()], by('o1'))).toEqual([
    run({ sources: ['a'] }),
    run({ sources: ['b', 'c'], by: 'o2' }),
  ]);
});

it('a run of which nothing is left there is told no more', () => {
  const next = output({ program: 'p2', by: 'o2' });
  const own = run({ program: 'p2', by: 'o2' });
  expect(originsWith(next, [run()], [])).toEqual([own]);
  expect(originsWith(next, [run()], by('o9'))).toEqual([own]);
  // What was put there under `overwrite` does not say by whom.
  expect(originsWith(next, [run()], by(undefined))).toEqual([run(), own]);
});

it('another version does not add the rows of files that are there', () => {
  const found = addedAgain(output({ ...upgraded, sources: ['b', 'c', 'd'] }), manifest(run()));
  expect(found).toMatchObject({ kind: 'refused', failure: { code: 'E_APPENDED_BEFORE' } });
  expect(found?.kind === 'refused' && found.failure.message).toMatch(
    /rows of 1 of the 3 files .* with windrow 1, duckdb 1; with windrow 1, duckdb 2 they/,
  );
  expect(addedAgain(output({ ...upgraded, sources: ['c'] }), manifest(run()))).toBeUndefined();
  for (const mode of ['overwrite', 'overwritePartitions', 'error'] as const) {
    expect(addedAgain(output(upgraded, undefined, mode), manifest(run()))).toBeUndefined();
  }
});

it('other steps add them, and say so, once', () => {
  for (const other of [{ work: 'others', program: 'p2' }, { program: 'p2' }]) {
    const found = addedAgain(output(other), manifest(run()));
    expect(found).toMatchObject({ kind: 'told' });
  }
  const both = { ...upgraded, work: 'others' };
  expect(addedAgain(output(both), manifest(run()))).toMatchObject({ kind: 'told' });
  // They are there by now, and only the third file is new.
  const there = manifest(run(), run({ program: 'p2', by: 'o2' }));
  const third = { program: 'p2', sources: ['a', 'b', 'c'] };
  expect(addedAgain(output(third), there)).toBeUndefined();
  expect(addedAgain(output({ ...third, engine: 'windrow 2' }), there)).toBeUndefined();
});

it('files that were touched or moved add theirs, and say so', () => {
  const moved = run({ sources: ['x', 'c'], contents: ['a content', 'c content'] });
  expect(addedAgain(output(moved), manifest(run()))).toMatchObject({
    kind: 'told',
    text: expect.stringMatching(/rows of 1 of the 2 files .* of the same content/) as string,
  });
  expect(addedAgain(output(moved), manifest(run(), moved))).toBeUndefined();
});

it('what a job that is done again takes away does not count', () => {
  const again = output({ ...upgraded, by: 'o2' }, ['o1']);
  expect(addedAgain(again, manifest(run()))).toBeUndefined();
  expect(originsWith(again, [run()], by('o1'))).toEqual([run({ ...upgraded, by: 'o2' })]);
});

it('a run is taken over by another that has rows of its files', () => {
  expect(isTakenOver(output(), manifest(run({ sources: ['b'] })), ['o1'])).toBe(false);
  expect(isTakenOver(output(), manifest(run({ sources: ['b'] })), [])).toBe(true);
  expect(isTakenOver(output(), manifest(run({ sources: ['c'] })), [])).toBe(false);
});

it('a run is redone where all its files are read again for the same work', () => {
  const all = output({ sources: ['a', 'b', 'c'] }, undefined, 'overwritePartitions');
  const there = [
    run(),
    run({ sources: ['c', 'd'], by: 'o2' }),
    run({ work: 'others', by: 'o3' }),
    run({ ...upgraded, by: 'o4' }),
  ];
  expect([...redoneRuns(all, there)]).toEqual(['o1', 'o4']);
});

it('nothing is said of outputs without such rows', () => {
  const { origin: _, ...plain } = output();
  expect(originsWith(plain, [run()], [])).toEqual([]);
  expect(addedAgain(plain, manifest(run()))).toBeUndefined();
  expect(addedAgain(output(), undefined)).toBeUndefined();
});
