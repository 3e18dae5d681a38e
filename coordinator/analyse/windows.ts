/** A `window` step as a query: OVER is put behind every call that needs it and has none. */
import { WindrowError } from '../../shared/failure.js';
import type { StepOf } from '../../shared/step-spec.js';
import { quoteName } from '../../shared/sql-text.js';
import type { BindContext, Relation } from './bind.js';
import { ofRow, ofWindow, type Fragments } from './fragments.js';
import { functionRule } from './functions.js';
import { parseExpressions, type Fragment } from './parsing.js';
import { isNode, mapNodes, nodesOf, typedConstant, type TreeNode } from './syntax.js';
import type { QueryText } from './wide.js';

type WindowSpec = StepOf<'window'>['window'];

export async function windowQuery(
  { partitionBy = [], orderBy = [], frame, columns }: WindowSpec,
  from: Relation,
  fragments: Fragments,
  context: BindContext,
): Promise<QueryText> {
  const { step } = fragments;
  const parts = partitionBy.map((text) => ({ text, at: { step } }));
  const partitions = await fragments.expressions(parts, ofRow);
  const orders =
    orderBy.length === 0 ? '' : `order by ${await fragments.orders(orderBy, 'orderBy')}`;
  const over = [
    partitions.length === 0 ? '' : `partition by ${partitions.join(', ')}`,
    orders,
    frame === undefined ? '' : await fragments.frame(frame),
  ].join(' ');
  const made = Object.entries(columns).map(([name, text]) => ({
    text,
    at: { step, column: name },
  }));
  const windowed = await withOver(made, over, context);
  const closed = windowed.map((tree, index) => fragments.close(tree, ofWindow, made[index]!.at));
  const texts = await fragments.print(closed);
  const items = made.map(({ at }, index) => `${texts[index]!} as ${quoteName(at.column)}`);
  const itemOf = new Map(made.map(({ at }, index) => [at.column.toLowerCase(), items[index]!]));
  const kept = from.columns.map(({ name }) => {
    const replaced = itemOf.get(name.toLowerCase());
    itemOf.delete(name.toLowerCase());
    return replaced ?? quoteName(name);
  });
  const table = `from ${quoteName(from.id)}`;
  return {
    sql: `select ${[...kept, ...itemOf.values()].join(', ')} ${table}`,
    parts: [
      { sql: `select ${['1', ...partitions].join(', ')} ${table} ${orders}`, at: { step } },
      ...made.map(({ at }, index) => ({
        sql: `select ${items.slice(0, index + 1).join(', ')} ${table}`,
        at,
      })),
    ],
  };
}

/** The expressions with `over` behind each outermost call over many rows that has no OVER of its own. */
async function withOver(
  made: readonly Fragment[],
  over: string,
  { database }: BindContext,
): Promise<TreeNode[]> {
  const isWide: IsWide = (name, children) =>
    functionRule(name, children, database.functions).kind === 'aggregate';
  const trees = await parseExpressions(made, database).catch(withHint);
  const calls = trees.flatMap((tree, index) =>
    openCalls(tree, isWide).map((call) => ({ call, at: made[index]!.at })),
  );
  const printed = await database.printExpressions(
    calls.map(({ call }) => ({ ...mapNodes(call, typed), alias: '' })),
  );
  const windows = await parseExpressions(
    calls.map(({ at }, index) => ({ text: printed[index]!, at, between: ['', ` over (${over})`] })),
    database,
  );
  const windowOf = new Map(calls.map(({ call }, index) => [call, windows[index]!]));
  return trees.map((tree) => mapNodes(tree, (part) => windowOf.get(part)));
}

/** DuckDB's parser wants to see the OVER that would be put behind the call. */
function withHint(error: unknown): never {
  if (!(error instanceof WindrowError) || !/IGNORE NULLS/.test(error.failure.message)) throw error;
  const hint =
    'give that call an OVER of its own: first_value(x ignore nulls) over (partition by … order by …)';
  throw new WindrowError({ ...error.failure, hint }, error);
}

type IsWide = (name: string, children: readonly TreeNode[]) => boolean;

function openCalls(node: TreeNode, isWide: IsWide): TreeNode[] {
  if (node.class === 'WINDOW') return [];
  const name = String(node['function_name']);
  if (node.class === 'FUNCTION' && isWide(name, nodesOf(node['children']))) return [node];
  return Object.values(node)
    .flat()
    .flatMap((member) => (isNode(member) ? openCalls(member, isWide) : []));
}

/** Printed, a DOUBLE would come back as a DECIMAL. */
function typed(part: TreeNode): TreeNode | undefined {
  const constant = part.class === 'CONSTANT' ? typedConstant(part) : part;
  return constant === part ? undefined : constant;
}
