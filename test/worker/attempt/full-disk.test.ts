/** Disks that fill up under a query, and memory that does not suffice: real file systems, 48 MiB each. */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { wholeSlice } from '../../../shared/divided-file.js';
import type { StageProgram } from '../../../shared/plan.js';
import type { LeafRead, SourceWork } from '../../../worker/attempt/protocol.js';
import { SmallDisk, smallDisks } from '../../small-disk.js';
import { OtherMachine } from '../shuffle/machines.js';
import { leaf, Place, queryProgram, read, work } from './fixture.js';

let place: Place;
let disk: string;
let mounted: SmallDisk;
let sources: SourceWork[];
beforeAll(async () => {
  place = new Place();
  const path = await place.parquet('n.parquet', 'select i from range(1000000) t(i)');
  sources = (await place.worksOf(path)).map(({ source }) => source!);
});
afterEach(() => place.runtime.closeKernel());
afterAll(() => {
  place.runtime.close();
  place.close();
});

const memoryLimitBytes = 64 << 20;
const wide = `(select i, i || repeat(md5(i::varchar), 8) as p from "n")`;
const sorting = `select i, length(p) as v from (from ${wide} order by p)`;
const exploding = 'select a.i, hash(a.i, b.i) as v from "n" a join "n" b on a.i % 10 = b.i % 10';

function programOf(sql: string, more: Partial<StageProgram['sink']> = {}): StageProgram {
  return queryProgram(sql, [leaf('n', { i: 'BIGINT' })], { i: 'BIGINT', v: 'UBIGINT' }, more);
}

/** One chunk, of which nothing may be left but its failure. */
async function failureOf(
  program: StageProgram,
  where: { spillDirectory?: string; chunkDirectory?: string },
  reads: Partial<LeafRead> = { sources },
) {
  const chunk = work(0, read('n', reads));
  const { failure, records } = await place.run(program, [chunk], { memoryLimitBytes, ...where });
  expect(records).toEqual([]);
  expect(place.leftFiles()).toEqual([]);
  return failure;
}

function filesOnDisk(): string[] {
  return readdirSync(disk, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
}

if (smallDisks) {
  describe('a full disk', () => {
    beforeAll(async () => {
      mounted = await SmallDisk.open(join(place.root, 'disk'), '48m');
      disk = mounted.path;
    });
    afterEach(() => {
      for (const name of readdirSync(disk)) rmSync(join(disk, name), { recursive: true });
    });
    afterAll(() => mounted.close());

    it('is named with its path where memory spills to it, and how to spill elsewhere', async () => {
      const spillDirectory = join(disk, 'spill');
      const failure = await failureOf(programOf(sorting), { spillDirectory });
      expect(failure).toMatchObject({ kind: 'resource', code: 'E_DISK_FULL' });
      expect(failure?.message).toContain(spillDirectory);
      expect(failure?.message).toContain('MiB used');
      expect(failure?.message).not.toMatch(/max_temp_directory_size|PRAGMA|SET /);
      expect(failure?.hint).toContain('--spill');
      expect(filesOnDisk()).toEqual([]);
    });

    it('is named alike where others filled it while the kernel spilled', async () => {
      const spillDirectory = join(disk, 'spill');
      const small = programOf(sorting.replace('"n"', '(from "n" limit 100000)'));
      const options = { memoryLimitBytes, spillDirectory };
      const first = await place.run(small, [work(0, read('n', { sources }))], options);
      expect(first.failure).toBeUndefined();
      for (const { files } of first.records) for (const { path } of files) rmSync(path);
      writeFileSync(join(disk, 'others'), Buffer.alloc(40 << 20));
      const failure = await failureOf(programOf(sorting), { spillDirectory });
      expect(failure).toMatchObject({ kind: 'resource', code: 'E_DISK_FULL' });
      expect(failure?.message).toContain(spillDirectory);
      expect(failure?.hint).toContain('--spill');
    });

    it('ends a join that explodes, and leaves nothing of its result', async () => {
      const chunkDirectory = join(disk, 'chunks');
      const failure = await failureOf(programOf(exploding), { chunkDirectory });
      expect(failure).toMatchObject({ kind: 'resource', code: 'E_DISK_FULL' });
      expect(failure?.message).toContain(chunkDirectory);
      expect(failure?.hint).toContain('checkpoints.location');
      expect(filesOnDisk()).toEqual([]);
    });

    it('ends it just so where its rows are divided for an exchange', async () => {
      const chunkDirectory = join(disk, 'chunks');
      const divide = { kind: 'hash', partitions: 3, keys: ['"i"'] } as const;
      const result = { i: 'BIGINT', p: 'VARCHAR' };
      const leaves = [leaf('n', { i: 'BIGINT' })];
      const program = queryProgram(`select i, p from ${wide}`, leaves, result, {
        divide,
        expendable: true,
      });
      const failure = await failureOf(program, { chunkDirectory });
      expect(failure).toMatchObject({ kind: 'resource', code: 'E_DISK_FULL' });
      expect(failure?.message).toContain(chunkDirectory);
      expect(failure?.hint).toContain('--shuffle-dir');
      expect(filesOnDisk()).toEqual([]);
    });

    it('is named where parts of other chunks are brought to it', async () => {
      const divided = programOf('select i, hash(i) as v from "n"', {
        divide: { kind: 'hash', partitions: 2, keys: ['"i"'] },
      });
      const producers = await place.run(divided, [work(0, read('n', { sources }))]);
      const [file] = producers.records[0]!.files;
      const machine = await OtherMachine.start(join(place.root, 'chunks'));
      const path = machine.nameOf(file!.path);
      const slice = { ...wholeSlice(file!)!, path, servedBy: machine.address };
      const spillDirectory = join(disk, 'spill');
      const program = queryProgram('from "n"', [leaf('n', { i: 'BIGINT', v: 'UBIGINT' })], {
        i: 'BIGINT',
        v: 'UBIGINT',
      });
      const reads = read('n', { slices: Array.from({ length: 8 }, () => slice) });
      const { failure, records } = await place.run(program, [work(0, reads)], { spillDirectory });
      machine.close();
      rmSync(file!.path);
      expect(records).toEqual([]);
      expect(failure).toMatchObject({ kind: 'resource', code: 'E_DISK_FULL' });
      expect(failure?.message).toContain(spillDirectory);
      expect(failure?.hint).toContain('--spill');
      expect(filesOnDisk()).toEqual([]);
    });
  });
}

describe('too little memory', () => {
  const hungry: [string, string][] = [
    ['an aggregation', 'select i % 2 as i, len(list(p)) as v from WIDE group by all'],
    ['an aggregation', 'select 1::bigint as i, len(list(p)) as v from WIDE'],
    [
      'a join',
      'select a.i, len(b.p) as v from WIDE a join (select 1 as one, list(p) as p from WIDE) b on a.i = b.one',
    ],
  ];

  for (const [holder, sql] of hungry) {
    it(`names ${holder} as what most likely holds it: ${sql.slice(0, 60)}`, async () => {
      const failure = await failureOf(programOf(sql.replaceAll('WIDE', wide)), {});
      expect(failure).toMatchObject({ kind: 'resource', code: 'E_OUT_OF_MEMORY' });
      expect(failure?.message).toContain(`of which ${holder} is the outermost part`);
      expect(failure?.message).toContain('MiB used');
      expect(failure?.message).not.toMatch(/Possible solutions|SET /);
      expect(failure?.hint).toMatch(/--memory.*--slots/);
    });
  }
});
