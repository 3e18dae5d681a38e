/**
 * Ctrl-C, SIGTERM and SIGHUP: the first asks the running verb to leave in order, the second ends the
 * process at once. Never: deciding what leaving in order means.
 */
import { exitCodes } from './exit.js';
import { signals, takeSignals } from './signals.js';

export class Interrupted extends Error {
  constructor(readonly by: NodeJS.Signals) {
    super(`interrupted by ${by}`);
    this.name = 'Interrupted';
  }
}

export interface Interruption {
  readonly signal: AbortSignal;
  /** Gives the signals back to Node. */
  restore(): void;
}

/** An abort signal for the first interruption. */
export function interruption(): Interruption {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    controller.abort(new Interrupted(name));
  };
  for (const name of signals) process.on(name, onSignal);
  takeSignals();
  return {
    signal: controller.signal,
    restore() {
      for (const name of signals) process.off(name, onSignal);
    },
  };
}
