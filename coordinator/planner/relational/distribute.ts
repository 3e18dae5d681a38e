/**
 * Cuts a query into stages, as far as the sizes of finished stages allow: what is small is read whole
 * by every chunk, what is large is divided by its keys. Asked again with more sizes, it answers the
 * same for what it answered before. Pure.
 */
import { canonicalJson, sha256Hex } from '../../../shared/chunk-identity.js';
import { distributeAggregate } from './distribute-aggregate.js';
import { distributeJoin } from './distribute-join.js';
import type {
  Distribution,
  Dividing,
  Fragment,
  Materialised,
  PhysicalStage,
  Side,
  StageSize,
} from './physical.js';
import type {
  Column,
  Distinct,
  Expression,
  Limit,
  Query,
  Relation,
  Scan,
  SetOperation,
  SortKey,
  Window,
} from './relation.js';
import { inputsOf } from './relation.js';
import {
  asSides,
  chunksOf,
  coPartitioned,
  inOrder,
  isSingle,
  narrowed,
  narrowedScan,
  neededBelow,
  over,
  scanOf,
  whole,
} from './wrap.js';
import { canonical, isVolatile } from './canonical.js';
import { columnExpression } from './expression.js';
import { Estimates, widthOfAll } from './estimate.js';

export interface SourceSize {
  readonly bytes: number;
  readonly rows: number;
  /** Columns in which rows that are equal are in the same chunk. */
  readonly ranged?: readonly string[];
}

export interface DistributionOptions {
  readonly sources: ReadonlyMap<string, SourceSize>;
  /** Finished stages, by key. */
  readonly results: ReadonlyMap<string, StageSize>;
  /** Up to this many bytes a side of a join is read whole by every chunk. */
  readonly broadcastBytes: number;
  /** Up to this many bytes a source is read by every chunk itself. */
  readonly inlineBytes: number;
  /** Up to this many bytes one chunk sorts; of more, each sorts a range of about this size. */
  readonly sortBytes: number;
}

/** Fragments whose rows together are the relation's; undefined while sizes are missing. */
export type Lowered = readonly Fragment[] | undefined;

export function distribute(query: Query, options: DistributionOptions): Distribution {
  const distributor = new Distributor(options, leavesOf(query.relation));
  const needed = new Set(query.result.map(({ id }) => id));
  // All of it first: what a shared result comes to is found where it is defined.
  distributor.estimates.of(query.relation);
  const fragments = distributor.root(query.relation, needed);
  return fragments
    ? { complete: true, ...canonical({ fragments, result: query.result }) }
    : { complete: false, stages: distributor.ready() };
}

/** A name for each scan, stable as long as the query is. */
function leavesOf(relation: Relation): Map<Relation, string> {
  const names = new Map<Relation, string>();
  const walk = (each: Relation): void => {
    if (each.kind === 'scan') names.set(each, `${each.input}.${names.size}`);
    inputsOf(each).forEach(walk);
  };
  walk(relation);
  return names;
}

export class Distributor {
  private readonly wanted = new Map<string, PhysicalStage>();
  private readonly shared = new Map<string, Materialised | undefined>();
  readonly estimates: Estimates;

  constructor(
    readonly options: DistributionOptions,
    private readonly leaves: ReadonlyMap<Relation, string>,
  ) {
    this.estimates = new Estimates(options.sources);
  }

  /** Stages to run now. */
  ready(): PhysicalStage[] {
    return [...this.wanted.values()];
  }

  /** Only here an order of rows is seen by anyone. */
  root(relation: Relation, needed: ReadonlySet<string>): Lowered {
    if (relation.kind === 'project') {
      return this.root(relation.input, neededBelow(relation, needed))?.map((fragment) =>
        over(fragment, { ...relation, input: fragment.relation }),
      );
    }
    if (relation.kind !== 'sort') return this.lower(relation, needed);
    const below = neededBelow(relation, needed);
    const rows = this.lower(relation.input, below);
    if (!rows) return undefined;
    const sorted = (fragment: Fragment): Fragment =>
      over(fragment, { ...relation, input: fragment.relation, columns: fragment.relation.columns });
    const [only] = rows;
    if (only && rows.length === 1 && isSingle(only)) return [sorted(only)];
    const bytes = only && rows.length === 1 ? this.scannedBytes(only, below) : undefined;
    if (only && bytes !== undefined && bytes > this.options.sortBytes) {
      const sides = asSides(only)!;
      const sampled: Fragment = { ...only, driving: { kind: 'once' }, sides, hashed: [] };
      const ranged = this.ranged(rows, below, sampled, bytes, relation.keys);
      return ranged && [sorted(ranged)];
    }
    const all = this.materialise(rows, below);
    if (!all) return undefined;
    const one = this.once(all);
    if (all.size.bytes <= this.options.sortBytes) return [sorted(one)];
    const ranged = this.ranged([chunksOf(all)], below, one, all.size.bytes, relation.keys);
    return ranged && [sorted(ranged)];
  }

  /** Of a source's rows as they are: those need not be kept before it is known how they are cut. */
  private scannedBytes(
    { driving, sides, relation }: Fragment,
    needed: ReadonlySet<string>,
  ): number | undefined {
    if (driving.kind !== 'source' || sides.length > 0) return undefined;
    const plain = (each: Relation): boolean =>
      each.kind === 'scan' || (each.kind === 'project' && plain(each.input));
    if (!plain(relation)) return undefined;
    const rows = this.options.sources.get(driving.source)?.rows ?? 0;
    return rows * widthOfAll(relation.columns.filter(({ id }) => needed.has(id)));
  }

  /**
   * Rows in chunks that follow one another in this order.
   * @param all the same rows in one chunk, where a sample of them says where to cut
   */
  private ranged(
    rows: readonly Fragment[],
    needed: ReadonlySet<string>,
    all: Fragment,
    bytes: number,
    keys: readonly SortKey[],
  ): Fragment | undefined {
    const read = new Set(keys.flatMap(({ expression }) => expression.reads));
    const fragment = { ...all, relation: narrowed(all.relation, read) };
    const ranges = Math.ceil(bytes / this.options.sortBytes);
    const { columns } = fragment.relation;
    const { size } = this.result({ fragment, columns, bounds: { keys, ranges } });
    if (!size) return undefined;
    const bounds = size.bounds ?? [];
    const found = this.materialise(rows, needed, { kind: 'range', keys, bounds });
    if (!found) return undefined;
    const inputs = [{ leaf: found.leaf, stages: found.stages, divisible: false }];
    const relation = scanOf(found.leaf, found.columns);
    return { driving: { kind: 'partitions', inputs }, sides: [], relation, hashed: [] };
  }

  lower(relation: Relation, needed: ReadonlySet<string>): Lowered {
    const below = neededBelow(relation, needed);
    switch (relation.kind) {
      case 'scan':
        return [this.scan(relation, needed)];
      case 'reference': {
        const rows = this.shared.get(relation.shared);
        if (!rows) return undefined;
        const { names, columns } = scanOf(rows.leaf, rows.columns);
        const nameOf = new Map(columns.map(({ id }, at) => [id, names[at]!]));
        const scan: Scan = {
          ...scanOf(rows.leaf, relation.columns),
          names: relation.from.map((id) => nameOf.get(id)!),
        };
        const driving = { kind: 'chunks', leaf: rows.leaf, stages: rows.stages } as const;
        return [{ driving, sides: [], relation: narrowedScan(scan, needed), hashed: [] }];
      }
      case 'values':
      case 'series':
        return [{ driving: { kind: 'once' }, sides: [], relation, hashed: [] }];
      case 'filter':
      case 'unnest':
        return this.lower(relation.input, below)?.map((fragment) => {
          const columns = [
            ...fragment.relation.columns,
            ...(relation.kind === 'unnest' ? relation.lists.map(({ column }) => column) : []),
          ];
          return over(fragment, { ...relation, input: fragment.relation, columns });
        });
      case 'project': {
        const at = relation.columns.flatMap(({ id }, index) => (needed.has(id) ? [index] : []));
        const columns = at.map((index) => relation.columns[index]!);
        const expressions = at.map((index) => relation.expressions[index]!);
        return this.lower(relation.input, below)?.map((fragment) =>
          over(fragment, { kind: 'project', input: fragment.relation, expressions, columns }),
        );
      }
      case 'sort':
        // Below other operators an order means nothing.
        return this.lower(relation.input, needed);
      case 'limit':
        return this.limit(relation, below);
      case 'distinct':
        return this.distinct(relation, below);
      case 'window':
        return this.window(relation, below);
      case 'set':
        return this.set(relation);
      case 'aggregate':
        return distributeAggregate(this, relation, this.lower(relation.input, below), needed);
      case 'join': {
        const left = this.lower(relation.left, below);
        const right = this.lower(relation.right, below);
        return left && right && distributeJoin(this, relation, { left, right }, below);
      }
      case 'shared': {
        const columns = relation.definition.columns;
        const all = new Set(columns.map(({ id }) => id));
        const rows = this.lower(relation.definition, all);
        this.shared.set(relation.id, rows && this.materialise(rows, all));
        return this.lower(relation.body, needed);
      }
    }
  }

  /** Runs these as stages of their own; undefined until all their sizes are known. */
  materialise(
    fragments: readonly Fragment[],
    needed: ReadonlySet<string>,
    divide?: Dividing,
  ): Materialised | undefined {
    const size = { bytes: 0, rows: 0 };
    let known = true;
    const keys: string[] = [];
    let columns: readonly Column[] | undefined;
    for (const fragment of fragments) {
      const rows = narrowed(fragment.relation, needed);
      columns ??= rows.columns;
      const relation = inOrder(rows, columns);
      const work = { fragment: { ...fragment, relation }, columns, ...(divide ? { divide } : {}) };
      const { key, size: found } = this.result(work);
      keys.push(key);
      if (!found) known = false;
      size.bytes += found?.bytes ?? 0;
      size.rows += found?.rows ?? 0;
    }
    return known ? { leaf: keys.join('+'), stages: keys, columns: columns ?? [], size } : undefined;
  }

  /** A stage of its own; without a size while that is not known. */
  private result(own: Omit<PhysicalStage, 'key'>): { key: string; size?: StageSize } {
    const work = canonical(own);
    // Equal work is done once, unless it would not give the same twice.
    const key = sha256Hex(canonicalJson(isVolatile(work) ? own : work)).slice(0, 12);
    const size = this.options.results.get(key);
    if (size) return { key, size };
    this.wanted.set(key, { key, ...work });
    return { key };
  }

  /** All rows in one chunk. */
  gathered(rows: Lowered, needed: ReadonlySet<string>): Fragment | undefined {
    if (!rows) return undefined;
    const [only] = rows;
    if (only && rows.length === 1 && isSingle(only)) return only;
    const all = this.materialise(rows, needed);
    return all && this.once(all);
  }

  /** One chunk that reads all of a result. */
  once(rows: Materialised): Fragment {
    const side = this.sideOf(rows);
    const relation = scanOf(side.leaf, rows.columns);
    return { driving: { kind: 'once' }, sides: [side], relation, hashed: [] };
  }

  /** A result that every chunk reads whole: not to be taken for the part that drives a chunk. */
  sideOf({ leaf, stages }: Materialised): Side {
    return { kind: 'stages', leaf: `${leaf}.all`, stages };
  }

  /** Rows equal in these expressions in the same chunk. */
  divided(
    rows: readonly Fragment[],
    keys: readonly Expression[],
    needed: ReadonlySet<string>,
    divisible = false,
  ): Fragment | undefined {
    const ids = keys.flatMap(({ column }) => column ?? []);
    const found = this.materialise(
      rows,
      new Set([...needed, ...keys.flatMap(({ reads }) => reads)]),
      { kind: 'hash', keys },
    );
    return (
      found && {
        driving: {
          kind: 'partitions',
          inputs: [{ leaf: found.leaf, stages: found.stages, divisible }],
        },
        sides: [],
        relation: scanOf(found.leaf, found.columns),
        hashed: ids.length === keys.length ? [ids] : [],
      }
    );
  }

  /** Rows equal in these columns in the same chunk, with no more exchange than that takes. */
  together(
    rows: readonly Fragment[],
    keys: readonly Expression[],
    needed: ReadonlySet<string>,
  ): Fragment | undefined {
    const [only] = rows;
    if (only && rows.length === 1 && (isSingle(only) || isTogether(only, keys))) return whole(only);
    if (keys.length === 0) return this.gathered(rows, needed);
    return this.divided(rows, keys, needed);
  }

  private scan(scan: Scan, needed: ReadonlySet<string>): Fragment {
    const leaf = this.leaves.get(scan) ?? scan.input;
    const relation = narrowedScan({ ...scan, input: leaf }, needed);
    const ranged = this.options.sources.get(scan.input)?.ranged ?? [];
    return {
      driving: { kind: 'source', leaf, source: scan.input },
      sides: [],
      relation,
      hashed: relation.columns.flatMap(({ id }, at) =>
        ranged.includes(relation.names[at]!) ? [[id]] : [],
      ),
    };
  }

  private limit(relation: Limit, needed: ReadonlySet<string>): Lowered {
    const rows = this.lower(relation.input, needed);
    const most =
      relation.limit === undefined
        ? undefined
        : String(BigInt(relation.limit) + BigInt(relation.offset ?? 0));
    const first = rows?.map((fragment) =>
      most === undefined || isSingle(fragment)
        ? fragment
        : over(fragment, {
            kind: 'limit',
            input: fragment.relation,
            limit: most,
            keys: relation.keys,
            columns: fragment.relation.columns,
          }),
    );
    const all = this.gathered(first, needed);
    return all && [over(all, { ...relation, input: all.relation, columns: all.relation.columns })];
  }

  private distinct(relation: Distinct, needed: ReadonlySet<string>): Lowered {
    const rows = this.lower(relation.input, needed);
    if (!rows) return undefined;
    const wrap = (fragment: Fragment): Fragment =>
      over(fragment, {
        ...relation,
        input: fragment.relation,
        columns: relation.on ? fragment.relation.columns : relation.columns,
      });
    const keys = relation.on ?? relation.columns.map(columnExpression);
    const found = this.together(rows.map(wrap), keys, needed);
    return found && [wrap(found)];
  }

  private window(relation: Window, needed: ReadonlySet<string>): Lowered {
    const rows = this.lower(relation.input, needed);
    if (!rows) return undefined;
    const [first, ...others] = relation.calls.map(({ partition }) => partition);
    const common = (first ?? []).filter(
      (key) => !key.volatile && others.every((list) => list.some(({ sql }) => sql === key.sql)),
    );
    const found = this.together(rows, common, needed);
    if (!found) return undefined;
    const made = relation.calls.map(({ column }) => column);
    const columns = [...found.relation.columns, ...made];
    return [over(found, { ...relation, input: found.relation, columns })];
  }

  private set(relation: SetOperation): Lowered {
    const inputs = relation.inputs.map(({ relation: input, ids }) =>
      this.lower(input, new Set(ids))?.map((fragment) =>
        over(fragment, renamed(fragment.relation, ids, relation.columns), []),
      ),
    );
    const known = inputs.flatMap((rows) => (rows ? [rows] : []));
    if (known.length < inputs.length) return undefined;
    const needed = new Set(relation.columns.map(({ id }) => id));
    const keys = relation.columns.map(columnExpression);
    if (relation.operation === 'union') {
      const all = known.flat();
      if (relation.all) return all;
      const distinct = (fragment: Fragment): Fragment =>
        over(fragment, {
          kind: 'distinct',
          input: fragment.relation,
          keys: [],
          columns: relation.columns,
        });
      const found = this.together(all.map(distinct), keys, needed);
      return found && [distinct(found)];
    }
    const [left, right] = known.map((rows) => this.divided(rows, keys, needed));
    if (left?.driving.kind !== 'partitions' || right?.driving.kind !== 'partitions')
      return undefined;
    const ids = relation.columns.map(({ id }) => id);
    return [
      {
        driving: coPartitioned(left.driving, right.driving, { left: false, right: false }),
        sides: [],
        relation: {
          ...relation,
          inputs: [left, right].map((fragment) => ({ relation: fragment.relation, ids })),
        },
        hashed: [ids],
      },
    ];
  }
}

function isTogether({ hashed }: Fragment, keys: readonly Expression[]): boolean {
  const columns = new Set(keys.flatMap(({ column }) => column ?? []));
  return hashed.some((ids) => ids.every((id) => columns.has(id)));
}

/** The columns `ids` under the ids of `columns`. */
function renamed(input: Relation, ids: readonly string[], columns: readonly Column[]): Relation {
  const known = new Map(input.columns.map((column) => [column.id, column]));
  const expressions = ids.map((id) => columnExpression(known.get(id)!));
  return { kind: 'project', input, expressions, columns };
}
