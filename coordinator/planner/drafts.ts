/**
 * Divides the outputs' chains into stages: what several outputs share runs once. Pure. A stage
 * ends after the last `infer` or `map` that its outputs have in common; scanning twice is cheaper
 * than keeping everything for the sake of a filter.
 */
import type { Chain } from './logical.js';
import type { Operator, SourceFacts } from './facts.js';

/** A stage before its columns are known. */
export interface StageDraft {
  readonly origin:
    { readonly kind: 'source'; readonly source: SourceFacts } | { readonly kind: 'stage' };
  readonly operators: readonly Operator[];
  /** Stages that read this one's chunks. */
  readonly children: readonly StageDraft[];
  /** The chain whose rows are complete here. */
  readonly chain?: Chain;
  /** True when this stage writes what is published; false when a rewriting child does. */
  readonly final: boolean;
}

/** @param rewrites whether an output's files are made from finished chunks */
export function draftStages(
  chains: readonly Chain[],
  rewrites: (chain: Chain) => boolean,
): StageDraft[] {
  const bySource = new Map<SourceFacts, Branch[]>();
  for (const chain of chains) {
    const branches = bySource.get(chain.source) ?? [];
    branches.push({ chain, left: chain.operators });
    bySource.set(chain.source, branches);
  }
  return [...bySource].flatMap(([source, branches]) =>
    grow(branches, { kind: 'source', source }, rewrites),
  );
}

interface Branch {
  readonly chain: Chain;
  readonly left: readonly Operator[];
}

function grow(
  branches: readonly Branch[],
  origin: StageDraft['origin'],
  rewrites: (chain: Chain) => boolean,
): StageDraft[] {
  const drafts: StageDraft[] = [];
  const done = new Set<Branch>();
  for (const branch of branches) {
    if (done.has(branch)) continue;
    const first = nextExpensive(branch.left, 0);
    const group =
      first < 0
        ? [branch]
        : branches.filter((other) => !done.has(other) && sharesUntil(branch, other, first));
    for (const member of group) done.add(member);
    drafts.push(
      group.length === 1 ? finish(branch, origin, rewrites) : share(group, first, origin, rewrites),
    );
  }
  return drafts;
}

function share(
  group: readonly Branch[],
  first: number,
  origin: StageDraft['origin'],
  rewrites: (chain: Chain) => boolean,
): StageDraft {
  const leader = group[0]!;
  let last = first;
  for (;;) {
    const next = nextExpensive(leader.left, last + 1);
    if (next < 0 || !group.every((member) => sharesUntil(leader, member, next))) break;
    last = next;
  }
  const rest = group.map(({ chain, left }) => ({ chain, left: left.slice(last + 1) }));
  return {
    origin,
    operators: leader.left.slice(0, last + 1),
    children: grow(rest, { kind: 'stage' }, rewrites),
    final: false,
  };
}

function finish(
  { chain, left }: Branch,
  origin: StageDraft['origin'],
  rewrites: (chain: Chain) => boolean,
): StageDraft {
  // Whatever reads chunks rewrites them anyway.
  if (origin.kind === 'stage' || !rewrites(chain)) {
    return { origin, operators: left, children: [], chain, final: true };
  }
  const rewriting: StageDraft = {
    origin: { kind: 'stage' },
    operators: [],
    children: [],
    chain,
    final: true,
  };
  return { origin, operators: left, children: [rewriting], chain, final: false };
}

function nextExpensive(operators: readonly Operator[], from: number): number {
  const found = operators
    .slice(from)
    .findIndex((operator) => operator.kind === 'infer' || operator.kind === 'map');
  return found < 0 ? -1 : found + from;
}

/** Whether two branches have the same operators up to and including one. */
function sharesUntil(a: Branch, b: Branch, last: number): boolean {
  return a.left.slice(0, last + 1).every((operator, index) => b.left[index] === operator);
}
