/**
 * Chunks that stay as earlier code made them when a function or model was mended: those without dead
 * letters, where the mended code has not done them already. Never: starts or forgets anything.
 */
import type { SubmitRequest } from '../shared/gen/windrow.js';
import { fail, WindrowError } from '../shared/failure.js';
import type { StageId } from '../shared/ids.js';
import type { EarlierProgram, JobPlan, PlanNote, StagePlan } from '../shared/plan.js';
import {
  type EarlierStage,
  earlierStages,
  firstInDoubt,
  keeperOf,
  keepsOthers,
  rangesOf,
  withEarlier,
} from './earlier-plan.js';
import { JobChunks } from './job-chunks.js';
import type { Preparation, Prepared } from './preparation.js';
import { keptRecords, type ReuseTools, soundOnes } from './reuse.js';
import type { JobFiles } from './stored-spec.js';

export interface EarlierChunksDependencies extends ReuseTools {
  readonly preparation: Pick<Preparation, 'prepare'>;
  /** Until when what is found is kept whatever happens, milliseconds since 1970. */
  readonly keepUntilMs: (plan: JobPlan) => number;
}

export interface WithEarlier {
  readonly prepared: Prepared;
  /** Files that have to be known of from now on; the newest come first. */
  readonly earlier: readonly JobFiles[];
}

interface Before {
  readonly files: JobFiles;
  readonly plan: JobPlan;
}

export class EarlierChunks {
  constructor(private readonly deps: EarlierChunksDependencies) {}

  /**
   * @param earlier files that the job was done with before those of the request, the newest first
   * @throws WindrowError E_RETRY_OUTPUT
   */
  async keep(
    request: SubmitRequest,
    prepared: Prepared,
    earlier: readonly JobFiles[],
    signal: AbortSignal,
  ): Promise<WithEarlier> {
    if (earlier.length === 0) return { prepared, earlier };
    const { plan } = prepared.planned;
    const notes: PlanNote[] = [];
    const before: Before[] = [];
    for (const files of earlier) {
      const found = await this.planWith(request, files);
      if (typeof found !== 'string') before.push({ files, plan: found });
      else notes.push(lostNote(plan, found));
      signal.throwIfAborted();
    }
    const plans = before.map((each) => each.plan);
    const doubtful = firstInDoubt(plan, plans);
    if (doubtful) refuse(doubtful.name, 'nothing tells which of the rows there they are');
    const chunks = new JobChunks(prepared.id, { plan });
    const programs = new Map<StageId, readonly EarlierProgram[]>();
    const counts = new Map<StageId, number>();
    const used = new Set<number>();
    for (const stage of plan.stages) {
      const found = earlierStages(stage, plans);
      if (found.length === 0) continue;
      const keeping = keeperOf(plan, stage.id);
      if (keeping && !(await this.isKnown(chunks, stage.id, found))) {
        refuse(keeping.name, `no chunk of ${stage.id} is known any more`);
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

  /** The same spec with other files, or why that cannot be planned any more. */
  private async planWith(request: SubmitRequest, files: JobFiles): Promise<JobPlan | string> {
    try {
      return (await this.deps.preparation.prepare({ ...request, files })).planned.plan;
    } catch (error) {
      if (!(error instanceof WindrowError) || error.failure.kind !== 'invalidSpec') throw error;
      return `${error.failure.code}: ${error.failure.message}`;
    }
  }

  /** Whether the index has any chunk of these: what asks for the time is called otherwise each time. */
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

/**
 * What is said of files that are no use any more.
 * @throws WindrowError E_RETRY_OUTPUT where rows of theirs would stay beside new ones
 */
function lostNote(plan: JobPlan, why: string): PlanNote {
  const doubtful = plan.outputs.find(keepsOthers);
  if (doubtful) refuse(doubtful.name, why);
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

function refuse(output: string, why: string): never {
  fail(
    'invalidSpec',
    'E_RETRY_OUTPUT',
    `output ${output} keeps what is not replaced, and rows of earlier code cannot be told there: ${why}`,
    { hint: 'retry with the function and model that the job came with, or run the spec elsewhere' },
  );
}
