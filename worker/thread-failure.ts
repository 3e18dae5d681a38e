/**
 * What the death of an attempt's thread means. Our own code ends no thread, so that where the program
 * calls a function of the user it was that. Never: looks at what an attempt returned.
 */
import { type Failure, toFailure } from '../shared/failure.js';
import type { StageProgram } from '../shared/plan.js';

export function threadFailure(error: unknown, program: StageProgram): Failure {
  const { code, failure, message } = error as {
    code?: unknown;
    failure?: Failure;
    message?: unknown;
  };
  const maps = program.steps.filter((step) => step.kind === 'map').map(({ id }) => id);
  const at = maps[0] === undefined ? {} : { at: { step: maps[0] } };
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return {
      kind: 'resource',
      code: 'E_OUT_OF_MEMORY',
      message: 'the JavaScript heap of the attempt is full',
      ...at,
      hint: 'keep less between calls of the function, or give the worker more memory',
    };
  }
  // What the thread made of it before it ended (attempt/stray.ts).
  if (failure !== undefined) return failure;
  if (maps.length === 0) return toFailure(error);
  const exit = /^worker exited with code: (\d+)/.exec(String(message));
  if (exit) {
    return {
      kind: 'userCode',
      code: 'E_MAP_EXIT',
      message: `the module called process.exit(${exit[1]}) outside of a call`,
      ...at,
      hint: 'throw an error instead',
    };
  }
  return {
    kind: 'userCode',
    code: 'E_MAP_THREW',
    message: `an error that nothing in the module caught: ${String(message)}`,
    ...at,
    hint: 'await what the function starts, and catch its errors',
  };
}
