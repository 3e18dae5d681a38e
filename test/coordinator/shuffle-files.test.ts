import { expect, it } from 'vitest';
import {
  addressesOf,
  addressFor,
  chunkDirectory,
  isWorkersOwn,
} from '../../coordinator/shuffle-files.js';
import type { JobPlan, StagePlan } from '../../shared/plan.js';
import { attemptTag, chunkFilePath } from '../../shared/storage/paths.js';
import { after, hello, laidOut, ref, splitOver, submitted } from './core/fixtures.js';

const input = splitOver(['s0'], 2, [0, 1]);
const kept = laidOut('s1', input);
const part = laidOut('s1_1', input, { of: 's1' });
const bounds: StagePlan = { ...part, part: { ...part.part!, bounds: true } };
const plan: JobPlan = { ...submitted({}).plan, chunkLocation: '/out/chunks' };
const shared: JobPlan = { ...plan, shuffleLocation: '/shared/shuffle' };

it('what only carries rows goes to shuffle.location, else to the worker, else to all other chunks', () => {
  expect(chunkDirectory(shared, part, '/disk/shuffle')).toBe('/shared/shuffle');
  expect(chunkDirectory(plan, part, '/disk/shuffle')).toBe('/disk/shuffle');
  expect(chunkDirectory(plan, part, undefined)).toBe('/out/chunks');
});

it('what is kept, and what the coordinator reads, goes to where chunks are, whatever the spec says', () => {
  for (const each of [plan, shared]) {
    expect(chunkDirectory(each, kept, '/disk/shuffle')).toBe('/out/chunks');
    expect(chunkDirectory(each, bounds, '/disk/shuffle')).toBe('/out/chunks');
  }
});

it('a file is its worker’s own where it lies in no place that the job shares', () => {
  const path = '/disk/shuffle/ab/file.chunk';
  expect(isWorkersOwn(plan, part, path)).toBe(true);
  expect(isWorkersOwn(plan, kept, path)).toBe(false);
  expect(isWorkersOwn(plan, part, '/out/chunks/ab/file.chunk')).toBe(false);
  expect(isWorkersOwn(shared, part, '/shared/shuffle/ab/file.chunk')).toBe(false);
  expect(isWorkersOwn(shared, part, path)).toBe(true);
});

it('the worker to ask is the process that wrote the file, not another of its name', () => {
  const at = (shuffleAddress: string, incarnation: string) =>
    ({ ...hello({ incarnation, worker: incarnation }), shuffleAddress }) as ReturnType<
      typeof hello
    >;
  const addresses = addressesOf(after(at('h:1', 'i-1'), at('h:2', 'i-2'), hello({ worker: 'w3' })));
  const path = (incarnation: string) =>
    chunkFilePath('/disk/shuffle', 'ab'.repeat(32), attemptTag(ref(3), incarnation));
  expect(addressFor(path('i-1'), addresses)).toBe('h:1');
  expect(addressFor(path('i-2'), addresses)).toBe('h:2');
  expect(addressFor(path('i1'), addresses)).toBeUndefined();
  expect(addressFor(path('2'), addresses)).toBeUndefined();
  expect(addressFor('/out/part-0.parquet', addresses)).toBeUndefined();
});
