import { describe, expect, it } from 'vitest';
import { joinFeeds, joinKey, splitResults } from '../../../worker/inference/batch-join.js';
import type { HostTensor } from '../../../worker/inference/host-tensor.js';

const floats = (rows: number, width: number, first: number): HostTensor => ({
  type: 'float32',
  dims: [rows, width],
  data: Float32Array.from({ length: rows * width }, (_, i) => first + i),
});
const strings = (...data: string[]): HostTensor => ({ type: 'string', dims: [data.length], data });

describe('rows of several callers in one run', () => {
  it('come back to each caller as they went in', () => {
    const feeds = [
      { x: floats(2, 3, 0), s: strings('a', 'b') },
      { x: floats(1, 3, 50), s: strings('c') },
      { x: floats(3, 3, 90), s: strings('d', 'e', 'f') },
    ];
    const joined = joinFeeds(feeds);
    expect(joined['x']!.dims).toEqual([6, 3]);
    expect(joined['s']!.data).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(splitResults(joined, [2, 1, 3])).toEqual(feeds);
  });

  it('are only joined for the same model, tensors, types and widths', () => {
    const key = joinKey({ model: 'm', feeds: { x: floats(2, 3, 0) } });
    expect(joinKey({ model: 'm', feeds: { x: floats(9, 3, 1) } })).toBe(key);
    expect(joinKey({ model: 'n', feeds: { x: floats(2, 3, 0) } })).not.toBe(key);
    expect(joinKey({ model: 'm', feeds: { x: floats(2, 4, 0) } })).not.toBe(key);
    expect(joinKey({ model: 'm', feeds: { y: floats(2, 3, 0) } })).not.toBe(key);
    expect(joinKey({ model: 'm', feeds: { x: strings('a') } })).not.toBe(key);
  });

  it('are not cut apart when an output has no row for each row', () => {
    expect(splitResults({ y: floats(1, 3, 0) }, [2, 1])).toBeUndefined();
  });

  it('do not share memory with their neighbours after the cut', () => {
    const [first] = splitResults({ y: floats(4, 2, 0) }, [1, 3])!;
    expect((first!['y']!.data as Float32Array).buffer.byteLength).toBe(8);
  });
});
