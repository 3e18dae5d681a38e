/**
 * Divides chains into stages: what several of them share runs once. Pure. A stage ends after the
 * last `infer` or `map` that its chains have in common; scanning twice is cheaper than keeping
 * everything for the sake of a filter. A query's rows are kept once, whoever reads them.
 */
import type { Operator, QueryFacts } from './facts.js';
import type { Chain, Origin } from './logical.js';

/** A stage before its columns are known. */
export interface StageDraft {
  readonly origin: Origin | { readonly kind: 'stage' };
  readonly operators: readonly Operator[];
  /** Stages that read this one's chunks. */
  readonly children: readonly StageDraft[];
  /** The chain to an output whose rows are complete here. */
  readonly chain?: Chain;
  /** True when this stage writes what is published; false when a rewriting child does. */
  readonly final: boolean;
  /** Names under which queries read its rows. */
  readonly tables: readonly string[];
}

/**
 * Drafts over sources, then those over queries, each after what its query reads.
 * @param queries in such an order
 * @param rewrites whether an output's files are made from finished chunks
 */
export function draftStages(
  chains: readonly Chain[],
  queries: readonly QueryFacts[],
  rewrites: (chain: Chain) => boolean,
): StageDraft[] {
  const byOrigin = new Map<Origin, Branch[]>();
  for (const chain of chains) {
    const branches = byOrigin.get(chain.origin) ?? [];
    branches.push({ chain, left: chain.operators });
    byOrigin.set(chain.origin, branches);
  }
  const place = (origin: Origin): number =>
    origin.kind === 'source' ? -1 : queries.indexOf(origin.query);
  return [...byOrigin]
    .sort(([a], [b]) => place(a) - place(b))
    .flatMap(([origin, branches]) =>
      origin.kind === 'source'
        ? grow(branches, origin, rewrites)
        : [keep(branches, origin, rewrites)],
    );
}

interface Branch {
  readonly chain: Chain;
  readonly left: readonly Operator[];
}

/** A query's own stage; it is published as it stands where nothing else reads it. */
function keep(
  branches: readonly Branch[],
  origin: Origin,
  rewrites: (chain: Chain) => boolean,
): StageDraft {
  const [only] = branches;
  if (only && branches.length === 1 && only.left.length === 0 && !isTable(only)) {
    return finish(only, origin, rewrites);
  }
  return { origin, operators: [], ...below(branches, rewrites), final: false };
}

/** What reads the rows of a stage that several branches have in common. */
function below(
  branches: readonly Branch[],
  rewrites: (chain: Chain) => boolean,
): Pick<StageDraft, 'children' | 'tables'> {
  const here = branches.filter((branch) => branch.left.length === 0 && isTable(branch));
  const rest = branches.filter((branch) => !here.includes(branch));
  return {
    children: grow(rest, { kind: 'stage' }, rewrites),
    tables: here.flatMap(({ chain: { end } }) => (end.kind === 'table' ? [end.table] : [])),
  };
}

function isTable({ chain }: Branch): boolean {
  return chain.end.kind === 'table';
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
    ...below(rest, rewrites),
    final: false,
  };
}

function finish(
  { chain, left }: Branch,
  origin: StageDraft['origin'],
  rewrites: (chain: Chain) => boolean,
): StageDraft {
  const { end } = chain;
  const draft = { origin, operators: left, children: [], tables: [] };
  if (end.kind === 'table') return { ...draft, tables: [end.table], final: false };
  // Whatever reads chunks rewrites them anyway.
  if (origin.kind === 'stage' || !rewrites(chain)) return { ...draft, chain, final: true };
  const rewriting: StageDraft = {
    origin: { kind: 'stage' },
    operators: [],
    children: [],
    tables: [],
    chain,
    final: true,
  };
  return { ...draft, children: [rewriting], chain, final: false };
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
