/**
 * Moves filters towards the scan and drops columns that nobody needs. Pure. Never: moves anything
 * through `map`, `expect` or SQL kept as it is, which see every row that reaches them.
 */
import type { ColumnDef, PlanNote } from '../../shared/plan.js';
import type { FilterOperator, Operator } from './facts.js';

export function moveFilters(operators: readonly Operator[]): {
  operators: Operator[];
  notes: PlanNote[];
} {
  const moved = [...operators];
  const notes: PlanNote[] = [];
  for (let start = 1; start < moved.length; start += 1) {
    const filter = moved[start]!;
    if (filter.kind !== 'filter' || !filter.deterministic) continue;
    let at = start;
    const passed: string[] = [];
    while (at > 0 && commutes(filter, moved[at - 1]!)) {
      const before = moved[at - 1]!;
      if (before.kind !== 'filter') passed.push(before.step.id);
      moved[at] = before;
      at -= 1;
    }
    // Among filters the written order stays.
    while (at < start && moved[at + 1]?.kind === 'filter') {
      moved[at] = moved[at + 1]!;
      at += 1;
    }
    moved[at] = filter;
    if (passed.length > 0) {
      const text = `filter runs before ${passed.reverse().join(', ')}`;
      notes.push({ kind: 'pushdown', step: filter.step.id, text });
    }
  }
  return { operators: moved, notes };
}

/** Whether the filter gives the same rows when it runs before the operator. */
function commutes(filter: FilterOperator, before: Operator): boolean {
  switch (before.kind) {
    case 'filter':
      return before.deterministic;
    case 'select':
      return before.deterministic && filter.reads.every((name) => before.untouched.has(name));
    case 'infer':
      return !before.step.outputs.some(({ column }) => filter.reads.includes(column.name));
    case 'map':
    case 'expect':
    case 'sql':
      return false;
  }
}

/**
 * Drops columns from the end backwards.
 * @param wanted columns that must come out
 * @returns the operators, and the columns that must go in
 */
export function dropColumns(
  operators: readonly Operator[],
  wanted: Iterable<string>,
): { operators: Operator[]; needed: Set<string> } {
  let needed = new Set(wanted);
  const kept: Operator[] = [];
  for (const operator of [...operators].reverse()) {
    const before = new Set(needed);
    switch (operator.kind) {
      case 'filter':
      case 'expect':
        needed = union(before, operator.reads);
        kept.unshift(operator);
        break;
      case 'select': {
        const slim = slimSelect(operator, before);
        needed = new Set(slim.readsOf.flat());
        kept.unshift(slim);
        break;
      }
      case 'infer':
        for (const { column } of operator.step.outputs) before.delete(column.name);
        needed = union(before, operator.reads);
        kept.unshift(operator);
        break;
      case 'map':
        if (operator.step.rowwise) {
          for (const column of operator.step.columns) before.delete(column.name);
          needed = union(before, operator.reads);
        } else needed = new Set(operator.reads);
        kept.unshift(operator);
        break;
      case 'sql':
        needed = new Set(operator.reads);
        kept.unshift(operator);
        break;
    }
  }
  return { operators: kept, needed };
}

function slimSelect(
  operator: Extract<Operator, { kind: 'select' }>,
  needed: ReadonlySet<string>,
): Extract<Operator, { kind: 'select' }> {
  // Rows still have to be counted when no column of them is needed.
  const keep = operator.step.columns.map(
    ({ name }, index) => needed.has(name) || (needed.size === 0 && index === 0),
  );
  return {
    ...operator,
    step: { ...operator.step, columns: operator.step.columns.filter((_, index) => keep[index]) },
    columns: operator.columns.filter((_, index) => keep[index]),
    readsOf: operator.readsOf.filter((_, index) => keep[index]),
  };
}

function union(names: ReadonlySet<string>, more: readonly string[]): Set<string> {
  return new Set([...names, ...more]);
}

/** Those columns that are needed, in their order; one at least, because rows are counted. */
export function neededColumns(
  columns: readonly ColumnDef[],
  needed: ReadonlySet<string>,
): ColumnDef[] {
  const kept = columns.filter((column) => needed.has(column.name));
  return kept.length > 0 ? kept : columns.slice(0, 1);
}
