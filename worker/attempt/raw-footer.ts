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
  /** created_by */
  readonly field_6?: Uint8Array;
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
  /** file_offset, of the first page */
  readonly field_5?: bigint;
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
  /** type */
  readonly field_1: number;
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
  /** What the file holds behind the magic, in order. */
  readonly pages: readonly Pages[];
}

export interface Pages extends PageExtent {
  readonly of: 'written' | 'source';
}

export interface Join {
  /** Of a file of all columns: their order, names and types. */
  readonly landing: RawFooter;
  /** Of a file of one row group, with the columns that `from` does not name. */
  readonly written: RawFooter;
  readonly source: RawFooter;
  readonly rowGroup: number;
  /** By the columns of the landing, those of the source. */
  readonly from: ReadonlyMap<string, string>;
}

/** Pages begin behind the magic. */
const firstPage = 4;

/**
 * Columns lie in their order from the first byte: readers that divide files by bytes go by where the
 * first column begins.
 * @throws Error where the files do not have the same rows, or not each leaf of every column
 */
export function join({ landing, written, source, rowGroup, from }: Join): Joined {
  const [ours, theirs] = [written.field_4[0], source.field_4[rowGroup]];
  if (!ours || !theirs || written.field_4.length > 1 || ours.field_3 !== theirs.field_3) {
    throw new Error(
      `${written.field_3} rows were written in ${written.field_4.length} row groups, ${theirs?.field_3} were read`,
    );
  }
  const leavesOf = { written: byColumn(written, ours), source: byColumn(source, theirs) };
  const leavesSeen = new Map<string, number>();
  const pages: Pages[] = [];
  let at = firstPage;
  const columns = landing.field_4[0]!.field_1.map(({ field_3: { field_3: path } }) => {
    const name = nameOf(path);
    const of = from.has(name) ? 'source' : 'written';
    const column = from.get(name) ?? name;
    const seen = leavesSeen.get(name) ?? 0;
    leavesSeen.set(name, seen + 1);
    const leaf = leavesOf[of].get(column)?.[seen];
    if (!leaf) throw new Error(`column ${name} is not all there`);
    const { start, size } = placeOf(leaf.chunk);
    const moved = moveTo(leaf, at, path);
    pages.push({ of, rowGroup: of === 'source' ? rowGroup : 0, column, start, end: start + size });
    at += size;
    return moved;
  });
  for (const [name, seen] of leavesSeen) {
    const leaves = from.has(name)
      ? leavesOf.source.get(from.get(name)!)
      : leavesOf.written.get(name);
    if (leaves?.length !== seen) throw new Error(`column ${name} has leaves that are not expected`);
  }
  const total = (bytes: (meta: RawColumnMetaData) => bigint): bigint =>
    columns.reduce((sum, { field_3: meta }) => sum + bytes(meta), 0n);
  const group: RawRowGroup = {
    field_1: columns,
    field_2: total((meta) => meta.field_6),
    field_3: ours.field_3,
    field_5: BigInt(firstPage),
    field_6: total((meta) => meta.field_7),
  };
  return { footer: { ...landing, field_3: ours.field_3, field_4: [group] }, pages };
}

function nameOf(path: readonly Uint8Array[]): string {
  return Buffer.from(path[0]!).toString('utf8');
}

/** BOOLEAN, INT32 and INT64, of which everybody has one order. */
const wholeTypes: ReadonlySet<number> = new Set([0, 1, 2]);

/**
 * Whether DuckDB wrote the file: it lets nothing into a text that is no UTF-8, and says no least and
 * greatest value where there is a NaN, which is above all others for it. Others may do as they like.
 */
export function isByDuckdb({ field_6: creator }: RawFooter): boolean {
  return creator !== undefined && Buffer.from(creator).toString('latin1').startsWith('DuckDB ');
}

interface Leaf {
  readonly chunk: RawColumn;
  /** Whether its least and greatest value are what DuckDB understands by that. */
  readonly ordered: boolean;
}

/** Leaves of each top-level column, in order. */
function byColumn(footer: RawFooter, group: RawRowGroup): Map<string, Leaf[]> {
  const { field_7: orders } = footer;
  const byDuckdb = isByDuckdb(footer);
  const columns = new Map<string, Leaf[]>();
  for (const [at, chunk] of group.field_1.entries()) {
    const name = nameOf(chunk.field_3.field_3);
    const ordered =
      orders?.[at]?.field_1 !== undefined && (byDuckdb || wholeTypes.has(chunk.field_3.field_1));
    const found = { chunk, ordered };
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
function moveTo({ chunk, ordered }: Leaf, start: number, path: readonly Uint8Array[]): RawColumn {
  const by = BigInt(start - placeOf(chunk).start);
  const { field_9: data, field_11: dictionary, field_12: statistics } = chunk.field_3;
  return {
    field_2: 0n,
    field_3: onlyFields(chunk.field_3, [1, 2, 3, 4, 5, 6, 7, 9, 11, 12], {
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
