/** DuckDB's serialised types as SQL text. Never a type whose values SQL text could not name. */
import {
  indexOf,
  isObject,
  listOf,
  objectOf,
  objectsOf,
  textOf,
  unsupported,
  type PlanObject,
} from './plan-json.js';
import { quoteName, quoteText } from '../../../shared/sql-text.js';

const plain = new Set([
  'BOOLEAN',
  'TINYINT',
  'SMALLINT',
  'INTEGER',
  'BIGINT',
  'HUGEINT',
  'UTINYINT',
  'USMALLINT',
  'UINTEGER',
  'UBIGINT',
  'UHUGEINT',
  'FLOAT',
  'DOUBLE',
  'DATE',
  'TIME',
  'TIME WITH TIME ZONE',
  'TIMESTAMP',
  'TIMESTAMP_S',
  'TIMESTAMP_MS',
  'TIMESTAMP_NS',
  'TIMESTAMP WITH TIME ZONE',
  'INTERVAL',
  'VARCHAR',
  'BLOB',
  'BIT',
  'UUID',
]);

/** A type as SQL text that `cast(… as …)` takes. @throws UnsupportedPlan */
export function typeText(value: unknown): string {
  const type = objectOf(value, 'type');
  const id = textOf(type['id'], 'type');
  const info = type['type_info'];
  if (info === null || info === undefined) {
    return plain.has(id) ? id : id === 'NULL' ? '"NULL"' : unsupported(`type ${id}`);
  }
  return withInfo(id, objectOf(info, `type ${id}`));
}

function withInfo(id: string, info: PlanObject): string {
  const alias = info['alias'];
  if (alias === 'JSON' && id === 'VARCHAR') return 'JSON';
  if (typeof alias === 'string' && alias !== '') unsupported(`type ${alias}`);
  if (info['extension_info'] !== null && info['extension_info'] !== undefined) {
    unsupported(`type ${id} of an extension`);
  }
  switch (info['type']) {
    case 'DECIMAL_TYPE_INFO':
      return `DECIMAL(${indexOf(info['width'], id)},${indexOf(info['scale'], id)})`;
    case 'LIST_TYPE_INFO':
      return id === 'MAP' ? mapText(info) : `${typeText(info['child_type'])}[]`;
    case 'ARRAY_TYPE_INFO':
      return `${typeText(info['child_type'])}[${indexOf(info['size'], id)}]`;
    case 'STRUCT_TYPE_INFO':
      return id === 'STRUCT' ? structText(info) : unsupported(`type ${id}`);
    case 'ENUM_TYPE_INFO':
      return `ENUM(${enumWords(info).map(quoteText).join(', ')})`;
    default:
      return unsupported(`type ${id} (${String(info['type'])})`);
  }
}

/** Names and types of a STRUCT's members; unnamed members have empty names. */
export function structMembers(value: unknown): readonly { name: string; type: unknown }[] {
  const info = objectOf(objectOf(value, 'type')['type_info'], 'struct type');
  return objectsOf(info['child_types'], 'struct type').map((member) => ({
    name: typeof member['first'] === 'string' ? member['first'] : '',
    type: member['second'],
  }));
}

export function enumWords(info: PlanObject): string[] {
  return listOf(info['values'], 'enum').map((word) => textOf(word, 'enum'));
}

function structText(info: PlanObject): string {
  const members = objectsOf(info['child_types'], 'struct type').map((member) => {
    const name = textOf(member['first'], 'member name');
    if (name === '') unsupported('a struct without names');
    return `${quoteName(name)} ${typeText(member['second'])}`;
  });
  return `STRUCT(${members.join(', ')})`;
}

function mapText(info: PlanObject): string {
  const [key, entry] = structMembers(info['child_type']);
  return key && entry
    ? `MAP(${typeText(key.type)}, ${typeText(entry.type)})`
    : unsupported('map type without key and value');
}

/** What `row(1, 2)` is, a struct without names: no type in SQL names it, so no cast can make it. */
export const rowType = 'ROW';

export function isRow(value: unknown): boolean {
  if (!isObject(value) || value['id'] !== 'STRUCT') return false;
  const members = structMembers(value);
  return members.length > 0 && members.every(({ name }) => name === '');
}
