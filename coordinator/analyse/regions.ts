/**
 * Puts wide steps and the steps between them that SQL can say into as few queries as there are
 * results to keep, and has DuckDB plan each. Never: decides how a query is divided.
 */
import { fail } from '../../shared/failure.js';
import type { ColumnDef, PlanNote } from '../../shared/plan.js';
import { quoteName } from '../../shared/sql-text.js';
import type { BoundStep, Operator, QueryFacts, SourceFacts, WideStep } from '../planner/facts.js';
import { decodeQuery } from '../planner/relational/decode.js';
import { Estimates } from '../planner/relational/estimate.js';
import { joinSizes } from '../planner/relational/explosion.js';
import { inputsOf, type Query, type Relation } from '../planner/relational/relation.js';
import type { BindDatabase } from './bind-database.js';
import { scanConditions } from './scan-conditions.js';
import { shownStep } from './unique.js';
import { rowsOfFiles } from '../planner/splits.js';
import { serialiseQuery, type NamedQuery, type RelationalInput } from './relational.js';

export interface RegionFacts {
  readonly sources: ReadonlyMap<string, SourceFacts>;
  readonly steps: ReadonlyMap<string, BoundStep>;
  readonly wide: ReadonlyMap<string, WideStep>;
  /** Ids that outputs read. */
  readonly outputs: readonly string[];
  /** Ids that one step reads twice, and must find the same rows both times. */
  readonly readTwice: ReadonlySet<string>;
}

/** Queries by the step whose rows they give, each after those it reads. */
export async function queriesOf(
  facts: RegionFacts,
  database: BindDatabase,
): Promise<{ queries: Map<string, QueryFacts>; notes: PlanNote[] }> {
  const queries = new Map<string, QueryFacts>();
  const notes: PlanNote[] = [];
  if (facts.wide.size === 0) return { queries, notes };
  const regions = new Regions(facts, database);
  for (const id of regions.roots()) {
    const { query, notes: found } = await regions.query(id);
    queries.set(id, query);
    notes.push(...found);
  }
  return { queries, notes };
}

/** A core looks at some 10^9 pairs a second: minutes, and weeks for a thousand cores. */
const pairsToWarnOf = 1e11;
const pairsMax = 1e18;
/** So many rows of a join take long wherever they go; fewer may, where nobody expects them. */
const rowsToWarnOf = 1e9;
const rowsUnexpected = 1e8;
const timesTheInput = 100;

class Regions {
  private readonly readers = new Map<string, string[]>();
  private readonly used: string[];

  constructor(
    private readonly facts: RegionFacts,
    private readonly database: BindDatabase,
  ) {
    this.used = this.stepsUsed();
    for (const id of this.used) {
      for (const read of this.readsOf(id)) {
        this.readers.set(read, [...(this.readers.get(read) ?? []), id]);
      }
    }
  }

  /** Results that are kept: read by an output, by what SQL cannot say, or more than once. */
  roots(): string[] {
    const outputs = new Set(this.facts.outputs);
    return this.used.filter((id) => {
      if (!this.isRelational(id)) return false;
      const readers = this.readers.get(id) ?? [];
      return (
        outputs.has(id) ||
        readers.length > 1 ||
        this.facts.readTwice.has(id) ||
        // Read twice by one reader, its rows would be chosen twice.
        !this.isDeterministic(id) ||
        this.facts.wide.get(id)?.layout !== undefined ||
        readers.some((reader) => !this.isRelational(reader))
      );
    });
  }

  async query(id: string): Promise<{ query: QueryFacts; notes: PlanNote[] }> {
    const inside: string[] = [];
    const tables: string[] = [];
    const roots = new Set(this.roots());
    const walk = (each: string): void => {
      if (inside.includes(each) || tables.includes(each)) return;
      if (each !== id && (!this.isInline(each) || roots.has(each))) return void tables.push(each);
      for (const read of this.readsOf(each)) walk(read);
      inside.push(each);
    };
    walk(id);
    const named = inside.map((name) => ({ name, sql: this.sqlOf(name) }));
    const sql = `select * from ${quoteName(id)}`;
    const given = named.map((each) => `${quoteName(each.name)} as (${each.sql})`);
    const relational = await this.relational(sql, named, tables);
    const { sources } = this.facts;
    const scans = relational.query
      ? await scanConditions(relational.query, sources, this.database)
      : [];
    const layout = this.facts.wide.get(id)?.layout;
    const query: QueryFacts = {
      id,
      steps: inside.map(shownStep),
      sql: `with ${given.join(', ')} ${sql}`,
      ...(relational.query ? { relational: JSON.stringify(relational.query) } : {}),
      scans,
      tables: tables.map((table) => ({
        id: table,
        columns: this.tableColumns(table, relational.query),
      })),
      columns: this.columnsOf(id),
      deterministic: inside.every((step) => this.isDeterministic(step)),
      sorted: relational.query !== undefined && isSorted(relational.query.relation),
      ...(layout ? { layout } : {}),
    };
    const step = shownStep(id);
    if (relational.query) {
      return { query, notes: this.joinNotes(relational.query, { step, tables }) };
    }
    const text = `runs in one task that reads everything: ${relational.why}`;
    return { query, notes: [{ kind: 'exchange', step, text }] };
  }

  /** @throws WindrowError E_JOIN_EXPLODES */
  private joinNotes(
    query: Query,
    { step, tables }: { readonly step: string; readonly tables: readonly string[] },
  ): PlanNote[] {
    const given = new Map(tables.map((id) => [id, { rows: this.rowsOf(id) }]));
    const { pairs, rows, bytes } = joinSizes(query, new Estimates(given));
    const looked = `joins without keys: about ${pairs.toExponential(0)} pairs of rows are looked at`;
    if (pairs > pairsMax) {
      fail('invalidSpec', 'E_JOIN_EXPLODES', looked, {
        at: { step },
        hint: 'join by keys, or filter or aggregate the sides first',
      });
    }
    const input = [...given.values()].reduce((sum, each) => sum + each.rows, 0);
    const many = rows >= rowsToWarnOf || (rows >= rowsUnexpected && rows >= timesTheInput * input);
    const size = bytes < 1e9 ? '' : `, ${Math.round(bytes / 1e9)} GB,`;
    const gives = `a join may give about ${rows.toExponential(1)} rows${size} of ${input} that are read`;
    return [
      ...(pairs >= pairsToWarnOf ? [looked] : []),
      ...(many ? [`${gives}: join by more keys, or filter or aggregate the sides first`] : []),
    ].map((text) => ({ kind: 'warning', step, text }));
  }

  private async relational(
    sql: string,
    named: readonly NamedQuery[],
    tables: readonly string[],
  ): Promise<{ query: Query } | { query?: undefined; why: string }> {
    const inputs = tables.map((id): RelationalInput => {
      return { name: id, columns: this.columnsOf(id), rows: this.rowsOf(id) };
    });
    const planned = await serialiseQuery(inputs, sql, named);
    if (!planned.ok) return { why: planned.message };
    const names = planned.columns.map(({ name }) => name);
    const decoded = decodeQuery(planned.json, names, planned.isVolatile);
    return decoded.ok ? { query: decoded.query } : { why: decoded.what };
  }

  /** Columns that the query reads of a table; all where that is not known. */
  private tableColumns(table: string, query: Query | undefined): readonly ColumnDef[] {
    const all = this.columnsOf(table);
    if (!query) return all;
    const read = new Set<string>();
    const walk = (relation: Relation): void => {
      if (relation.kind === 'scan' && relation.input === table) {
        for (const name of relation.names) read.add(name);
      }
      inputsOf(relation).forEach(walk);
    };
    walk(query.relation);
    return all.filter(({ name }) => read.has(name));
  }

  /** Whether a query can say it: a wide step, or one that follows such a step and is plain SQL. */
  private isRelational(id: string): boolean {
    if (this.facts.wide.has(id)) return true;
    const step = this.facts.steps.get(id);
    return step !== undefined && this.isInline(id) && this.isRelational(step.from);
  }

  private isInline(id: string): boolean {
    if (this.facts.wide.has(id)) return true;
    return this.facts.steps.get(id)?.operators.every(isPlainSql) ?? false;
  }

  private isDeterministic(id: string): boolean {
    const wide = this.facts.wide.get(id);
    if (wide) return wide.deterministic;
    return this.facts.steps.get(id)?.operators.every(({ deterministic }) => deterministic) ?? true;
  }

  private readsOf(id: string): readonly string[] {
    const step = this.facts.steps.get(id);
    return step ? [step.from] : (this.facts.wide.get(id)?.reads ?? []);
  }

  private columnsOf(id: string): readonly ColumnDef[] {
    const { sources, steps, wide } = this.facts;
    return (sources.get(id) ?? steps.get(id) ?? wide.get(id))?.columns ?? [];
  }

  /** Of steps: as many as all that they read. */
  private rowsOf(id: string): number {
    const source = this.facts.sources.get(id);
    if (!source) return this.readsOf(id).reduce((sum, read) => sum + this.rowsOf(read), 0);
    return rowsOfFiles(source.files.map(({ file }) => file));
  }

  private sqlOf(id: string): string {
    const wide = this.facts.wide.get(id);
    if (wide) return wide.sql;
    const step = this.facts.steps.get(id)!;
    return step.operators.reduce(operatorSql, `select * from ${quoteName(step.from)}`);
  }

  /** Steps that outputs stand on, each after what it reads. */
  private stepsUsed(): string[] {
    const used = new Set<string>();
    const walk = (id: string): void => {
      if (used.has(id) || this.facts.sources.has(id)) return;
      for (const read of this.readsOf(id)) walk(read);
      used.add(id);
    };
    this.facts.outputs.forEach(walk);
    return [...used];
  }
}

function isSorted(relation: Relation): boolean {
  if (relation.kind === 'project' || relation.kind === 'filter') return isSorted(relation.input);
  return relation.kind === 'sort' || (relation.kind === 'limit' && relation.keys.length > 0);
}

function isPlainSql({ kind }: Operator): boolean {
  return kind === 'filter' || kind === 'select' || kind === 'sql';
}

/** The operator over the rows of `input`. */
function operatorSql(input: string, operator: Operator): string {
  switch (operator.kind) {
    case 'filter':
      return `select * from (${input}) where (${operator.step.where}\n)`;
    case 'select': {
      const items = operator.step.columns.map(({ name, expr }) => `${expr} as ${quoteName(name)}`);
      return `select ${items.join(', ')} from (${input})`;
    }
    case 'sql':
      return `with ${quoteName(operator.step.input)} as (${input}) ${operator.step.query}`;
    default:
      throw new Error(`${operator.kind} is no SQL`);
  }
}
