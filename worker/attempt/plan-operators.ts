/**
 * Names the operator of DuckDB's plan that most likely held the memory when there was too little, as
 * DuckDB does not say which one asked for it. Never runs the query.
 */
import type { Kernel } from '../kernel/duckdb.js';

interface PlanOperator {
  readonly name: string;
  readonly children: readonly PlanOperator[];
}

/** Operators that hold rows until they have seen all of them. */
const holders: readonly (readonly [RegExp, string])[] = [
  [/JOIN|CROSS_PRODUCT/, 'a join'],
  [/GROUP_BY|PARTITIONED_AGGREGATE/, 'an aggregation'],
  [/ORDER_BY|TOP_N/, 'a sort'],
  [/^WINDOW/, 'a window function'],
];
/** Holds rows for some functions only, such as `list`: named where nothing else does. */
const perhaps: readonly (typeof holders)[number][] = [[/UNGROUPED_AGGREGATE/, 'an aggregation']];

/** @returns such as `a join`; undefined where no operator holds rows */
export async function outermostHolder(kernel: Kernel, sql: string): Promise<string | undefined> {
  const [row] = await kernel.rows(`explain (format json) ${sql}`);
  const operators = JSON.parse(String(row?.['explain_value'])) as PlanOperator[];
  // The list grows while it is walked: outer operators before inner ones.
  for (const { children } of operators) operators.push(...children);
  for (const kinds of [holders, perhaps]) {
    for (const { name } of operators) {
      const [, words] = kinds.find(([pattern]) => pattern.test(name)) ?? [];
      if (words) return words;
    }
  }
  return undefined;
}
