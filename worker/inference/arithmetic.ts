/**
 * Columns that are sums, differences, products and quotients of doubles, straight into a tensor's
 * rows: what DuckDB computes, bit for bit, without a vector for each intermediate result. Never:
 * decides what may be computed here; computed-inputs.ts does.
 */
import { compileFunction } from 'node:vm';

export const operators = ['+', '-', '*', '/'] as const;
export type Operator = (typeof operators)[number];

/** IEEE doubles, as in DuckDB: nothing overflows into an error, and `x / 0` is infinite or NaN. */
export type Term =
  | { readonly kind: 'leaf'; readonly leaf: number }
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'apply'; readonly operator: Operator; readonly of: readonly [Term, Term] };

/** A value that DuckDB refuses to cast: finite as a double, infinite as a float. */
export interface Overflow {
  readonly column: number;
  readonly value: number;
}

/** Fills its columns of the target's rows; NaN when some value is not finite. */
type Loop = (source: Float64Array, from: number, to: number, target: Float32Array) => number;

/** V8 leaves functions of several thousand operations unoptimized. */
const columnsPerLoop = 128;
/** One sum would make each column wait for the one before it. */
const checks = [0, 1, 2, 3, 4, 5, 6, 7];

/** Which leaves a term reads. */
export function leavesOf(term: Term): number[] {
  if (term.kind === 'apply') return term.of.flatMap(leavesOf);
  return term.kind === 'leaf' ? [term.leaf] : [];
}

export class Arithmetic {
  private readonly loops: readonly Loop[];

  /** @param width leaves of a row */
  constructor(
    private readonly terms: readonly Term[],
    private readonly width: number,
  ) {
    const starts = terms.map((_, at) => at).filter((at) => at % columnsPerLoop === 0);
    this.loops = starts.map((first) => loopOf(terms, first, width));
  }

  /**
   * Rows [from, to) of `source`, which holds the leaves row by row, as floats row by row.
   * @returns a value that is no float, if there is one
   */
  run(source: Float64Array, from: number, to: number, target: Float32Array): Overflow | undefined {
    let check = 0;
    for (const loop of this.loops) check += loop(source, from, to, target);
    return check === 0 ? undefined : this.overflow(source, from, to);
  }

  private overflow(source: Float64Array, from: number, to: number): Overflow | undefined {
    for (let row = from; row < to; row++) {
      for (const [column, term] of this.terms.entries()) {
        const value = valueOf(term, source, row * this.width);
        if (Number.isFinite(value) && !Number.isFinite(Math.fround(value))) {
          return { column, value };
        }
      }
    }
    return undefined;
  }
}

function valueOf(term: Term, source: Float64Array, first: number): number {
  if (term.kind === 'leaf') return source[first + term.leaf]!;
  if (term.kind === 'constant') return term.value;
  const [left, right] = term.of.map((one) => valueOf(one, source, first)) as [number, number];
  switch (term.operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return left / right;
  }
}

/** Made of numbers and operators alone; as code it runs several times as fast as when interpreted. */
function loopOf(all: readonly Term[], first: number, width: number): Loop {
  const terms = all.slice(first, first + columnsPerLoop);
  const read = [...new Set(terms.flatMap(leavesOf))];
  const columns = terms.map((term, at) => {
    const check = `check${at % checks.length}`;
    // The difference is NaN where the float is not finite.
    return `value = fround(${codeOf(term)}); target[to + ${first + at}] = value; ${check} += value - value;`;
  });
  const code = `
    let value = 0, ${checks.map((at) => `check${at} = 0`).join(', ')};
    for (let row = first, from = first * ${width}, to = 0; row < last; row++, from += ${width}, to += ${all.length}) {
      ${read.map((leaf) => `const leaf${leaf} = source[from + ${leaf}];`).join(' ')}
      ${columns.join('\n')}
    }
    return ${checks.map((at) => `check${at}`).join(' + ')};`;
  const parameters = ['fround', 'source', 'first', 'last', 'target'];
  return (compileFunction(code, parameters) as (...values: unknown[]) => number).bind(
    undefined,
    Math.fround,
  );
}

function codeOf(term: Term): string {
  if (term.kind === 'leaf') return `leaf${term.leaf}`;
  if (term.kind === 'constant') return Object.is(term.value, -0) ? '(-0)' : `(${term.value})`;
  return `(${term.of.map(codeOf).join(` ${term.operator} `)})`;
}
