/** A record batch as plain objects, for functions that take one row. Never: results. */
import type { RecordBatch, Vector } from 'apache-arrow';
import type { ColumnKind } from './column-kinds.js';

export type Row = Record<string, unknown>;

/** Numbers, bigints, strings, booleans, dates (milliseconds kept), byte arrays, lists; or null. */
export function toRows(batch: RecordBatch, kinds: readonly ColumnKind[]): Row[] {
  const names = batch.schema.fields.map(({ name }) => name);
  const columns = names.map((name, index) => values(batch.getChildAt(index), kinds[index], name));
  return Array.from({ length: batch.numRows }, (_, row) => {
    const object: Row = {};
    for (let k = 0; k < names.length; k++) object[names[k]!] = columns[k]!(row);
    return object;
  });
}

function values(
  vector: Vector | null,
  kind: ColumnKind | undefined,
  name: string,
): (row: number) => unknown {
  if (!vector || !kind) throw new RangeError(`no column ${name}`);
  const get = (row: number): unknown => vector.get(row) as unknown;
  switch (kind.kind) {
    case 'date':
    case 'timestamp':
      return (row) => {
        const value = get(row);
        return value === null ? null : new Date(Math.floor(Number(value)));
      };
    case 'numberList':
      return (row) => {
        const list = get(row) as Vector | null;
        return list === null ? null : [...list];
      };
    default:
      return get;
  }
}
