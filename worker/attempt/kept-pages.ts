/**
 * Makes one file of the columns that DuckDB wrote and those that are kept: pages as they lie, and a
 * footer over all of them. Never: decodes a page.
 */
import { open, rename, type FileHandle } from 'node:fs/promises';
import { fail } from '../../shared/failure.js';
import { readWholeFooter } from '../../shared/parquet-footer.js';
import { verifyUnchanged } from './inputs.js';
import type { KeptColumns } from './kept-columns.js';
import { decodeFooter, encodeFooter, join, type Joined, type Pages } from './raw-footer.js';

const blockBytes = 1024 * 1024;
const magic = Buffer.from('PAR1', 'latin1');

/**
 * @param path of the columns that were written, in one row group; then of the joined file
 * @param scratch a name in the same directory that nothing has
 * @throws WindrowError E_INPUT_CHANGED; `broken` E_SINK_CORRUPT where the rows are not the source's
 */
export async function joinKept(path: string, scratch: string, kept: KeptColumns): Promise<void> {
  const joined = await joinedWith(path, kept);
  const files: FileHandle[] = [];
  const opened = async (name: string, flags: string): Promise<FileHandle> => {
    const file = await open(name, flags);
    files.push(file);
    return file;
  };
  try {
    const from = { written: await opened(path, 'r'), source: await opened(kept.source.path, 'r') };
    const output = await opened(scratch, 'wx');
    let at = await write(output, magic, 0);
    for (const pages of joined.pages) {
      at = await copy(from[pages.of], output, pages, at);
    }
    await write(output, closing(encodeFooter(joined.footer)), at);
  } catch (error) {
    await verifyUnchanged(kept.source);
    throw error;
  } finally {
    for (const file of files) await file.close();
  }
  // The pages are those that the other columns were computed from.
  await verifyUnchanged(kept.source);
  await rename(scratch, path);
}

async function joinedWith(path: string, kept: KeptColumns): Promise<Joined> {
  const { source, from, footers } = kept;
  const { bytes } = await readWholeFooter(path);
  try {
    return join({ ...footers, written: decodeFooter(bytes), rowGroup: source.rowGroup, from });
  } catch (error) {
    const message = `${path} cannot take the columns that are kept: ${(error as Error).message}`;
    return fail('broken', 'E_SINK_CORRUPT', message, { cause: error });
  }
}

/** @returns the byte after the last */
async function copy(
  from: FileHandle,
  to: FileHandle,
  { start, end }: Pages,
  at: number,
): Promise<number> {
  const block = Buffer.allocUnsafe(Math.min(blockBytes, end - start));
  let next = at;
  for (let done = start; done < end;) {
    const wanted = Math.min(block.length, end - done);
    const { bytesRead } = await from.read(block, 0, wanted, done);
    if (bytesRead === 0) fail('io', 'E_IO_SHORT_READ', `a file of columns ended at byte ${done}`);
    next = await write(to, block.subarray(0, bytesRead), next);
    done += bytesRead;
  }
  return next;
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
  const length = Buffer.alloc(4);
  length.writeUInt32LE(footer.length);
  return Buffer.concat([footer, length, magic]);
}
