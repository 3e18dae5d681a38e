/**
 * The physical plan: what the planner makes, the journal keeps, the coordinator schedules and the
 * workers execute. Plain JSON throughout. Never: decisions; those are in coordinator/planner.
 */
import type { JobId, StageId } from './ids.js';
import type { Origin } from './manifest.js';

/** A column with its DuckDB type as DuckDB writes it, such as `DECIMAL(18,2)` or `VARCHAR[]`. */
export interface ColumnDef {
  readonly name: string;
  readonly type: string;
}

/** One Parquet file as its footer describes it. */
export interface InputFile {
  /** Absolute path. */
  readonly path: string;
  readonly bytes: number;
  readonly mtimeMs: number;
  /** SHA-256 (hex) of the footer's bytes. */
  readonly footerHash: string;
  /** Rows of each row group, in file order. */
  readonly rowGroupRows: readonly number[];
  /** Row groups that statistics or hive values rule out, by number; their rows count as filtered. */
  readonly prunedRowGroups: readonly number[];
  /** Hive partition values of the path; null is `__HIVE_DEFAULT_PARTITION__`. */
  readonly hive: Readonly<Record<string, string | null>>;
  /** Columns the file lacks (only with unionByName); read as NULL. */
  readonly missingColumns: readonly string[];
}

/** Rows [rowStart, rowEnd) of one file, counted from 0 in the file; inside one row group. */
export interface SourceRange {
  /** Index into `SourceInput.files`. */
  readonly file: number;
  readonly rowGroup: number;
  readonly rowStart: number;
  readonly rowEnd: number;
}

export interface SourceInput {
  readonly kind: 'source';
  readonly source: string;
  readonly files: readonly InputFile[];
}

/** The chunks of an earlier stage, regrouped once their sizes are known. */
export interface StageInput {
  readonly kind: 'stage';
  readonly stage: StageId;
}

/** Rows by the name that a query has for them: of a source, or of stages before, taken together. */
export type TableRef =
  | { readonly kind: 'source'; readonly source: string }
  | { readonly kind: 'stages'; readonly stages: readonly StageId[] };

/** How the rows that a query gives are dealt out to its chunks. */
export interface RowLayout {
  readonly partitions?: number;
  /** Columns: rows equal in them are in one chunk. */
  readonly keys?: readonly string[];
  readonly targetBytes?: number;
}

/** What a query reads under one name. */
export type QueryTable = TableRef & {
  readonly columns: readonly ColumnDef[];
  /** Of a source: columns of which no value is in two files, and none is NULL. */
  readonly ranged?: readonly RangedColumn[];
};

export interface RangedColumn {
  readonly column: string;
  /** Least and greatest value of each file, as whole numbers in digits; null for one without rows. */
  readonly files: readonly (readonly [string, string] | null)[];
}

/** The rows of a query. Which stages that takes is found out while the first of them run. */
export interface QueryInput {
  readonly kind: 'query';
  /** One closed SELECT over `tables`: what one chunk computes where the query cannot be divided. */
  readonly sql: string;
  /** The same as JSON of the planner's relational plan; absent where it cannot be divided. */
  readonly relational?: string;
  readonly tables: Readonly<Record<string, QueryTable>>;
  /** Partitions of each exchange. */
  readonly partitions: number;
  readonly layout?: RowLayout;
  /** Enters the digests of its stages. */
  readonly versions: { readonly duckdb: string; readonly onnxruntime: string };
}

/** Partitions [from, to), and of one input perhaps only the chunks [share.from, share.to). */
export interface PartitionRange {
  readonly from: number;
  readonly to: number;
  readonly share?: { readonly input: number; readonly from: number; readonly to: number };
}

/** What decides how many chunks a stage of a query has, and what each of them reads for itself. */
export type DrivingInput =
  /** Chunk k takes units starts[k] to starts[k + 1]: row ranges of a source, or chunks of stages. */
  | {
      readonly kind: 'split';
      readonly leaf: string;
      readonly table: TableRef;
      readonly units: number;
      readonly starts: readonly number[];
    }
  /** All inputs are divided alike. Chunk k reads ranges[k] of each. */
  | {
      readonly kind: 'partitions';
      readonly inputs: readonly { readonly leaf: string; readonly stages: readonly StageId[] }[];
      readonly ranges: readonly PartitionRange[];
    }
  /** One chunk, which reads nothing but what is read whole. */
  | { readonly kind: 'once' };

export interface WholeInput {
  readonly leaf: string;
  readonly table: TableRef;
  /** Chunk k reads units [from, to) of each of slices[k]; absent: every chunk reads all of them. */
  readonly slices?: readonly (readonly (readonly [from: number, to: number])[])[];
}

/** A stage of a query, laid out: it is planned when the sizes of all that it reads are known. */
export interface ExchangeInput {
  readonly kind: 'exchange';
  readonly driving: DrivingInput;
  /** Read by every chunk: all of it, or of a source only some units for each chunk. */
  readonly whole: readonly WholeInput[];
}

/** No data: tasks that do nothing, `chunks` of them. For measuring the scheduler itself. */
export interface EmptyInput {
  readonly kind: 'empty';
  readonly chunks: number;
}

export interface BlobRef {
  /** SHA-256 (hex) of the bytes. */
  readonly digest: string;
  readonly bytes: number;
  /** File name for people and for a model's external data lookup; no directories. */
  readonly name: string;
  /** Where the bytes may already be on a shared disk; the digest is checked before use. */
  readonly path?: string;
}

export type Device = 'cpu' | 'cuda' | 'webgpu';
export type TensorType =
  | 'float16'
  | 'float32'
  | 'float64'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'bool'
  | 'string';

/** A tensor fed from columns: `k` scalar columns interleaved to `[N, k]`, or one list/array column. */
export interface TensorInput {
  readonly tensor: string;
  readonly type: TensorType;
  /** Dimensions as the model declares them; null is free; the first is the batch. */
  readonly dims: readonly (number | null)[];
  readonly columns: readonly ColumnDef[];
  /** True when the one column is a LIST or ARRAY that fills the dimensions after the first. */
  readonly list: boolean;
}

export interface TensorOutput {
  readonly tensor: string;
  readonly type: TensorType;
  readonly dims: readonly (number | null)[];
  /** Resulting column: a scalar for `[N]`/`[N,1]`, a LIST otherwise. */
  readonly column: ColumnDef;
}

export type OnBadRow = 'fail' | 'deadLetter';

export interface FilterStep {
  readonly kind: 'filter';
  readonly id: string;
  /** Closed DuckDB expression (parameters already bound) over the columns before this step. */
  readonly where: string;
}
export interface SelectStep {
  readonly kind: 'select';
  readonly id: string;
  /** The complete list of resulting columns, in order, each a closed expression. */
  readonly columns: readonly { readonly name: string; readonly expr: string }[];
}
/** A narrow query (one input; projection and filter only), kept as a query. */
export interface SqlStep {
  readonly kind: 'sql';
  readonly id: string;
  /** Closed query that reads the relation `input` and whose filter, if any, is split off before. */
  readonly query: string;
  readonly input: string;
}
export interface MapStep {
  readonly kind: 'map';
  readonly id: string;
  readonly bundle: BlobRef;
  readonly export: string;
  /** `batch`: Arrow RecordBatch in and out; `row`: one object in, one object out. */
  readonly style: 'batch' | 'row';
  /** One output row for each input row, in order; then `columns` are added to the row. */
  readonly rowwise: boolean;
  /** Columns handed to the function; no other enters JavaScript. */
  readonly reads: readonly ColumnDef[];
  /** Columns it returns: added or replaced when rowwise, the whole result otherwise. */
  readonly columns: readonly ColumnDef[];
  readonly onError: OnBadRow;
}
export interface InferStep {
  readonly kind: 'infer';
  readonly id: string;
  readonly model: BlobRef;
  /** External data files beside the model, by the name the model gives them. */
  readonly externalData: readonly BlobRef[];
  readonly inputs: readonly TensorInput[];
  readonly outputs: readonly TensorOutput[];
  readonly device: Device;
  readonly batchSize: number | 'auto';
  readonly onNull: 'fail' | 'deadLetter' | 'null';
  readonly onError: OnBadRow;
}
export interface ExpectCheck {
  readonly name: string;
  /** Closed boolean expression; a row passes when it is true (NULL fails). */
  readonly predicate: string;
  /** Closed text expression: what to show of a row that does not pass; absent, all its columns. */
  readonly example?: string;
  readonly action: 'fail' | 'warn' | 'deadLetter';
}
export interface ExpectStep {
  readonly kind: 'expect';
  readonly id: string;
  readonly checks: readonly ExpectCheck[];
}
export type ProgramStep = FilterStep | SelectStep | SqlStep | MapStep | InferStep | ExpectStep;

export type Compression = 'snappy' | 'zstd' | 'gzip' | 'lz4' | 'uncompressed';

/**
 * How rows are dealt out to the partitions of an exchange. Expressions read the columns that enter
 * the sink, with the types they have there.
 */
export type Division =
  | {
      readonly kind: 'hash';
      readonly partitions: number;
      readonly keys: readonly string[];
    }
  | {
      readonly kind: 'range';
      readonly keys: readonly {
        readonly expr: string;
        /** As DuckDB's `create_sort_key` takes it, such as `DESC NULLS LAST`. */
        readonly order: string;
      }[];
      /** Ascending sort keys (hex): partition k holds the keys from bounds[k - 1] up to bounds[k]. */
      readonly bounds: readonly string[];
    };

export interface SinkProgram {
  /** Final columns in order, with the types that land in Parquet. */
  readonly columns: readonly ColumnDef[];
  readonly compression: Compression;
  /** Rows; absent leaves DuckDB's default. */
  readonly rowGroupSize?: number;
  /** Non-empty: one file for each combination of values (hive layout). */
  readonly partitionBy: readonly string[];
  /** Of a stage that rewrites chunks: a chunk becomes several files of about so many bytes. */
  readonly fileBytes?: number;
  /** The rows go to an exchange: one divided file a chunk. Then `partitionBy` is empty. */
  readonly divide?: Division;
  /** The files are read by later stages of the job alone, and not waited for until they are on disk. */
  readonly expendable?: boolean;
}

/** Rows that a stage's query reads under one name: of sources' files, or of earlier stages. */
export interface QueryLeaf {
  readonly leaf: string;
  /** Columns of the files, with the types that the query expects; nothing else is decoded. */
  readonly columns: readonly ColumnDef[];
  /** Columns that come from the path; absent where there are none. */
  readonly hive?: readonly ColumnDef[];
  /** Its rows count as the chunk's own; those of other leaves are read whole by every chunk. */
  readonly driving: boolean;
  /** What users call columns that files have under other names: for messages alone. */
  readonly shown?: Readonly<Record<string, string>>;
}

/** What a chunk of a wide stage computes first, from all that it reads. */
export interface StageQuery {
  /** One closed select over its leaves, each a table of that name (quoted). */
  readonly sql: string;
  readonly leaves: readonly QueryLeaf[];
  /** Its result, with the types that it has before they land in Parquet. */
  readonly columns: readonly ColumnDef[];
  /** What users call columns that the SQL has under other names: for messages alone. */
  readonly shown?: Readonly<Record<string, string>>;
}

/** What an attempt runs on each of its chunks. Sent once to each worker, by digest. */
export interface StageProgram {
  /** The chunk's rows are this query's; then `scan` is not looked at, and no row has a number. */
  readonly query?: StageQuery;
  readonly scan: {
    readonly kind: 'source' | 'chunks' | 'empty';
    /** File columns to read; nothing else is decoded. */
    readonly columns: readonly ColumnDef[];
    /** Columns that come from the path. */
    readonly hive: readonly ColumnDef[];
  };
  readonly steps: readonly ProgramStep[];
  readonly sink: SinkProgram;
  /** True when `in = out + filtered + dead` must hold for this stage. */
  readonly rowwise: boolean;
}

/**
 * A program that a stage had before a function or model was mended. The chunks that stay as it made
 * them keep the identity that this gave them, and are done again by it should they get lost.
 */
export interface EarlierProgram {
  readonly program: StageProgram;
  /** As `StagePlan.digest`. */
  readonly digest: string;
  /** Chunks [from, to), ascending; where there are none, all that it made is out of date. */
  readonly chunks: readonly (readonly [from: number, to: number])[];
}

export interface StagePlan {
  readonly id: StageId;
  readonly input: SourceInput | StageInput | QueryInput | ExchangeInput | EmptyInput;
  /** Steps of the spec that a query stands for, of all its stages. */
  readonly standsFor?: readonly string[];
  /** Of a stage that a query needs before its own: whose it is, and what it does there. */
  readonly part?: {
    readonly of: StageId;
    readonly key: string;
    /** Its rows are read by the planner: they say where to cut ranges. */
    readonly bounds?: boolean;
  };
  readonly program: StageProgram;
  /** SHA-256 (hex) of what the program contributes to each chunk's identity. */
  readonly digest: string;
  /** Of a stage over a source; the newest comes first. No chunk is of two of them. */
  readonly earlier?: readonly EarlierProgram[];
  /** False: chunks are of one run alone (their identities are salted with `constants.jobId`). */
  readonly deterministic: boolean;
  /** First chunk of each task, from 0 on; none until known. All chunks of a task have one program. */
  readonly taskStarts: readonly number[];
  readonly pool: string;
  /** Devices a worker must have. */
  readonly devices: readonly Device[];
  /** Rows of sources that enter chunk by chunk, from footers; of a query all that it scans. */
  readonly rows: number;
}

export type OutputMode = 'error' | 'append' | 'overwrite' | 'overwritePartitions';

export interface OutputPlan {
  readonly name: string;
  /** Absolute directory. */
  readonly path: string;
  readonly mode: OutputMode;
  /** The stage whose files are published here. */
  readonly stage: StageId;
  readonly columns: readonly ColumnDef[];
  readonly partitionBy: readonly string[];
  /** Rewrites towards this size where set (bytes). */
  readonly targetFileSize?: number;
  /** Absolute directory for the dead letters of rows that would have landed here. */
  readonly deadLetterPath: string;
  /** SHA-256 (hex) over layout and every chunk identity below it: equal means nothing to do. */
  readonly identity: string;
  /** Those of jobs that are done again: what they put there goes. */
  readonly replaces?: readonly string[];
  readonly origin?: Origin;
  /** The rows of its files follow one another: their names do, too. */
  readonly ordered?: boolean;
  /** `expect` row counts checked before commit. */
  readonly rowCounts: readonly {
    readonly step: string;
    readonly min?: number;
    readonly max?: number;
    readonly action: 'fail' | 'warn';
  }[];
}

/** Something the planner chose, for `explain` and the job's events. */
export interface PlanNote {
  readonly kind:
    | 'pruned'
    | 'pushdown'
    | 'device'
    | 'nondeterministic'
    | 'fused'
    | 'rewrite'
    | 'exchange'
    | 'earlier'
    | 'warning';
  readonly step?: string;
  readonly text: string;
}

export interface JobPlan {
  readonly format: 1;
  readonly stages: readonly StagePlan[];
  /** Files of the sources that queries read, by the source's name. */
  readonly sources?: Readonly<Record<string, readonly InputFile[]>>;
  readonly outputs: readonly OutputPlan[];
  readonly notes: readonly PlanNote[];
  /** Directory where chunks of this job live (absolute). */
  readonly chunkLocation: string;
  /** Where the rows between a query's stages lie (absolute); absent: with the workers that wrote them. */
  readonly shuffleLocation?: string;
  /** How long chunks that nobody uses stay (`checkpoints.keep`), milliseconds. */
  readonly chunkKeepMs: number;
  readonly deadLetters: { readonly maxRows?: number; readonly maxFraction?: number };
  readonly constants: JobConstants;
}

/**
 * Salt of what non-deterministic stages make, and the value of `now()`, milliseconds since 1970. A
 * retry has those of the job that it retries.
 */
export interface JobConstants {
  readonly jobId: JobId;
  readonly nowMs: number;
}

/** Rows and bytes of one finished chunk. */
export interface ChunkCounts {
  readonly rowsIn: number;
  readonly rowsOut: number;
  readonly filtered: number;
  readonly dead: number;
  /** Rows that went through a model in this chunk. */
  readonly inferred: number;
  /** Failed checks with action `warn`, by `step.check`. */
  readonly warnings: Readonly<Record<string, number>>;
}

/** Rows of one partition in a divided file: they follow those of the partitions before it. */
export interface ChunkPart {
  readonly partition: number;
  readonly rows: number;
}

/** Bytes of a divided file that are read together: a row group, or all that comes after the last. */
export interface FileBlock {
  readonly offset: number;
  readonly bytes: number;
  /** 0 behind the row groups. */
  readonly rows: number;
  /** Of these bytes. */
  readonly crc32: number;
}

/** Where the partitions of an exchange lie in a file: its rows are in the order of theirs. */
export interface Divided {
  /** Partitions with rows, ascending. */
  readonly parts: readonly ChunkPart[];
  /** All bytes of the file, in order. */
  readonly blocks: readonly FileBlock[];
}

export interface ChunkFile {
  /** Absolute path of the file as it lies now. */
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  /** Of its bytes; of a divided file, of its blocks' checksums. */
  readonly sha256: string;
  /** Hive values of this file when the sink partitions; empty otherwise. */
  readonly partition: readonly { readonly column: string; readonly value: string | null }[];
  readonly divided?: Divided;
}

/** A finished chunk: what ChunkDone reports, the index stores and reuse verifies. */
export interface ChunkRecord {
  readonly identity: string;
  readonly files: readonly ChunkFile[];
  readonly counts: ChunkCounts;
  readonly deadLetters?: ChunkFile;
}
