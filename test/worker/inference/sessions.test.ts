import { describe, expect, it } from 'vitest';
import type { ModelSource } from '../../../worker/inference/session-options.js';
import { SessionCache } from '../../../worker/inference/sessions.js';

const source = (modelPath: string): ModelSource => ({
  modelPath,
  externalPaths: {},
  device: 'cpu',
  intraOpThreads: 1,
});

function counted(keep: number) {
  const loaded: string[] = [];
  const ended: string[] = [];
  const cache = new SessionCache(({ modelPath }) => {
    loaded.push(modelPath);
    return { run: () => ({}), release: () => ended.push(modelPath) };
  }, keep);
  return { cache, loaded, ended };
}

describe('the sessions of a thread', () => {
  it('are made once for a model and kept after their last user', () => {
    const { cache, loaded, ended } = counted(1);
    const first = cache.acquire(source('a'));
    const second = cache.acquire(source('a'));
    first.release();
    second.release();
    cache.acquire(source('a')).release();
    expect({ loaded, ended }).toEqual({ loaded: ['a'], ended: [] });
  });

  it('end longest unused first when more than the bound are idle', () => {
    const { cache, ended } = counted(2);
    const held = ['a', 'b', 'c'].map((path) => cache.acquire(source(path)));
    held[1]!.release();
    held[0]!.release();
    expect(ended).toEqual([]);
    held[2]!.release();
    expect(ended).toEqual(['b']);
    expect(cache.size).toBe(2);
  });

  it('never end while someone holds them, and count each release once', () => {
    const { cache, ended } = counted(0);
    const one = cache.acquire(source('a'));
    const other = cache.acquire(source('a'));
    one.release();
    one.release();
    expect(ended).toEqual([]);
    other.release();
    expect(ended).toEqual(['a']);
  });

  it('are not kept when loading throws', () => {
    const cache = new SessionCache(() => {
      throw new Error('broken model');
    });
    expect(() => cache.acquire(source('a'))).toThrow('broken model');
    expect(cache.size).toBe(0);
  });
});
