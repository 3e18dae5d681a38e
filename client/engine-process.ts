/**
 * An engine in a process of its own (cli/engine.ts), which ends with this one, however it ends.
 * Never: what runs on it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Failure, WindrowError } from '../shared/failure.js';
import { unlessAborted } from '../shared/unless-aborted.js';
import { connect } from './client.js';
import { type Engine, guestEngine } from './engine.js';

export interface EngineProcessOptions {
  /** Absolute. Made if it is not there. */
  readonly stateDirectory: string;
  /** Worker processes of one slot each. */
  readonly workers: number;
  /** Ends the wait for the engine to be there. */
  readonly signal: AbortSignal;
}

/** Enough of what a process said on stderr to know why it ended. */
const saidMax = 500;

/**
 * Starts an engine on a state directory, or joins the one that another process has there.
 * @throws WindrowError why there is none: E_ENGINE_LOST, and whatever `windrow run` would say
 */
export async function openEngineProcess(options: EngineProcessOptions): Promise<Engine> {
  const { stateDirectory, workers, signal } = options;
  const program = fileURLToPath(new URL('../cli/engine.js', import.meta.url));
  const args = [program, '--state', stateDirectory, '--workers', String(workers)];
  const child = spawn(process.execPath, args, {
    // A session of its own: the terminal's Ctrl-C is for us, who tell the engine.
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ending = endOf(child);
  // Where there is no process there may be no streams of it either.
  if (child.pid === undefined) throw lostError((await ending).how, '');
  // It may end while we write; its end is what counts.
  child.stdin.on('error', () => undefined);
  let said = '';
  child.stderr.on('data', (data: Buffer) => (said = (said + data.toString()).slice(-saidMax)));
  const lost = new AbortController();
  const ended = ending.then(({ how, inOrder }) => {
    const error = lostError(how, said);
    if (!inOrder) lost.abort(error);
    return error;
  });
  const answered = new Promise<Answer>((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const answer = answerOf(line);
      if (answer instanceof WindrowError) lost.abort(answer);
      else if (answer) resolve(answer);
    });
  });
  const stop = async (): Promise<void> => {
    child.stdin.end();
    await ended;
  };
  let answer: Answer;
  try {
    const none = ended.then((error): never => {
      throw error;
    });
    const waiting = AbortSignal.any([signal, lost.signal]);
    answer = await unlessAborted(Promise.race([answered, none]), waiting);
  } catch (error) {
    await stop();
    throw error;
  }
  const { endpoint, ownerPid } = answer;
  // Whether a silent engine has gone is seen by its process.
  const client = connect(endpoint, { retryMs: 0 });
  if (ownerPid !== undefined) {
    await stop();
    return guestEngine(client, endpoint, ownerPid);
  }
  return {
    client,
    endpoint,
    lost: lost.signal,
    async finish(cut) {
      client.close();
      child.stdin.write('finish\n');
      await unlessAborted(ended, cut).catch(() => undefined);
      await stop();
    },
    async suspend() {
      client.close();
      await stop();
    },
  };
}

interface Answer {
  readonly endpoint: string;
  readonly ownerPid?: number;
}

/** Where the engine is, or why there is none any more; undefined where it is not the engine that speaks. */
function answerOf(line: string): Answer | WindrowError | undefined {
  let said: Partial<Answer & { failure: Failure }> | null;
  try {
    said = JSON.parse(line) as typeof said;
  } catch {
    return undefined;
  }
  if (said?.failure) return new WindrowError(said.failure);
  return said?.endpoint === undefined ? undefined : (said as Answer);
}

/** An engine that was asked to end does so with exit code 0. */
function endOf(child: ChildProcess): Promise<{ how: string; inOrder: boolean }> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ how: error.message, inOrder: false }));
    child.once('close', (code, signal) => {
      const how = signal === null ? `exit code ${String(code)}` : `signal ${signal}`;
      resolve({ how, inOrder: code === 0 });
    });
  });
}

function lostError(how: string, said: string): WindrowError {
  const last = said.trim().split('\n').slice(-3).join(' | ');
  return new WindrowError({
    kind: 'io',
    code: 'E_ENGINE_LOST',
    message: `the engine's process ended (${how})${last === '' ? '' : `: ${last}`}`,
    hint: 'run the job again: finished work is kept',
  });
}
