/**
 * Tells a followed job's way: redrawn lines on a terminal, NDJSON anywhere else. Holds the timers
 * and the cursor; how things look is in progress.ts.
 */
import type { EventView, JobView, ProgressView } from '../shared/views.js';
import { colorWanted, interactive, print, printRaw, redrawable } from './output.js';
import {
  eventLine,
  liveLines,
  noticeLine,
  painter,
  progressLine,
  resultLine,
  summary,
} from './progress.js';

export interface Reporter {
  accepted(view: JobView): void;
  event(event: EventView): void;
  finished(view: JobView): void;
  /** Ends timers and leaves the cursor on a fresh line; harmless when called again. */
  close(): void;
}

export function reporterFor(startedMs: number): Reporter {
  if (!interactive()) return lineReporter(startedMs);
  return redrawable() ? liveReporter(startedMs) : liveReporter(startedMs, plainEveryMs, false);
}

/** How often a terminal that cannot take lines back gets new ones. */
const plainEveryMs = 5000;

/** Programs read this: every event a line, progress at least every second, the result last. */
export function lineReporter(
  startedMs: number,
  write: (line: string) => void = print,
  everyMs = 1000,
): Reporter {
  let job: string | undefined;
  let progress: ProgressView | undefined;
  let printedMs = 0;
  const printProgress = (): void => {
    if (job === undefined || progress === undefined) return;
    printedMs = Date.now();
    write(progressLine(job, progress));
  };
  // Checked a little more often than asked for, so that no gap is longer than that.
  const timer = setInterval(() => {
    if (Date.now() - printedMs >= everyMs * 0.85) printProgress();
  }, everyMs / 10);
  timer.unref();
  return {
    accepted(view) {
      job = view.job;
      progress = view.progress;
      printProgress();
    },
    event(event) {
      job = event.job;
      // The result is printed once, at the very end, from the job as it then stands.
      if (event.event === 'result') return;
      if (event.event === 'progress') {
        progress = progressOf(event);
        printedMs = Date.now();
      }
      write(eventLine(event));
    },
    finished(view) {
      progress = view.progress;
      if (job !== undefined) printProgress();
      write(resultLine(view, (Date.now() - startedMs) / 1000));
    },
    close() {
      clearInterval(timer);
    },
  };
}

/**
 * People read this: one or two lines at the bottom, redrawn at most ten times a second.
 * @param redraw without it every line stays
 */
export function liveReporter(startedMs: number, everyMs = 100, redraw = true): Reporter {
  const paint = painter(colorWanted());
  let name = '';
  let state = 'planning';
  let progress: ProgressView | undefined;
  let drawn = 0;
  const elapsed = (): number => (Date.now() - startedMs) / 1000;
  const erase = (): void => {
    if (drawn > 0) printRaw(`\r${drawn > 1 ? `\u001b[${String(drawn - 1)}A` : ''}\u001b[0J`);
    drawn = 0;
  };
  const draw = (): void => {
    const width = Math.max(20, process.stdout.columns || 80) - 1;
    const lines = progress
      ? liveLines({ name, state, progress, elapsedSeconds: elapsed() }, width, paint)
      : [paint(`${state} … ${elapsed().toFixed(0)}s`, 'dim')];
    if (!redraw) return print(lines.join('\n'));
    erase();
    printRaw(lines.join('\n'));
    drawn = lines.length;
  };
  const above = (text: string): void => {
    erase();
    print(text);
    if (redraw) draw();
  };
  const timer = setInterval(draw, everyMs);
  timer.unref();
  return {
    accepted(view) {
      ({ name, state, progress } = view);
      above(`${paint(view.name, 'bold')}  ${paint(view.job, 'dim')}`);
    },
    event(event) {
      if (event.event === 'progress') {
        progress = progressOf(event);
        state = 'running';
      } else if (event.event === 'committing') {
        state = 'committing';
      }
      const line = noticeLine(event, paint);
      if (line !== undefined) above(line);
    },
    finished(view) {
      clearInterval(timer);
      erase();
      print(summary(view, elapsed(), paint));
    },
    close() {
      clearInterval(timer);
      erase();
    },
  };
}

/** A progress event's members; what a sender left out counts as nothing done. */
function progressOf(event: EventView): ProgressView {
  const number = (field: string): number =>
    typeof event[field] === 'number' ? (event[field] as number) : 0;
  const eta = event['etaSeconds'];
  const waitingFor = event['waitingFor'];
  return {
    rowsDone: number('rowsDone'),
    rowsTotal: number('rowsTotal'),
    rowsPerSecond: number('rowsPerSecond'),
    chunksDone: number('chunksDone'),
    chunksTotal: number('chunksTotal'),
    tasksRunning: number('tasksRunning'),
    ...(typeof eta === 'number' ? { etaSeconds: eta } : {}),
    ...(typeof waitingFor === 'string' ? { waitingFor } : {}),
  };
}
