/**
 * Constants of the plan as SQL text that states their type, so that binding them again can give
 * nothing else.
 */
import { timeConstant } from './decode-time.js';
import { enumWords, isRow, rowType, structMembers, typeText } from './decode-type.js';
import {
  bigOf,
  digitsOf,
  flagOf,
  isObject,
  listOf,
  objectOf,
  objectsOf,
  textOf,
  unsupported,
  type PlanObject,
} from './plan-json.js';
import { quoteName, quoteText } from '../../../shared/sql-text.js';

/** A serialised `Value` with its type as SQL text. @throws UnsupportedPlan */
export function constantText(value: unknown): { sql: string; type: string } {
  const constant = objectOf(value, 'constant');
  if (isRow(constant['type'])) return { sql: rowText(constant), type: rowType };
  const type = typeText(constant['type']);
  if (flagOf(constant['is_null'], 'constant')) {
    return { sql: type === '"NULL"' ? 'NULL' : `cast(NULL as ${type})`, type };
  }
  return { sql: known(constant, type), type };
}

function known(constant: PlanObject, type: string): string {
  const value = constant['value'];
  const time = timeConstant(type, value);
  if (time !== undefined) return time;
  switch (type) {
    case 'BOOLEAN':
      return flagOf(value, 'BOOLEAN') ? 'true' : 'false';
    case 'TINYINT':
    case 'SMALLINT':
    case 'INTEGER':
    case 'BIGINT':
    case 'UTINYINT':
    case 'USMALLINT':
    case 'UINTEGER':
    case 'UBIGINT':
      return `cast(${bigOf(value, type)} as ${type})`;
    case 'HUGEINT':
      return `cast('${signedHuge(value)}' as HUGEINT)`;
    case 'UHUGEINT':
      return `cast('${BigInt.asUintN(128, signedHuge(value))}' as UHUGEINT)`;
    // Between quotes, or DuckDB would read a DECIMAL first and round twice.
    case 'FLOAT':
    case 'DOUBLE':
      return `cast('${digitsOf(value, type)}' as ${type})`;
    case 'VARCHAR':
    case 'JSON':
      return `cast(${quoteText(textOf(value, type))} as ${type})`;
    case 'BLOB':
      return `cast('${textOf(value, type).replaceAll("'", '\\x27')}' as BLOB)`;
    case 'UUID':
      return `cast('${uuid(value)}' as UUID)`;
    default:
      return composed(constant, type);
  }
}

function composed(constant: PlanObject, type: string): string {
  const declared = objectOf(constant['type'], 'type');
  const value = constant['value'];
  switch (declared['id']) {
    case 'DECIMAL':
      return decimal(value, type);
    case 'ENUM': {
      const words = enumWords(objectOf(declared['type_info'], 'enum'));
      const word = words[Number(bigOf(value, 'ENUM'))];
      if (word === undefined) return unsupported('an ENUM value without a word');
      return `cast(${quoteText(word)} as ${type})`;
    }
    case 'LIST':
    case 'ARRAY':
      return `cast([${children(value).join(', ')}] as ${type})`;
    case 'MAP': {
      const entries = childrenOf(value).map((entry) => children(entry['value']));
      const side = (index: number) => `[${entries.map((entry) => entry[index]).join(', ')}]`;
      return `cast(map(${side(0)}, ${side(1)}) as ${type})`;
    }
    case 'STRUCT': {
      const texts = children(value);
      const members = structMembers(declared).map(
        ({ name }, index) => `${quoteName(name)} := ${texts[index]}`,
      );
      return `cast(struct_pack(${members.join(', ')}) as ${type})`;
    }
    default:
      return unsupported(`a constant of type ${type}`);
  }
}

function childrenOf(value: unknown): readonly PlanObject[] {
  return objectsOf(objectOf(value, 'nested constant')['children'], 'nested constant');
}

function children(value: unknown): string[] {
  return childrenOf(value).map((child) => constantText(child).sql);
}

function rowText(constant: PlanObject): string {
  if (flagOf(constant['is_null'], 'constant')) unsupported('a NULL row without names');
  return `row(${children(constant['value']).join(', ')})`;
}

function decimal(value: unknown, type: string): string {
  const scale = Number(/,(\d+)\)$/.exec(type)?.[1] ?? 0);
  const unscaled = isObject(value) ? signedHuge(value) : bigOf(value, type);
  return `cast('${decimalDigits(unscaled, scale)}' as ${type})`;
}

export function decimalDigits(unscaled: bigint, scale: number): string {
  const sign = unscaled < 0n ? '-' : '';
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  if (scale === 0) return `${sign}${digits}`;
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

function signedHuge(value: unknown): bigint {
  const halves = objectOf(value, 'HUGEINT');
  const upper = bigOf(halves['upper'], 'HUGEINT');
  const lower = bigOf(halves['lower'], 'HUGEINT');
  return BigInt.asIntN(128, (upper << 64n) | lower);
}

function uuid(value: unknown): string {
  // DuckDB flips the top bit so that UUIDs sort as numbers.
  const bits = BigInt.asUintN(128, signedHuge(value)) ^ (1n << 127n);
  const hex = bits.toString(16).padStart(32, '0');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** A DECIMAL constant's unscaled value, when it is one. */
export function decimalConstant(value: unknown): { unscaled: bigint; scale: number } | undefined {
  const constant = objectOf(value, 'constant');
  const type = objectOf(constant['type'], 'type');
  if (type['id'] !== 'DECIMAL' || constant['is_null'] !== false) return undefined;
  const scale = Number(/,(\d+)\)$/.exec(typeText(type))?.[1] ?? 0);
  const raw = constant['value'];
  return { unscaled: isObject(raw) ? signedHuge(raw) : bigOf(raw, 'DECIMAL'), scale };
}

/** Member texts, for callers that need a list of constants. */
export function constantTexts(values: unknown, what: string): { sql: string; type: string }[] {
  return listOf(values, what).map(constantText);
}
