/**
 * A verb of the command line in this process, for tests of what it says rather than of how a process
 * starts and ends. One verb at a time, as what they print is all one stream.
 */
import { vi } from 'vitest';
import { runProgram } from '../cli/program.js';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let turn: Promise<unknown> = Promise.resolve();

export function verbHere(args: readonly string[]): Promise<Ended> {
  const verb = turn.then(async (): Promise<Ended> => {
    const printed = { stdout: '', stderr: '' };
    const spies = (['stdout', 'stderr'] as const).map((name) =>
      vi.spyOn(process[name], 'write').mockImplementation((text) => {
        printed[name] += String(text);
        return true;
      }),
    );
    try {
      return { code: await runProgram(args), ...printed };
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  });
  turn = verb.catch(() => undefined);
  return verb;
}
