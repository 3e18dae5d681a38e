/**
 * From finished chunks to manifests: what will lie in each output when the commit is done. Pure.
 * Never: a time, an epoch or a worker's name in a manifest; equal inputs give equal bytes.
 */
import type { ChunkFile, ChunkRecord, JobPlan, OutputPlan } from '../../shared/plan.js';
import type { Manifest, ManifestFile } from '../../shared/manifest.js';
import { partitionOf, publishedName } from '../../shared/storage/paths.js';
import type { RowTotals } from '../../shared/views.js';
import { outputTotals, stagesBehind, type RecordsByStage } from './books.js';

export interface NamedFile {
  /** Below the output, `/`-separated. */
  readonly name: string;
  readonly file: ChunkFile;
}

/** Names of one chunk's files; they derive from the record alone, wherever the files lie. */
export function namedFiles(record: ChunkRecord): NamedFile[] {
  const seen = new Map<string, number>();
  return record.files.map((file) => {
    const first = publishedName(record.identity, file.partition);
    const copy = seen.get(first) ?? 0;
    seen.set(first, copy + 1);
    return {
      name: copy === 0 ? first : publishedName(record.identity, file.partition, copy),
      file,
    };
  });
}

/** Dead letters are never partitioned. */
export function deadLetterName(record: ChunkRecord): string {
  return publishedName(record.identity, []);
}

/**
 * @param job the job's name (ids differ between equal runs)
 * @param previous the manifest that lies in the output, where `append` and `overwritePartitions`
 *   keep what it names
 */
export function freezeOutput(
  job: string,
  plan: JobPlan,
  output: OutputPlan,
  records: RecordsByStage,
  previous: Manifest | undefined,
): Manifest {
  const files = publishedFiles(records.get(output.stage) ?? []);
  const deadLetters = stagesBehind(plan, output).flatMap((stage) =>
    (records.get(stage.id) ?? []).flatMap((record) =>
      record.deadLetters && record.deadLetters.rows > 0
        ? [entry(record, deadLetterName(record), record.deadLetters)]
        : [],
    ),
  );
  return {
    format: 1,
    job,
    identity: output.identity,
    columns: output.columns,
    partitionBy: output.partitionBy,
    rows: outputTotals(plan, output, records),
    files: [...kept(output, previous, files), ...files],
    deadLetters: [...keptDeadLetters(output, previous, deadLetters), ...deadLetters],
  };
}

/** Rows of the files themselves; differs from `manifest.rows.out` where older files were kept. */
export function manifestRows(manifest: Manifest): number {
  return manifest.files.reduce((sum, { rows }) => sum + rows, 0);
}

export function addTotals(all: readonly RowTotals[]): RowTotals {
  return {
    in: all.reduce((sum, rows) => sum + rows.in, 0),
    out: all.reduce((sum, rows) => sum + rows.out, 0),
    filtered: all.reduce((sum, rows) => sum + rows.filtered, 0),
    deadLettered: all.reduce((sum, rows) => sum + rows.deadLettered, 0),
  };
}

/** Files without rows are left out, unless there are no others: one then carries the schema. */
function publishedFiles(records: readonly ChunkRecord[]): ManifestFile[] {
  const all = records.flatMap((record) =>
    namedFiles(record).map(({ name, file }) => entry(record, name, file)),
  );
  const filled = all.filter(({ rows }) => rows > 0);
  return filled.length > 0 ? filled : all.slice(0, 1);
}

function entry(record: ChunkRecord, name: string, file: ChunkFile): ManifestFile {
  const { rows, bytes, sha256 } = file;
  return { name, rows, bytes, sha256, chunk: record.identity };
}

function kept(
  output: OutputPlan,
  previous: Manifest | undefined,
  files: readonly ManifestFile[],
): ManifestFile[] {
  switch (output.mode) {
    case 'error':
    case 'overwrite':
      return [];
    case 'append':
      return without(previous?.files ?? [], files);
    case 'overwritePartitions': {
      const touched = new Set(files.map(({ name }) => partitionOf(name)));
      return (previous?.files ?? []).filter(({ name }) => !touched.has(partitionOf(name)));
    }
  }
}

function keptDeadLetters(
  output: OutputPlan,
  previous: Manifest | undefined,
  deadLetters: readonly ManifestFile[],
): ManifestFile[] {
  // Nobody can say which partition a dead row would have landed in, so older ones stay.
  const keeps = output.mode === 'append' || output.mode === 'overwritePartitions';
  return keeps ? without(previous?.deadLetters ?? [], deadLetters) : [];
}

function without(
  previous: readonly ManifestFile[],
  files: readonly ManifestFile[],
): ManifestFile[] {
  const names = new Set(files.map(({ name }) => name));
  return previous.filter(({ name }) => !names.has(name));
}
