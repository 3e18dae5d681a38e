/**
 * Closes an expression: parameters and the clock become constants, columns are resolved, and what
 * could read the machine, the session or other rows is refused. Never: binds types; DuckDB does.
 */
import { fail, type FailureLocation } from '../../shared/failure.js';
import type { ParamValue } from '../../shared/job-spec.js';
import type { ColumnDef } from '../../shared/plan.js';
import { nameHint } from '../../shared/spec-problems.js';
import { paramNamed, unknownParam } from '../../shared/sql-params.js';
import type { FunctionFacts } from './bind-database.js';
import { functionRule, type ClockType } from './functions.js';
import { readTables } from './tables.js';
import {
  castNode,
  columnNode,
  functionNode,
  isNode,
  nodesOf,
  textsOf,
  typedConstant,
  valueNode,
  walkTree,
  type TreeNode,
} from './syntax.js';

/** What an expression may name. */
export interface Scope {
  /** The relation's id and, in a query, its alias: both may qualify a column. */
  readonly relations: readonly string[];
  readonly columns: readonly ColumnDef[];
  /** Ids of all sources and steps: reading another one needs a join. */
  readonly known: ReadonlySet<string>;
  readonly params: Readonly<Record<string, ParamValue>>;
  /** The job's `now()`. */
  readonly nowMs: number;
  readonly functions: ReadonlyMap<string, FunctionFacts>;
  readonly at: FailureLocation;
  /** Expressions that columns made beside this one stand for, by lower-case name. */
  readonly aliases?: ReadonlyMap<string, TreeNode>;
}

/** What closing found out; columns by their true names. */
export interface Closed {
  readonly node: TreeNode;
  readonly columns: readonly string[];
  readonly deterministic: boolean;
  readonly usesClock: boolean;
}

/**
 * @throws WindrowError E_UNKNOWN_COLUMN, E_UNKNOWN_PARAM, E_SQL_DENIED, E_STEP_UNSUPPORTED
 */
export function closeExpression(expression: TreeNode, scope: Scope): Closed {
  const closing = new Closing(scope);
  const node = closing.expression(expression, new Set());
  return {
    node,
    columns: [...closing.columns],
    deterministic: closing.deterministic,
    usesClock: closing.usesClock,
  };
}

class Closing {
  readonly columns = new Set<string>();
  deterministic = true;
  usesClock = false;
  private readonly byName: ReadonlyMap<string, ColumnDef>;
  /** Aliases being replaced, so that one that names itself is not replaced for ever. */
  private readonly replacing = new Set<string>();

  constructor(private readonly scope: Scope) {
    this.byName = columnsByName(scope.columns);
  }

  /** @param bound names that a lambda around this binds, in lower case */
  expression(node: TreeNode, bound: ReadonlySet<string>): TreeNode {
    switch (node.class) {
      case 'CONSTANT':
        return typedConstant(node);
      case 'PARAMETER':
        return paramValue(node, this.scope);
      case 'COLUMN_REF':
        return this.column(node, bound);
      case 'FUNCTION':
        return this.call(node, bound);
      case 'LAMBDA':
        return this.lambda(node, bound);
      case 'WINDOW':
        return refuseBeyondRow('window', 'a window function', this.scope.at);
      case 'SUBQUERY':
        readTables(node, this.scope);
        return refuseBeyondRow('subquery', 'a subquery', this.scope.at);
      case 'STAR':
        return refuseBeyondRow('columns', '*', this.scope.at);
      default:
        if (node.type === 'GROUPING_FUNCTION') {
          return refuseBeyondRow('aggregate', 'grouping()', this.scope.at);
        }
        return this.members(node, bound);
    }
  }

  /** Closes every expression among the members of something that is none of the special ones. */
  private members(node: TreeNode, bound: ReadonlySet<string>): TreeNode {
    const closed: TreeNode = {};
    for (const [key, member] of Object.entries(node)) closed[key] = this.member(member, bound);
    return closed;
  }

  private member(value: unknown, bound: ReadonlySet<string>): unknown {
    if (Array.isArray(value)) return value.map((item) => this.member(item, bound));
    if (!isNode(value)) return value;
    return value.class === undefined ? this.members(value, bound) : this.expression(value, bound);
  }

  private column(node: TreeNode, bound: ReadonlySet<string>): TreeNode {
    const names = textsOf(node['column_names']);
    const [first = '', second] = names;
    if (bound.has(first.toLowerCase())) return fieldOf(columnNode([first]), names.slice(1), node);
    const qualified =
      second !== undefined &&
      this.scope.relations.some((id) => id.toLowerCase() === first.toLowerCase()) &&
      this.byName.has(second.toLowerCase());
    const path = qualified ? names.slice(1) : names;
    const column = this.byName.get((path[0] ?? '').toLowerCase());
    if (column) {
      this.columns.add(column.name);
      return fieldOf(columnNode([column.name]), path.slice(1), node);
    }
    const alias = this.alias(first, names.length, bound);
    if (alias) return { ...alias, alias: node.alias ?? '' };
    if (names.length === 1) {
      const rule = functionRule(first, [], this.scope.functions);
      if (rule.kind === 'clock') return this.clock(rule.type, node);
      if (rule.kind === 'denied') return deny(first, rule.instead, this.scope.at);
    }
    return unknownColumn(names.join('.'), this.scope.columns, this.scope.at);
  }

  /** A column made in the same list: SQL lets later expressions and WHERE name it. */
  private alias(name: string, parts: number, bound: ReadonlySet<string>): TreeNode | undefined {
    const lower = name.toLowerCase();
    const made = this.scope.aliases?.get(lower);
    if (!made || parts > 1 || bound.size > 0 || this.replacing.has(lower)) return undefined;
    this.replacing.add(lower);
    const before = this.deterministic;
    this.deterministic = true;
    const closed = this.expression(made, bound);
    if (!this.deterministic) {
      this.unsupported(`'${name}'`, 'is random, and would differ each time it is named');
    }
    this.deterministic = before;
    this.replacing.delete(lower);
    return closed;
  }

  private call(node: TreeNode, bound: ReadonlySet<string>): TreeNode {
    const name = String(node['function_name']);
    const children = nodesOf(node['children']);
    const rule = functionRule(name, children, this.scope.functions);
    switch (rule.kind) {
      case 'clock':
        return this.clock(rule.type, node);
      case 'denied':
        return deny(`${name}()`, rule.instead, this.scope.at);
      case 'aggregate':
        return refuseBeyondRow('aggregate', `${name}()`, this.scope.at);
      case 'rows':
        return refuseBeyondRow('rows', `${name}()`, this.scope.at);
      case 'random':
        this.deterministic = false;
        return this.members(node, bound);
      case 'plain':
        return this.members(node, bound);
    }
  }

  private lambda(node: TreeNode, bound: ReadonlySet<string>): TreeNode {
    const left = isNode(node['lhs']) ? node['lhs'] : {};
    const names = new Set(bound);
    walkTree(left, (part) => {
      for (const name of textsOf(part['column_names'])) names.add(name.toLowerCase());
    });
    const body = isNode(node['expr']) ? this.expression(node['expr'], names) : node['expr'];
    return { ...node, expr: body };
  }

  private clock(type: ClockType, node: TreeNode): TreeNode {
    this.usesClock = true;
    return clockValue(type, this.scope.nowMs, node.alias);
  }

  private unsupported(what: string, why: string): never {
    fail('invalidSpec', 'E_STEP_UNSUPPORTED', `${what} ${why}`, {
      at: this.scope.at,
      hint: 'an expression here can only read the columns of one row',
    });
  }
}

/** @throws WindrowError E_UNKNOWN_PARAM */
export function paramValue(node: TreeNode, { params, at }: Pick<Scope, 'params' | 'at'>): TreeNode {
  const names = Object.keys(params);
  const wanted = String(node['identifier']);
  const name = paramNamed(wanted, names);
  if (name === undefined) {
    const { message, hint } = unknownParam(wanted, names);
    fail('invalidSpec', 'E_UNKNOWN_PARAM', message, { at, hint });
  }
  return valueNode(params[name] ?? null, node.alias);
}

/** The job's own time, in UTC, to the millisecond. */
export function clockValue(type: ClockType, nowMs: number, alias?: string): TreeNode {
  const iso = new Date(nowMs).toISOString();
  const [date, time] = [iso.slice(0, 10), iso.slice(11, 23)];
  const text = {
    DATE: date,
    TIME: time,
    TIMESTAMP: `${date} ${time}`,
    'TIME WITH TIME ZONE': `${time}+00`,
    'TIMESTAMP WITH TIME ZONE': `${date} ${time}+00`,
  }[type];
  return castNode(text, type, alias);
}

/** @throws WindrowError E_SQL_DENIED */
export function deny(what: string, instead: string, at: FailureLocation): never {
  fail('invalidSpec', 'E_SQL_DENIED', `${what} is not allowed`, { at, hint: instead });
}

/** What takes an expression beyond the columns of one row. */
export type BeyondRow = 'aggregate' | 'window' | 'subquery' | 'rows' | 'columns';

const beyondRow: Readonly<Record<BeyondRow, { readonly why: string; readonly hint: string }>> = {
  aggregate: {
    why: 'needs other rows than this one',
    hint: 'compute it in an aggregate step, whose having filters groups, or beside each row in a window step',
  },
  window: {
    why: 'needs other rows than this one',
    hint: 'make it a column in a window step, and use that column here',
  },
  subquery: {
    why: 'reads other rows than this one',
    hint: 'join what it reads in a join step (how: semi or anti for IN and EXISTS), or write a sql step',
  },
  rows: { why: 'changes the number of rows', hint: 'write a sql step' },
  columns: { why: 'stands for columns, not for a value', hint: 'name one column' },
};

/** @throws WindrowError E_STEP_UNSUPPORTED, saying which kind of step is for it */
export function refuseBeyondRow(what: BeyondRow, called: string, at: FailureLocation): never {
  const { why, hint } = beyondRow[what];
  fail('invalidSpec', 'E_STEP_UNSUPPORTED', `${called} ${why}`, { at, hint });
}

/** Struct fields are taken by function, so that no relation's name can be mistaken for a column. */
function fieldOf(column: TreeNode, fields: readonly string[], original: TreeNode): TreeNode {
  const node = fields.reduce(
    (inner, field) => functionNode('struct_extract', [inner, valueNode(field)]),
    column,
  );
  return { ...node, alias: original.alias ?? '' };
}

export function columnsByName(columns: readonly ColumnDef[]): Map<string, ColumnDef> {
  return new Map(columns.map((column) => [column.name.toLowerCase(), column]));
}

export function unknownColumn(
  name: string,
  columns: readonly ColumnDef[],
  at: FailureLocation,
): never {
  fail('invalidSpec', 'E_UNKNOWN_COLUMN', `there is no column '${name.slice(0, 200)}'`, {
    at,
    hint:
      nameHint(
        name,
        columns.map((column) => column.name),
      ) ?? 'name a column of what the step reads',
  });
}

/** The column of that name, without regard to case. @throws WindrowError E_UNKNOWN_COLUMN */
export function findColumn(
  name: string,
  columns: readonly ColumnDef[],
  at: FailureLocation,
): ColumnDef {
  const exact = columns.find((column) => column.name === name);
  const found = exact ?? columnsByName(columns).get(name.toLowerCase());
  return found ?? unknownColumn(name, columns, at);
}
