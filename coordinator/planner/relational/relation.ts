/**
 * The relational plan: what a query computes, as a tree of operators over named inputs. Data only;
 * never says where or in how many parts an operator runs.
 */

/** A column of some operator's result. */
export interface Column {
  /** Unique in the query; a column that passes through an operator unchanged keeps its id. */
  readonly id: string;
  /** For people; neither unique nor safe in SQL. */
  readonly name: string;
  /** DuckDB's type as SQL text, as in `DECIMAL(15,2)` or `STRUCT("a" INTEGER)`. */
  readonly type: string;
}

/** A scalar expression over the columns of an operator's input. */
export interface Expression {
  /** DuckDB SQL over quoted column ids. Every constant in it states its type. */
  readonly sql: string;
  readonly type: string;
  /** Ids of the columns it reads, each once, in order of appearance. */
  readonly reads: readonly string[];
  /** The id, when it is nothing but one column. */
  readonly column?: string;
  /** May give another value for the same row when asked again. */
  readonly volatile: boolean;
  /** Reads no column and is not volatile. */
  readonly constant: boolean;
}

export interface SortKey {
  readonly expression: Expression;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

/** A call of an aggregate function, in an aggregation or over a window. */
export interface Call {
  readonly name: string;
  readonly args: readonly Expression[];
  readonly distinct: boolean;
  readonly filter?: Expression;
  /** Order of the rows inside the call. */
  readonly order: readonly SortKey[];
}

interface Base {
  readonly columns: readonly Column[];
}

/** Rows of a named input. A leaf: whoever renders the plan says what it reads. */
export interface Scan extends Base {
  readonly kind: 'scan';
  readonly input: string;
  /** Names in the input, one for each of `columns`. */
  readonly names: readonly string[];
}

export interface Filter extends Base {
  readonly kind: 'filter';
  readonly input: Relation;
  /** All must be true. */
  readonly conditions: readonly Expression[];
}

export interface Project extends Base {
  readonly kind: 'project';
  readonly input: Relation;
  /** One for each of `columns`; a column that passes through reads itself. */
  readonly expressions: readonly Expression[];
}

export interface Aggregate extends Base {
  readonly kind: 'aggregate';
  readonly input: Relation;
  /** `columns` are the keys, the measures and the groupings, in this order. */
  readonly keys: readonly {
    readonly column: Column;
    /** Id in the input; the same as `column.id` unless there are grouping sets. */
    readonly from: string;
  }[];
  /** Positions in `keys`. Without: one set of all keys; with no keys at all, exactly one row. */
  readonly sets?: readonly (readonly number[])[];
  readonly measures: readonly { readonly column: Column; readonly call: Call }[];
  /** `grouping(…)`: positions in `keys`. */
  readonly groupings: readonly { readonly column: Column; readonly keys: readonly number[] }[];
}

export type JoinKind =
  | 'inner'
  | 'left'
  | 'right'
  | 'full'
  | 'cross'
  | 'semi' // rows of the left that have a partner
  | 'anti' // rows of the left that have none
  | 'single' // left, but a second partner of a row is an error
  | Asof
  | 'mark'; // rows of the left and whether they have a partner: true, false or NULL

/**
 * As inner and left, but a row has at most one partner: the nearest of those with equal keys that
 * `residual`, which is one comparison, lets through.
 */
export type Asof = 'asof' | 'asof left';

export interface Compared {
  readonly left: Expression;
  readonly right: Expression;
}

export interface Join extends Base {
  readonly kind: 'join';
  readonly join: JoinKind;
  readonly left: Relation;
  readonly right: Relation;
  readonly equalities: readonly {
    readonly left: Expression;
    readonly right: Expression;
    /** NULL equals NULL. */
    readonly nullSafe: boolean;
  }[];
  /** Further conditions over columns of both sides. */
  readonly residual: readonly Expression[];
  /**
   * Of a `mark` join: the column it adds, and, unless the equalities alone decide (then the mark is
   * never NULL), `left operator any (right)` with DuckDB's rules for NULL among the partners.
   */
  readonly mark?: {
    readonly column: Column;
    readonly test?: Compared & {
      readonly operator: '=' | '<>' | '<' | '>' | '<=' | '>=';
      /** What else is compared, of rows. */
      readonly and?: readonly Compared[];
    };
  };
}

export interface Sort extends Base {
  readonly kind: 'sort';
  readonly input: Relation;
  readonly keys: readonly SortKey[];
}

export interface Limit extends Base {
  readonly kind: 'limit';
  readonly input: Relation;
  /** Rows, in digits. */
  readonly limit?: string;
  readonly offset?: string;
  /** The first rows in this order, and in this order; without it, any. */
  readonly keys: readonly SortKey[];
}

export interface Distinct extends Base {
  readonly kind: 'distinct';
  readonly input: Relation;
  /** Rows equal in these count as one; without, in all columns. */
  readonly on?: readonly Expression[];
  /** The first in this order stays; without it, any. */
  readonly keys: readonly SortKey[];
}

export interface FrameBound {
  readonly at: 'unboundedPreceding' | 'preceding' | 'current' | 'following' | 'unboundedFollowing';
  /** Of `preceding` and `following`: rows, groups, or what is added to the order's value. */
  readonly offset?: Expression;
}

export interface WindowCall extends Call {
  readonly column: Column;
  readonly partition: readonly Expression[];
  /** Of the rows in the partition; `order` is the order inside the call. */
  readonly keys: readonly SortKey[];
  readonly ignoreNulls: boolean;
  readonly frame: {
    readonly mode: 'rows' | 'range' | 'groups';
    readonly start: FrameBound;
    readonly end: FrameBound;
    readonly exclude?: 'current row' | 'group' | 'ties';
  };
}

/** Adds one column a call to its input. */
export interface Window extends Base {
  readonly kind: 'window';
  readonly input: Relation;
  readonly calls: readonly WindowCall[];
}

export interface SetOperation extends Base {
  readonly kind: 'set';
  readonly operation: 'union' | 'intersect' | 'except';
  /** Duplicates count. */
  readonly all: boolean;
  /** Two or more (`union`), or two; `ids` are the columns matched by position. */
  readonly inputs: readonly { readonly relation: Relation; readonly ids: readonly string[] }[];
}

/** Rows that the query itself states; none of them for an empty result. */
export interface Values extends Base {
  readonly kind: 'values';
  readonly rows: readonly (readonly Expression[])[];
}

/** `range` or `generate_series` over constants. */
export interface Series extends Base {
  readonly kind: 'series';
  readonly name: string;
  readonly args: readonly Expression[];
}

/** A result that `body` refers to more than once; it is computed once. */
export interface Shared extends Base {
  readonly kind: 'shared';
  /** Unique in the query. */
  readonly id: string;
  readonly definition: Relation;
  readonly body: Relation;
}

/** The rows of a shared result under column ids of its own. A leaf where its `Shared` is cut off. */
export interface Reference extends Base {
  readonly kind: 'reference';
  readonly shared: string;
  /** Ids in the definition, one for each of `columns`. */
  readonly from: readonly string[];
}

/** One row for each element of the lists, side by side; adds one column a list to its input. */
export interface Unnest extends Base {
  readonly kind: 'unnest';
  readonly input: Relation;
  readonly lists: readonly { readonly column: Column; readonly list: Expression }[];
}

export type Relation =
  | Scan
  | Filter
  | Project
  | Aggregate
  | Join
  | Sort
  | Limit
  | Distinct
  | Window
  | SetOperation
  | Values
  | Series
  | Shared
  | Reference
  | Unnest;

/** A whole query. */
export interface Query {
  readonly relation: Relation;
  /** Result columns in the user's order; the same id may stand twice. */
  readonly result: readonly Column[];
}

/** What decides about a mark's partners all at once; empty where equalities alone do. */
export function comparedIn({ mark }: Join): readonly Compared[] {
  return mark?.test ? [mark.test, ...(mark.test.and ?? [])] : [];
}

export function isAsof(join: JoinKind): join is Asof {
  return join === 'asof' || join === 'asof left';
}

/** The inputs of an operator, in order. */
export function inputsOf(relation: Relation): readonly Relation[] {
  switch (relation.kind) {
    case 'scan':
    case 'values':
    case 'series':
    case 'reference':
      return [];
    case 'join':
      return [relation.left, relation.right];
    case 'set':
      return relation.inputs.map((input) => input.relation);
    case 'shared':
      return [relation.definition, relation.body];
    case 'filter':
    case 'project':
    case 'aggregate':
    case 'sort':
    case 'limit':
    case 'distinct':
    case 'window':
    case 'unnest':
      return [relation.input];
  }
}
