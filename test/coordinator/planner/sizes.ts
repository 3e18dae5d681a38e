/** Sources and results of stages, made up for tests of how queries are laid out. */
import type { StageResult } from '../../../coordinator/planner/stage-layout.js';
import { stageId, type StageId } from '../../../shared/ids.js';
import type { InputFile } from '../../../shared/plan.js';

export const mega = 1024 * 1024;

/** @param rowGroupRows rows of each row group */
export function fileOf(path: string, rowGroupRows: readonly number[], bytes = 1000): InputFile {
  return {
    path,
    bytes,
    mtimeMs: 1,
    footerHash: `footer of ${path}`,
    rowGroupRows,
    prunedRowGroups: [],
    hive: {},
    missingColumns: [],
  };
}

/** @param bytes of each chunk; with `partitions` spread evenly over them */
export function resultOf(bytes: readonly number[], partitions = 0): StageResult {
  const spread = (size: number): StageResult['chunks'][number]['parts'] =>
    Array.from({ length: partitions }, (_, partition) => ({ partition, bytes: size / partitions }));
  return {
    rows: bytes.length * 100,
    bytes: bytes.reduce((sum, size) => sum + size, 0),
    partitions,
    chunks: bytes.map((size) => ({ bytes: size, parts: spread(size) })),
  };
}

export function lookup(
  results: Readonly<Record<string, StageResult>>,
): (stage: StageId) => StageResult {
  return (stage) => {
    const found = results[stage];
    if (!found) throw new Error(`nobody has run ${stage}`);
    return found;
  };
}

export const ids = (...names: readonly string[]): StageId[] => names.map(stageId);
