/**
 * A query cut into stages: what each chunk of a stage reads and computes, and how its rows are dealt
 * out. Data only; sizes and places come later.
 */
import type { Column, Expression, Relation } from './relation.js';

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
  | { readonly kind: 'source'; readonly leaf: string; readonly source: string };

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
  /** Rows are divided by these; without, each chunk's rows stay together. */
  readonly divide?: readonly Expression[];
}

/** What came out of a stage. */
export interface StageSize {
  readonly bytes: number;
  readonly rows: number;
}

/** What can be done now. */
export type Distribution =
  | {
      readonly complete: false;
      /** Stages whose results have to be known first; their inputs are. */
      readonly stages: readonly PhysicalStage[];
    }
  /** The rest: its rows together are the result. */
  | { readonly complete: true; readonly fragments: readonly Fragment[] };
