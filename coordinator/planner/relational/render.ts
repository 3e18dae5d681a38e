/**
 * A relational plan as DuckDB SQL: each operator a select over its inputs. Never decides anything;
 * the same plan always gives the same text.
 */
import { calledName } from './decode-function.js';
import { callText, orderText, windowText } from './render-call.js';
import { joinText } from './render-join.js';
import type {
  Aggregate,
  Column,
  Distinct,
  Expression,
  Limit,
  Query,
  Reference,
  Relation,
  Scan,
  SetOperation,
  Values,
} from './relation.js';
import { quoteName } from '../../../shared/sql-text.js';

export type Leaf = Scan | Reference;

/**
 * What stands after FROM for a leaf: a table with the columns that the leaf names (`names` of a
 * scan, `from` of a reference whose shared result is not part of the plan being rendered).
 */
export type LeafSql = (leaf: Leaf) => string;

/** A column and what the select calls it. */
export interface Output {
  readonly id: string;
  readonly as: string;
}

/** Writes a relation as a subselect in parentheses, with the columns asked for. */
export type Subselect = (relation: Relation, ids: ReadonlySet<string>) => string;

interface Context {
  readonly leafSql: LeafSql;
  readonly defined: ReadonlySet<string>;
}

/** One select with the user's columns in the user's order. */
export function renderQuery(query: Query, leafSql: LeafSql): string {
  const outputs = query.result.map(({ id, name }) => ({ id, as: name }));
  return select(query.relation, outputs, { leafSql, defined: new Set() });
}

/** One select with the operator's columns in its order, called by their ids. */
export function renderSql(relation: Relation, leafSql: LeafSql): string {
  return select(relation, plain(relation.columns), { leafSql, defined: new Set() });
}

function plain(columns: readonly Column[]): Output[] {
  return columns.map(({ id }) => ({ id, as: id }));
}

function select(relation: Relation, outputs: readonly Output[], context: Context): string {
  const ids = new Set(outputs.map(({ id }) => id));
  // A column asked for twice must not be computed twice: it might come out different.
  if (ids.size < outputs.length || !isFree(relation, ids, outputs)) {
    return `select ${names(outputs)} from (${select(relation, plain(relation.columns), context)})`;
  }
  const sub: Subselect = (input, wanted) => {
    const columns = input.columns.filter(({ id }) => wanted.has(id));
    return `(${select(input, plain(columns), context)})`;
  };
  switch (relation.kind) {
    case 'scan':
      return leaf(relation, relation.names, outputs, context.leafSql(relation));
    case 'reference': {
      const known = context.defined.has(relation.shared);
      const from = known ? quoteName(relation.shared) : context.leafSql(relation);
      return leaf(relation, relation.from, outputs, from);
    }
    case 'filter': {
      const from = sub(relation.input, reads(relation.conditions, ids));
      const where = relation.conditions.map(({ sql }) => sql).join(' and ');
      return `select ${names(outputs)} from ${from} where ${where}`;
    }
    case 'project': {
      const known = new Map(relation.columns.map(({ id }, at) => [id, relation.expressions[at]]));
      const passed = outputs.every(({ id }) => known.get(id)?.column === id);
      if (passed && outputs.length > 0) return select(relation.input, outputs, context);
      const made = outputs.flatMap(({ id }) => known.get(id) ?? []);
      return `select ${list(outputs, ({ id }) => known.get(id)?.sql)} from ${sub(relation.input, reads(made))}`;
    }
    case 'aggregate':
      return aggregate(relation, outputs, sub);
    case 'join':
      return joinText(relation, outputs, sub, names);
    case 'sort': {
      const from = sub(relation.input, reads(relation.keys.map(expressionOf), ids));
      return `select ${names(outputs)} from ${from} ${orderText(relation.keys)}`;
    }
    case 'limit':
      return limit(relation, outputs, sub, ids);
    case 'distinct':
      return distinct(relation, outputs, sub, ids);
    case 'window': {
      const calls = new Map(relation.calls.map((call) => [call.column.id, call]));
      const used = relation.calls.filter(({ column }) => ids.has(column.id));
      const parts = used.flatMap((call) => [
        ...callParts(call),
        ...call.partition,
        ...call.keys.map(expressionOf),
        ...[call.frame.start, call.frame.end].flatMap(({ offset }) => offset ?? []),
      ]);
      const text = list(outputs, ({ id }) => {
        const call = calls.get(id);
        return call ? windowText(call) : quoteName(id);
      });
      return `select ${text} from ${sub(relation.input, reads(parts, ids))}`;
    }
    case 'set':
      return setOperation(relation, outputs, context);
    case 'values':
      return values(relation, outputs);
    case 'series': {
      const args = relation.args.map(({ sql }) => sql).join(', ');
      const call = `${calledName(relation.name)}(${args})`;
      const [column] = relation.columns;
      return `select ${names(outputs)} from ${call} as t(${quoteName(column?.id ?? '_')})`;
    }
    case 'shared': {
      const definition = select(relation.definition, plain(relation.definition.columns), context);
      const inner = { ...context, defined: new Set([...context.defined, relation.id]) };
      const body = select(relation.body, outputs, inner);
      const text = `with ${quoteName(relation.id)} as materialized (${definition})`;
      return /^with /.test(body)
        ? `${text} select ${outputs.map(({ as }) => quoteName(as)).join(', ')} from (${body})`
        : `${text} ${body}`;
    }
    case 'unnest': {
      const lists = new Map(relation.lists.map(({ column, list: each }) => [column.id, each]));
      const from = sub(relation.input, reads([...lists.values()], ids));
      const text = list(outputs, ({ id }) => {
        const each = lists.get(id);
        return each ? `unnest(${each.sql})` : quoteName(id);
      });
      return `select ${text} from ${from}`;
    }
  }
}

/** Whether a select may leave out what is not among the outputs without changing its rows. */
function canDrop(relation: Relation, ids: ReadonlySet<string>): boolean {
  switch (relation.kind) {
    case 'distinct':
      return relation.on !== undefined || relation.columns.every(({ id }) => ids.has(id));
    case 'set':
      return relation.columns.every(({ id }) => ids.has(id));
    case 'unnest':
      return relation.lists.every(({ column }) => ids.has(column.id));
    default:
      return true;
  }
}

/** Whether the operator's own select can give exactly these outputs. */
function isFree(relation: Relation, ids: ReadonlySet<string>, outputs: readonly Output[]): boolean {
  if (relation.kind === 'set') {
    return relation.columns.every(({ id }, at) => outputs[at]?.id === id);
  }
  return canDrop(relation, ids);
}

function list(outputs: readonly Output[], text: (output: Output) => string | undefined): string {
  if (outputs.length === 0) return 'NULL as "_"';
  return outputs
    .map((output) => {
      const sql = text(output) ?? quoteName(output.id);
      const name = quoteName(output.as);
      return sql === name ? sql : `${sql} as ${name}`;
    })
    .join(', ');
}

function names(outputs: readonly Output[]): string {
  return list(outputs, ({ id }) => quoteName(id));
}

function reads(
  expressions: readonly Expression[],
  more: ReadonlySet<string> = new Set(),
): ReadonlySet<string> {
  return new Set([...more, ...expressions.flatMap((expression) => expression.reads)]);
}

function expressionOf(key: { readonly expression: Expression }): Expression {
  return key.expression;
}

function callParts(call: Aggregate['measures'][number]['call']): Expression[] {
  return [...call.args, ...(call.filter ? [call.filter] : []), ...call.order.map(expressionOf)];
}

function leaf(
  relation: Leaf,
  inner: readonly string[],
  outputs: readonly Output[],
  from: string,
): string {
  const known = new Map(relation.columns.map(({ id }, at) => [id, inner[at] ?? id]));
  return `select ${list(outputs, ({ id }) => quoteName(known.get(id) ?? id))} from ${from}`;
}

function aggregate(relation: Aggregate, outputs: readonly Output[], sub: Subselect): string {
  const from = (at: number) => quoteName(relation.keys[at]?.from ?? '');
  const texts = new Map<string, string>();
  for (const { column, from: key } of relation.keys) texts.set(column.id, quoteName(key));
  for (const { column, call } of relation.measures) texts.set(column.id, callText(call));
  for (const { column, keys } of relation.groupings) {
    texts.set(column.id, `grouping(${keys.map(from).join(', ')})`);
  }
  const wanted = new Set(outputs.map(({ id }) => id));
  const parts = relation.measures.flatMap(({ column, call }) =>
    wanted.has(column.id) ? callParts(call) : [],
  );
  const input = sub(relation.input, reads(parts, new Set(relation.keys.map((key) => key.from))));
  const sets = relation.sets?.map((set) => `(${set.map(from).join(', ')})`);
  const groups = sets
    ? ` group by grouping sets (${sets.join(', ')})`
    : relation.keys.length > 0
      ? ` group by ${relation.keys.map((_, at) => from(at)).join(', ')}`
      : '';
  // Without keys it is the call that makes one row of all, whether anybody looks at it or not.
  const items = outputs.length === 0 ? 'count(*) as "_"' : list(outputs, ({ id }) => texts.get(id));
  return `select ${items} from ${input}${groups}`;
}

function limit(
  relation: Limit,
  outputs: readonly Output[],
  sub: Subselect,
  ids: ReadonlySet<string>,
): string {
  const from = sub(relation.input, reads(relation.keys.map(expressionOf), ids));
  const parts = [
    `select ${names(outputs)} from ${from}`,
    ...(relation.keys.length > 0 ? [orderText(relation.keys)] : []),
    ...(relation.limit === undefined ? [] : [`limit ${relation.limit}`]),
    ...(relation.offset === undefined ? [] : [`offset ${relation.offset}`]),
  ];
  return parts.join(' ');
}

function distinct(
  relation: Distinct,
  outputs: readonly Output[],
  sub: Subselect,
  ids: ReadonlySet<string>,
): string {
  const on = relation.on ?? [];
  const from = sub(relation.input, reads([...on, ...relation.keys.map(expressionOf)], ids));
  const word = relation.on ? `distinct on (${on.map(({ sql }) => sql).join(', ')})` : 'distinct';
  const order = relation.keys.length > 0 ? ` ${orderText(relation.keys)}` : '';
  return `select ${word} ${names(outputs)} from ${from}${order}`;
}

function setOperation(
  relation: SetOperation,
  outputs: readonly Output[],
  context: Context,
): string {
  const word = `${relation.operation}${relation.all ? ' all' : ''}`;
  return relation.inputs
    .map(({ relation: input, ids }) => {
      const branch = ids.map((id, at) => ({ id, as: outputs[at]?.as ?? id }));
      const text = select(input, branch, context);
      const columns = branch.map(({ as }) => quoteName(as)).join(', ');
      // A branch of its own parentheses keeps its order, limit and definitions to itself.
      return new Set(branch.map(({ as }) => as)).size === branch.length
        ? `(select ${columns} from (${text}))`
        : `(${text})`;
    })
    .join(` ${word} `);
}

function values(relation: Values, outputs: readonly Output[]): string {
  const typed = relation.columns.map(({ id, type }) => `cast(NULL as ${type}) as ${quoteName(id)}`);
  if (relation.rows.length === 0) {
    const none = typed.length > 0 ? typed.join(', ') : 'NULL as "_"';
    return `select ${names(outputs)} from (select ${none}) where false`;
  }
  if (relation.columns.length === 0) {
    return `select ${names(outputs)} from (values ${relation.rows.map(() => '(NULL)').join(', ')})`;
  }
  const rows = relation.rows.map((row) => `(${row.map(({ sql }) => sql).join(', ')})`);
  const columns = relation.columns.map(({ id }) => quoteName(id)).join(', ');
  return `select ${names(outputs)} from (values ${rows.join(', ')}) as v(${columns})`;
}
