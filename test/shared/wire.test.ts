import { expect, it } from 'vitest';
import { ChunkDone, ChunkFile as WireFile } from '../../shared/gen/windrow.js';
import { jobId, stageId } from '../../shared/ids.js';
import type { ChunkFile, ChunkPart, ChunkRecord } from '../../shared/plan.js';
import {
  chunkDoneToWire,
  chunkFileFromWire,
  chunkFileToWire,
  chunkRecordFromWire,
} from '../../shared/wire.js';

const part: ChunkPart = {
  partition: 6,
  offset: 5 * 2 ** 32,
  bytes: 2 ** 33,
  rows: 2 ** 34,
  crc32: 2 ** 32 - 1,
};
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
  for (const each of [file, { ...file, parts: [] }, { ...file, parts: [part, part] }]) {
    expect(sent(each)).toEqual(each);
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
      { ...file, parts: [part] },
    ],
    counts: { rowsIn: 1, rowsOut: 2, filtered: 3, dead: 4, inferred: 5, warnings: { 's.c': 6 } },
    deadLetters: file,
  };
  const ref = { jobId: jobId('j1'), stageId: stageId('s0'), task: 1, attempt: 2 };
  const bytes = ChunkDone.encode(chunkDoneToWire(ref, 7, record)).finish();
  expect(chunkRecordFromWire(ChunkDone.decode(bytes))).toEqual(record);
});
