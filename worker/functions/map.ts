/**
 * A user's map function: loaded from its bundle, called with a record batch or row by row, its
 * errors told with the place in the user's own code. Never touches DuckDB.
 */
import { copyFile, mkdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { pathToFileURL } from 'node:url';
import type { RecordBatch, Vector } from 'apache-arrow';
import { fail, WindrowError } from '../../shared/failure.js';
import type { MapStep } from '../../shared/plan.js';
import { columnKind } from './column-kinds.js';
import { toRows } from './rows.js';
import { isOurs, thrownText, userPlace } from './user-place.js';

/** One returned column, whatever the function made it of. */
export type ReturnedColumn = Vector | ArrayLike<unknown>;

export interface MapFunction {
  readonly step: MapStep;
  /**
   * Calls the function on a batch.
   * @param place names the row with an index in the batch, for errors
   * @throws WindrowError E_MAP_THREW, E_MAP_RESULT, E_MAP_EXIT
   */
  call(batch: RecordBatch, place: RowPlace): Promise<MapReturned>;
  /**
   * Reads what the function returned, which may run the user's code: getters, proxies.
   * @throws WindrowError E_MAP_THREW, or what `read` throws of our own
   */
  reading<Value>(read: () => Value): Value;
}

export interface MapReturned {
  readonly columns: readonly ReturnedColumn[];
  readonly rows: number;
}

/** Number in the file of the row with an index in the batch; undefined where it has none. */
export type RowPlace = (index: number) => number | undefined;

type UserFunction = (input: unknown) => unknown;

/** @throws WindrowError E_MAP_IMPORT, E_MAP_EXPORT */
export async function loadMapFunction(
  step: MapStep,
  path: string,
  moduleDirectory: string,
): Promise<MapFunction> {
  const module = await importable(path, step.bundle.digest, moduleDirectory);
  let exported: unknown;
  try {
    const href = pathToFileURL(module).href;
    const loaded = await withoutExit(step, () => import(href) as Promise<Record<string, unknown>>);
    exported = loaded[step.export];
  } catch (error) {
    throw threw('E_MAP_IMPORT', 'loading the module failed', error, module, { step: step.id });
  }
  if (typeof exported !== 'function') {
    fail('userCode', 'E_MAP_EXPORT', `the module has no function named ${step.export}`, {
      at: { step: step.id },
      hint: `export a function ${step.export} or name another with map.export`,
    });
  }
  const user = exported as UserFunction;
  const call = step.style === 'row' ? callRows : callBatch;
  return {
    step,
    call: (batch, place) => withoutExit(step, () => call(step, user, module, batch, place)),
    reading: (read) => {
      try {
        return read();
      } catch (error) {
        const what = 'what the function returned threw when it was read';
        throw threw('E_MAP_THREW', what, error, module, { step: step.id });
      }
    },
  };
}

/** Where a bundle is imported from: they are kept by digest, and Node goes by the suffix. */
export function moduleFile(digest: string, directory: string): string {
  return join(directory, `${digest}.mjs`);
}

async function importable(path: string, digest: string, directory: string): Promise<string> {
  const copy = moduleFile(digest, directory);
  await shareArrow(directory);
  await whole(copy, (unfinished) => copyFile(path, unfinished));
  return copy;
}

/**
 * Lets modules in this directory import `apache-arrow` as the worker itself does, whatever is installed
 * around the directory: the classes are the same ones.
 */
async function shareArrow(directory: string): Promise<void> {
  const own = dirname(createRequire(import.meta.url).resolve('apache-arrow'));
  const link = join(directory, 'node_modules', 'apache-arrow');
  await mkdir(dirname(link), { recursive: true });
  if ((await readlink(link).catch(() => undefined)) === own) return;
  await whole(link, (unfinished) => symlink(own, unfinished, 'junction'));
}

/** Threads of several processes may make the same file at once: it is there as a whole, or not. */
async function whole(path: string, make: (unfinished: string) => Promise<void>): Promise<void> {
  const unfinished = `${path}.${process.pid}-${threadId}`;
  await rm(unfinished, { force: true });
  await make(unfinished);
  await rename(unfinished, path);
}

async function callBatch(
  step: MapStep,
  user: UserFunction,
  module: string,
  batch: RecordBatch,
  place: RowPlace,
): Promise<MapReturned> {
  try {
    return returnedBatch(step, await user(batch), batch.numRows);
  } catch (error) {
    const [first, last] = [place(0), place(batch.numRows - 1)];
    const range = first === undefined ? `${batch.numRows} rows` : `rows ${first} to ${last}`;
    throw threw('E_MAP_THREW', `the function threw on ${range}`, error, module, { step: step.id });
  }
}

function returnedBatch(step: MapStep, returned: unknown, rowsIn: number): MapReturned {
  const columns = step.columns.map(({ name }) => returnedColumn(step, returned, name));
  const rows = columns[0]?.length ?? rowsIn;
  for (const [index, column] of columns.entries()) {
    const expected = step.rowwise ? rowsIn : rows;
    if (column.length !== expected) {
      const name = step.columns[index]?.name ?? '';
      badResult(step, name, `has ${column.length} rows, expected ${expected}`);
    }
  }
  return { columns, rows };
}

async function callRows(
  step: MapStep,
  user: UserFunction,
  module: string,
  batch: RecordBatch,
  place: RowPlace,
): Promise<MapReturned> {
  const columns: unknown[][] = step.columns.map(() => []);
  const rows = toRows(
    batch,
    step.reads.map(({ type }) => columnKind(type)),
  );
  for (const [index, row] of rows.entries()) {
    const at = { step: step.id, ...rowOf(place(index)) };
    try {
      const answer = user(row);
      // Awaiting what is no promise would cost every row a turn of the event loop.
      const returned = answer instanceof Promise ? await answer : answer;
      for (const [k, value] of returnedRow(step, returned, at).entries()) columns[k]!.push(value);
    } catch (error) {
      throw threw('E_MAP_THREW', 'the function threw', error, module, at);
    }
  }
  return { columns, rows: rows.length };
}

function returnedRow(
  step: MapStep,
  returned: unknown,
  at: { step: string; row?: number },
): unknown[] {
  if (typeof returned !== 'object' || returned === null) {
    const got = thrownText(returned);
    fail('userCode', 'E_MAP_RESULT', `a row function must return an object, got ${got}`, { at });
  }
  return step.columns.map(({ name }) => {
    if (!(name in returned)) {
      fail('userCode', 'E_MAP_RESULT', `the returned object lacks ${name}`, {
        at: { ...at, column: name },
      });
    }
    return (returned as Record<string, unknown>)[name];
  });
}

function returnedColumn(step: MapStep, returned: unknown, name: string): ReturnedColumn {
  if (typeof returned !== 'object' || returned === null) {
    badResult(
      step,
      name,
      `must be in a RecordBatch, Table or object of arrays, got ${thrownText(returned)}`,
    );
  }
  const columnar = returned as { getChild?: (name: string) => Vector | null };
  const column: unknown =
    typeof columnar.getChild === 'function'
      ? columnar.getChild(name)
      : (returned as Record<string, unknown>)[name];
  if (column === undefined || column === null) badResult(step, name, 'is missing');
  if (typeof (column as ArrayLike<unknown>).length !== 'number')
    badResult(step, name, 'is no array');
  return column as ReturnedColumn;
}

export function badResult(step: MapStep, column: string, what: string): never {
  fail('userCode', 'E_MAP_RESULT', `returned column ${column} ${what}`, {
    at: { step: step.id, column },
    hint: 'return every column of map.columns with the type given there',
  });
}

export function rowOf(row: number | undefined): { row?: number } {
  return row === undefined ? {} : { row };
}

function threw(
  code: string,
  what: string,
  error: unknown,
  module: string,
  at: { step: string; row?: number },
): WindrowError {
  if (isOurs(error)) return error;
  const message = thrownText(error);
  const place = userPlace(error, module);
  return new WindrowError(
    {
      kind: 'userCode',
      code,
      message: `${what}: ${message}${place === undefined ? '' : ` (at ${place})`}`,
      at,
      hint:
        at.row === undefined
          ? 'correct the function there'
          : 'correct the function there, or set onError: deadLetter to leave such rows out',
    },
    error,
  );
}

/** In a thread `process.exit` would end the slot without a word. */
async function withoutExit<T>(step: MapStep, run: () => Promise<T>): Promise<T> {
  const exit = process.exit.bind(process);
  const asked: WindrowError[] = [];
  process.exit = (code?: number | string | null): never => {
    const error = new WindrowError({
      kind: 'userCode',
      code: 'E_MAP_EXIT',
      message: `the function called process.exit(${code ?? ''})`,
      at: { step: step.id },
      hint: 'throw an error instead',
    });
    asked.push(error);
    throw error;
  };
  // Where the function caught that error, it still asked for an exit: whatever came after.
  const [outcome] = await Promise.allSettled([run()]);
  process.exit = exit;
  if (asked[0]) throw asked[0];
  if (outcome.status === 'rejected') throw outcome.reason;
  return outcome.value;
}
