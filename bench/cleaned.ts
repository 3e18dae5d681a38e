/** Benchmarks that leave nothing behind, whichever way they end. */
import { setTimeout as delay } from 'node:timers/promises';
import { interruptDuckdb } from './duckdb.js';

/** How long work that was stopped may take to notice. */
const noticeMs = 3000;

/**
 * Runs `work`, and `clean` after it: also after Ctrl-C or SIGTERM, which then end the process.
 * @param work fails when it was stopped, and reports nothing then
 * @param clean takes away what `work` stands on, too; called twice where it was stopped
 */
export async function cleaned(
  work: (stopped: AbortSignal) => Promise<void>,
  clean: () => Promise<void>,
): Promise<void> {
  const stopped = new AbortController();
  const stopping = new Promise<void>((resolve) =>
    stopped.signal.addEventListener('abort', () => resolve()),
  );
  let code = 0;
  const stop = (signal: NodeJS.Signals): void => {
    console.log(`${signal}: cleaning up`);
    code = signal === 'SIGINT' ? 130 : 143;
    stopped.abort();
    interruptDuckdb();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const working = work(stopped.signal);
  const ended = working.catch(() => undefined);
  try {
    await Promise.race([working, stopping]);
  } finally {
    await clean();
    if (stopped.signal.aborted) {
      // What it began before it noticed goes, too.
      await Promise.race([ended, delay(noticeMs)]);
      await clean().finally(() => process.exit(code));
    }
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}
