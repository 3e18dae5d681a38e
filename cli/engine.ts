/**
 * The program behind `runEmbedded` (client/engine-process.ts): the engine of a state directory, in a
 * process of its own that ends with the one that wants it. Never: what to run; its parent asks.
 */
import { parseArgs } from 'node:util';
import { createInterface } from 'node:readline';
import { toFailure } from '../shared/failure.js';
import { unlessAborted } from '../shared/unless-aborted.js';
import { openEmbedded } from './embedded.js';
import { note } from './output.js';

const { values } = parseArgs({
  options: { state: { type: 'string' }, workers: { type: 'string' } },
});

/**
 * Says on stdout where it can be reached, as a line of JSON: `{endpoint, ownerPid?}` or `{failure}`.
 * The line `finish` on stdin lets it end once nobody's job is left; the end of stdin, at once.
 */
async function serve(stateDirectory: string, workers: number): Promise<void> {
  const asked = createInterface({ input: process.stdin });
  const finish = new Promise<void>((resolve) => asked.once('line', () => resolve()));
  const left = new AbortController();
  asked.once('close', () => left.abort(new Error('nobody wants this engine any more')));

  const engine = await openEmbedded({ stateDirectory, workers, signal: left.signal });
  const { endpoint, ownerPid } = engine;
  say({ endpoint, ...(ownerPid === undefined ? {} : { ownerPid }) });
  try {
    // In another's engine there is nothing to keep: whoever asked goes there.
    if (ownerPid === undefined) {
      await unlessAborted(finish, AbortSignal.any([left.signal, engine.lost]));
    }
    await engine.finish(left.signal);
  } catch (error) {
    await engine.suspend();
    if (!left.signal.aborted) throw error;
  }
}

function say(words: object): void {
  process.stdout.write(`${JSON.stringify(words)}\n`);
}

// Whoever reads has gone: the end of stdin tells us so, in order.
process.stdout.on('error', () => undefined);
let code = 0;
try {
  await serve(values.state ?? '.', Number(values.workers ?? 1));
} catch (error) {
  const failure = toFailure(error);
  say({ failure });
  note(`${failure.code}: ${failure.message}`);
  code = 1;
}
// Native libraries and open channels keep a process alive; what was said goes out first.
process.stdout.write('', () => process.exit(code));
