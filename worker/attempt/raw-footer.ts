/**
 * Parquet footers as Thrift has them, field by field, so that what is not understood is handed on as
 * it lies; and the footer of a file that has got pages of another one. Pure.
 * Format: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
 */
import { deserializeTCompactProtocol } from 'hyparquet/src/thrift.js';
import { ByteWriter } from 'hyparquet-writer/src/bytewriter.js';
import { serializeTCompactProtocol } from 'hyparquet-writer/src/thrift.js';
import { extentOf, type PageExtent } from '../../shared/parquet-footer.js';

/** FileMetaData. */
export interface RawFooter {
  /** num_rows */
  readonly field_3: bigint;
  /** row_groups */
  readonly field_4: readonly RawRowGroup[];
  /** column_orders of all leaves, without which a least and a greatest value say nothing */
  readonly field_7?: readonly RawColumnOrder[];
}

/** ColumnOrder. */
interface RawColumnOrder {
  /** TYPE_ORDER, the usual one */
  readonly field_1?: object;
}

/** RowGroup. */
interface RawRowGroup {
  /** columns */
  readonly field_1: readonly RawColumn[];
  /** total_byte_size, before compression */
  readonly field_2: bigint;
  /** num_rows */
  readonly field_3: bigint;
  /** total_compressed_size */
  readonly field_6?: bigint;
}

/** ColumnChunk. */
interface RawColumn {
  /** file_offset, of a copy of its metadata that hardly anyone writes */
  readonly field_2: bigint;
  readonly field_3: RawColumnMetaData;
}

/** ColumnMetaData. */
interface RawColumnMetaData {
  /** path_in_schema */
  readonly field_3: readonly Uint8Array[];
  /** total_uncompressed_size */
  readonly field_6: bigint;
  /** total_compressed_size */
  readonly field_7: bigint;
  /** data_page_offset */
  readonly field_9: bigint;
  /** dictionary_page_offset */
  readonly field_11?: bigint;
  /** statistics */
  readonly field_12?: Readonly<Record<string, unknown>>;
}

export function decodeFooter(bytes: Uint8Array): RawFooter {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return deserializeTCompactProtocol({ view, offset: 0 }) as unknown as RawFooter;
}

export function encodeFooter(footer: RawFooter): Uint8Array {
  const writer = new ByteWriter();
  serializeTCompactProtocol(writer, { ...footer });
  return writer.getBytes();
}

/** The one row group of a file whose columns come from two others. */
export interface Joined {
  readonly footer: RawFooter;
  /** What to append of the source, in order. */
  readonly pages: readonly PageExtent[];
}

export interface Join {
  /** Of a file of all columns: their order, names and types. */
  readonly landing: RawFooter;
  /** Of the file that the others are appended to, at byte `end`. */
  readonly written: RawFooter;
  readonly end: number;
  readonly source: RawFooter;
  readonly rowGroup: number;
  /** By the columns of the landing, those of the source; the others are written. */
  readonly from: ReadonlyMap<string, string>;
}

/** @throws Error where the files do not have the same rows, or not each leaf of every column */
export function join({ landing, written, end, source, rowGroup, from }: Join): Joined {
  const [ours, theirs] = [written.field_4[0], source.field_4[rowGroup]];
  if (!ours || !theirs || written.field_4.length > 1 || ours.field_3 !== theirs.field_3) {
    throw new Error(
      `${written.field_3} rows were written in ${written.field_4.length} row groups, ${theirs?.field_3} were read`,
    );
  }
  const columnsOf = { ours: byColumn(written, ours), theirs: byColumn(source, theirs) };
  const leavesSeen = new Map<string, number>();
  const pages: PageExtent[] = [];
  let at = end;
  const columns = landing.field_4[0]!.field_1.map(({ field_3: { field_3: path } }) => {
    const column = nameOf(path);
    const name = from.get(column);
    const leaves = name === undefined ? columnsOf.ours.get(column) : columnsOf.theirs.get(name);
    const seen = leavesSeen.get(column) ?? 0;
    leavesSeen.set(column, seen + 1);
    const found = leaves?.[seen];
    if (!found) throw new Error(`column ${column} is not all there`);
    const { leaf, ordered } = found;
    if (name === undefined) return leaf;
    const { start, size } = placeOf(leaf);
    pages.push({ rowGroup, column: name, start, end: start + size });
    const moved = moveTo(leaf, at, path, ordered);
    at += size;
    return moved;
  });
  const total = (of: (meta: RawColumnMetaData) => bigint): bigint =>
    columns.reduce((sum, { field_3: meta }) => sum + of(meta), 0n);
  const group: RawRowGroup = {
    field_1: columns,
    field_2: total((meta) => meta.field_6),
    field_3: ours.field_3,
    field_6: total((meta) => meta.field_7),
  };
  return { footer: { ...landing, field_3: ours.field_3, field_4: [group] }, pages };
}

function nameOf(path: readonly Uint8Array[]): string {
  return Buffer.from(path[0]!).toString('utf8');
}

interface Leaf {
  readonly leaf: RawColumn;
  /** Whether its least and greatest value are to be understood as usual. */
  readonly ordered: boolean;
}

/** Leaves of each top-level column, in order. */
function byColumn({ field_7: orders }: RawFooter, group: RawRowGroup): Map<string, Leaf[]> {
  const columns = new Map<string, Leaf[]>();
  for (const [at, leaf] of group.field_1.entries()) {
    const name = nameOf(leaf.field_3.field_3);
    const found = { leaf, ordered: orders?.[at]?.field_1 !== undefined };
    const known = columns.get(name);
    if (known) known.push(found);
    else columns.set(name, [found]);
  }
  return columns;
}

function placeOf({ field_3: meta }: RawColumn): ReturnType<typeof extentOf> {
  return extentOf({
    total_compressed_size: meta.field_7,
    data_page_offset: meta.field_9,
    dictionary_page_offset: meta.field_11 ?? 0n,
  });
}

/** What lies outside of the pages (indexes, Bloom filters) is left behind, and what few readers know. */
function moveTo(
  leaf: RawColumn,
  start: number,
  path: readonly Uint8Array[],
  ordered: boolean,
): RawColumn {
  const by = BigInt(start - placeOf(leaf).start);
  const { field_9: data, field_11: dictionary, field_12: statistics } = leaf.field_3;
  return {
    field_2: 0n,
    field_3: onlyFields(leaf.field_3, [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13], {
      field_3: path,
      field_9: data + by,
      // Some say 0 where there is none.
      field_11: dictionary === undefined || dictionary === 0n ? undefined : dictionary + by,
      field_12: statistics && onlyFields(statistics, ordered ? [3, 4, 5, 6, 7, 8] : [3]),
    }),
  };
}

/** Fields by number, in order, as Thrift wants them; those of `instead` take the place of others. */
function onlyFields<Fields extends object>(
  fields: Fields,
  numbers: readonly number[],
  instead: Readonly<Record<string, unknown>> = {},
): Fields {
  const names = numbers.map((number) => `field_${number}`);
  const all = { ...fields, ...instead } as Readonly<Record<string, unknown>>;
  return Object.fromEntries(names.map((name) => [name, all[name]])) as Fields;
}
