/**
 * What was written where in a divided file: its row groups as blocks with their checksums, read back
 * from the file as it is. Never: reads rows.
 */
import { open } from 'node:fs/promises';
import { crc32 } from '@node-rs/crc32';
import { fail } from '../../shared/failure.js';
import { readRowGroups } from '../../shared/parquet-footer.js';
import type { FileBlock } from '../../shared/plan.js';

const readBytes = 1024 * 1024;

/** All bytes of a Parquet file: its row groups, and last of all what is behind them. */
export async function blocksOfFile(path: string): Promise<FileBlock[]> {
  const groups = await readRowGroups(path);
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    // What precedes a row group belongs to it; what follows the last is read with every one of them.
    const ends = [...groups.map(({ end, rows }) => ({ end, rows })), { end: size, rows: 0 }];
    const blocks: FileBlock[] = [];
    const block = Buffer.allocUnsafe(readBytes);
    let offset = 0;
    for (const { end, rows } of ends) {
      if (end <= offset) fail('broken', 'E_SINK_CORRUPT', `${path} has row groups out of order`);
      let sum = 0;
      for (let at = offset; at < end;) {
        const { bytesRead } = await file.read(block, 0, Math.min(block.length, end - at), at);
        if (bytesRead === 0)
          fail('io', 'E_IO_SHORT_READ', `${path} ended at ${at} of ${size} bytes`);
        sum = crc32(block.subarray(0, bytesRead), sum);
        at += bytesRead;
      }
      blocks.push({ offset, bytes: end - offset, rows, crc32: sum });
      offset = end;
    }
    return blocks;
  } finally {
    await file.close();
  }
}
