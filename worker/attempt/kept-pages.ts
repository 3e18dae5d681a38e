/**
 * Brings the pages of kept columns into the file of a chunk: they are appended as they lie in the
 * source, and a footer over all columns takes the place of DuckDB's. Never: decodes a page.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { fail } from '../../shared/failure.js';
import { type PageExtent, readWholeFooter } from '../../shared/parquet-footer.js';
import { verifyUnchanged } from './inputs.js';
import type { KeptColumns } from './kept-columns.js';
import { pagesOf } from './page-checksums.js';
import type { SourceWork } from './protocol.js';
import { decodeFooter, encodeFooter, join, type Joined } from './raw-footer.js';

const blockBytes = 1024 * 1024;

/**
 * @param path of the columns that were written, in one row group
 * @throws WindrowError E_INPUT_CHANGED; `broken` E_SINK_CORRUPT where the rows are not the source's
 */
export async function appendKept(path: string, kept: KeptColumns): Promise<void> {
  const { source } = kept;
  const { bytes, start } = await readWholeFooter(path);
  const { footer, pages } = joinedWith(decodeFooter(bytes), start, path, kept);
  const output = await open(path, 'r+');
  try {
    const end = await appendPages(output, start, source, pages);
    await write(output, closing(encodeFooter(footer)), end);
  } finally {
    await output.close();
  }
  // The pages are those that the other columns were computed from.
  await verifyUnchanged(source);
}

function joinedWith(
  written: ReturnType<typeof decodeFooter>,
  end: number,
  path: string,
  { source: { rowGroup }, from, footers }: KeptColumns,
): Joined {
  try {
    return join({ ...footers, written, end, rowGroup, from });
  } catch (error) {
    const message = `${path} cannot take the columns that are kept: ${(error as Error).message}`;
    return fail('broken', 'E_SINK_CORRUPT', message, { cause: error });
  }
}

/** @returns where the pages end */
async function appendPages(
  output: FileHandle,
  start: number,
  source: SourceWork,
  pages: readonly PageExtent[],
): Promise<number> {
  const block = Buffer.allocUnsafe(blockBytes);
  const input = await open(source.path, 'r');
  let at = start;
  try {
    for (const extent of pages) {
      await checkPages(input, source, extent);
      for (let from = extent.start; from < extent.end;) {
        const wanted = Math.min(block.length, extent.end - from);
        const { bytesRead } = await input.read(block, 0, wanted, from);
        if (bytesRead === 0) {
          await verifyUnchanged(source);
          fail('io', 'E_IO_SHORT_READ', `${source.path} ended at byte ${from}`);
        }
        at = await write(output, block.subarray(0, bytesRead), at);
        from += bytesRead;
      }
    }
  } finally {
    await input.close();
  }
  return at;
}

/** Nobody decodes them on the way: at least there must be one behind the other to the end. */
async function checkPages(
  input: FileHandle,
  source: SourceWork,
  extent: PageExtent,
): Promise<void> {
  for await (const page of pagesOf(input, source.path, extent)) void page;
}

/** @returns the byte after the last */
async function write(file: FileHandle, bytes: Uint8Array, at: number): Promise<number> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
  return at + bytes.length;
}

/** A footer, its length and the magic. */
function closing(footer: Uint8Array): Buffer {
  const end = Buffer.alloc(8);
  end.writeUInt32LE(footer.length, 0);
  end.write('PAR1', 4, 'latin1');
  return Buffer.concat([footer, end]);
}
