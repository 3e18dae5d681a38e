/**
 * Collects what is wrong with a spec, with the place in the file where it is known, and throws it
 * all at once. Never: decides what is wrong.
 */
import { closest, distance } from 'fastest-levenshtein';
import { WindrowError, type Failure } from './failure.js';

/** Keys and list positions from the spec's root, as zod writes them. */
export type SpecPath = readonly (string | number)[];

/** Line and column of a value (or of the key that holds it), both from 1; undefined if unknown. */
export type Locate = (
  path: SpecPath,
  what: 'key' | 'value',
) => { line: number; col: number } | undefined;

const problemsMax = 100;

export class SpecProblems {
  readonly found: Failure[] = [];
  private readonly places = new Set<string>();

  constructor(
    private readonly file?: string,
    private readonly locate: Locate = () => undefined,
  ) {}

  /** Notes a problem with the value at `path`; `what` says whether the key or the value is meant. */
  add(
    code: string,
    path: SpecPath,
    message: string,
    more: { hint?: string | undefined; what?: 'key' | 'value' } = {},
  ): void {
    this.places.add(formatPath(path));
    if (this.found.length >= problemsMax) return;
    const position = this.locate(path, more.what ?? 'value');
    const at = { ...(this.file === undefined ? {} : { file: this.file }), ...position };
    const place = path.length > 0 ? `${formatPath(path)}: ` : '';
    this.found.push({
      kind: 'invalidSpec',
      code,
      message: `${place}${message}`,
      ...(Object.keys(at).length > 0 ? { at } : {}),
      ...(more.hint ? { hint: more.hint } : {}),
    });
  }

  /** What `parse` makes of the value at `path`; undefined after noting why it refuses it. */
  attempt<T>(parse: () => T, path: SpecPath): T | undefined {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof WindrowError)) throw error;
      const { code, message, hint } = error.failure;
      this.add(code, path, message, { hint });
      return undefined;
    }
  }

  /** What is wrong at `path` follows from a problem that was noted elsewhere. */
  explained(path: SpecPath): void {
    this.places.add(formatPath(path));
  }

  has(path: SpecPath): boolean {
    return this.places.has(formatPath(path));
  }

  /** @throws WindrowError with the first problem in file order, their count, and all in `problems` */
  throwIfAny(): void {
    const sorted = [...this.found].sort(
      (a, b) => (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.col ?? 0) - (b.at?.col ?? 0),
    );
    const first = sorted[0];
    if (!first) return;
    const others = sorted.length - 1;
    const count = others === 0 ? '' : ` (and ${others} more problem${others === 1 ? '' : 's'})`;
    throw new WindrowError({ ...first, message: `${first.message}${count}` }, undefined, sorted);
  }
}

/** `steps[0].filter.where`; keys that are not plain words are quoted. */
export function formatPath(path: SpecPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^\w+$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${JSON.stringify(shorten(part))}]`;
  }
  return text;
}

export function shorten(text: string, max = 100): string {
  return text.length > max ? `${text.slice(0, max)}…` : text;
}

/** The candidate that `name` was most likely meant to be, if any is near enough. */
export function nearestName(name: string, candidates: readonly string[]): string | undefined {
  if (candidates.length === 0 || name.length > 200) return undefined;
  const wanted = name.toLowerCase();
  const lower = candidates.map((candidate) => candidate.toLowerCase());
  const best = closest(wanted, lower);
  // Two that share no letter are not near, however short they are.
  const allowed = Math.min(
    Math.max(2, Math.floor(best.length / 3)),
    Math.max(wanted.length, best.length) - 1,
  );
  return distance(wanted, best) <= allowed ? candidates[lower.indexOf(best)] : undefined;
}

/** A hint for a name that is not known: the nearest one, or else what there is. */
export function nameHint(name: string, candidates: readonly string[]): string | undefined {
  const near = nearestName(name, candidates);
  if (near !== undefined) return `did you mean '${near}'`;
  if (candidates.length === 0) return undefined;
  const shown = candidates.slice(0, 12).join(', ');
  return `write one of ${shown}${candidates.length > 12 ? ', …' : ''}`;
}
