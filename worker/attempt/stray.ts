/**
 * What a function's module throws outside of every call: in a timer, in a promise that nobody awaits,
 * or a call of process.exit there. Never: ends the thread; what is native in it may be under way.
 */
import { WindrowError } from '../../shared/failure.js';
import type { MapStep } from '../../shared/plan.js';
import { moduleFile } from '../functions/map.js';
import { isOurs, thrownText, userPlace } from '../functions/user-place.js';
import { modulesIn } from './runtime.js';
import type { AttemptTask } from './protocol.js';

type Task = Pick<AttemptTask, 'program' | 'blobs' | 'spillDirectory'>;

/**
 * Hears of all that nothing catches, which would end the thread at once otherwise.
 * @returns lets go of it again
 */
export function catchStray(task: Task, heard: (error: WindrowError) => void): () => void {
  const exit = Object.getOwnPropertyDescriptor(process, 'exit')!;
  const onError = (error: unknown): void => heard(strayError(error, task));
  process.on('uncaughtException', onError);
  process.exit = (code?: number | string | null): never => {
    const error = exitError(code, task);
    // Where the module catches it, it still asked for an exit.
    heard(error);
    throw error;
  };
  return () => {
    process.off('uncaughtException', onError);
    Object.defineProperty(process, 'exit', exit);
  };
}

function strayError(error: unknown, task: Task): WindrowError {
  if (isOurs(error)) return error;
  const maps = mapsOf(task);
  if (maps.length === 0) {
    return new WindrowError(
      {
        kind: 'workerLost',
        code: 'E_THREAD_LOST',
        message: `a function of an earlier task threw in this thread: ${thrownText(error)}`,
        hint: 'nothing for this task, which is done again; await what functions start, and catch its errors',
      },
      error,
    );
  }
  const directory = modulesIn(task.spillDirectory);
  const places = maps.map(({ id, bundle }) => ({
    step: id,
    place: userPlace(error, moduleFile(bundle.digest, directory)),
  }));
  const { step, place } = places.find((each) => each.place !== undefined) ?? places[0]!;
  return new WindrowError(
    {
      kind: 'userCode',
      code: 'E_MAP_THREW',
      message: `an error that nothing in the module caught: ${thrownText(error)}${place === undefined ? '' : ` (at ${place})`}`,
      at: { step },
      hint: 'await what the function starts, and catch its errors',
    },
    error,
  );
}

function exitError(code: number | string | null | undefined, task: Task): WindrowError {
  const step = mapsOf(task)[0]?.id;
  return new WindrowError({
    kind: 'userCode',
    code: 'E_MAP_EXIT',
    message: `the module called process.exit(${code ?? ''}) outside of a call`,
    ...(step === undefined ? {} : { at: { step } }),
    hint: 'throw an error instead',
  });
}

function mapsOf({ program }: Task): MapStep[] {
  return program.steps.filter((step) => step.kind === 'map');
}
