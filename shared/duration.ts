/** ISO 8601 durations of days and smaller units, as specs write them. Never: months or years, whose length varies. */
import { fail } from './failure.js';

const unitMs = { W: 604_800_000, D: 86_400_000, H: 3_600_000, M: 60_000, S: 1_000 } as const;

export const durationPattern = /^P(?!$)(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$/;

/** Longer than any sensible timeout, and small enough for every timer and column that stores it. */
export const durationMaxMs = 3650 * unitMs.D;

/**
 * Milliseconds of a duration such as `PT30M` or `P7D`, rounded to whole ones.
 * @throws WindrowError E_SPEC_INVALID for other text, and above ten years
 */
export function parseDurationMs(text: string): number {
  const match = durationPattern.exec(text);
  if (!match) {
    fail('invalidSpec', 'E_SPEC_INVALID', `'${text.slice(0, 100)}' is not an ISO 8601 duration`, {
      hint: 'write one such as PT30M, PT6H or P7D',
    });
  }
  let total = 0;
  for (const part of text.matchAll(/(\d+(?:\.\d+)?)([WDHMS])/g)) {
    total += Number(part[1]) * unitMs[part[2] as keyof typeof unitMs];
  }
  const ms = Math.round(total);
  if (ms > durationMaxMs) {
    fail('invalidSpec', 'E_SPEC_INVALID', `duration '${text.slice(0, 100)}' is above ten years`, {
      hint: 'write at most P3650D',
    });
  }
  return ms;
}
