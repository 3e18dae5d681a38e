/**
 * What analysis found out and the planner decides upon: files, bound steps, signatures. Plain data
 * that knows no outside world.
 */
import type { ColumnStatistics } from '../../shared/parquet-statistics.js';
import type {
  BlobRef,
  ColumnDef,
  ExpectStep,
  FilterStep,
  InferStep,
  InputFile,
  MapStep,
  OutputPlan,
  PlanNote,
  RowLayout,
  SelectStep,
  SqlStep,
} from '../../shared/plan.js';

/** A file with the statistics that its row groups can be ruled out by. */
export interface SourceFile {
  /** `prunedRowGroups` is empty here: the planner fills it. */
  readonly file: InputFile;
  /** By column, one entry a row group. */
  readonly stats: ReadonlyMap<string, readonly (ColumnStatistics | undefined)[]>;
}

export interface SourceFacts {
  readonly id: string;
  readonly files: readonly SourceFile[];
  /** Columns inside the files, then those of the path. */
  readonly columns: readonly ColumnDef[];
  readonly hive: readonly ColumnDef[];
}

export type LiteralKind = ColumnStatistics['kind'];
export type ComparisonOp = '=' | '<' | '<=' | '>' | '>=';

/** `column op literal`, the one shape statistics are compared with. Units as ColumnStatistics. */
export interface Comparison {
  readonly column: string;
  readonly op: ComparisonOp;
  readonly kind: LiteralKind;
  readonly value: bigint | string;
}

/** What statistics can refute: a comparison, or alternatives of which all comparisons hold of one. */
export type Bound = Comparison | { readonly any: readonly (readonly Bound[])[] };

/** One of the expressions that a filter joins with AND. */
export interface Conjunct {
  readonly sql: string;
  readonly columns: readonly string[];
  /** All of these hold where the conjunct is true; empty when it is of another shape. */
  readonly bounds: readonly Bound[];
}

/** What a query asks of the rows of a source before anything else, in one of its scans. */
export interface ScanConditions {
  readonly source: string;
  readonly conjuncts: readonly Conjunct[];
}

interface OperatorBase {
  /** Columns after the operator, in order. */
  readonly columns: readonly ColumnDef[];
  /** Columns before it that it needs whatever happens after. */
  readonly reads: readonly string[];
  readonly deterministic: boolean;
}
export interface FilterOperator extends OperatorBase {
  readonly kind: 'filter';
  readonly step: FilterStep;
  readonly conjuncts: readonly Conjunct[];
}
export interface SelectOperator extends OperatorBase {
  readonly kind: 'select';
  readonly step: SelectStep;
  /** What each resulting column reads, in the order of `step.columns`. */
  readonly readsOf: readonly (readonly string[])[];
  /** Columns that come out as they went in, under the same name. */
  readonly untouched: ReadonlySet<string>;
}
export interface SqlOperator extends OperatorBase {
  readonly kind: 'sql';
  readonly step: SqlStep;
}
export interface MapOperator extends OperatorBase {
  readonly kind: 'map';
  readonly step: MapStep;
}
export interface InferOperator extends OperatorBase {
  readonly kind: 'infer';
  readonly step: InferStep;
}
export interface ExpectOperator extends OperatorBase {
  readonly kind: 'expect';
  readonly step: ExpectStep;
  readonly rowCounts: OutputPlan['rowCounts'];
}
/** A step as the planner moves it about; one `sql` step makes two (its WHERE and the rest). */
export type Operator =
  FilterOperator | SelectOperator | SqlOperator | MapOperator | InferOperator | ExpectOperator;

export interface BoundStep {
  readonly id: string;
  /** Source or step it reads. */
  readonly from: string;
  readonly operators: readonly Operator[];
  /** Columns that come out, in order. */
  readonly columns: readonly ColumnDef[];
}

/** A step whose rows may come from any rows of what it reads: a query, not a pass over rows. */
export interface WideStep {
  readonly id: string;
  /** Sources and steps that it reads, each once. */
  readonly reads: readonly string[];
  /** One closed SELECT over tables that are called as in `reads`; `columns` is what it gives. */
  readonly sql: string;
  readonly columns: readonly ColumnDef[];
  readonly deterministic: boolean;
  /** How its rows are dealt out to chunks, where the step is about nothing else (`repartition`). */
  readonly layout?: RowLayout;
}

/** A query whose rows are kept: wide steps, and the steps between them that SQL can say. */
export interface QueryFacts {
  /** The step whose rows it gives. */
  readonly id: string;
  /** All steps that it stands for. */
  readonly steps: readonly string[];
  /** One closed SELECT over `tables`. */
  readonly sql: string;
  /** The same as JSON of a relational plan; absent where it is not understood. */
  readonly relational?: string;
  /** Its scans of sources, each once; none where it is not understood. */
  readonly scans: readonly ScanConditions[];
  /** Sources, steps and other queries that it reads, with the columns it reads of them. */
  readonly tables: readonly { readonly id: string; readonly columns: readonly ColumnDef[] }[];
  readonly columns: readonly ColumnDef[];
  readonly deterministic: boolean;
  /** Its rows come in an order that it states. */
  readonly sorted: boolean;
  readonly layout?: RowLayout;
}

export interface Facts {
  readonly sources: ReadonlyMap<string, SourceFacts>;
  /** By id, each after what it reads. */
  readonly steps: ReadonlyMap<string, BoundStep>;
  /** Wide steps by id; no id is in both. */
  readonly wide: ReadonlyMap<string, WideStep>;
  /** By the step whose rows they give, each after what it reads. */
  readonly queries: ReadonlyMap<string, QueryFacts>;
  /**
   * For conjuncts over hive columns alone, by `hiveKey`: whether each file of the source may have
   * rows for which it is true. No entry: not known.
   */
  readonly hiveVerdicts: ReadonlyMap<string, readonly boolean[]>;
  /** Of this package, and of the libraries that make the bytes. */
  readonly versions: {
    readonly windrow: string;
    readonly duckdb: string;
    readonly onnxruntime: string;
  };
  readonly notes: readonly PlanNote[];
}

export function hiveKey(source: string, sql: string): string {
  return `${source}\n${sql}`;
}

/** A file of the job by content, as the client uploaded it. */
export interface JobFile {
  readonly digest: string;
  readonly bytes: number;
  readonly name: string;
  readonly external: readonly JobFile[];
}

export function blobRef(file: JobFile): BlobRef {
  return { digest: file.digest, bytes: file.bytes, name: file.name };
}
