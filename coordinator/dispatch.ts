/** Turns an attempt that placement chose into the message its worker gets. Reads state, changes none. */
import type { Assignment, ChunkWork, LeafRead, SourceWork } from '../shared/gen/windrow.js';
import type { AttemptRef, StageId } from '../shared/ids.js';
import { fail } from '../shared/failure.js';
import type { ChunkFile, ChunkRecord, StagePlan } from '../shared/plan.js';
import { sliceOf } from '../shared/divided-file.js';
import { attemptToWire, chunkFileToWire, fileSliceToWire } from '../shared/wire.js';
import { attemptChunks } from './core/stage.js';
import type { JobState, Probe, StageState } from './core/state.js';
import type { JobChunks } from './job-chunks.js';
import {
  type ChunkRun,
  type LeafNeeds,
  type PlacedRange,
  stagesRead,
} from './planner/exchange-chunks.js';
import type { ChunkIndex } from './journal/journal.js';
import { rowsOfFile } from './planner/splits.js';
import { type Addresses, addressFor, chunkDirectory } from './shuffle-files.js';

/** Files of upstream chunks, by identity. */
export type Upstream = ReadonlyMap<string, ChunkRecord>;

/** Numbers of chunks by their identities, stage by stage. */
export type StageInputs = ReadonlyMap<StageId, ReadonlyMap<string, number>>;

/** What matters of workers where files travel between them. */
export interface Surroundings {
  /** The shuffle directory of the worker that the attempt goes to. */
  readonly shuffleDirectory?: string | undefined;
  readonly addresses: Addresses;
}

const nothing: Upstream = new Map();

/**
 * What an attempt over stages reads has to be looked up; for all others the answer is there at once,
 * so that a hundred thousand of them cost no turn of the event loop each.
 */
export function upstreamOf(inputs: StageInputs, index: ChunkIndex): Upstream | Promise<Upstream> {
  if (inputs.size === 0) return nothing;
  return index.lookup([...inputs.values()].flatMap((numbers) => [...numbers.keys()]));
}

/** Whether any of them is gone. Chunks of two stages may be the same: counting would not tell. */
export function isMissing(inputs: StageInputs, upstream: Upstream): boolean {
  for (const numbers of inputs.values()) {
    for (const identity of numbers.keys()) if (!upstream.has(identity)) return true;
  }
  return false;
}

/** What an attempt reads of stages before its own. */
export function inputsOf(ref: AttemptRef, stage: StageState, chunks: JobChunks): StageInputs {
  const inputs = new Map<StageId, Map<string, number>>();
  if (stagesRead(chunks.stage(ref.stageId)).length === 0) return inputs;
  const known = new Set<string>();
  for (const chunk of chunkNumbers(stage, ref)) {
    for (const run of chunks.runs(ref.stageId, chunk)) {
      // What every chunk reads is looked at once.
      const key = `${run.stage} ${run.from} ${run.to}`;
      if (known.has(key)) continue;
      known.add(key);
      const numbers = inputs.get(run.stage) ?? new Map<string, number>();
      chunks.runIdentities(run).forEach((identity, at) => numbers.set(identity, run.from + at));
      inputs.set(run.stage, numbers);
    }
  }
  return inputs;
}

export function assignment(
  ref: AttemptRef,
  job: JobState,
  stage: StageState,
  chunks: JobChunks,
  upstream: Upstream,
  { shuffleDirectory, addresses }: Surroundings,
): Assignment {
  const probe = probeOf(stage, ref);
  const plan = chunks.stage(ref.stageId);
  return {
    attempt: attemptToWire(ref),
    programDigest: programOf(ref, stage, chunks).digest,
    chunks: chunkNumbers(stage, ref).map((chunk) =>
      chunkWork(ref, chunk, probe, stage, chunks, upstream, addresses),
    ),
    chunkDirectory: chunkDirectory(job.plan, plan, shuffleDirectory),
    taskTimeoutMs: job.run.taskTimeoutMs ?? 0,
    probe: probe !== undefined,
  };
}

/** What an attempt runs: tasks end where the program changes. */
export function programOf(
  ref: AttemptRef,
  stage: StageState,
  chunks: JobChunks,
): Pick<StagePlan, 'program' | 'digest'> {
  const plan = chunks.stage(ref.stageId);
  if (!plan.earlier) return plan;
  const [first = plan, ...others] = chunkNumbers(stage, ref).map((chunk) =>
    chunks.program(ref.stageId, chunk),
  );
  if (others.some(({ digest }) => digest !== first.digest)) {
    fail('broken', 'E_INTERNAL', `task ${ref.task} of stage ${ref.stageId} has two programs`);
  }
  return first;
}

function probeOf(stage: StageState, ref: AttemptRef): Probe | undefined {
  const task = stage.tasks.get(ref.task);
  return task?.kind === 'running' ? task.probe : undefined;
}

function chunkNumbers(stage: StageState, ref: AttemptRef): number[] {
  const probe = probeOf(stage, ref);
  return probe ? [probe.chunk] : attemptChunks(stage, ref.task);
}

function chunkWork(
  ref: AttemptRef,
  chunk: number,
  probe: Probe | undefined,
  stage: StageState,
  chunks: JobChunks,
  upstream: Upstream,
  addresses: Addresses,
): ChunkWork {
  const identity = chunks.identity(ref.stageId, chunk);
  const poisonRows = [...(stage.poison.get(chunk) ?? [])];
  const { input, program } = chunks.stage(ref.stageId);
  const found = chunks.range(ref.stageId, chunk);
  const work = { chunk, identity, source: undefined, inputs: [], poisonRows, reads: [] };
  if (found) {
    const { rowStart, rowEnd } = probe ?? found.range;
    return { ...work, source: { ...sourceWork(found), rowStart, rowEnd } };
  }
  const filesOf = (run: ChunkRun): ServedFile[] => {
    const files = chunks.runIdentities(run).flatMap((each) => upstream.get(each)?.files ?? []);
    // All others lie where every worker reaches them.
    if (!chunks.stage(run.stage).part) return files;
    return files.map((file) => served(file, addressFor(file.path, addresses)));
  };
  if (input.kind === 'stage') {
    const files = chunks.runs(ref.stageId, chunk).flatMap(filesOf);
    return { ...work, inputs: files.map(chunkFileToWire) };
  }
  const needs = new Map(chunks.needs(ref.stageId, chunk).map((each) => [each.leaf, each]));
  const reads = (program.query?.leaves ?? []).map(({ leaf }) =>
    leafRead(needs.get(leaf) ?? { leaf, ranges: [], runs: [] }, filesOf),
  );
  return { ...work, reads };
}

function leafRead(
  { leaf, ranges, runs, partitions }: LeafNeeds,
  filesOf: (run: ChunkRun) => ServedFile[],
): LeafRead {
  const files = runs.flatMap(filesOf);
  const read = { leaf, sources: sourcesOf(ranges), files: [], slices: [] };
  if (!partitions) {
    return { ...read, files: files.map((file) => served(chunkFileToWire(file), file.servedBy)) };
  }
  const { from, to } = partitions;
  const slices = files.flatMap((file) => {
    const slice = sliceOf(file, from, to);
    return slice ? [fileSliceToWire(served(slice, file.servedBy))] : [];
  });
  return { ...read, slices };
}

type ServedFile = ChunkFile & { readonly servedBy?: string };

function served<File extends object>(
  file: File,
  servedBy: string | undefined,
): File & { readonly servedBy?: string } {
  return servedBy === undefined ? file : { ...file, servedBy };
}

/** Ranges that follow one another in a file as one. */
function sourcesOf(ranges: readonly PlacedRange[]): SourceWork[] {
  const works: SourceWork[] = [];
  for (const placed of ranges) {
    const { file, range } = placed;
    const last = works.at(-1);
    if (last?.path === file.path && last.rowEnd === range.rowStart) {
      works[works.length - 1] = { ...last, rowEnd: range.rowEnd, lastRowGroup: range.rowGroup };
    } else {
      works.push({ ...sourceWork(placed), fileRows: rowsOfFile(file) });
    }
  }
  return works;
}

function sourceWork({ file, range }: PlacedRange): SourceWork {
  const hive = Object.entries(file.hive).filter(
    (entry): entry is [string, string] => entry[1] !== null,
  );
  return {
    path: file.path,
    bytes: file.bytes,
    mtimeMs: file.mtimeMs,
    footerHash: file.footerHash,
    rowGroup: range.rowGroup,
    rowStart: range.rowStart,
    rowEnd: range.rowEnd,
    hive: Object.fromEntries(hive),
    missingColumns: [...file.missingColumns],
  };
}
