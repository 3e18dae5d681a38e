/**
 * Why a chunk's query failed, for who has to do something about it: the rows that make it fail and
 * where they lie, or the operator that memory was too small for. Bounded in runs and time; says only
 * what it has seen happen again, and never changes what kind of failure it is without reason.
 */
import type { Failure, FailureLocation } from '../../shared/failure.js';
import { readFooter } from '../../shared/parquet-footer.js';
import type { ProgramStep, StageQuery } from '../../shared/plan.js';
import type { Kernel } from '../kernel/duckdb.js';
import { asRanges, cut, rowsOf } from './leaf-ranges.js';
import { type LeafRowsFound, locateInLeaves, rowsIn } from './locate-in-leaves.js';
import { outermostHolder } from './plan-operators.js';
import { beyondType, sumsAsDouble } from './largest-sum.js';
import { runUntil, searchLimits } from './search-limits.js';
import { rowJson, shortened } from './shown-row.js';
import { type LeafFiles, leafRelation, type LeafRange, queryRelation } from './query-statement.js';
import type { Relation } from './statement.js';

/** How much of the program is run: its query and so many steps, and what the sink makes of them. */
export interface Depth {
  readonly steps: number;
  readonly sink: boolean;
}

export interface FailedQuery {
  readonly kernel: Kernel;
  readonly query: StageQuery;
  readonly steps: readonly ProgramStep[];
  /** What the chunk reads, in the order of the query's leaves. */
  readonly leaves: readonly LeafFiles[];
  /** Computes rows and keeps nothing. @returns the failure, of kind `cancelled` when interrupted */
  readonly tried: (rows: Relation, depth: Depth) => Promise<Failure | undefined>;
}

const sumHint =
  'sum as DOUBLE, as in sum(x::DOUBLE), where it may be rounded, or cast the sum to a wider type; the widest exact one, DECIMAL(38,0), ends at 1e38';

const queryAlone: Depth = { steps: 0, sink: false };

/** The failure with what could be found out about it. */
export async function explainQueryFailure(
  failure: Failure,
  failed: FailedQuery,
  limits = searchLimits,
): Promise<Failure> {
  if (failure.code === 'E_OUT_OF_MEMORY') return withOperator(failure, failed);
  const ofData = failure.code === 'E_SQL_RUNTIME' || failure.code === 'E_KERNEL';
  if (!ofData && failure.kind !== 'io') return failure;
  return new Search(failure, failed, limits).run();
}

class Search {
  private runs = 0;
  private readonly endMs: number;

  constructor(
    private readonly failure: Failure,
    private readonly failed: FailedQuery,
    private readonly limits: typeof searchLimits,
  ) {
    this.endMs = performance.now() + limits.ms;
  }

  async run(): Promise<Failure> {
    const { failure, failed } = this;
    const unreadable = await this.unreadable();
    if (unreadable) return unreadable;
    if (failure.kind === 'io') return failure;
    const depth = await this.failingDepth();
    if (!depth) return failure;
    const step = failed.steps[depth.steps - 1];
    const known = step && !depth.sink ? { ...failure, at: { step: step.id } } : failure;
    const leaves = await Promise.all(failed.leaves.map(asRanges));
    const found = await locateInLeaves(leaves.map(rowsOf), this.order(), async (spans) => {
      const tried = await this.tried(queryRelation(failed.query, cut(leaves, spans)), depth);
      return tried && this.isAlike(tried);
    });
    const located = await this.located(known, found, cut(leaves, found.spans), depth);
    return depth.steps > 0 ? located : this.named(located);
  }

  /** With columns called as users know them, and the one of the result that fails where no row tells. */
  private async named(failure: Failure): Promise<Failure> {
    const { shown = {} } = this.failed.query;
    const message = failure.message.replace(
      /(?<=casting from source column )[^\s;]+/,
      (column) => shown[column] ?? column,
    );
    const failing = failure.at?.row === undefined ? await this.failingColumn() : undefined;
    if (failing === undefined) return { ...failure, message };
    const column = shown[failing];
    const at = column === undefined ? {} : { at: { ...failure.at, column } };
    const row = await this.largestSum(failing);
    if (row === undefined) return { ...failure, message, ...at };
    const largest = `of the sums in ${column ?? 'it'} the largest, as DOUBLE, is in the row ${row}`;
    return { ...failure, message: `${message}; ${largest}`, ...at, hint: sumHint };
  }

  /** The row of the result whose sum is beyond its type by most; undefined where that is not why it fails. */
  private async largestSum(failing: string): Promise<string | undefined> {
    const { kernel, query, leaves } = this.failed;
    const column = query.columns.find(({ name }) => name === failing)!;
    return runUntil(this.endMs, kernel, async () => {
      try {
        const sql = await sumsAsDouble(kernel, query.sql);
        if (sql === undefined) return undefined;
        const rows = beyondType(queryRelation({ ...query, sql }, leaves).sql, column);
        const names = query.columns.map(({ name }) => name);
        const [row] = await kernel.rows(
          `select ${rowJson(names, query.shown)} as json from (${rows})`,
        );
        return row && shortened(row['json']);
      } catch {
        // Where it fails with such sums, too, they are not why.
        return undefined;
      }
    });
  }

  /**
   * The one that cannot be computed, of several the first where others can; undefined where there is
   * no such, or no more may be tried.
   */
  private async failingColumn(): Promise<string | undefined> {
    const { query, leaves } = this.failed;
    const relation = queryRelation(query, leaves);
    const failing: string[] = [];
    for (const column of relation.columns) {
      const tried = await this.tried({ ...relation, columns: [column] }, queryAlone);
      if (tried === undefined) return undefined;
      if (this.isAlike(tried)) failing.push(column);
    }
    const all = failing.length === relation.columns.length;
    return all && failing.length > 1 ? undefined : failing[0];
  }

  /** The chunk's own rows come first; then those of sources, as users know them. */
  private order(): number[] {
    const { leaves, query } = this.failed;
    const rank = (leaf: number): number =>
      (query.leaves[leaf]!.driving ? 0 : 2) + (leaves[leaf]!.sources.length > 0 ? 0 : 1);
    return query.leaves.map((_, leaf) => leaf).sort((a, b) => rank(a) - rank(b));
  }

  /** What comes of these rows; undefined where no more may be tried. */
  private async tried(rows: Relation, depth: Depth): Promise<Failure | 'passes' | undefined> {
    if (this.runs >= this.limits.runs) return undefined;
    this.runs += 1;
    return runUntil(this.endMs, this.failed.kernel, async () => {
      const failure = await this.failed.tried(rows, depth);
      return failure?.kind === 'cancelled' ? undefined : (failure ?? 'passes');
    });
  }

  private isAlike(tried: Failure | 'passes'): boolean {
    return (
      tried !== 'passes' &&
      tried.code === this.failure.code &&
      withoutValues(tried.message) === withoutValues(this.failure.message)
    );
  }

  /** Rows of a source that cannot even be read. Chunks' files have passed their checksums. */
  private async unreadable(): Promise<Failure | undefined> {
    const { failed, failure } = this;
    for (const [at, { sources }] of failed.leaves.entries()) {
      const leaf = failed.query.leaves[at]!;
      const fails = async (ranges: readonly LeafRange[]): Promise<boolean> => {
        const tried = await this.tried(
          leafRelation(leaf, { sources: ranges, paths: [], slices: [] }),
          queryAlone,
        );
        return tried !== undefined && tried !== 'passes';
      };
      if (sources.length === 0 || !(await fails(sources))) continue;
      for (const range of sources) {
        if (!(await fails([range]))) continue;
        const place = await this.placeOf([range]);
        if (failure.kind === 'io') return { ...failure, at: place };
        return {
          kind: 'badData',
          code: 'E_PARQUET_CORRUPT',
          message: failure.message,
          at: place,
          hint: 'write the file again, or leave it out of the source',
        };
      }
    }
    return undefined;
  }

  /** The least of the program that fails over all rows; undefined where it does not happen again. */
  private async failingDepth(): Promise<Depth | undefined> {
    const { query, steps, leaves } = this.failed;
    const depths: Depth[] = [0, ...steps.keys()].map((_, count) => ({ steps: count, sink: false }));
    depths.push({ steps: steps.length, sink: true });
    for (const depth of depths) {
      const tried = await this.tried(queryRelation(query, leaves), depth);
      if (tried === undefined) return undefined;
      if (this.isAlike(tried)) return depth;
    }
    return undefined;
  }

  private async located(
    failure: Failure,
    { spans, needed }: LeafRowsFound,
    left: readonly LeafFiles[],
    depth: Depth,
  ): Promise<Failure> {
    const [first] = needed;
    if (first === undefined) return failure;
    const { sources } = left[first]!;
    const place = this.isSource(first) ? await this.placeOf(sources) : this.madeIn(sources);
    const at: FailureLocation = { ...failure.at, ...place };
    if (rowsIn(spans[first]!) > 1) return { ...failure, at };
    // Of several rows that fail it may be another one than the first time: what it says now fits.
    const again = await this.failed.tried(queryRelation(this.failed.query, left), depth);
    if (!again || !this.isAlike(again)) return failure;
    const others = [...spans.keys()].filter((leaf) => leaf !== first && rowsIn(spans[leaf]!) === 1);
    const texts = [];
    for (const leaf of [first, ...others]) {
      texts.push(
        `${await this.rowText(leaf, left[leaf]!)}${this.origin(leaf, first, left[leaf]!)}`,
      );
    }
    const message = `${again.message}; it fails for the row ${texts.join(' together with ')}`;
    return { ...failure, message, at };
  }

  private isSource(leaf: number): boolean {
    return this.failed.leaves[leaf]!.sources.length > 0;
  }

  /** The chunk file, where it is one: for the coordinator, which knows what it was made of. */
  private madeIn([first, ...others]: readonly LeafRange[]): FailureLocation {
    const one = first && others.every(({ path }) => path === first.path);
    return one && this.failure.kind === 'badData' ? { file: first.path } : {};
  }

  private origin(leaf: number, first: number, { sources }: LeafFiles): string {
    if (!this.isSource(leaf)) return ' (made by earlier steps)';
    return leaf === first ? '' : ` (row ${sources[0]!.rowStart} of ${sources[0]!.path})`;
  }

  private async rowText(leaf: number, files: LeafFiles): Promise<string> {
    const shape = this.failed.query.leaves[leaf]!;
    const { sql, columns } = leafRelation(shape, files);
    if (columns.length === 0) return '{}';
    const [row] = await this.failed.kernel.rows(
      `select ${rowJson(columns, shape.shown)} as json from (${sql})`,
    );
    return shortened(row?.['json']);
  }

  /** As far as these rows lie in one place. */
  private async placeOf(ranges: readonly LeafRange[]): Promise<FailureLocation> {
    const [first] = ranges;
    if (!first || ranges.some(({ path }) => path !== first.path)) return {};
    const { rowGroupRows } = await readFooter(first.path);
    const from = first.rowStart;
    const last = ranges.at(-1)!.rowEnd - 1;
    const rowGroup = rowGroupOf(rowGroupRows, from);
    return {
      file: first.path,
      ...(rowGroup === rowGroupOf(rowGroupRows, last) ? { rowGroup } : {}),
      ...(from === last ? { row: from } : {}),
    };
  }
}

/** What stands in a message about one row and not in that about another. */
function withoutValues(message: string): string {
  return message.replaceAll(/'[^']*'|"[^"]*"|-?\b\d[\d.]*\b/g, '?');
}

function rowGroupOf(rowGroupRows: readonly number[], row: number): number {
  let end = 0;
  return rowGroupRows.findIndex((rows) => row < (end += rows));
}

async function withOperator(failure: Failure, { kernel, query, leaves }: FailedQuery) {
  const holder = await outermostHolder(kernel, queryRelation(query, leaves).sql);
  if (!holder) return failure;
  const message = `a query, of which ${holder} is the outermost part, needs more memory than its slot has: ${failure.message}`;
  return { ...failure, message };
}
