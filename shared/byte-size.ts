/** Sizes in bytes as specs and flags write them: `256MB`, `1.5GiB`, or a plain number of bytes. */
import { fail } from './failure.js';

const unitBytes = {
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
} as const;

export const byteSizePattern = /^\d+(\.\d+)?\s?(KB|MB|GB|KiB|MiB|GiB)$/;

/** One tebibyte: above it a size is a mistake. */
export const byteSizeMax = 2 ** 40;

/**
 * Whole bytes of `256MB`, `1.5 GiB` or a number.
 * @throws WindrowError E_SPEC_INVALID for other text, for less than one byte and for more than 1 TiB
 */
export function parseByteSize(size: string | number): number {
  const text = String(size).trim();
  const match = /^(\d+(?:\.\d+)?)\s?(KB|MB|GB|KiB|MiB|GiB)?$/.exec(text);
  if (!match) {
    fail('invalidSpec', 'E_SPEC_INVALID', `'${text.slice(0, 100)}' is not a size in bytes`, {
      hint: 'write a number of bytes, or one with a unit such as 256MB or 1GiB',
    });
  }
  const unit = match[2] as keyof typeof unitBytes | undefined;
  const bytes = Math.round(Number(match[1]) * (unit ? unitBytes[unit] : 1));
  if (bytes < 1 || bytes > byteSizeMax) {
    fail('invalidSpec', 'E_SPEC_INVALID', `size '${text.slice(0, 100)}' is out of range`, {
      hint: 'write at least one byte and at most 1024GiB',
    });
  }
  return bytes;
}
