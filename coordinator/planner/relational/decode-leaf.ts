/** Leaves of the plan: scans, constant rows, and table functions that need no outside world. */
import { constantText } from './decode-constant.js';
import { expressionsOf } from './decode-expression.js';
import { scanFilters, scannedColumns, tableOf } from './decode-scan.js';
import { columnsIn, narrowed, onlyKnown, type Decoded, type DecodeState } from './decode-state.js';
import { typeText } from './decode-type.js';
import { indexOf, listOf, objectsOf, textOf, unsupported, type PlanObject } from './plan-json.js';
import { columnExpression, combine } from './expression.js';
import type { Column, Relation, Scan } from './relation.js';

/** Undefined for what is no leaf. @throws UnsupportedPlan */
export function leafOf(
  tree: PlanObject,
  decode: (child: PlanObject) => Decoded,
  state: DecodeState,
): Decoded | undefined {
  switch (tree['type']) {
    case 'LOGICAL_GET':
      return tableOf(tree) === undefined ? tableFunction(tree, decode, state) : scan(tree, state);
    case 'LOGICAL_DUMMY_SCAN':
      return { relation: { kind: 'values', rows: [[]], columns: [] }, slots: [] };
    case 'LOGICAL_EMPTY_RESULT':
      return rowsOf(tree, listOf(tree['return_types'], 'empty result'), [], state);
    case 'LOGICAL_EXPRESSION_GET':
      return constantRows(tree, state);
    default:
      return undefined;
  }
}

const scanMembers = [
  'table_index',
  'returned_types',
  'names',
  'table_filters',
  'name',
  'arguments',
  'original_arguments',
  'catalog_name',
  'schema_name',
  'has_serialize',
  'function_data',
  'column_indexes',
  'projection_ids',
  'extra_info',
  'ordinality_idx',
];

function scan(tree: PlanObject, state: DecodeState): Decoded {
  onlyKnown(tree, scanMembers);
  const columns = new Map<number, { column: Column; name: string }>();
  const names = listOf(tree['names'], 'scan');
  const types = listOf(tree['returned_types'], 'scan');
  const columnAt = (index: number): Column => {
    const known = columns.get(index);
    if (known) return known.column;
    const name = textOf(names[index], 'scan');
    const column = state.column(name, typeText(types[index]));
    columns.set(index, { column, name });
    return column;
  };
  const slots = scannedColumns(tree).map((each) => each && columnAt(each.index));
  const conditions = scanFilters(tree, columnAt, state.scope());
  state.bind(tree['table_index'], slots);
  const all = [...columns.values()];
  const leaf: Scan = {
    kind: 'scan',
    input: tableOf(tree) ?? '',
    names: all.map(({ name }) => name),
    columns: all.map(({ column }) => column),
  };
  const relation: Relation =
    conditions.length === 0
      ? leaf
      : { kind: 'filter', input: leaf, conditions, columns: leaf.columns };
  return narrowed(relation, slots);
}

/** `unnest` of a list that its input computes; `range` over constants. */
function tableFunction(
  tree: PlanObject,
  decode: (child: PlanObject) => Decoded,
  state: DecodeState,
): Decoded {
  const name = textOf(tree['name'], 'table function');
  if (!['unnest', 'range', 'generate_series'].includes(name)) {
    unsupported(`table function ${name}`);
  }
  const known = ['parameters', 'input_table_types', 'input_table_names', 'projected_input'];
  onlyKnown(tree, [...scanMembers, ...known]);
  const plain = objectsOf(tree['column_indexes'], name).every((column) => column['index'] === 0);
  const filtered = scanFilters(tree, () => unsupported(`a filter in ${name}`), state.scope());
  if (filtered.length > 0 || !plain) unsupported(`table function ${name}`);
  const [child, ...others] = objectsOf(tree['children'], name);
  const given = listOf(tree['parameters'], name);
  if (name === 'unnest' && child && others.length === 0 && given.length === 0) {
    return unnestInput(tree, decode(child), state);
  }
  if (child || name === 'unnest') {
    return unsupported(`table function ${name}`);
  }
  const args = given.map((value) => {
    const { sql, type } = constantText(value);
    return combine(sql, type, []);
  });
  const [type, ...more] = listOf(tree['returned_types'], name);
  if (more.length > 0) unsupported(`table function ${name}`);
  const column = state.column(name, typeText(type));
  const slots = listOf(tree['column_indexes'], name).map(() => column);
  state.bind(tree['table_index'], slots);
  return { relation: { kind: 'series', name, args, columns: [column] }, slots };
}

function unnestInput(tree: PlanObject, input: Decoded, state: DecodeState): Decoded {
  const list = input.slots[0] ?? unsupported('unnest without a list');
  const type = typeText(listOf(tree['returned_types'], 'unnest')[0]);
  const column = state.column('unnest', type);
  const kept = listOf(tree['projected_input'], 'unnest').map(
    (at) => input.slots[indexOf(at, 'unnest')],
  );
  const slots = [column, ...kept];
  state.bind(tree['table_index'], slots);
  return narrowed(
    {
      kind: 'unnest',
      input: input.relation,
      lists: [{ column, list: columnExpression(list) }],
      columns: [...input.relation.columns, column],
    },
    slots,
  );
}

function constantRows(tree: PlanObject, state: DecodeState): Decoded {
  onlyKnown(tree, ['table_index', 'expr_types', 'expressions']);
  const scope = state.scope();
  const rows = listOf(tree['expressions'], 'values').map((row) => expressionsOf(row, scope));
  return rowsOf(tree, listOf(tree['expr_types'], 'values'), rows, state);
}

function rowsOf(
  tree: PlanObject,
  types: readonly unknown[],
  rows: readonly ReturnType<typeof expressionsOf>[],
  state: DecodeState,
): Decoded {
  const slots = types.map((type, index) => state.column(`column${index}`, typeText(type)));
  state.bind(tree['table_index'], slots);
  return { relation: { kind: 'values', rows, columns: columnsIn(slots) }, slots };
}
