/**
 * Which files the rows of an output are of, and how they are made. Chunks are known by all that their
 * bytes depend on, the versions of the libraries among it: after an upgrade the same rows have other
 * names, and by this they are known again. Pure.
 */
import { canonicalJson, fileIdentity, sha256Hex } from '../../shared/chunk-identity.js';
import type { JobSpec, OutputSpec } from '../../shared/job-spec.js';
import type { Origin } from '../../shared/manifest.js';
import type { InputFile, StagePlan } from '../../shared/plan.js';
import type { Facts } from './facts.js';

/**
 * Undefined where no row is of one file: a result of many inputs is another one as soon as one of
 * them is.
 * @param behind the stages that the output stands on, from its source's to its own
 */
export function originOf(
  spec: JobSpec,
  output: OutputSpec,
  behind: readonly StagePlan[],
  { windrow, duckdb, onnxruntime }: Facts['versions'],
): Origin | undefined {
  const input = behind[0]?.input;
  if (input?.kind !== 'source') return undefined;
  const text = JSON.stringify(spec.steps);
  const used = Object.entries(spec.params).filter(([name]) => text.includes(`$${name}`));
  const models = behind.flatMap(({ program }) =>
    program.steps.flatMap((step) =>
      step.kind === 'infer' ? [step.model, ...step.externalData].map(({ digest }) => digest) : [],
    ),
  );
  const { parquet: _, mode: __, ...asked } = output;
  const read = input.files.filter(hasRows);
  return {
    work: sha256Hex(canonicalJson([spec.steps, used, models, asked])),
    program: sha256Hex(canonicalJson(behind.map(({ digest }) => digest))),
    engine: `windrow ${windrow}, duckdb ${duckdb}, onnxruntime ${onnxruntime}`,
    sources: read.map((file) => short(fileIdentity(file))),
    contents: read.map(({ bytes, footerHash }) =>
      short(sha256Hex(canonicalJson([bytes, footerHash]))),
    ),
  };
}

/** Of row groups that are not ruled out. */
function hasRows({ rowGroupRows, prunedRowGroups }: InputFile): boolean {
  return rowGroupRows.some((rows, group) => rows > 0 && !prunedRowGroups.includes(group));
}

/** There may be many. */
const short = (digest: string): string => digest.slice(0, 32);
