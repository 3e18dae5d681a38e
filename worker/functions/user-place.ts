/**
 * Where in the user's own file an error was thrown, by the source map that its bundle carries. Looked
 * up when an error is told, never before.
 */
import { readFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { pathToFileURL } from 'node:url';
import { WindrowError } from '../../shared/failure.js';

const mapMark = '//# sourceMappingURL=data:application/json;base64,';

/** Whether something caught is of our own; of a proxy not even that can be asked. */
export function isOurs(error: unknown): error is WindrowError {
  try {
    return error instanceof WindrowError;
  } catch {
    return false;
  }
}

/** What was thrown, in its own words, whatever it is: to read it may throw, too. */
export function thrownText(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return 'a value that cannot be shown';
  }
}

/**
 * @param module path of the bundle as it was imported
 * @returns such as `lib/label.ts:7:12`; `bundle:LINE:COL` where the map does not say; undefined where
 *   the stack has no frame of the module
 */
export function userPlace(error: unknown, module: string): string | undefined {
  const stack = stackOf(error);
  const names = [pathToFileURL(module).href, module];
  for (const frame of stack.split('\n')) {
    const name = names.find((each) => frame.includes(each));
    if (name === undefined) continue;
    const found = /^:(\d+):(\d+)/.exec(frame.slice(frame.indexOf(name) + name.length));
    if (!found) continue;
    const [line, column] = [Number(found[1]), Number(found[2])];
    return original(module, line, column) ?? `bundle:${line}:${column}`;
  }
  return undefined;
}

function stackOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.stack) : '';
  } catch {
    return '';
  }
}

function original(module: string, line: number, column: number): string | undefined {
  try {
    const text = readFileSync(module, 'utf8');
    const at = text.lastIndexOf(mapMark);
    if (at < 0) return undefined;
    const json = Buffer.from(text.slice(at + mapMark.length), 'base64').toString('utf8');
    const entry = new SourceMap(JSON.parse(json) as SourceMapPayload).findEntry(
      line - 1,
      column - 1,
    );
    if (!('originalSource' in entry)) return undefined;
    return `${entry.originalSource}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
  } catch {
    // A map that cannot be read must not hide the error that is being told.
    return undefined;
  }
}
