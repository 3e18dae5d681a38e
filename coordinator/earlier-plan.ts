/**
 * A plan some of whose chunks stay as earlier programs of the same spec made them: which programs
 * those can be, and what becomes of the plan. Pure.
 */
import { canonicalJson, sha256Hex } from '../shared/chunk-identity.js';
import type { StageId } from '../shared/ids.js';
import type { EarlierProgram, JobPlan, OutputPlan, PlanNote, StagePlan } from '../shared/plan.js';
import { stagesBehind } from './commit/books.js';
import { stageDigest } from './planner/splits.js';

/** A program that a stage would have with files of before. */
export interface EarlierStage extends Pick<StagePlan, 'program' | 'digest'> {
  /** Of the plan that it is from. */
  readonly plan: number;
  /** Whether its chunks can stand beside those of the stage: the same columns, made at the same place. */
  readonly fits: boolean;
}

/**
 * Other programs of a stage whose chunks are known by what they are, each once.
 * @param before plans of the same spec with files of before, the newest first
 */
export function earlierStages(stage: StagePlan, before: readonly JobPlan[]): EarlierStage[] {
  if (!isSourceBound(stage)) return [];
  const found = new Map<string, EarlierStage>();
  before.forEach(({ stages, constants }, plan) => {
    const then = stages.find(({ id }) => id === stage.id);
    if (!then || !isSourceBound(then) || then.digest === stage.digest) return;
    const { program } = then;
    const digest = stageDigest(then, constants.jobId);
    if (found.has(digest)) return;
    found.set(digest, { program, digest, plan, fits: shapeOf(then) === shapeOf(stage) });
  });
  return [...found.values()];
}

/**
 * Whether rows of earlier programs would stay in an output beside their new ones, as nobody can tell
 * there by the names of chunks which they are.
 */
export function isInDoubt(plan: JobPlan, output: OutputPlan, before: readonly JobPlan[]): boolean {
  const stages = stagesBehind(plan, output);
  const changed = stages.filter((stage) => before.some((then) => !has(then, stage)));
  const rewrites = stages.find(({ id }) => id === output.stage)?.input.kind !== 'source';
  // Which chunks are rewritten together goes by their sizes.
  if (output.mode === 'append' && rewrites) return true;
  return !changed.every(isSourceBound);
}

/**
 * The plan with these programs: identities of the outputs tell what they are made of, and no task
 * has chunks of two programs.
 * @param counts chunks of each of these stages
 */
export function withEarlier(
  plan: JobPlan,
  programs: ReadonlyMap<StageId, readonly EarlierProgram[]>,
  counts: ReadonlyMap<StageId, number>,
  notes: readonly PlanNote[],
): JobPlan {
  const stages = plan.stages.map((stage): StagePlan => {
    const earlier = programs.get(stage.id);
    if (!earlier || earlier.length === 0) return stage;
    const borders = earlier.flatMap(({ chunks }) => chunks.flat());
    const starts = [...new Set([...stage.taskStarts, ...borders])]
      .filter((start) => start < (counts.get(stage.id) ?? 0))
      .sort((a, b) => a - b);
    return { ...stage, earlier, taskStarts: starts };
  });
  const mixed = { ...plan, stages, notes: [...plan.notes, ...notes] };
  const outputs = plan.outputs.map((output) => {
    const kept = stagesBehind(mixed, output).flatMap(({ id, earlier = [] }) =>
      earlier.flatMap(({ digest, chunks }) => (chunks.length > 0 ? [[id, digest, chunks]] : [])),
    );
    if (kept.length === 0) return output;
    const mix = (own: string): string => sha256Hex(canonicalJson([own, kept]));
    const { origin } = output;
    return {
      ...output,
      identity: mix(output.identity),
      ...(origin ? { origin: { ...origin, program: mix(origin.program) } } : {}),
    };
  });
  return { ...mixed, outputs };
}

/** Numbers, ascending, as ranges [from, to). */
export function rangesOf(numbers: readonly number[]): (readonly [number, number])[] {
  const ranges: [number, number][] = [];
  for (const number of numbers) {
    const last = ranges.at(-1);
    if (last?.[1] === number) last[1] = number + 1;
    else ranges.push([number, number + 1]);
  }
  return ranges;
}

function isSourceBound({ input }: StagePlan): boolean {
  return input.kind === 'source';
}

function has({ stages }: JobPlan, { id, digest }: StagePlan): boolean {
  return stages.some((stage) => stage.id === id && stage.digest === digest);
}

/** What chunks have in common that are published or read together, and done by the same workers. */
function shapeOf({ program: { sink, rowwise }, devices, pool }: StagePlan): string {
  return canonicalJson([sink, rowwise, devices, pool]);
}
