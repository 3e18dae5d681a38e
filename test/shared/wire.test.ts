import { expect, it } from 'vitest';
import {
  ChunkDone,
  ChunkFile as WireFile,
  FileSlice as WireSlice,
} from '../../shared/gen/windrow.js';
import { jobId, stageId } from '../../shared/ids.js';
import type { ChunkFile, ChunkPart, ChunkRecord, Divided, FileBlock } from '../../shared/plan.js';
import {
  chunkDoneToWire,
  chunkFileFromWire,
  chunkFileToWire,
  chunkRecordFromWire,
  fileSliceFromWire,
  fileSliceToWire,
} from '../../shared/wire.js';

const part: ChunkPart = { partition: 6, rows: 2 ** 34 };
const block: FileBlock = {
  offset: 5 * 2 ** 32,
  bytes: 2 ** 33,
  rows: 2 ** 34,
  crc32: 2 ** 32 - 1,
};
const divided: Divided = { parts: [part, part], blocks: [block] };
const file: ChunkFile = {
  path: '/c/a',
  rows: 2 ** 34,
  bytes: 2 ** 36,
  sha256: 'ab',
  partition: [],
};

function sent(each: ChunkFile): ChunkFile {
  return chunkFileFromWire(WireFile.decode(WireFile.encode(chunkFileToWire(each)).finish()));
}

it('a file comes as it was sent, divided or not, and divided into nothing', () => {
  for (const each of [
    file,
    { ...file, divided: { parts: [], blocks: [] } },
    { ...file, divided },
  ]) {
    expect(sent(each)).toEqual(each);
  }
});

it('what is read of a divided file comes as it was sent, with and without who is to be asked', () => {
  const range = { path: '/c/a', bytes: 2 ** 36, from: 3, to: 9, rowStart: 2 ** 33, rows: 2 ** 34 };
  for (const slice of [
    { ...range, blocks: [block] },
    { ...range, blocks: [], servedBy: 'h:1' },
  ]) {
    const bytes = WireSlice.encode(fileSliceToWire(slice)).finish();
    expect(fileSliceFromWire(WireSlice.decode(bytes))).toEqual(slice);
  }
});

it('a chunk’s record comes as it was sent, with hive values that are NULL or empty', () => {
  const partition = [
    { column: 'a', value: null },
    { column: 'b', value: '' },
  ];
  const record: ChunkRecord = {
    identity: 'ab',
    files: [
      { ...file, partition },
      { ...file, divided },
    ],
    counts: { rowsIn: 1, rowsOut: 2, filtered: 3, dead: 4, inferred: 5, warnings: { 's.c': 6 } },
    deadLetters: file,
  };
  const ref = { jobId: jobId('j1'), stageId: stageId('s0'), task: 1, attempt: 2 };
  const bytes = ChunkDone.encode(chunkDoneToWire(ref, 7, record)).finish();
  expect(chunkRecordFromWire(ChunkDone.decode(bytes))).toEqual(record);
});
