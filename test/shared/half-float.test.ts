import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHalf, toHalf } from '../../shared/half-float.js';

describe('half-precision floats', () => {
  it('survive the way to a number and back, all 65,536 of them', () => {
    const changed: number[] = [];
    for (let half = 0; half < 65536; half++) {
      const back = toHalf(fromHalf(half));
      const isNaNHalf = (half & 0x7c00) === 0x7c00 && (half & 0x3ff) !== 0;
      if (isNaNHalf ? !Number.isNaN(fromHalf(back)) : back !== half) changed.push(half);
    }
    expect(changed).toEqual([]);
  });

  it('are the nearest to a number, the even one of two equally near', () => {
    const finite: number[] = [];
    for (let half = 0; half <= 0x7bff; half++) finite.push(fromHalf(half));
    fc.assert(
      fc.property(fc.float({ min: 0, max: 65504, noNaN: true }), (value) => {
        const half = toHalf(value);
        const chosen = Math.abs(fromHalf(half) - value);
        const below = half > 0 ? Math.abs(finite[half - 1]! - value) : Infinity;
        const above = half < 0x7bff ? Math.abs(finite[half + 1]! - value) : Infinity;
        expect(chosen).toBeLessThanOrEqual(Math.min(below, above));
        if (chosen === below || chosen === above) expect(half & 1).toBe(0);
        expect(toHalf(-value)).toBe(half | 0x8000);
      }),
    );
  });

  it('become infinite beyond the largest, and zero below half of the smallest', () => {
    expect(fromHalf(toHalf(65519))).toBe(65504);
    expect(fromHalf(toHalf(65520))).toBe(Infinity);
    expect(fromHalf(toHalf(-1e30))).toBe(-Infinity);
    expect(fromHalf(toHalf(2 ** -25))).toBe(0);
    expect(fromHalf(toHalf(2 ** -25 * 1.001))).toBe(2 ** -24);
  });
});
