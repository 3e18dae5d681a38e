/** Scans of the plan, with the filters that the optimiser moved into them. */
import { constantText } from './decode-constant.js';
import { comparisons, decodeExpression } from './decode-expression.js';
import {
  indexOf,
  listOf,
  objectOf,
  objectsOf,
  textOf,
  unsupported,
  type PlanObject,
} from './plan-json.js';
import { type Scope, columnExpression, combine } from './expression.js';
import type { Column, Expression } from './relation.js';
import { quoteText } from '../../../shared/sql-text.js';

/** The table that a scan reads; undefined when it is a table function. */
export function tableOf(get: PlanObject): string | undefined {
  if (get['name'] !== 'seq_scan') return undefined;
  const data = objectOf(get['function_data'], 'scan');
  if (data['is_index_scan'] !== false) unsupported('an index scan');
  return textOf(data['table'], 'scan');
}

/** The table's column that each position reads; undefined for row numbers and the like. */
export function scannedColumns(
  get: PlanObject,
): readonly ({ index: number; name: string; type: unknown } | undefined)[] {
  const names = listOf(get['names'], 'scan').map((name) => textOf(name, 'scan'));
  const types = listOf(get['returned_types'], 'scan');
  const read = objectsOf(get['column_indexes'], 'scan').map((column) => {
    if (column['index_type'] !== 'FULL_READ') unsupported('a scan of a part of a column');
    const index = column['index'];
    if (typeof index !== 'number') return undefined;
    const name = names[index];
    return name === undefined ? undefined : { index, name, type: types[index] };
  });
  const kept = listOf(get['projection_ids'], 'scan');
  return kept.length === 0 ? read : kept.map((at) => read[indexOf(at, 'scan')]);
}

/** Keys are positions in the table, as `columnAt` expects them. @throws UnsupportedPlan */
export function scanFilters(
  get: PlanObject,
  columnAt: (index: number) => Column,
  scope: Scope,
): Expression[] {
  const filters = objectsOf(objectOf(get['table_filters'], 'scan')['filters'], 'scan');
  return filters.flatMap((filter) => {
    const column = columnExpression(columnAt(indexOf(filter['key'], 'scan filter')));
    return conditions(objectOf(filter['value'], 'scan filter'), column, scope);
  });
}

function conditions(filter: PlanObject, column: Expression, scope: Scope): Expression[] {
  const kind = textOf(filter['filter_type'], 'scan filter');
  switch (kind) {
    case 'CONSTANT_COMPARISON': {
      const word = comparisons[String(filter['comparison_type'])];
      if (word === undefined) return unsupported('scan filter of an unknown comparison');
      return [bool(`(${column.sql} ${word} ${constantText(filter['constant']).sql})`, column)];
    }
    case 'IS_NULL':
      return [bool(`(${column.sql} is null)`, column)];
    case 'IS_NOT_NULL':
      return [bool(`(${column.sql} is not null)`, column)];
    case 'CONJUNCTION_AND':
      return objectsOf(filter['child_filters'], kind).flatMap((child) =>
        conditions(child, column, scope),
      );
    case 'CONJUNCTION_OR': {
      const parts = objectsOf(filter['child_filters'], kind).map((child) => {
        const found = conditions(child, column, scope);
        if (found.length === 0) return unsupported('an optional filter inside OR');
        return `(${found.map(({ sql }) => sql).join(' and ')})`;
      });
      return [bool(`(${parts.join(' or ')})`, column)];
    }
    case 'IN_FILTER': {
      const values = listOf(filter['values'], kind).map((value) => constantText(value).sql);
      return [bool(`(${column.sql} in (${values.join(', ')}))`, column)];
    }
    // A hint: what it says stands in a filter above as well.
    case 'OPTIONAL_FILTER':
      return [];
    case 'STRUCT_EXTRACT': {
      const name = textOf(filter['child_name'], kind);
      const member = combine(`struct_extract(${column.sql}, ${quoteText(name)})`, 'ANY', [column]);
      return conditions(objectOf(filter['child_filter'], kind), member, scope);
    }
    case 'EXPRESSION_FILTER':
      return [decodeExpression(filter['expr'], { ...scope, slots: [column] })];
    default:
      return unsupported(`scan filter ${kind}`);
  }
}

function bool(sql: string, column: Expression): Expression {
  return combine(sql, 'BOOLEAN', [column]);
}
