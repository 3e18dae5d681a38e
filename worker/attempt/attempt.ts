/**
 * An attempt: its chunks one after the other, each durable before it is reported, in order. While a
 * chunk's file is being finished the next one is computed. Never retries; a failure ends it.
 */
import { fail, type Failure, toFailure } from '../../shared/failure.js';
import { inDirectory } from '../../shared/full-disk.js';
import type { ChunkRecord } from '../../shared/plan.js';
import { AttemptInputs, rowsRead } from './attempt-inputs.js';
import { ChunkRun, type ChunkOutcome } from './chunk-run.js';
import { joinKept } from './kept-pages.js';
import { type AttemptMessage, type AttemptTask, type ChunkWork, isEmpty } from './protocol.js';
import type { Runtime } from './runtime.js';
import { ChunkSink } from './sink.js';

export type Attempt = Omit<AttemptTask, 'control' | 'port'>;

const progressEveryMs = 250;

/**
 * Runs all chunks. Chunks that were reported stay done whatever comes after.
 * @param report gets each chunk once its files are durable, and progress now and then
 */
export async function runChunks(
  task: Attempt,
  runtime: Runtime,
  report: (message: AttemptMessage) => void,
): Promise<Failure | undefined> {
  let finishing: Promise<void> = Promise.resolve();
  let failure: Failure | undefined;
  try {
    if (isEmpty(task.program)) {
      for (const { chunk, identity } of task.chunks) {
        runtime.scope.throwIfCancelled();
        report({ type: 'chunk', chunk, record: emptyRecord(identity) });
      }
      return undefined;
    }
    const progress = new Progress(task, report);
    runtime.scope.onRows = (rows) => progress.within(rows);
    runtime.scope.printed.begin(report);
    const inputs = new AttemptInputs(task, () => runtime.scope.throwIfCancelled());
    const { kernel, program } = await runtime.ready({
      ...task,
      directories: [...new Set([task.chunkDirectory, ...(await inputs.directories())])],
    });
    for (const [at, work] of task.chunks.entries()) {
      runtime.scope.throwIfDraining();
      runtime.scope.printed.nextChunk(work.chunk);
      await inputs.ready(at, async (leaves) => {
        const run = new ChunkRun(kernel, program, runtime.scope, work, leaves);
        if (task.probe) return run.probe();
        const sink = sinkOf(task, work);
        const outcome = await run
          .write(sink)
          .finally(() => runtime.scope.stray.signal.throwIfAborted())
          .catch((error: unknown) => discardAndThrow(task, sink, error));
        // One in flight: the files of the chunk before, whose failure ends the attempt here.
        try {
          await finishing;
        } catch (error) {
          await discardAndThrow(task, sink, error);
        }
        finishing = finish(task, work, sink, outcome).then((record) =>
          report({ type: 'chunk', chunk: work.chunk, record }),
        );
        // Its failure is looked at when it is awaited, not before.
        finishing.catch(() => undefined);
      });
      progress.done(work);
      tellModelRuns(runtime, report);
    }
  } catch (error) {
    // Chunks name their own places: what is left are inputs on their way here.
    failure = toFailure(inDirectory(error, task.spillDirectory, 'spill'));
  } finally {
    runtime.scope.onRows = () => undefined;
    runtime.scope.printed.end();
    tellModelRuns(runtime, report);
  }
  try {
    await finishing;
  } catch (error) {
    failure ??= toFailure(error);
  }
  return failure;
}

function tellModelRuns({ scope }: Runtime, report: (message: AttemptMessage) => void): void {
  const runs = scope.modelRuns.take();
  if (runs.length > 0) report({ type: 'modelRuns', runs });
}

function sinkOf(task: Attempt, work: ChunkWork): ChunkSink {
  const { partitionBy, fileBytes } = task.program.sink;
  return new ChunkSink({
    directory: task.chunkDirectory,
    identity: work.identity,
    attemptTag: task.attemptTag,
    several: partitionBy.length > 0 || fileBytes !== undefined,
    expendable: task.program.sink.expendable ?? false,
  });
}

async function discardAndThrow(task: Attempt, sink: ChunkSink, error: unknown): Promise<never> {
  await sink.discard();
  const what = task.program.sink.expendable ? 'shuffle' : 'chunks';
  throw inDirectory(error, task.chunkDirectory, what);
}

async function finish(
  task: Attempt,
  work: ChunkWork,
  sink: ChunkSink,
  outcome: ChunkOutcome,
): Promise<ChunkRecord> {
  try {
    if (outcome.kept) await joinKept(sink.target, sink.scratch, outcome.kept);
    const files = await sink.finish(outcome.parts);
    const deadLetters = outcome.dead > 0 ? await sink.finishDeadLetters() : undefined;
    const rowsOut = files.reduce((rows, file) => rows + file.rows, 0);
    const record: ChunkRecord = {
      identity: work.identity,
      files,
      counts: { ...outcome.counts, rowsOut, dead: deadLetters?.rows ?? 0 },
      ...(deadLetters ? { deadLetters } : {}),
    };
    checkBooks(task, work, record);
    return record;
  } catch (error) {
    return await discardAndThrow(task, sink, error);
  }
}

function checkBooks(task: Attempt, work: ChunkWork, { counts }: ChunkRecord): void {
  const { rowsIn, rowsOut, filtered, dead } = counts;
  if (!task.program.rowwise || rowsIn === rowsOut + filtered + dead) return;
  fail(
    'broken',
    'E_BOOKS',
    `chunk ${work.chunk}: ${rowsIn} rows in, but ${rowsOut} out + ${filtered} filtered + ${dead} dead`,
    { at: work.source ? { file: work.source.path, rowGroup: work.source.rowGroup } : {} },
  );
}

function emptyRecord(identity: string): ChunkRecord {
  const counts = { rowsIn: 0, rowsOut: 0, filtered: 0, dead: 0, inferred: 0, warnings: {} };
  return { identity, files: [], counts };
}

/** Rows done, as far as functions inside the statement have seen them; at most every 250 ms. */
class Progress {
  private readonly total: number;
  private finished = 0;
  private current = 0;
  private reportedAtMs = 0;

  constructor(
    private readonly task: Attempt,
    private readonly report: (message: AttemptMessage) => void,
  ) {
    this.total = task.chunks.reduce((rows, work) => rows + rowsRead(task.program, work), 0);
  }

  within(rows: number): void {
    this.current = Math.max(this.current, rows);
    this.send('computing');
  }

  done(work: ChunkWork): void {
    this.finished += rowsRead(this.task.program, work);
    this.current = 0;
    this.send('finishing');
  }

  private send(doing: string): void {
    const nowMs = performance.now();
    if (nowMs - this.reportedAtMs < progressEveryMs) return;
    this.reportedAtMs = nowMs;
    const rows = Math.min(this.total, this.finished + this.current);
    this.report({ type: 'progress', rows, rowsTotal: this.total, doing });
  }
}
