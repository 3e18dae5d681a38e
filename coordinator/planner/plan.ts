/** From a spec and facts to the physical plan. Pure: equal arguments, equal plan. */
import { parseDurationMs } from '../../shared/duration.js';
import { canonicalJson, fileIdentity, sha256Hex } from '../../shared/chunk-identity.js';
import { fail } from '../../shared/failure.js';
import type { JobId } from '../../shared/ids.js';
import type { JobSpec, OutputSpec } from '../../shared/job-spec.js';
import { limits } from '../../shared/limits.js';
import type { ColumnDef, JobPlan, OutputPlan, StagePlan } from '../../shared/plan.js';
import { nameHint } from '../../shared/spec-problems.js';
import { draftStages } from './drafts.js';
import type { Facts } from './facts.js';
import { chainsOf, type Chain } from './logical.js';
import { stageDigest } from './splits.js';
import { planStages, rewritesChunks, targetBytes } from './stages.js';

export interface PlanOptions {
  readonly jobId: JobId;
  readonly nowMs: number;
  /** Tasks that can run at once, as far as is known now. */
  readonly slots: number;
}

export interface Planned {
  readonly plan: JobPlan;
  /** Rows of all sources, pruned ones included; a source that two stages scan counts twice. */
  readonly rowsTotal: number;
  readonly rowsPruned: number;
}

/** @throws WindrowError E_UNKNOWN_COLUMN, E_TYPE_UNSUPPORTED, E_SPEC_INVALID */
export function plan(spec: JobSpec, facts: Facts, options: PlanOptions): Planned {
  const chains = chainsOf(spec, facts);
  for (const chain of chains) checkPartitions(spec.outputs[chain.output]!, chain.columns);
  const drafts = draftStages(chains, (chain) => rewritesChunks(spec.outputs[chain.output]!));
  const planned = planStages(spec, drafts, facts, options.slots);
  const byId = new Map<string, StagePlan>(planned.stages.map((stage) => [stage.id, stage]));
  const outputs = chains.map((chain): OutputPlan => {
    const stage = byId.get(planned.finals.get(chain.output)!)!;
    return outputPlan(spec, chain, stage, byId, options.jobId);
  });
  return {
    plan: {
      format: 1,
      stages: planned.stages,
      outputs,
      notes: [...facts.notes, ...planned.notes],
      chunkKeepMs: parseDurationMs(spec.checkpoints.keep),
      chunkLocation:
        spec.checkpoints.location ?? `${withoutSlash(spec.outputs[0]!.parquet)}/_windrow/chunks`,
      deadLetters: {
        ...(spec.deadLetters.maxRows === undefined ? {} : { maxRows: spec.deadLetters.maxRows }),
        ...(spec.deadLetters.maxFraction === undefined
          ? {}
          : { maxFraction: spec.deadLetters.maxFraction }),
      },
      constants: { jobId: options.jobId, nowMs: options.nowMs },
    },
    rowsTotal: planned.rowsTotal,
    rowsPruned: planned.rowsPruned,
  };
}

function checkPartitions(output: OutputSpec, columns: readonly ColumnDef[]): void {
  const wanted = output.partitionBy ?? [];
  for (const name of wanted) {
    const column = columns.find((each) => each.name.toLowerCase() === name.toLowerCase());
    if (!column) {
      const names = columns.map((each) => each.name);
      fail('invalidSpec', 'E_UNKNOWN_COLUMN', `output has no column '${name}' to partition by`, {
        at: { step: output.from, column: name },
        hint: nameHint(name, names) ?? 'name a column of the output',
      });
    }
    if (/\[\d*\]$|^(STRUCT|MAP|UNION|BLOB|VARIANT)/.test(column.type)) {
      fail('invalidSpec', 'E_TYPE_UNSUPPORTED', `${column.type} cannot name a directory`, {
        at: { step: output.from, column: column.name },
        hint: 'partition by a number, a date or text',
      });
    }
  }
  if (wanted.length > 0 && wanted.length >= columns.length) {
    fail('invalidSpec', 'E_SPEC_INVALID', 'partitionBy leaves no column for the files', {
      at: { step: output.from },
      hint: 'keep one column at least out of partitionBy',
    });
  }
}

function outputPlan(
  spec: JobSpec,
  chain: Chain,
  stage: StagePlan,
  stages: ReadonlyMap<string, StagePlan>,
  jobId: JobId,
): OutputPlan {
  const output = spec.outputs[chain.output]!;
  const name = output.name ?? output.from;
  const path = withoutSlash(output.parquet);
  const bytes = targetBytes(output);
  const deadLetters = spec.deadLetters.path && withoutSlash(spec.deadLetters.path);
  const several = spec.outputs.length > 1 ? `/${name}` : '';
  const { sink } = stage.program;
  const layout = {
    columns: sink.columns,
    partitionBy: sink.partitionBy,
    targetBytes: bytes ?? null,
  };
  return {
    name,
    path,
    mode: output.mode,
    stage: stage.id,
    columns: sink.columns,
    partitionBy: sink.partitionBy,
    ...(bytes === undefined ? {} : { targetFileSize: bytes }),
    deadLetterPath: deadLetters ? `${deadLetters}${several}` : `${path}.dead`,
    identity: sha256Hex(canonicalJson([layout, stageIdentity(stage, stages, jobId)])),
    rowCounts: chain.rowCounts,
  };
}

/**
 * Stands for the identities of all chunks of a stage: it covers what they are made from (program,
 * files, row groups, cuts), and costs one hash a file instead of one a chunk.
 */
function stageIdentity(
  stage: StagePlan,
  stages: ReadonlyMap<string, StagePlan>,
  jobId: JobId,
): string {
  const digest = stageDigest(stage, jobId);
  if (stage.input.kind === 'source') {
    const files = stage.input.files.map((file) => [fileIdentity(file), file.prunedRowGroups]);
    const cuts = [limits.chunkRowsWhole, limits.chunkRowsCut];
    return sha256Hex(canonicalJson([digest, cuts, files]));
  }
  if (stage.input.kind === 'empty') return sha256Hex(canonicalJson([digest, stage.input.chunks]));
  return sha256Hex(
    canonicalJson([digest, stageIdentity(stages.get(stage.input.stage)!, stages, jobId)]),
  );
}

function withoutSlash(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}
