/**
 * About how many bytes a relation comes to, before anything has run: good enough to tell which side
 * of a join is the small one, never what is right or wrong. Depends on the query and the sources'
 * sizes alone, so that it is the same whenever it is asked. Pure.
 */
import type { Column, Expression, Join, Relation } from './relation.js';

export interface Estimate {
  readonly rows: number;
  /** Rows if no condition had left any out. */
  readonly base: number;
}

/** Of the rows, a condition leaves … */
const keptByEquality = 0.1;
const keptByOther = 0.3;
const keptAtLeast = 0.01;
/** … and an aggregation makes of them, where it has keys. */
const groupsPerRow = 0.1;

export class Estimates {
  private readonly known = new Map<Relation, Estimate>();
  private readonly definitions = new Map<string, Relation>();

  constructor(private readonly sources: ReadonlyMap<string, { readonly rows: number }>) {}

  /** Bytes of those columns that are needed. */
  bytes(relation: Relation, needed: ReadonlySet<string>): number {
    return this.of(relation).rows * widthOfAll(relation.columns.filter(({ id }) => needed.has(id)));
  }

  of(relation: Relation): Estimate {
    let known = this.known.get(relation);
    if (!known) this.known.set(relation, (known = this.compute(relation)));
    return known;
  }

  private compute(relation: Relation): Estimate {
    switch (relation.kind) {
      case 'scan': {
        const rows = this.sources.get(relation.input)?.rows ?? 0;
        return { rows, base: rows };
      }
      case 'reference': {
        const definition = this.definitions.get(relation.shared);
        return definition ? this.of(definition) : { rows: 0, base: 0 };
      }
      case 'shared':
        this.definitions.set(relation.id, relation.definition);
        return this.of(relation.body);
      case 'values':
        return { rows: relation.rows.length, base: relation.rows.length };
      case 'series':
        return { rows: 1, base: 1 };
      case 'filter': {
        const { rows, base } = this.of(relation.input);
        return { rows: rows * keptBy(relation.conditions), base };
      }
      case 'project':
      case 'sort':
      case 'window':
      case 'unnest':
        return this.of(relation.input);
      case 'limit': {
        const { rows, base } = this.of(relation.input);
        return { rows: Math.min(rows, Number(relation.limit ?? Infinity)), base };
      }
      case 'distinct':
      case 'aggregate': {
        const { rows } = this.of(relation.input);
        const keyed = relation.kind === 'distinct' || relation.keys.length > 0;
        const groups = keyed ? rows * groupsPerRow : 1;
        return { rows: groups, base: groups };
      }
      case 'set': {
        const inputs = relation.inputs.map((input) => this.of(input.relation));
        return {
          rows: inputs.reduce((sum, { rows }) => sum + rows, 0),
          base: inputs.reduce((sum, { base }) => sum + base, 0),
        };
      }
      case 'join':
        return this.join(relation);
    }
  }

  /**
   * As if the smaller side's keys were unique and all of the larger side's had a partner once; where
   * there are not that many values, as if each were as frequent as the others.
   */
  private join({ join, left: l, right: r, equalities }: Join): Estimate {
    const left = this.of(l);
    const right = this.of(r);
    const base = Math.max(left.base, right.base);
    switch (join) {
      case 'semi':
      case 'anti':
        return { rows: left.rows * keptByOther, base: left.base };
      case 'mark':
      case 'single':
      case 'asof':
      case 'asof left':
        return left;
      case 'cross':
        return { rows: left.rows * right.rows, base: left.base * right.base };
      default: {
        if (equalities.length === 0) return { rows: left.rows * right.rows, base };
        const [small, large] = left.base < right.base ? [left, right] : [right, left];
        const rows = small.base > 0 ? large.rows * (small.rows / small.base) : 0;
        const repeated = (left.rows * right.rows) / valuesOfAll(equalities);
        const least = join === 'inner' ? 0 : join === 'right' ? right.rows : left.rows;
        return { rows: Math.max(rows, repeated, least), base };
      }
    }
  }
}

function keptBy(conditions: readonly Expression[]): number {
  const kept = conditions.reduce(
    (part, { sql }) => part * (/ = /.test(sql) ? keptByEquality : keptByOther),
    1,
  );
  return Math.max(keptAtLeast, kept);
}

/** How many different keys their types allow. */
function valuesOfAll(equalities: Join['equalities']): number {
  return equalities.reduce((product, { left }) => product * valuesOf(left.type), 1);
}

function valuesOf(type: string): number {
  if (type === 'BOOLEAN') return 2;
  return /^U?TINYINT$/.test(type) ? 256 : Infinity;
}

export function widthOfAll(columns: readonly Pick<Column, 'type'>[]): number {
  return columns.reduce((sum, { type }) => sum + widthOf(type), 0);
}

/** Bytes of a value in a file, roughly. */
export function widthOf(type: string): number {
  if (/^(BOOLEAN|U?TINYINT)$/.test(type)) return 1;
  if (/^U?SMALLINT$/.test(type)) return 2;
  if (/^(U?INTEGER|FLOAT|DATE)$/.test(type)) return 4;
  if (/^(VARCHAR|BLOB|STRUCT|MAP)|\]$/.test(type)) return 24;
  return 8;
}
