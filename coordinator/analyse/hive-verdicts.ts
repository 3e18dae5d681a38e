/**
 * Conditions over partition columns alone, decided for each file before anything is read. Never: a
 * guess; where DuckDB cannot evaluate one on the partition values, there is no verdict.
 */
import { quoteName, quoteText } from '../../shared/sql-text.js';
import { hiveKey, type Conjunct, type Facts, type SourceFacts } from '../planner/facts.js';
import type { BoundStep } from '../planner/facts.js';
import type { BindDatabase } from './bind-database.js';

type Conditions = Pick<Facts, 'steps' | 'sources' | 'queries'>;

/** For each such condition, by `hiveKey`, which files of the source may meet it. */
export async function hiveVerdicts(
  facts: Conditions,
  database: BindDatabase,
): Promise<Map<string, readonly boolean[]>> {
  const verdicts = new Map<string, readonly boolean[]>();
  for (const { source, conjuncts } of conditionsOf(facts)) {
    const names = new Set(source.hive.map((column) => column.name));
    for (const { sql, columns } of conjuncts) {
      if (columns.length === 0 || !columns.every((name) => names.has(name))) continue;
      const kept = await matchingFiles(source, sql, database).catch(() => undefined);
      if (kept) verdicts.set(hiveKey(source.id, sql), kept);
    }
  }
  return verdicts;
}

/** Of filters over a source's rows, and of the scans of queries. */
function conditionsOf({
  steps,
  sources,
  queries,
}: Conditions): { source: SourceFacts; conjuncts: readonly Conjunct[] }[] {
  const ofSteps = [...steps.values()].flatMap((step) => {
    const source = sourceOf(step, steps, sources);
    if (!source) return [];
    return step.operators.flatMap((operator) =>
      operator.kind === 'filter' && operator.deterministic
        ? [{ source, conjuncts: operator.conjuncts }]
        : [],
    );
  });
  const scans = [...queries.values()].flatMap((query) => query.scans);
  return [
    ...ofSteps,
    ...scans.map(({ source, conjuncts }) => ({ source: sources.get(source)!, conjuncts })),
  ];
}

async function matchingFiles(
  source: SourceFacts,
  sql: string,
  database: BindDatabase,
): Promise<boolean[]> {
  const keyOf = (hive: SourceFacts['files'][number]['file']['hive']): string =>
    JSON.stringify(source.hive.map(({ name }) => hive[name] ?? null));
  const keys = [...new Set(source.files.map(({ file }) => keyOf(file.hive)))];
  const rows = keys.map((key) => {
    const values = JSON.parse(key) as (string | null)[];
    const cells = values.map((value, index) => {
      const type = source.hive[index]!.type;
      return `cast(${value === null ? 'null' : quoteText(value)} as ${type})`;
    });
    return `(${cells.join(', ')})`;
  });
  const names = source.hive.map(({ name }) => quoteName(name)).join(', ');
  const result = await database.rows(
    `select coalesce((${sql}), false) from (values ${rows.join(', ')}) as v(${names})`,
  );
  const kept = new Map(keys.map((key, index) => [key, result[index]?.[0] !== false]));
  return source.files.map(({ file }) => kept.get(keyOf(file.hive)) ?? true);
}

/** The source whose rows a step passes on; undefined behind a wide step. */
function sourceOf(
  step: BoundStep,
  steps: ReadonlyMap<string, BoundStep>,
  sources: ReadonlyMap<string, SourceFacts>,
): SourceFacts | undefined {
  let from = step.from;
  for (let next = steps.get(from); next; next = steps.get(from)) from = next.from;
  return sources.get(from);
}
