/** Fragments made from fragments: an operator on top, a side more. Pure; never decides to exchange. */
import { readsAmong } from './among.js';
import { fileColumn } from './canonical.js';
import { columnExpression } from './expression.js';
import type { Driving, Fragment, Materialised, Side } from './physical.js';
import {
  comparedIn,
  inputsOf,
  type Column,
  type Expression,
  type Project,
  type Relation,
  type Scan,
} from './relation.js';

/** Whether one chunk has all the rows. */
export function isSingle({ driving }: Fragment): boolean {
  return driving.kind === 'once';
}

/** The operator over this fragment's rows. */
export function over(
  fragment: Fragment,
  relation: Relation,
  hashed: Fragment['hashed'] = fragment.hashed,
): Fragment {
  const kept = new Set(relation.columns.map(({ id }) => id));
  const together = relation.kind === 'project' ? renamed(hashed, relation) : hashed;
  return {
    ...fragment,
    relation,
    hashed: together.filter((ids) => ids.every((id) => kept.has(id))),
  };
}

/** By the names that a projection gives the columns; those of one column by each of its names. */
function renamed(
  hashed: Fragment['hashed'],
  { columns, expressions }: Project,
): Fragment['hashed'] {
  const names = (id: string): string[] =>
    columns.flatMap((column, at) => (expressions[at]!.column === id ? [column.id] : []));
  return hashed.flatMap((ids) => {
    if (ids.length === 1) return names(ids[0]!).map((id) => [id]);
    const all = ids.map((id) => names(id)[0]);
    return all.every((id) => id !== undefined) ? [all] : [];
  });
}

/** A leaf with all columns that a stage writes, in their order. */
export function scanOf(leaf: string, columns: readonly Column[]): Scan {
  return { kind: 'scan', input: leaf, names: columns.map(fileColumn), columns };
}

/** Only some columns of a leaf. */
export function narrowedScan(scan: Scan, needed: ReadonlySet<string>): Scan {
  const at = scan.columns.flatMap(({ id }, index) => (needed.has(id) ? [index] : []));
  return {
    ...scan,
    names: at.map((index) => scan.names[index]!),
    columns: at.map((index) => scan.columns[index]!),
  };
}

/** The same columns in this order: what several stages write for one leaf goes by the place. */
export function inOrder(relation: Relation, columns: readonly Column[]): Relation {
  const same = relation.columns.every(({ id }, at) => columns[at]?.id === id);
  if (same && relation.columns.length === columns.length) return relation;
  return { kind: 'project', input: relation, expressions: columns.map(columnExpression), columns };
}

/** The result again, each of its chunks by itself. */
export function chunksOf({ leaf, stages, columns }: Materialised): Fragment {
  const driving = { kind: 'chunks', leaf, stages } as const;
  return { driving, sides: [], relation: scanOf(leaf, columns), hashed: [] };
}

/** Only these columns; the others are not computed where nothing else needs them. */
export function narrowed(relation: Relation, needed: ReadonlySet<string>): Relation {
  const columns = relation.columns.filter(({ id }) => needed.has(id));
  if (columns.length === relation.columns.length) return relation;
  return { kind: 'project', input: relation, expressions: columns.map(columnExpression), columns };
}

/** The fragment as something to read whole: what drove it becomes a side. */
export function asSides(fragment: Fragment): readonly Side[] | undefined {
  const { driving } = fragment;
  if (fragment.sides.some(readsAmong)) return undefined;
  switch (driving.kind) {
    case 'once':
      return fragment.sides;
    case 'source':
      return [...fragment.sides, { kind: 'source', leaf: driving.leaf, source: driving.source }];
    case 'chunks':
      return [...fragment.sides, { kind: 'stages', leaf: driving.leaf, stages: driving.stages }];
    case 'partitions':
      return undefined;
  }
}

/** Both read the same partitions: their inputs side by side, each leaf once. */
export function coPartitioned(
  left: Extract<Driving, { kind: 'partitions' }>,
  right: Extract<Driving, { kind: 'partitions' }>,
  divisible: { readonly left: boolean; readonly right: boolean },
): Driving {
  const inputs = [
    ...left.inputs.map((input) => ({ ...input, divisible: input.divisible && divisible.left })),
    ...right.inputs.map((input) => ({ ...input, divisible: input.divisible && divisible.right })),
  ];
  const leaves = new Map<string, (typeof inputs)[number]>();
  for (const input of inputs) {
    // A result that meets itself cannot be dealt out: both sides would lose the same rows.
    const twice = leaves.has(input.leaf);
    leaves.set(input.leaf, twice ? { ...input, divisible: false } : input);
  }
  return { kind: 'partitions', inputs: [...leaves.values()] };
}

/** Sides of both, each leaf once. */
export function sidesOf(...lists: readonly (readonly Side[])[]): Side[] {
  return [...new Map(lists.flat().map((side) => [side.leaf, side])).values()];
}

/** No partition's rows may be dealt out any more: an operator needs them together. */
export function whole(fragment: Fragment): Fragment {
  const { driving } = fragment;
  if (driving.kind !== 'partitions') return fragment;
  const inputs = driving.inputs.map((input) => ({ ...input, divisible: false }));
  return { ...fragment, driving: { kind: 'partitions', inputs } };
}

/** Ids that a relation's own expressions need of its inputs, given what is needed of it. */
export function neededBelow(relation: Relation, needed: ReadonlySet<string>): ReadonlySet<string> {
  const below = new Set<string>();
  const available = new Set(
    inputsOf(relation).flatMap(({ columns }) => columns.map(({ id }) => id)),
  );
  const read = (expressions: readonly (Expression | undefined)[]): void => {
    for (const each of expressions) each?.reads.forEach((id) => below.add(id));
  };
  for (const id of needed) if (available.has(id)) below.add(id);
  switch (relation.kind) {
    case 'filter':
      read(relation.conditions);
      break;
    case 'project':
      below.clear();
      read(relation.expressions.filter((_, at) => needed.has(relation.columns[at]!.id)));
      break;
    case 'aggregate':
      below.clear();
      for (const { from } of relation.keys) below.add(from);
      for (const { column, call } of relation.measures) {
        if (!needed.has(column.id)) continue;
        read([...call.args, call.filter, ...call.order.map(({ expression }) => expression)]);
      }
      break;
    case 'join':
      for (const { left, right } of relation.equalities) read([left, right]);
      read(relation.residual);
      read(comparedIn(relation).flatMap(({ left, right }) => [left, right]));
      break;
    case 'sort':
    case 'limit':
      read(relation.keys.map(({ expression }) => expression));
      break;
    case 'distinct':
      if (!relation.on) for (const { id } of relation.columns) below.add(id);
      read([...(relation.on ?? []), ...relation.keys.map(({ expression }) => expression)]);
      break;
    case 'window':
      for (const call of relation.calls) {
        read([
          ...call.args,
          call.filter,
          ...call.order.map(({ expression }) => expression),
          ...call.partition,
          ...call.keys.map(({ expression }) => expression),
          call.frame.start.offset,
          call.frame.end.offset,
        ]);
      }
      break;
    case 'unnest':
      read(relation.lists.map(({ list }) => list));
      break;
    case 'scan':
    case 'reference':
    case 'values':
    case 'series':
    case 'set':
    case 'shared':
      break;
  }
  return below;
}
