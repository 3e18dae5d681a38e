/**
 * Rows as messages show them: short, their columns called as users know them, and one for a check
 * that failed where no number says which it was. Never: changes what a failure is.
 */
import type { Failure } from '../../shared/failure.js';
import type { ProgramStep } from '../../shared/plan.js';
import { quoteName } from '../../shared/sql-text.js';
import type { Kernel } from '../kernel/duckdb.js';
import { runUntil, searchLimits } from './search-limits.js';
import type { Relation } from './statement.js';

/** Characters of a row in a message. */
const rowTextMax = 300;

/** The first row of a select over what so many steps make of a chunk's rows. */
export type FirstRow = (
  steps: number,
  select: (relation: Relation) => string,
) => Promise<Readonly<Record<string, unknown>> | undefined>;

/** A chunk whose check failed. */
export interface FailedCheck {
  readonly kernel: Pick<Kernel, 'interrupt'>;
  readonly steps: readonly ProgramStep[];
  readonly first: FirstRow;
}

/** The failure of a check with a row that it refuses; without it where none is found again in time. */
export async function withExample(
  failure: Failure,
  { kernel, steps, first }: FailedCheck,
  { ms }: Pick<typeof searchLimits, 'ms'> = searchLimits,
): Promise<Failure> {
  const endMs = performance.now() + ms;
  const at = steps.findIndex(({ id }) => id === failure.at?.step);
  const step = steps[at];
  if (step?.kind !== 'expect' || steps.slice(0, at).some(isExpensive)) return failure;
  for (const { predicate, example, action } of step.checks) {
    if (action !== 'fail') continue;
    const select = ({ sql, columns }: Relation): string => {
      const shown = example ?? rowJson(columns);
      return `select ${shown} as example from (${sql}) where not coalesce((${predicate}), false) limit 1`;
    };
    const row = await runUntil(endMs, kernel, () => first(at, select));
    if (!row) continue;
    return { ...failure, message: `${failure.message}, as for ${shortened(row['example'])}` };
  }
  return failure;
}

/** Not done again for the sake of a message. */
function isExpensive({ kind }: ProgramStep): boolean {
  return kind === 'infer' || kind === 'map';
}

/** A row as JSON, its columns called as users know them; of two of one name the second is numbered. */
export function rowJson(
  columns: readonly string[],
  shown: Readonly<Record<string, string>> = {},
): string {
  const taken = new Set<string>();
  const members = columns.map((column) => {
    const name = shown[column] ?? column;
    let free = name;
    for (let count = 2; taken.has(free.toLowerCase()); count += 1) free = `${name} (${count})`;
    taken.add(free.toLowerCase());
    return `${quoteName(free)} := ${quoteName(column)}`;
  });
  return `cast(to_json(struct_pack(${members.join(', ')})) as VARCHAR)`;
}

export function shortened(value: unknown): string {
  const text = String(value);
  return text.length > rowTextMax ? `${text.slice(0, rowTextMax)}…` : text;
}
