/**
 * From finished chunks to manifests: what will lie in each output when the commit is done. Pure.
 * Never: a time, an epoch or a worker's name in a manifest; equal inputs give equal bytes.
 */
import type { JobPlan, OutputPlan } from '../../shared/plan.js';
import type { Manifest, ManifestFile } from '../../shared/manifest.js';
import { partitionOf } from '../../shared/storage/paths.js';
import type { RowTotals } from '../../shared/views.js';
import { outputTotals, stagesBehind } from './books.js';
import type { Ledgers } from './ledger.js';
import { originsWith, redoneRuns } from './origins.js';

/**
 * @param job the job's name (ids differ between equal runs)
 * @param previous the manifest that lies in the output, where `append` and `overwritePartitions`
 *   keep what it names; `kept` counts those files, which come first
 */
export function freezeOutput(
  job: string,
  plan: JobPlan,
  output: OutputPlan,
  ledgers: Ledgers,
  previous: Manifest | undefined,
): { readonly manifest: Manifest; readonly kept: number } {
  const files = ledgers.get(output.stage)?.files ?? [];
  const behind = stagesBehind(plan, output).flatMap(({ id }) => ledgers.get(id) ?? []);
  const deadLetters = behind.flatMap((ledger) => ledger.deadLetters);
  const others = (found: readonly ManifestFile[] = []): readonly ManifestFile[] =>
    found.filter(
      ({ chunk, by }) =>
        !behind.some(({ redone }) => redone.has(chunk)) &&
        !(by !== undefined && output.replaces?.includes(by)),
    );
  const named = (found: readonly ManifestFile[]): readonly ManifestFile[] =>
    keepsOthers(output) ? found.map((file) => ({ ...file, by: output.identity })) : found;
  const staying = kept(output, others(previous?.files), files);
  const lettersStaying = keptDeadLetters(
    output,
    others(previous?.deadLetters),
    deadLetters,
    previous,
  );
  const origins = originsWith(output, previous?.origins, [...staying, ...lettersStaying]);
  const manifest: Manifest = {
    format: 1,
    job,
    identity: output.identity,
    columns: output.columns,
    partitionBy: output.partitionBy,
    rows: outputTotals(plan, output, ledgers),
    files: [...staying, ...named(files)],
    deadLetters: [...lettersStaying, ...named(deadLetters)],
    ...(origins.length > 0 ? { origins } : {}),
  };
  return { manifest, kept: staying.length };
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

function kept(
  output: OutputPlan,
  previous: readonly ManifestFile[],
  files: readonly ManifestFile[],
): ManifestFile[] {
  switch (output.mode) {
    case 'error':
    case 'overwrite':
      return [];
    case 'append':
      return without(previous, files);
    case 'overwritePartitions': {
      const touched = new Set(files.map(({ name }) => partitionOf(name)));
      return previous.filter(({ name }) => !touched.has(partitionOf(name)));
    }
  }
}

function keptDeadLetters(
  output: OutputPlan,
  previous: readonly ManifestFile[],
  deadLetters: readonly ManifestFile[],
  manifest: Manifest | undefined,
): ManifestFile[] {
  if (!keepsOthers(output)) return [];
  const staying = without(previous, deadLetters);
  if (output.mode === 'append') return staying;
  // Nobody can say which partition a dead row would have landed in, so older ones stay; but what this
  // job has read again it has judged again, and chunks that are rewritten have other names each time.
  const redone = redoneRuns(output, manifest?.origins);
  return staying.filter(({ by }) => by === undefined || !redone.has(by));
}

/** Whether an output shows more than what its last job put there. */
export function keepsOthers({ mode }: Pick<OutputPlan, 'mode'>): boolean {
  return mode === 'append' || mode === 'overwritePartitions';
}

function without(
  previous: readonly ManifestFile[],
  files: readonly ManifestFile[],
): ManifestFile[] {
  const names = new Set(files.map(({ name }) => name));
  return previous.filter(({ name }) => !names.has(name));
}
