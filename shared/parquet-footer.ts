/**
 * Reads and checks the footer of a Parquet file, within limits, before any native code sees the
 * file: everything in it is treated as hostile. Never: reads pages.
 * Format: https://github.com/apache/parquet-format
 */
import { open, type FileHandle } from 'node:fs/promises';
import { parquetMetadata, type FileMetaData, type SchemaElement } from 'hyparquet';
import { sha256Hex } from './chunk-identity.js';
import { fail, toFailure, WindrowError } from './failure.js';
import { limits } from './limits.js';
import { columnStatistics, rawStatistics, type ColumnStatistics } from './parquet-statistics.js';
import { checkCompactStruct } from './parquet-thrift.js';

export interface FooterColumn {
  readonly name: string;
  /** Types of the column and of what is nested in it: equal text, equal type. */
  readonly signature: string;
}

export interface ParquetFooter {
  readonly path: string;
  readonly bytes: number;
  readonly mtimeMs: number;
  /** SHA-256 (hex) of the footer's bytes. */
  readonly footerHash: string;
  readonly footerBytes: number;
  readonly rows: number;
  /** Rows of each row group, in file order. */
  readonly rowGroupRows: readonly number[];
  /** Top-level columns, in file order. */
  readonly columns: readonly FooterColumn[];
  /** By column, one entry a row group; only columns whose statistics can be trusted to prune. */
  readonly stats: ReadonlyMap<string, readonly (ColumnStatistics | undefined)[]>;
}

const magic = 0x31524150; // PAR1
const magicEncrypted = 0x45524150; // PARE
const hint = 'write the file again, or leave it out of the source';

/**
 * @throws WindrowError E_PARQUET_INVALID naming the file and what is wrong, E_PARQUET_ENCRYPTED,
 *   E_NO_FILES when it is not there
 */
export async function readFooter(path: string): Promise<ParquetFooter> {
  return withFooter(path, ({ bytes, mtimeMs }, footer) => ({
    path,
    bytes,
    mtimeMs,
    ...decodeFooter(footer, path, bytes),
  }));
}

/** A footer, checked: what it says, and its bytes (Thrift's compact protocol). */
export interface WholeFooter {
  readonly metadata: FileMetaData;
  readonly bytes: Uint8Array;
  /** Where it begins in the file, and the pages end. */
  readonly start: number;
}

/**
 * @param bytesMax of the footer; undefined is returned of a longer one
 * @throws WindrowError as `readFooter`
 */
export async function readWholeFooter(path: string): Promise<WholeFooter>;
export async function readWholeFooter(
  path: string,
  bytesMax: number,
): Promise<WholeFooter | undefined>;
export async function readWholeFooter(
  path: string,
  bytesMax = Infinity,
): Promise<WholeFooter | undefined> {
  return withFooter(path, ({ bytes }, footer) => {
    if (footer.length > bytesMax) return undefined;
    const metadata = decodeMetadata(footer, path);
    const start = bytes - footer.length;
    checkRowGroups(metadata, path, start);
    return { metadata, bytes: footer.subarray(0, footer.length - 8), start };
  });
}

/** Where the pages of one column of a row group lie. Nested columns have one for each leaf. */
export interface PageExtent {
  readonly rowGroup: number;
  /** Top-level column. */
  readonly column: string;
  /** Bytes [start, end) of the file. */
  readonly start: number;
  readonly end: number;
}

/** Extents of all pages. @throws WindrowError as `readFooter` */
export async function readPageExtents(path: string): Promise<PageExtent[]> {
  return withFooter(path, ({ bytes }, footer) => {
    const metadata = decodeMetadata(footer, path);
    checkRowGroups(metadata, path, bytes - footer.length);
    return metadata.row_groups.flatMap(({ columns }, rowGroup) =>
      columns.map(({ meta_data: meta }): PageExtent => {
        const { start, size } = extentOf(meta!);
        return { rowGroup, column: meta!.path_in_schema[0] ?? '', start, end: start + size };
      }),
    );
  });
}

/** Bytes [start, end) of the file hold all pages of a row group. */
export interface RowGroupExtent {
  readonly rows: number;
  readonly start: number;
  readonly end: number;
}

/** Extents of all row groups, in file order. @throws WindrowError as `readFooter` */
export async function readRowGroups(path: string): Promise<RowGroupExtent[]> {
  return withFooter(path, ({ bytes }, footer) => {
    const metadata = decodeMetadata(footer, path);
    const rows = checkRowGroups(metadata, path, bytes - footer.length);
    return metadata.row_groups.map(({ columns }, group): RowGroupExtent => {
      const extents = columns.map(({ meta_data: meta }) => extentOf(meta!));
      const start = Math.min(...extents.map((extent) => extent.start));
      const end = Math.max(...extents.map((extent) => extent.start + extent.size));
      return { rows: rows[group]!, start, end };
    });
  });
}

async function withFooter<Result>(
  path: string,
  take: (file: { readonly bytes: number; readonly mtimeMs: number }, footer: Buffer) => Result,
): Promise<Result> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      fail('invalidSpec', 'E_NO_FILES', 'file does not exist', { at: { file: path } });
    }
    throw new WindrowError({ ...toFailure(error), at: { file: path } }, error);
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) invalid(path, 'is not a regular file');
    const footer = await readFooterBytes(file, path, stat.size);
    return take({ bytes: stat.size, mtimeMs: stat.mtimeMs }, footer);
  } finally {
    await file.close();
  }
}

async function readFooterBytes(file: FileHandle, path: string, size: number): Promise<Buffer> {
  if (size === 0) invalid(path, 'is empty (0 bytes)');
  if (size < 12) invalid(path, `is too short for Parquet (${size} bytes)`);
  const head = await readExactly(file, path, 0, 4);
  const tail = await readExactly(file, path, size - 8, 8);
  if (head.readUInt32LE(0) === magicEncrypted || tail.readUInt32LE(4) === magicEncrypted) {
    fail('invalidSpec', 'E_PARQUET_ENCRYPTED', 'parquet file is encrypted', {
      at: { file: path },
      hint: 'decrypt it first; encrypted files are not supported',
    });
  }
  if (head.readUInt32LE(0) !== magic) invalid(path, 'does not begin with PAR1');
  if (tail.readUInt32LE(4) !== magic) invalid(path, 'does not end with PAR1 (truncated?)');
  const length = tail.readUInt32LE(0);
  if (length === 0) invalid(path, 'footer is empty');
  if (length > size - 12) {
    invalid(path, `footer of ${length} bytes is longer than the file (${size} bytes)`);
  }
  if (length > limits.footerBytes) {
    invalid(path, `footer of ${length} bytes is over the limit of ${limits.footerBytes}`);
  }
  return readExactly(file, path, size - 8 - length, length + 8);
}

async function readExactly(
  file: FileHandle,
  path: string,
  position: number,
  length: number,
): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done);
    if (bytesRead === 0) invalid(path, 'became shorter while it was read');
    done += bytesRead;
  }
  return buffer;
}

/** @param footer metadata, its length and the closing magic */
function decodeFooter(
  footer: Buffer,
  path: string,
  fileBytes: number,
): Omit<ParquetFooter, 'path' | 'bytes' | 'mtimeMs'> {
  const bytes = footer.subarray(0, footer.length - 8);
  const metadata = decodeMetadata(footer, path);
  try {
    const columns = topLevelColumns(metadata.schema, path);
    const rowGroupRows = checkRowGroups(metadata, path, fileBytes - footer.length);
    return {
      footerHash: sha256Hex(bytes),
      footerBytes: bytes.length,
      rows: rowGroupRows.reduce((sum, rows) => sum + rows, 0),
      rowGroupRows,
      columns,
      stats: columnStatistics(metadata),
    };
  } catch (error) {
    if (error instanceof WindrowError) throw error;
    return invalid(path, `footer is not that of Parquet: ${(error as Error).message}`, error);
  }
}

function decodeMetadata(footer: Buffer, path: string): FileMetaData {
  try {
    checkCompactStruct(footer.subarray(0, footer.length - 8));
    return parquetMetadata(footer, { geoparquet: false, parsers: rawStatistics });
  } catch (error) {
    return invalid(path, `footer cannot be decoded: ${(error as Error).message}`, error);
  }
}

function topLevelColumns(schema: readonly SchemaElement[], path: string): FooterColumn[] {
  const seen = new Map<string, string>();
  return topLevelElements(schema, path).map(({ name, elements }) => {
    const twin = seen.get(name.toLowerCase());
    if (twin !== undefined) {
      fail('invalidSpec', 'E_DUPLICATE_COLUMN', `columns '${twin}' and '${name}' have one name`, {
        at: { file: path, column: name },
        hint: 'rename one of them; names differ by more than case',
      });
    }
    seen.set(name.toLowerCase(), name);
    return { name, signature: signatureOf(elements) };
  });
}

/** A top-level column: its own element, then those of what is nested in it. */
export interface ColumnElements {
  readonly name: string;
  readonly elements: readonly SchemaElement[];
}

/** Walks the flattened schema tree; the first element is the root. @throws WindrowError E_PARQUET_INVALID */
export function topLevelElements(schema: readonly SchemaElement[], path: string): ColumnElements[] {
  const root = schema[0];
  if (!root) return invalid(path, 'schema is empty');
  const count = root.num_children ?? 0;
  if (count < 1) invalid(path, 'has no columns');
  if (count > limits.columnsPerFile || schema.length > 4 * limits.columnsPerFile) {
    invalid(path, `has ${count} columns; the limit is ${limits.columnsPerFile}`);
  }
  const columns: ColumnElements[] = [];
  let at = 1;
  for (let index = 0; index < count; index += 1) {
    const element = schema[at];
    if (!element) return invalid(path, `schema names ${count} columns and has ${index}`);
    const end = endOfElement(schema, at, 0, path);
    columns.push({ name: element.name, elements: schema.slice(at, end) });
    at = end;
  }
  if (at !== schema.length) invalid(path, `schema has ${schema.length - at} elements too many`);
  return columns;
}

function endOfElement(
  schema: readonly SchemaElement[],
  start: number,
  depth: number,
  path: string,
): number {
  if (depth > 64) invalid(path, 'schema is nested deeper than 64');
  const children = schema[start]?.num_children ?? 0;
  if (children < 0) invalid(path, 'schema has a negative number of children');
  let at = start + 1;
  for (let child = 0; child < children; child += 1) {
    if (at >= schema.length) invalid(path, 'schema ends in the middle of a nested column');
    at = endOfElement(schema, at, depth + 1, path);
  }
  return at;
}

/** REQUIRED and OPTIONAL are one type; a top-level column's own name is not part of its type. */
function signatureOf(elements: readonly SchemaElement[]): string {
  return JSON.stringify(
    elements.map((element, index) => [
      index === 0 ? '' : element.name,
      element.type ?? '',
      element.type_length ?? 0,
      element.repetition_type === 'REPEATED' ? 1 : 0,
      element.num_children ?? 0,
      element.converted_type ?? '',
      element.scale ?? 0,
      element.precision ?? 0,
      element.logical_type ?? null,
    ]),
    (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
  );
}

function checkRowGroups(metadata: FileMetaData, path: string, dataEnd: number): number[] {
  const leaves = metadata.schema.filter((element) => element.type !== undefined).length;
  let sum = 0;
  const rows = metadata.row_groups.map((group, index) => {
    const count = Number(group.num_rows);
    if (!Number.isSafeInteger(count) || count < 0) {
      invalid(path, `row group ${index} has ${String(group.num_rows)} rows`);
    }
    if (group.columns.length !== leaves) {
      invalid(path, `row group ${index} has ${group.columns.length} of ${leaves} columns`);
    }
    for (const column of group.columns) {
      const meta = column.meta_data;
      if (column.crypto_metadata || !meta) invalid(path, `row group ${index} is encrypted`);
      if (column.file_path) invalid(path, `row group ${index} lies in another file`);
      // Nothing of an empty row group is ever read, and some writers leave no offsets there.
      if (count > 0 || Number(meta.num_values) !== 0) checkExtent(meta, index, path, dataEnd);
    }
    sum += count;
    return count;
  });
  if (BigInt(sum) !== BigInt(metadata.num_rows)) {
    invalid(path, `row groups hold ${sum} rows, the footer says ${String(metadata.num_rows)}`);
  }
  return rows;
}

type ColumnMeta = NonNullable<FileMetaData['row_groups'][number]['columns'][number]['meta_data']>;

/** Where the pages of a column of a row group begin, and their bytes. */
export function extentOf(
  meta: Pick<ColumnMeta, 'total_compressed_size' | 'dictionary_page_offset' | 'data_page_offset'>,
): { start: number; size: number } {
  const size = Number(meta.total_compressed_size);
  const dictionary = Number(meta.dictionary_page_offset ?? 0n);
  const data = Number(meta.data_page_offset);
  return { start: dictionary > 0 ? Math.min(dictionary, data) : data, size };
}

function checkExtent(meta: ColumnMeta, rowGroup: number, path: string, dataEnd: number): void {
  const { start, size } = extentOf(meta);
  if (
    size < 0 ||
    Number(meta.num_values) < 0 ||
    (size > 0 && start < 4) ||
    start + size > dataEnd
  ) {
    invalid(
      path,
      `row group ${rowGroup}, column ${meta.path_in_schema.join('.')}: ` +
        `bytes ${start} to ${start + size} are outside the data (4 to ${dataEnd})`,
    );
  }
}

function invalid(path: string, message: string, cause?: unknown): never {
  fail('invalidSpec', 'E_PARQUET_INVALID', message, { at: { file: path }, hint, cause });
}
