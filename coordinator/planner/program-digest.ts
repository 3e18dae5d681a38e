/** What a stage's program contributes to the identities of its chunks. Pure. */
import { canonicalJson, chunkFormat, sha256Hex } from '../../shared/chunk-identity.js';
import type { BlobRef, QueryInput, StageProgram } from '../../shared/plan.js';

/**
 * Everything a chunk's bytes depend on besides its rows; not where blobs lie, nor batch sizes, nor
 * what messages call columns.
 */
export function programDigest(program: StageProgram, versions: QueryInput['versions']): string {
  const steps = program.steps.map((step) => {
    if (step.kind === 'map') return { ...step, bundle: step.bundle.digest };
    if (step.kind !== 'infer') return step;
    const { batchSize: _, ...rest } = step;
    return { ...rest, model: step.model.digest, externalData: step.externalData.map(named) };
  });
  const { shown: _, ...asked } = program.query ?? {};
  const query = program.query && {
    ...asked,
    leaves: program.query.leaves.map(({ shown: _, ...leaf }) => leaf),
  };
  const infers = program.steps.some((step) => step.kind === 'infer');
  return sha256Hex(
    canonicalJson({
      chunkFormat,
      program: { ...program, ...(query ? { query } : {}), steps },
      duckdb: versions.duckdb,
      ...(infers ? { onnxruntime: versions.onnxruntime } : {}),
    }),
  );
}

function named(blob: BlobRef): [string, string] {
  return [blob.name, blob.digest];
}
