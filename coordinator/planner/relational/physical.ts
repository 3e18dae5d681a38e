/**
 * A query cut into stages: what each chunk of a stage reads and computes, and how its rows are dealt
 * out. Data only; sizes and places come later.
 */
import type { Column, Expression, Relation, SortKey } from './relation.js';

/** Results of earlier stages, read under a leaf's name; several stages are read as one. */
export interface ExchangeInput {
  readonly leaf: string;
  readonly stages: readonly string[];
}

/** What decides how many chunks a stage has, and what each of them reads besides its sides. */
export type Driving =
  | { readonly kind: 'source'; readonly leaf: string; readonly source: string }
  /** Every chunk of those stages by itself. */
  | ({ readonly kind: 'chunks' } & ExchangeInput)
  /** Divided alike: a chunk reads the same partitions of each. */
  | {
      readonly kind: 'partitions';
      readonly inputs: readonly (ExchangeInput & {
        /** Its rows of one partition may be dealt out to several chunks. */
        readonly divisible: boolean;
      })[];
    }
  /** One chunk, which reads nothing but its sides. */
  | { readonly kind: 'once' };

/** Read whole by every chunk. */
export type Side =
  | ({ readonly kind: 'stages' } & ExchangeInput)
  | {
      readonly kind: 'source';
      readonly leaf: string;
      readonly source: string;
      /** Only files whose values in `column` lie among those that the chunk has in `driving`. */
      readonly among?: { readonly driving: string; readonly column: string };
    };

/** A relation that one chunk can compute from what it reads. Its leaves are scans of leaf names. */
export interface Fragment {
  readonly driving: Driving;
  readonly sides: readonly Side[];
  readonly relation: Relation;
  /** Lists of columns: rows equal in one of the lists are in the same chunk. */
  readonly hashed: readonly (readonly string[])[];
}

export interface PhysicalStage {
  /** Equal for equal work. */
  readonly key: string;
  readonly fragment: Fragment;
  /** What is written, by id. */
  readonly columns: readonly Column[];
  /** Rows are divided by this; without, each chunk's rows stay together. */
  readonly divide?: Dividing;
  /** Not rows are written, but the bounds of about so many ranges of them of equal size. */
  readonly bounds?: { readonly keys: readonly SortKey[]; readonly ranges: number };
}

/** Rows equal in the expressions meet, or those between two bounds (hex of sort keys). */
export type Dividing =
  | { readonly kind: 'hash'; readonly keys: readonly Expression[] }
  | {
      readonly kind: 'range';
      readonly keys: readonly SortKey[];
      readonly bounds: readonly string[];
    };

/** What came out of a stage. */
export interface StageSize {
  readonly bytes: number;
  readonly rows: number;
  /** Of a stage that finds bounds: what it found, ascending. */
  readonly bounds?: readonly string[];
}

/** Results of stages that are there. */
export interface Materialised extends ExchangeInput {
  readonly columns: readonly Column[];
  readonly size: StageSize;
}

/** What can be done now. */
export type Distribution =
  | {
      readonly complete: false;
      /** Stages whose results have to be known first; their inputs are. */
      readonly stages: readonly PhysicalStage[];
    }
  /** The rest: its rows together are the result. */
  | {
      readonly complete: true;
      readonly fragments: readonly Fragment[];
      /** The query's, as its columns are called in the fragments. */
      readonly result: readonly Column[];
    };
