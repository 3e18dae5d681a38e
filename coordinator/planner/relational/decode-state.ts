/** What decoding one plan keeps in mind: fresh ids, results that are shared, unresolved references. */
import { rowType } from './decode-type.js';
import { isObject, unsupported, type PlanObject } from './plan-json.js';
import { type Scope, columnExpression } from './expression.js';
import type { Column, Expression, Project, Reference, Relation } from './relation.js';

/** A position of an operator's result; undefined for what no query may read. */
export type Slot = Column | undefined;

/** An operator and DuckDB's positions in its result. `relation.columns` are the slots, each once. */
export interface Decoded {
  readonly relation: Relation;
  readonly slots: readonly Slot[];
}

export interface SharedResult {
  readonly id: string;
  /** Columns in the definition, by position. */
  readonly slots: readonly Slot[];
  used: boolean;
}

export class DecodeState {
  private columns = 0;
  private results = 0;
  private readonly bindings = new Map<number, readonly Slot[]>();
  readonly ctes = new Map<number, SharedResult>();
  /** Outer rows without duplicates, for the subqueries around the operator being decoded. */
  readonly outer: SharedResult[] = [];

  constructor(
    private readonly prefix: string,
    private readonly isVolatile: (functionName: string) => boolean,
  ) {}

  /** @throws UnsupportedPlan */
  column(name: string, type: string): Column {
    if (type === rowType) unsupported('a struct without names');
    this.columns += 1;
    return { id: `${this.prefix}${this.columns}`, name, type };
  }

  share(slots: readonly Slot[]): SharedResult {
    this.results += 1;
    return { id: `${this.prefix}s${this.results}`, slots, used: false };
  }

  /** The rows of a shared result under fresh ids, and their slots. */
  refer(shared: SharedResult): Decoded {
    shared.used = true;
    const fresh = new Map<string, Column>();
    const from: string[] = [];
    const slots = shared.slots.map((slot) => {
      if (slot === undefined) return undefined;
      const known = fresh.get(slot.id);
      if (known) return known;
      const column = this.column(slot.name, slot.type);
      fresh.set(slot.id, column);
      from.push(slot.id);
      return column;
    });
    const relation: Reference = {
      kind: 'reference',
      shared: shared.id,
      from,
      columns: [...fresh.values()],
    };
    return { relation, slots };
  }

  bind(tableIndex: unknown, slots: readonly Slot[]): void {
    if (typeof tableIndex === 'number') this.bindings.set(tableIndex, slots);
  }

  scope(...sides: readonly (readonly Slot[])[]): Scope {
    return { slots: sides.flat(), bindings: this.bindings, isVolatile: this.isVolatile };
  }
}

/** Slots without the holes, each column once. */
export function columnsIn(slots: readonly Slot[]): Column[] {
  const seen = new Map<string, Column>();
  for (const slot of slots) if (slot && !seen.has(slot.id)) seen.set(slot.id, slot);
  return [...seen.values()];
}

/** Brings an operator's columns down to the slots; the same operator where they are so already. */
export function narrowed(relation: Relation, slots: readonly Slot[]): Decoded {
  const columns = columnsIn(slots);
  if (columns.length === relation.columns.length) return { relation, slots };
  return {
    relation: {
      kind: 'project',
      input: relation,
      columns,
      expressions: columns.map(columnExpression),
    },
    slots,
  };
}

/**
 * Makes plain columns of expressions: those that are not get one below, in a projection that keeps
 * all others.
 * @param apart two equal ones are two columns
 */
export function asColumns(
  input: Relation,
  expressions: readonly Expression[],
  name: (index: number) => string,
  state: DecodeState,
  apart = false,
): { relation: Relation; columns: Column[] } {
  const taken = new Set<string>();
  const known = new Map(input.columns.map((column) => [column.id, column]));
  const added: { column: Column; expression: Expression }[] = [];
  const columns = expressions.map((expression, index) => {
    const plain = expression.column === undefined ? undefined : known.get(expression.column);
    if (plain && !(apart && taken.has(plain.id))) {
      taken.add(plain.id);
      return plain;
    }
    const column = state.column(name(index), expression.type);
    added.push({ column, expression });
    return column;
  });
  if (added.length === 0) return { relation: input, columns };
  const relation: Project = {
    kind: 'project',
    input,
    columns: [...input.columns, ...added.map(({ column }) => column)],
    expressions: [
      ...input.columns.map(columnExpression),
      ...added.map(({ expression }) => expression),
    ],
  };
  return { relation, columns };
}

/** Refuses members that say something and are not named: they would be lost. */
export function onlyKnown(tree: PlanObject, names: readonly string[]): void {
  for (const [name, value] of Object.entries(tree)) {
    if (name === 'type' || name === 'children' || names.includes(name)) continue;
    const empty =
      value === null ||
      value === false ||
      value === '' ||
      (Array.isArray(value) && value.length === 0) ||
      (isObject(value) && Object.keys(value).length === 0);
    if (!empty) unsupported(`${operatorName(tree)} with ${name}`);
  }
}

/** `any_join` for `LOGICAL_ANY_JOIN`. */
export function operatorName(tree: PlanObject): string {
  return String(tree['type'])
    .replace(/^LOGICAL_/, '')
    .toLowerCase();
}
