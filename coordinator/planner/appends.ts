/**
 * What a job adds to an output that keeps what lies there: rows of which files, made how. Chunks are
 * known by all that their bytes depend on, the versions of the libraries among it: after an upgrade
 * the same rows have other names, and by this they are known again. Pure.
 */
import { canonicalJson, fileIdentity, sha256Hex } from '../../shared/chunk-identity.js';
import type { JobSpec, OutputSpec } from '../../shared/job-spec.js';
import type { Appends } from '../../shared/manifest.js';
import type { StagePlan } from '../../shared/plan.js';
import type { Facts } from './facts.js';

/**
 * Undefined where no row is of one file: a result of many inputs is added whole whenever one of them
 * is another.
 * @param behind the stages that the output stands on, from its source's to its own
 */
export function appendsOf(
  spec: JobSpec,
  output: OutputSpec,
  behind: readonly StagePlan[],
  { windrow, duckdb, onnxruntime }: Facts['versions'],
): Appends | undefined {
  const input = behind[0]?.input;
  if (output.mode !== 'append' || input?.kind !== 'source') return undefined;
  const text = JSON.stringify(spec.steps);
  const used = Object.entries(spec.params).filter(([name]) => text.includes(`$${name}`));
  const models = behind.flatMap(({ program }) =>
    program.steps.flatMap((step) =>
      step.kind === 'infer' ? [step.model, ...step.externalData].map(({ digest }) => digest) : [],
    ),
  );
  const { parquet: _, ...asked } = output;
  return {
    work: sha256Hex(canonicalJson([spec.steps, used, models, asked])),
    program: sha256Hex(canonicalJson(behind.map(({ digest }) => digest))),
    engine: `windrow ${windrow}, duckdb ${duckdb}, onnxruntime ${onnxruntime}`,
    sources: input.files.map(fileIdentity),
  };
}
