/** Under `append`, what an output says of the files its rows are of, and what is made of it. */
import { expect, it } from 'vitest';
import { addedAgain, appendedWith } from '../../../coordinator/commit/appended.js';
import type { Appended, Manifest } from '../../../shared/manifest.js';
import type { OutputPlan } from '../../../shared/plan.js';
import { outputOf, plan } from './fixture.js';

const run = (more: Partial<Appended> = {}): Appended => ({
  work: 'steps',
  program: 'p1',
  engine: 'windrow 1, duckdb 1',
  sources: ['a', 'b'],
  by: 'o1',
  ...more,
});

function output(more: Partial<Appended> = {}, replaces?: readonly string[]): OutputPlan {
  const { by, ...appends } = run(more);
  const of = outputOf(plan('/r', [{ name: 'c', rows: 1 }], 'append'));
  return { ...of, identity: by, appends, ...(replaces ? { replaces } : {}) };
}

const manifest = (...appended: Appended[]): Manifest => ({ appended }) as unknown as Manifest;
const upgraded = { program: 'p2', engine: 'windrow 1, duckdb 2' };

it('the same version adds a file more and says all of them once', () => {
  const more = output({ sources: ['a', 'b', 'c'], by: 'o2' });
  expect(addedAgain(more, manifest(run()))).toBeUndefined();
  expect(appendedWith(more, [run(), run({ program: 'other', by: 'o0' })])).toEqual([
    run({ program: 'other', by: 'o0' }),
    run({ sources: ['a', 'b', 'c'], by: 'o2' }),
  ]);
  const next = output({ sources: ['b', 'c'], by: 'o2' });
  expect(appendedWith(next, [run()])).toEqual([
    run({ sources: ['a'] }),
    run({ sources: ['b', 'c'], by: 'o2' }),
  ]);
});

it('another version does not add the rows of files that are there', () => {
  const found = addedAgain(output({ ...upgraded, sources: ['b', 'c', 'd'] }), manifest(run()));
  expect(found).toMatchObject({ kind: 'refused', failure: { code: 'E_APPENDED_BEFORE' } });
  expect(found?.kind === 'refused' && found.failure.message).toMatch(
    /rows of 1 of the 3 files .* with windrow 1, duckdb 1; with windrow 1, duckdb 2 they/,
  );
  expect(addedAgain(output({ ...upgraded, sources: ['c'] }), manifest(run()))).toBeUndefined();
});

it('other steps add them, and say so', () => {
  for (const other of [{ work: 'others', program: 'p2' }, { program: 'p2' }]) {
    const found = addedAgain(output(other), manifest(run()));
    expect(found).toMatchObject({ kind: 'told' });
  }
  const both = { ...upgraded, work: 'others' };
  expect(addedAgain(output(both), manifest(run()))).toMatchObject({ kind: 'told' });
  expect(addedAgain(output({ program: 'p2', sources: ['c'] }), manifest(run()))).toBeUndefined();
});

it('what a job that is done again takes away does not count', () => {
  const again = output({ ...upgraded, by: 'o2' }, ['o1']);
  expect(addedAgain(again, manifest(run()))).toBeUndefined();
  expect(appendedWith(again, [run()])).toEqual([run({ ...upgraded, by: 'o2' })]);
});

it('nothing is said of outputs without such rows', () => {
  const { appends: _, ...plain } = output();
  expect(appendedWith(plain, [run()])).toBeUndefined();
  expect(addedAgain(plain, manifest(run()))).toBeUndefined();
  expect(addedAgain(output(), undefined)).toBeUndefined();
});
