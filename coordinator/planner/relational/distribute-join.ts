/**
 * A join over fragments: its small side is read whole by every chunk of the other, two large sides
 * are divided by their keys. Which is which is decided by what the right side really came to. Pure.
 */
import type { Distributor, Lowered } from './distribute.js';
import type { Fragment, Materialised, Side } from './physical.js';
import { isAsof, type Column, type Expression, type Join, type Relation } from './relation.js';
import { amongSides } from './among.js';
import { type Estimate, widthOfAll } from './estimate.js';
import {
  asSides,
  chunksOf,
  coPartitioned,
  isSingle,
  narrowedScan,
  over,
  scanOf,
  sidesOf,
} from './wrap.js';

interface Inputs {
  readonly left: readonly Fragment[];
  readonly right: readonly Fragment[];
}

/** Every row of the result belongs to one row of the left: the right can be read whole. */
const byLeft = new Set<Join['join']>([
  'inner',
  'left',
  'cross',
  'semi',
  'anti',
  'single',
  'mark',
  'asof',
  'asof left',
]);
/** Every row of the result with a row of the right has the right's keys. */
const byRight = new Set<Join['join']>(['inner', 'right', 'asof']);

export function distributeJoin(
  distributor: Distributor,
  join: Join,
  { left, right }: Inputs,
  needed: ReadonlySet<string>,
): Lowered {
  const [one] = right;
  if (left.every(isSingle) && left.length === 1 && right.length === 1 && isSingle(one!)) {
    return [joined(join, left[0]!, one!.relation, one!.sides)];
  }
  const estimates = distributor.estimates;
  const leftBytes = estimates.bytes(join.left, needed);
  const rightBytes = estimates.bytes(join.right, needed);
  if (join.join === 'inner' && leftBytes < rightBytes) {
    return distributeJoin(distributor, turned(join), { left: right, right: left }, needed);
  }
  // Whether a row has NULL partners is decided by all of the other side.
  const among =
    byLeft.has(join.join) && !join.mark?.test && amongSides(distributor, join, left, right);
  if (among) return [joined(join, left[0]!, right[0]!.relation, among)];
  const inlined = right.length === 1 && byLeft.has(join.join) && inlineSides(distributor, one!);
  if (inlined) return left.map((fragment) => joined(join, fragment, one!.relation, inlined));

  // What decides by all partners at once (NULL among them) cannot be divided.
  const keyed = join.equalities.length > 0 && !join.mark?.test;
  if (
    keyed &&
    byLeft.has(join.join) &&
    join.join !== 'inner' &&
    isSelective(estimates.of(join.left)) &&
    isWorthReducing(distributor, leftBytes, rightBytes)
  ) {
    return reducedJoin(distributor, join, { left, right }, needed);
  }
  return keyedJoin(distributor, join, { left, right }, needed, Infinity);
}

/** A large right side is cut down to the left's keys before anything else is done with it. */
function reducedJoin(
  distributor: Distributor,
  join: Join,
  { left, right }: Inputs,
  needed: ReadonlySet<string>,
): Lowered {
  const keys = join.equalities.flatMap((each) => each.left.reads);
  const kept = new Set([...needed, ...keys, ...join.residual.flatMap(({ reads }) => reads)]);
  const known = distributor.materialise(left, kept);
  if (!known) return undefined;
  const there = [chunksOf(known)];
  if (known.size.bytes > distributor.options.broadcastBytes) {
    return keyedJoin(distributor, join, { left: there, right }, needed, Infinity);
  }
  const side = distributor.sideOf(known);
  const read = new Set(keys);
  const partners = narrowedScan(scanOf(side.leaf, known.columns), read);
  const { mark: _, ...rest } = turned(join);
  const semi: Join = { ...rest, join: 'semi', residual: [] };
  const reduced = right.map((fragment) => joined(semi, fragment, partners, [side]));
  return keyedJoin(distributor, join, { left: there, right: reduced }, needed, 0);
}

/** Rows that conditions have chosen: most rows of the other side have no partner among them. */
function isSelective({ rows, base }: Estimate): boolean {
  return rows < base / 2;
}

function isWorthReducing({ options }: Distributor, leftBytes: number, rightBytes: number): boolean {
  return (
    leftBytes <= options.broadcastBytes &&
    rightBytes > options.inlineBytes &&
    rightBytes > 4 * leftBytes
  );
}

/** @param most bytes that the right side is expected to come to at most */
function keyedJoin(
  distributor: Distributor,
  join: Join,
  { left, right }: Inputs,
  needed: ReadonlySet<string>,
  most: number,
): Lowered {
  const keyed = join.equalities.length > 0 && !join.mark?.test;
  const widest = right.reduce(
    (bytes, fragment) => bytes + mostBytes(distributor, fragment, needed),
    0,
  );
  const keys = join.equalities.map((each) => each.right);
  const divides =
    keyed &&
    (!byLeft.has(join.join) || Math.min(most, widest) > distributor.options.broadcastBytes);
  const aligned = keyed ? alignment(join, left) : undefined;
  const rightKeys = aligned ? aligned.map((at) => keys[at]!) : keys;
  const columns = new Set([...needed, ...keys.flatMap(({ reads }) => reads)]);
  const built = distributor.materialise(
    right,
    columns,
    divides ? { kind: 'hash', keys: rightKeys } : undefined,
  );
  if (!built) return undefined;
  const small = built.size.bytes <= distributor.options.broadcastBytes;
  // Without keys all pairs are looked at, wherever that is; the nearest would be sorted for in each chunk.
  if (byLeft.has(join.join) && (small || (!keyed && !isAsof(join.join)))) {
    const side = distributor.sideOf(built);
    const rows = scanOf(side.leaf, built.columns);
    return left.map((fragment) => joined(join, fragment, rows, [side]));
  }
  if (!keyed) return gatherBoth(distributor, join, left, built, needed);
  // It came to more than its columns' types suggested: divided now, from what is there.
  const parts = divides
    ? built
    : distributor.materialise([chunksOf(built)], columns, { kind: 'hash', keys: rightKeys });
  return parts && hashJoin(distributor, join, left, parts, aligned, needed);
}

/** The same rows with the sides changed over. */
function turned(join: Join): Join {
  const equalities = join.equalities.map(({ left, right, nullSafe }) => ({
    left: right,
    right: left,
    nullSafe,
  }));
  return { ...join, left: join.right, right: join.left, equalities };
}

function hashJoin(
  distributor: Distributor,
  join: Join,
  left: readonly Fragment[],
  built: Materialised,
  aligned: readonly number[] | undefined,
  needed: ReadonlySet<string>,
): Lowered {
  const leftKeys = join.equalities.map((each) => each.left);
  const rightKeys = join.equalities.map((each) => each.right);
  const probe = aligned ? left[0] : distributor.divided(left, leftKeys, needed, true);
  if (probe?.driving.kind !== 'partitions') return undefined;
  const right = {
    kind: 'partitions',
    inputs: [{ leaf: built.leaf, stages: built.stages, divisible: join.join === 'inner' }],
  } as const;
  const rows = scanOf(built.leaf, built.columns);
  const fragment = joined(join, probe, rows, []);
  const keptLeft = byLeft.has(join.join);
  const used = aligned ?? leftKeys.map((_, at) => at);
  return [
    {
      ...fragment,
      driving: coPartitioned(probe.driving, right, {
        left: keptLeft,
        right: join.join === 'inner',
      }),
      hashed: within(fragment.relation, [
        ...(keptLeft ? probe.hashed : []),
        ...(byRight.has(join.join) ? plainKeys(used.map((at) => rightKeys[at]!)) : []),
      ]),
    },
  ];
}

/**
 * Positions of the equalities whose left columns the left rows are already divided by, in the order
 * they were divided by; undefined where the left has to be divided anew.
 */
function alignment(join: Join, left: readonly Fragment[]): readonly number[] | undefined {
  const [only] = left;
  if (!only || left.length > 1 || only.driving.kind !== 'partitions') return undefined;
  for (const ids of only.hashed) {
    const at = ids.map((id) =>
      join.equalities.findIndex(
        (each) => each.left.column === id && each.left.type === each.right.type,
      ),
    );
    if (at.every((index) => index >= 0)) return at;
  }
  return undefined;
}

function gatherBoth(
  distributor: Distributor,
  join: Join,
  left: readonly Fragment[],
  built: Materialised,
  needed: ReadonlySet<string>,
): Lowered {
  const all = distributor.gathered(left, needed);
  if (!all) return undefined;
  const side = distributor.sideOf(built);
  return [joined(join, all, scanOf(side.leaf, built.columns), [side])];
}

function joined(join: Join, left: Fragment, right: Relation, sides: readonly Side[]): Fragment {
  const relation: Relation = {
    ...join,
    left: left.relation,
    right,
    columns: columnsOf(join, left.relation.columns, right.columns),
  };
  return over({ ...left, sides: sidesOf(left.sides, sides) }, relation);
}

function columnsOf(
  join: Join,
  left: readonly Column[],
  right: readonly Column[],
): readonly Column[] {
  switch (join.join) {
    case 'semi':
    case 'anti':
      return left;
    case 'mark':
      return join.mark ? [...left, join.mark.column] : left;
    default:
      return [...left, ...right];
  }
}

/** Small sources are read by every chunk itself: a stage would cost more than it saves. */
function inlineSides(distributor: Distributor, fragment: Fragment): readonly Side[] | undefined {
  if (fragment.driving.kind !== 'source') return undefined;
  const size = distributor.options.sources.get(fragment.driving.source);
  if (!size || size.bytes > distributor.options.inlineBytes) return undefined;
  return asSides(fragment);
}

/** No more than these many bytes can come out, as far as that is known. */
function mostBytes(
  { options }: Distributor,
  { driving, relation }: Fragment,
  needed: ReadonlySet<string>,
): number {
  if (driving.kind === 'once') return 0;
  if (driving.kind === 'source') {
    const rows = options.sources.get(driving.source)?.rows ?? Infinity;
    return rows * widthOfAll(relation.columns.filter(({ id }) => needed.has(id)));
  }
  const stages =
    driving.kind === 'chunks' ? driving.stages : driving.inputs.flatMap((input) => input.stages);
  return stages.reduce((sum, key) => sum + (options.results.get(key)?.bytes ?? Infinity), 0);
}

function plainKeys(keys: readonly Expression[]): string[][] {
  const ids = keys.flatMap(({ column }) => column ?? []);
  return ids.length === keys.length ? [ids] : [];
}

function within(relation: Relation, lists: readonly (readonly string[])[]): (readonly string[])[] {
  const ids = new Set(relation.columns.map(({ id }) => id));
  return lists.filter((list) => list.every((id) => ids.has(id)));
}
