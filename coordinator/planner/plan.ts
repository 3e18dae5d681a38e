/** From a spec and facts to the physical plan. Pure: equal arguments, equal plan. */
import { parseDurationMs } from '../../shared/duration.js';
import { canonicalJson, fileIdentity, sha256Hex } from '../../shared/chunk-identity.js';
import { fail } from '../../shared/failure.js';
import type { JobId } from '../../shared/ids.js';
import type { JobSpec, OutputSpec } from '../../shared/job-spec.js';
import { limits } from '../../shared/limits.js';
import type {
  ColumnDef,
  InputFile,
  JobConstants,
  JobPlan,
  OutputPlan,
  StagePlan,
} from '../../shared/plan.js';
import { nameHint } from '../../shared/spec-problems.js';
import { draftStages } from './drafts.js';
import type { Facts } from './facts.js';
import { stagesRead } from './exchange-chunks.js';
import { originOf } from './origin.js';
import { chainsOf, type Chain, type ChainEnd } from './logical.js';
import { stageDigest } from './splits.js';
import { planStages, rewritesChunks, targetBytes } from './stages.js';

export interface PlanOptions extends JobConstants {
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
  for (const { end, columns } of chains) {
    if (end.kind === 'output') checkPartitions(spec.outputs[end.output]!, columns);
  }
  const drafts = draftStages(
    chains,
    [...facts.queries.values()],
    ({ end }) => end.kind === 'output' && rewritesChunks(spec.outputs[end.output]!),
  );
  const planned = planStages(spec, drafts, facts, options.slots);
  const byId = new Map<string, StagePlan>(planned.stages.map((stage) => [stage.id, stage]));
  const sources = Object.fromEntries(planned.sources);
  const outputs = chains.flatMap((chain): OutputPlan[] => {
    const { end } = chain;
    if (end.kind !== 'output') return [];
    const stage = byId.get(planned.finals.get(end.output)!)!;
    const identity = stageIdentity(stage, { stages: byId, sources, salt: options.jobId });
    const plan = outputPlan(spec, end, stage, { identity, ordered: keepsOrder(chain) });
    const behind = straight(stage, byId);
    const origin = originOf(spec, spec.outputs[end.output]!, behind, facts.versions);
    return [origin ? { ...plan, origin } : plan];
  });
  return {
    plan: {
      format: 1,
      stages: planned.stages,
      ...(planned.sources.size > 0 ? { sources } : {}),
      outputs,
      notes: [...facts.notes, ...planned.notes],
      chunkKeepMs: parseDurationMs(spec.checkpoints.keep),
      chunkLocation:
        spec.checkpoints.location ?? `${withoutSlash(spec.outputs[0]!.parquet)}/_windrow/chunks`,
      ...(spec.shuffle.location === undefined ? {} : { shuffleLocation: spec.shuffle.location }),
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

/** A stage and those below it, down to the first that reads more than one or a source. */
function straight(stage: StagePlan, stages: ReadonlyMap<string, StagePlan>): readonly StagePlan[] {
  const { input } = stage;
  const below = input.kind === 'stage' ? straight(stages.get(input.stage)!, stages) : [];
  return [...below, stage];
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

/** Whether the rows come in the order that a query gave them: functions over batches may change it. */
function keepsOrder({ origin, operators }: Chain): boolean {
  if (origin.kind !== 'query' || !origin.query.sorted) return false;
  return operators.every((operator) => operator.kind !== 'map' || operator.step.rowwise);
}

function outputPlan(
  spec: JobSpec,
  { output: index, rowCounts }: Extract<ChainEnd, { kind: 'output' }>,
  stage: StagePlan,
  { identity, ordered }: { readonly identity: string; readonly ordered: boolean },
): OutputPlan {
  const output = spec.outputs[index]!;
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
    identity: sha256Hex(canonicalJson([layout, identity])),
    ...(ordered ? { ordered } : {}),
    rowCounts,
  };
}

/**
 * Stands for the identities of all chunks of a stage: it covers what they are made from (program,
 * files, row groups, cuts), and costs one hash a file instead of one a chunk.
 */
function stageIdentity(stage: StagePlan, facts: IdentityFacts): string {
  const digest = stageDigest(stage, facts.salt);
  const { input } = stage;
  const of = (...parts: unknown[]): string => sha256Hex(canonicalJson([digest, ...parts]));
  switch (input.kind) {
    case 'source':
      return of(
        cuts,
        input.files.map((file) => [fileIdentity(file), file.prunedRowGroups]),
      );
    case 'empty':
      return of(input.chunks);
    default: {
      const read = stagesRead(stage).map((id) => stageIdentity(facts.stages.get(id)!, facts));
      if (input.kind === 'stage') return of(...read);
      const files = Object.entries(input.kind === 'query' ? input.tables : {}).map(
        ([name, table]) =>
          table.kind === 'source' ? [name, facts.sources[table.source]!.map(fileIdentity)] : [name],
      );
      return of(cuts, files, read);
    }
  }
}

/** What cuts files into chunks. */
const cuts = [limits.chunkRowsWhole, limits.chunkRowsCut];

interface IdentityFacts {
  readonly stages: ReadonlyMap<string, StagePlan>;
  readonly sources: Readonly<Record<string, readonly InputFile[]>>;
  readonly salt: JobId;
}

function withoutSlash(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}
