/**
 * What a job that is done again leaves as it was, and what it replaces: chunks without dead letters
 * stay as earlier code made them where a function or model was mended since, and outputs lose what the
 * job put there before. Never: starts or forgets anything.
 */
import type { SubmitRequest } from '../shared/gen/windrow.js';
import { fail, WindrowError } from '../shared/failure.js';
import type { StageId } from '../shared/ids.js';
import type { Manifest } from '../shared/manifest.js';
import type {
  EarlierProgram,
  JobConstants,
  JobPlan,
  OutputPlan,
  PlanNote,
  StagePlan,
} from '../shared/plan.js';
import { stagesBehind } from './commit/books.js';
import { keepsOthers } from './commit/freeze.js';
import { isTakenOver } from './commit/origins.js';
import {
  type EarlierStage,
  earlierStages,
  isInDoubt,
  rangesOf,
  withEarlier,
} from './earlier-plan.js';
import { JobChunks } from './job-chunks.js';
import type { Preparation, Prepared } from './preparation.js';
import { keptRecords, type ReuseTools, soundOnes } from './reuse.js';
import { inputsOf, type JobFiles, type RunSoFar } from './stored-spec.js';

export interface EarlierChunksDependencies extends ReuseTools {
  readonly preparation: Pick<Preparation, 'prepare'>;
  /** Until when what is found is kept whatever happens, milliseconds since 1970. */
  readonly keepUntilMs: (plan: JobPlan) => number;
  /** What lies in an output. */
  readonly manifestOf: (output: OutputPlan) => Promise<Manifest | undefined>;
}

export interface WithEarlier {
  readonly prepared: Prepared;
  /** Files that have to be known of from now on; the newest come first. */
  readonly earlier: readonly JobFiles[];
}

interface Unclear {
  readonly output: OutputPlan;
  readonly why: string;
  /** Files are missing that were there when its rows were made. */
  readonly gone: boolean;
}

interface Planned {
  readonly files: JobFiles;
  readonly plan: JobPlan;
}

export class EarlierChunks {
  constructor(private readonly deps: EarlierChunksDependencies) {}

  /**
   * @param earlier files that the job was done with before those of the request, the newest first
   * @param soFar of the run that this is once more
   * @throws WindrowError E_RETRY_OUTPUT
   */
  async keep(
    request: SubmitRequest,
    prepared: Prepared,
    earlier: readonly JobFiles[],
    soFar: RunSoFar | undefined,
    signal: AbortSignal,
  ): Promise<WithEarlier> {
    if (earlier.length === 0 && !soFar) return { prepared, earlier };
    const { plan, unclear } = await this.replacing(prepared.planned.plan, earlier, soFar);
    const notes: PlanNote[] = [];
    const before: Planned[] = [];
    for (const files of earlier) {
      const found = await this.planWith(request, files, plan.constants);
      if (typeof found !== 'string') before.push({ files, plan: found });
      else if (unclear[0]) refuse(unclear[0], found);
      else notes.push(lostNote(found));
      signal.throwIfAborted();
    }
    const plans = before.map((each) => each.plan);
    const doubtful = unclear.find(({ output }) => isInDoubt(plan, output, plans));
    if (doubtful) refuse(doubtful, 'files there are not told by the chunks that they are of');
    const chunks = new JobChunks(prepared.id, { plan });
    const programs = new Map<StageId, readonly EarlierProgram[]>();
    const counts = new Map<StageId, number>();
    const used = new Set<number>();
    for (const stage of plan.stages) {
      const found = earlierStages(stage, plans);
      if (found.length === 0) continue;
      const keeping = unclear.find(({ output }) => stagesBehind(plan, output).includes(stage));
      if (keeping && !(await this.isKnown(chunks, stage.id, found))) {
        refuse(keeping, `no chunk of ${stage.id} is known any more`);
      }
      const kept = await this.chunksKept(chunks, stage, found, signal);
      programs.set(stage.id, kept);
      counts.set(stage.id, chunks.count(stage.id));
      found.forEach((each, at) => kept[at]!.chunks.length > 0 && used.add(each.plan));
      notes.push(keptNote(stage, found, kept, chunks.count(stage.id)));
    }
    // What a later retry has to take away is all that any of them ever made.
    const all = plan.outputs.some(keepsOthers);
    const mixed = withEarlier(plan, programs, counts, notes);
    return {
      prepared: { ...prepared, planned: { ...prepared.planned, plan: mixed } },
      earlier: before.flatMap(({ files }, at) => (all || used.has(at) ? [files] : [])),
    };
  }

  /**
   * Outputs that keep what a job does not replace: what the job that is done again put there goes.
   * Unclear is where manifests do not say what that is, or where rows would go that nobody makes again.
   */
  private async replacing(
    plan: JobPlan,
    earlier: readonly JobFiles[],
    soFar: RunSoFar | undefined,
  ): Promise<{ readonly plan: JobPlan; readonly unclear: readonly Unclear[] }> {
    const inputs = new Set(inputsOf(plan));
    const gone = (soFar?.inputs ?? []).filter((file) => !inputs.has(file)).length;
    const mayBeThere = earlier.length > 0 || soFar?.published === true;
    const unclear: Unclear[] = [];
    const outputs: OutputPlan[] = [];
    for (const output of plan.outputs) {
      const identities = soFar?.identities[output.name] ?? [];
      const there = keepsOthers(output) ? await this.deps.manifestOf(output) : undefined;
      const isNamed = identities.length > 0 && there?.files.every(({ by }) => by !== undefined);
      const replaces = isNamed && gone === 0;
      const why =
        gone > 0 && isNamed
          ? `${gone} of the files that its rows were made of are gone or changed`
          : !isNamed
            ? 'it was published by an earlier version'
            : there && isTakenOver(output, there, identities)
              ? 'another run has published rows of the same files since'
              : undefined;
      if (there && mayBeThere && why !== undefined) unclear.push({ output, why, gone: gone > 0 });
      outputs.push(replaces ? { ...output, replaces: identities } : output);
    }
    return { plan: { ...plan, outputs }, unclear };
  }

  /** The same spec with other files, or why that cannot be planned any more. */
  private async planWith(
    request: SubmitRequest,
    files: JobFiles,
    constants: JobConstants,
  ): Promise<JobPlan | string> {
    try {
      const prepared = await this.deps.preparation.prepare({ ...request, files }, { constants });
      return prepared.planned.plan;
    } catch (error) {
      if (!(error instanceof WindrowError) || error.failure.kind !== 'invalidSpec') throw error;
      return `${error.failure.code}: ${error.failure.message}`;
    }
  }

  /** Whether the index has any chunk of these: another version of DuckDB calls them otherwise. */
  private async isKnown(
    chunks: JobChunks,
    id: StageId,
    found: readonly EarlierStage[],
  ): Promise<boolean> {
    const count = chunks.count(id);
    for (const { digest } of found) {
      const names = Array.from({ length: count }, (_, at) => chunks.identityBy(digest, id, at));
      if ((await this.deps.index.lookup(names)).size > 0) return true;
    }
    return false;
  }

  private async chunksKept(
    chunks: JobChunks,
    { id }: StagePlan,
    found: readonly EarlierStage[],
    signal: AbortSignal,
  ): Promise<EarlierProgram[]> {
    const own = chunks.identities(id);
    const anew = await this.deps.index.lookup(own);
    let open = own.flatMap((identity, chunk) =>
      anew.get(identity)?.counts.dead === 0 ? [] : [chunk],
    );
    const kept: EarlierProgram[] = [];
    for (const { program, digest, fits } of found) {
      const numbers = fits ? await this.without(chunks, id, digest, open, signal) : [];
      kept.push({ program, digest, chunks: rangesOf(numbers) });
      const taken = new Set(numbers);
      open = open.filter((chunk) => !taken.has(chunk));
    }
    return kept;
  }

  /** Which of these chunks are there by a program of this digest, sound and without dead letters. */
  private async without(
    chunks: JobChunks,
    id: StageId,
    digest: string,
    numbers: readonly number[],
    signal: AbortSignal,
  ): Promise<number[]> {
    const identities = numbers.map((chunk) => chunks.identityBy(digest, id, chunk));
    const untilMs = this.deps.keepUntilMs(chunks.plan);
    const known = await keptRecords(this.deps, identities, untilMs);
    const candidates = numbers.flatMap((chunk, at) => {
      const record = known.get(identities[at]!);
      return record?.counts.dead === 0 ? [{ chunk, record }] : [];
    });
    const sound = await soundOnes(this.deps.lost, chunks, id, candidates, signal);
    return candidates.flatMap(({ chunk }, at) => (sound[at] ? [chunk] : []));
  }
}

/** What is said of files that are no use any more. */
function lostNote(why: string): PlanNote {
  return { kind: 'earlier', text: `what earlier code made is done again (${why})` };
}

function keptNote(
  { id }: StagePlan,
  found: readonly EarlierStage[],
  kept: readonly EarlierProgram[],
  count: number,
): PlanNote {
  const ranges = kept.flatMap(({ chunks }) => chunks);
  const staying = ranges.reduce((sum, [from, to]) => sum + to - from, 0);
  const text =
    staying > 0 || found.some(({ fits }) => fits)
      ? `${staying} of ${count} chunks of ${id} stay as earlier code made them, without dead letters`
      : `earlier code gives ${id} other columns or another device, so all its chunks are done again`;
  return { kind: 'earlier', text };
}

function refuse({ output, why: since, gone }: Unclear, why: string): never {
  const hint = gone
    ? 'put the files back as they were, or run the spec with another output'
    : 'retry the newest job of that name, or run the spec with another output';
  const message = `output ${output.name} keeps what is not replaced, and ${since}, so that nothing tells which rows are to go: ${why}`;
  fail('invalidSpec', 'E_RETRY_OUTPUT', message, { hint });
}
