/**
 * The two streams of the command line. A reader that goes away (`| head`) ends a printing verb
 * quietly; a run goes on without a reader. Never: formatting.
 */
import { describeFailure, failuresOf } from './exit.js';

let readerGone = false;
let outlivesReader = false;

/** Call once at start: without it an EPIPE would be an uncaught exception. */
export function guardOutput(): void {
  const onError = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') throw error;
    readerGone = true;
    if (!outlivesReader) process.exit(0);
  };
  process.stdout.on('error', onError);
  process.stderr.on('error', onError);
}

/** From here on work matters more than its progress: a closed stdout no longer ends the process. */
export function outliveReader(): void {
  outlivesReader = true;
}

export function print(text: string): void {
  if (!readerGone) process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** Text for the terminal that brings its own line ends. */
export function printRaw(text: string): void {
  if (!readerGone) process.stdout.write(text);
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Lists every failure of an error on stderr; with `debug` its stack and causes too. */
export function reportError(error: unknown, debug: boolean): void {
  for (const failure of failuresOf(error)) note(describeFailure(failure));
  if (!debug) return;
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    note(cause.stack ?? cause.message);
  }
}

export function interactive(): boolean {
  return process.stdout.isTTY === true;
}

/** Whether lines can be taken back to be drawn again. */
export function redrawable(): boolean {
  return interactive() && process.env['TERM'] !== 'dumb';
}

export function colorWanted(): boolean {
  const { NO_COLOR } = process.env;
  return redrawable() && (NO_COLOR === undefined || NO_COLOR === '');
}

/** Columns of the terminal; what goes elsewhere is never wrapped. */
export function terminalWidth(): number {
  return interactive() ? process.stdout.columns || 80 : Infinity;
}
