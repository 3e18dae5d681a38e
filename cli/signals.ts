/**
 * Signals before any verb listens to them. Imports nothing: it is there before all else. Never: what a
 * verb does when it is interrupted; that is in interrupt.ts.
 */
export const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** `exitCodes.interrupted` */
const interrupted = 130;

function end(): void {
  process.exit(interrupted);
}

/** From here on until a verb takes them, a signal ends the process: nothing has been started. */
export function endAtSignals(): void {
  for (const name of signals) process.on(name, end);
}

/** What the caller does with signals counts alone. */
export function takeSignals(): void {
  for (const name of signals) process.off(name, end);
}
