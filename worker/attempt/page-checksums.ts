/**
 * Compares the pages of a row group with the checksums that their headers carry, which DuckDB does
 * not, before anything decodes them; and says whether one follows the other. Holds one block of a page at
 * a time. Never: decodes a page.
 * Format: https://github.com/apache/parquet-format (PageHeader, field 4)
 */
import { open, type FileHandle } from 'node:fs/promises';
import { crc32 } from '@node-rs/crc32';
import { fail, WindrowError } from '../../shared/failure.js';
import { readPageExtents, type PageExtent } from '../../shared/parquet-footer.js';
import { readCompactIntegers } from '../../shared/parquet-thrift.js';
import type { SourceWork } from './protocol.js';

/** Enough for nearly every page header; its statistics may hold long values. */
const headerBytes = 256;
const headerBytesMax = 1024 * 1024;
const blockBytes = 1024 * 1024;
/** Where the first page lies in nearly every file: after the magic. */
const firstPage = 4;

interface PageHeader {
  /** PageType. */
  readonly type: number | undefined;
  readonly length: number;
  /** Bytes of the page as stored, after its header. */
  readonly bytes: number;
  readonly crc: number | undefined;
}

/** Remembers what it checked of the last file, as several chunks may be cut from one row group. */
export class PageChecksums {
  private path: string | undefined;
  private extents: readonly PageExtent[] = [];
  private readonly checked = new Set<number>();
  private readonly columns: ReadonlySet<string>;

  /** @param columns top-level columns that are read, in the case of whichever file */
  constructor(
    columns: readonly string[],
    private readonly throwIfCancelled: () => void,
  ) {
    this.columns = new Set(columns.map((name) => name.toLowerCase()));
  }

  /** @throws WindrowError E_PARQUET_CORRUPT with file, row group and column */
  async verify(source: SourceWork): Promise<void> {
    const known = this.path === source.path;
    if (source.rowStart === source.rowEnd || (known && this.extents.length === 0)) return;
    const { rowGroup: first, lastRowGroup: last = first } = source;
    const wanted = Array.from({ length: last - first + 1 }, (_, at) => first + at);
    const unseen = new Set(known ? wanted.filter((group) => !this.checked.has(group)) : wanted);
    if (unseen.size === 0) return;
    const file = await open(source.path, 'r');
    try {
      if (!known) await this.look(file, source.path);
      for (const extent of this.extents) {
        if (!unseen.has(extent.rowGroup) || !this.columns.has(extent.column.toLowerCase()))
          continue;
        await this.verifyColumn(file, extent);
      }
      for (const group of unseen) this.checked.add(group);
    } finally {
      await file.close();
    }
  }

  /** Writers give checksums to all pages or to none: one look tells, and costs one small read. */
  private async look(file: FileHandle, path: string): Promise<void> {
    const first = await readHeader(file, firstPage, firstPage + headerBytesMax).catch(
      () => undefined,
    );
    const none = first !== undefined && first.crc === undefined;
    this.extents = none ? [] : await readPageExtents(path);
    this.checked.clear();
    this.path = path;
  }

  private async verifyColumn(file: FileHandle, extent: PageExtent): Promise<void> {
    for await (const { start, bytes, crc, first } of pagesOf(file, this.path!, extent)) {
      this.throwIfCancelled();
      if (crc === undefined && first) return;
      if (crc === undefined) continue;
      const found = await checksum(file, start, bytes);
      if (found === crc) continue;
      const [is, was] = [found, crc].map((sum) => sum?.toString(16).padStart(8, '0'));
      corrupt(
        `page at byte ${start} has checksum ${is}, it was written with ${was}`,
        this.path!,
        extent,
      );
    }
  }
}

interface Page extends Pick<PageHeader, 'type' | 'crc'> {
  /** Where it begins, after its header. */
  readonly start: number;
  /** As stored. */
  readonly bytes: number;
  /** The first of its column. */
  readonly first: boolean;
}

/**
 * The pages of a column of a row group, one after the other.
 * @throws WindrowError E_PARQUET_CORRUPT where they do not fill the extent
 */
async function* pagesOf(file: FileHandle, path: string, extent: PageExtent): AsyncGenerator<Page> {
  for (let at = extent.start; at < extent.end;) {
    const header = await readHeader(file, at, extent.end).catch((error: NodeJS.ErrnoException) => {
      // The system's own: that says nothing of the page.
      if (error.code !== undefined) throw error;
      return corrupt(`page header at byte ${at} cannot be read: ${error.message}`, path, extent);
    });
    const { type, bytes, crc } = header;
    const start = at + header.length;
    if (start + bytes > extent.end) {
      corrupt(`page at byte ${start} of ${bytes} bytes ends after its column`, path, extent);
    }
    yield { type, start, bytes, crc, first: at === extent.start };
    at = start + bytes;
  }
}

/** DATA_PAGE and DICTIONARY_PAGE. */
const firstVersion: ReadonlySet<number | undefined> = new Set([0, 2]);

/** Whether they lie one behind the other, from the begin of a column of a row group to its end. */
export async function arePagesOfFirstVersion(
  file: FileHandle,
  path: string,
  extent: PageExtent,
): Promise<boolean> {
  try {
    for await (const { start, bytes, type } of pagesOf(file, path, extent)) {
      if (!firstVersion.has(type)) return false;
      if (start + bytes === extent.end) return true;
    }
  } catch (error) {
    if (!(error instanceof WindrowError)) throw error;
  }
  return false;
}

function corrupt(message: string, file: string, { rowGroup, column }: PageExtent): never {
  fail('badData', 'E_PARQUET_CORRUPT', message, {
    at: { file, rowGroup, column },
    hint: 'write the file again, or leave it out of the source',
  });
}

async function readHeader(file: FileHandle, at: number, end: number): Promise<PageHeader> {
  for (let bytes = headerBytes; ; bytes *= 16) {
    const wanted = Math.min(bytes, headerBytesMax, end - at);
    const block = Buffer.allocUnsafe(wanted);
    const { bytesRead } = await file.read(block, 0, wanted, at);
    try {
      const { fields, length } = readCompactIntegers(block.subarray(0, bytesRead));
      const size = fields.get(3) ?? -1;
      if (size < 0) throw new RangeError('it has no size');
      const crc = fields.get(4);
      const type = fields.get(1);
      return { type, length, bytes: size, crc: crc === undefined ? undefined : crc >>> 0 };
    } catch (error) {
      if (bytesRead < wanted || wanted < bytes || bytes >= headerBytesMax) throw error;
    }
  }
}

/** Undefined where the file ends before the page does. */
async function checksum(
  file: FileHandle,
  from: number,
  bytes: number,
): Promise<number | undefined> {
  const block = Buffer.allocUnsafe(Math.min(bytes, blockBytes));
  let crc = 0;
  for (let done = 0; done < bytes;) {
    const wanted = Math.min(block.length, bytes - done);
    const { bytesRead } = await file.read(block, 0, wanted, from + done);
    if (bytesRead === 0) return undefined;
    crc = crc32(block.subarray(0, bytesRead), crc);
    done += bytesRead;
  }
  return crc;
}
