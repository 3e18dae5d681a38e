/**
 * IEEE 754 binary16 to and from numbers, for float16 tensors (a Uint16Array holds their bits).
 * Never: other formats; bfloat16 is not one of the element types Windrow knows.
 */
const floatView = new Float32Array(1);
const bitsView = new Uint32Array(floatView.buffer);

/** Rounds to nearest, ties to even; beyond 65504 becomes infinity; NaN stays NaN. */
export function toHalf(value: number): number {
  floatView[0] = value;
  const bits = bitsView[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const mantissa = bits & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (mantissa === 0 ? 0 : 0x200);
  const unbiased = exponent - 127;
  if (unbiased > 15) return sign | 0x7c00;
  if (unbiased >= -14) {
    // A carry out of the mantissa runs into the exponent, which is the right result, infinity too.
    return (sign | ((unbiased + 15) << 10) | (mantissa >>> 13)) + roundUp(mantissa, 13);
  }
  if (unbiased < -25) return sign;
  const shift = -unbiased - 1;
  const significand = mantissa | 0x800000;
  return (sign | (significand >>> shift)) + roundUp(significand, shift);
}

/** 1 when the `shift` bits that fall off are more than half, or half with an odd bit above. */
function roundUp(bits: number, shift: number): number {
  const lost = bits & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  if (lost !== half) return lost > half ? 1 : 0;
  return (bits >>> shift) & 1;
}

/** Exact: each half is a number. */
export function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
