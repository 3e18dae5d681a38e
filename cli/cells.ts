/** Arrow values as plain ones that a table, JSON or YAML can show. Never: changing what they say. */
import type { DataType, RecordBatch } from 'apache-arrow';

/** Arrow's type ids; importing the library for an enum would cost every start. */
const typeIds = { decimal: 7, date: 8, time: 9, timestamp: 10 } as const;

export type PlainRow = Record<string, unknown>;

export function plainRows(batch: RecordBatch): PlainRow[] {
  const fields = batch.schema.fields;
  return Array.from({ length: batch.numRows }, (_, row) => {
    const plain: PlainRow = Object.create(null) as PlainRow;
    fields.forEach((field, column) => {
      const type = field.type as DataType;
      plain[field.name] = plainValue(batch.getChildAt(column)?.get(row), type);
    });
    return plain;
  });
}

/** Decimals and times as text, bigints as numbers where exact, lists and structs member by member. */
export function plainValue(value: unknown, type: DataType): unknown {
  if (value === null || value === undefined) return null;
  const children = type.children ?? [];
  switch (type.typeId as number) {
    case typeIds.decimal:
      return decimalText(value as Uint32Array, (type as unknown as { scale: number }).scale);
    case typeIds.date:
      return timeText(Number(value)).slice(0, 10);
    case typeIds.timestamp:
      return timeText(Number(value));
    case typeIds.time:
      return plain(value);
  }
  if (isVector(value)) {
    const element = children[0]?.type as DataType | undefined;
    return Array.from(value, (item) => (element ? plainValue(item, element) : plain(item)));
  }
  return plain(value);
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  }
  // JSON would make null of them, which is another value.
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString('hex')}`;
  if (typeof value === 'object' && value !== null && 'toJSON' in value) {
    const members = (value as { toJSON(): unknown }).toJSON();
    if (typeof members !== 'object' || members === null) return members;
    return Array.isArray(members)
      ? members.map(plain)
      : Object.fromEntries(Object.entries(members).map(([name, member]) => [name, plain(member)]));
  }
  return value;
}

function isVector(value: unknown): value is Iterable<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'numChildren' in value &&
    Symbol.iterator in value
  );
}

function timeText(milliseconds: number): string {
  const date = new Date(milliseconds);
  return Number.isNaN(date.getTime()) ? String(milliseconds) : date.toISOString();
}

/** Two's complement words, lowest first, with the point `scale` digits from the right. */
export function decimalText(words: Uint32Array, scale: number): string {
  let value = 0n;
  for (let index = words.length - 1; index >= 0; index--) {
    value = (value << 32n) | BigInt(words[index]!);
  }
  value = BigInt.asIntN(words.length * 32, value);
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0');
  const sign = value < 0n ? '-' : '';
  return scale <= 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
