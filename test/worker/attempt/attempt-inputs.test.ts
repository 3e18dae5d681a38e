/** Attempts that read what workers of other machines have made. */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../../shared/chunk-identity.js';
import type { ChunkRecord, QueryLeaf, StageProgram } from '../../../shared/plan.js';
import { sliceOf } from '../../../shared/divided-file.js';
import {
  chunkFileToWire,
  fileSliceFromWire,
  fileSliceToWire,
  servedFileFromWire,
} from '../../../shared/wire.js';
import { AttemptInputs } from '../../../worker/attempt/attempt-inputs.js';
import type { ChunkWork, LeafRead } from '../../../worker/attempt/protocol.js';
import { partitionColumn } from '../../../worker/shuffle/divide.js';
import type { ServedFile, ServedSlice } from '../../../worker/shuffle/fetch.js';
import { OtherMachine } from '../shuffle/machines.js';
import { columns, Place } from './fixture.js';

const partitions = 3;
const sales = { k: 'INTEGER', amount: 'DOUBLE' };
const salesSql = 'select (i * 7 % 4000)::integer as k, i / 7 as amount from range(9000) t(i)';
const users = { k: 'INTEGER', name: 'VARCHAR' };
const usersSql = `select i::integer as k, 'user ' || i as name from range(3000) t(i)`;
const joinSql = `select u."name", sum(s."amount") as total from "sales" s join "users" u on s."k" = u."k" group by all`;

let place: Place;
const machines: OtherMachine[] = [];
beforeEach(() => {
  place = new Place();
});
afterEach(() => {
  for (const machine of machines.splice(0)) machine.close();
  place.close();
});

function leaf(name: string, definition: Record<string, string>, driving = true): QueryLeaf {
  return { leaf: name, columns: columns(definition), driving };
}

function queryProgram(
  sql: string,
  leaves: readonly QueryLeaf[],
  result: Record<string, string>,
  sink: Partial<StageProgram['sink']> = {},
): StageProgram {
  return {
    query: { sql, leaves, columns: columns(result) },
    scan: { kind: 'chunks', columns: [], hive: [] },
    steps: [],
    sink: { columns: columns(result), compression: 'uncompressed', partitionBy: [], ...sink },
    rowwise: false,
  };
}

function read(name: string, more: Partial<LeafRead>): LeafRead {
  return { leaf: name, sources: [], files: [], slices: [], ...more };
}

function work(chunk: number, ...reads: LeafRead[]): ChunkWork {
  return {
    chunk,
    identity: sha256Hex(`${chunk} ${JSON.stringify(reads)}`),
    inputs: [],
    poisonRows: [],
    reads,
  };
}

/** What a worker makes of a table in a chunk directory of its own: a file for each row group. */
async function made(
  directory: string,
  name: string,
  sql: string,
  definition: Record<string, string>,
  divide: boolean,
): Promise<ServedFile[]> {
  const path = await place.parquet(`${name}.parquet`, sql, ', row_group_size 2048');
  const sink = divide ? { divide: { kind: 'hash' as const, partitions, keys: ['"k"'] } } : {};
  const program = queryProgram(`from "${name}"`, [leaf(name, definition)], definition, sink);
  const works = (await place.worksOf(path)).map(({ source }, chunk) =>
    work(chunk, read(name, { sources: [source!] })),
  );
  const chunkDirectory = join(place.root, directory);
  const { failure, records } = await place.run(program, works, { chunkDirectory });
  expect(failure).toBeUndefined();
  return records.flatMap(({ files }) => files);
}

/** The same files as they are called on a machine that has that chunk directory. */
async function onMachine(directory: string, files: readonly ServedFile[], token?: string) {
  const root = `/machine ${directory}`;
  const more = token === undefined ? {} : { token };
  const machine = await OtherMachine.start(join(place.root, directory), { root, ...more });
  machines.push(machine);
  return files.map((file) => {
    const message = { ...chunkFileToWire(file), path: machine.nameOf(file.path) };
    return servedFileFromWire({ ...message, servedBy: machine.address });
  });
}

function slicesOf(files: readonly ServedFile[], partition: number): ServedSlice[] {
  return files.flatMap((file) => {
    const slice = sliceOf(file, partition, partition + 1);
    const { servedBy } = file;
    const served = servedBy === undefined ? {} : { servedBy };
    return slice ? [fileSliceFromWire(fileSliceToWire({ ...slice, ...served }))] : [];
  });
}

const joined = queryProgram(joinSql, [leaf('sales', sales), leaf('users', users, false)], {
  name: 'VARCHAR',
  total: 'DOUBLE',
});

/** Bytes of the files, which depend on every row and on their order. */
function digests(records: readonly ChunkRecord[]): string[] {
  return records.flatMap(({ files }) => files.map(({ sha256 }) => sha256));
}

function fetchedDirectories(): string[] {
  const spill = join(place.root, 'spill');
  if (!existsSync(spill)) return [];
  return readdirSync(spill).filter((name) => name.startsWith('parts-'));
}

it('parts of two machines join to the same rows as parts that lie here', async () => {
  const left = await made('one', 'sales', salesSql, sales, true);
  const right = await made('two', 'users', usersSql, users, true);
  const works = (from: { left: ServedFile[]; right: ServedFile[] }) =>
    Array.from({ length: partitions }, (_, partition) =>
      work(
        partition,
        read('sales', { slices: slicesOf(from.left, partition) }),
        read('users', { slices: slicesOf(from.right, partition) }),
      ),
    );
  const here = await place.run(joined, works({ left, right }));
  const there = { left: await onMachine('one', left), right: await onMachine('two', right) };
  const away = await place.run(joined, works(there));
  expect([here.failure, away.failure]).toEqual([undefined, undefined]);
  expect(away.records.map(({ counts }) => counts)).toEqual(
    here.records.map(({ counts }) => counts),
  );
  const expected = `select u.name, sum(s.amount) as total from (${salesSql}) s join (${usersSql}) u on s.k = u.k group by all`;
  const found = away.records.flatMap(({ files }) => files.map(({ path }) => `'${path}'`));
  const [wrong] = await place.sql(`select count(*) as n from (
    select name, round(total, 3) from read_parquet([${found.join(', ')}])
    except all select name, round(total, 3) from (${expected}))`);
  expect(wrong).toEqual({ n: 0n });
  expect(here.records.reduce((sum, { counts }) => sum + counts.rowsOut, 0)).toBe(3000);
  expect(fetchedDirectories()).toEqual([]);
});

it('whole files come from another machine too, in their order among those that lie here', async () => {
  const sql = 'select "k", "amount" from "sales"';
  const program = queryProgram(sql, [leaf('sales', sales)], sales);
  const files = await made('one', 'sales', salesSql, sales, false);
  expect(files.length).toBeGreaterThan(3);
  const there = await onMachine('one', files);
  const mixed = files.map((file, at) => (at % 2 === 0 ? file : there[at]!));
  const here = await place.run(program, [work(0, read('sales', { files }))]);
  for (const some of [mixed, there]) {
    const away = await place.run(program, [work(0, read('sales', { files: some }))]);
    expect(away.failure).toBeUndefined();
    expect(digests(away.records)).toEqual(digests(here.records));
  }
});

it('a divided file that is read whole comes with all its parts', async () => {
  const files = await onMachine('one', await made('one', 'users', usersSql, users, true));
  const program = queryProgram('from "users"', [leaf('users', users)], users);
  const { failure, records } = await place.run(program, [work(0, read('users', { files }))]);
  expect(failure).toBeUndefined();
  expect(records[0]?.counts).toMatchObject({ rowsIn: 3000, rowsOut: 3000 });
});

describe('of a divided file with several row groups', () => {
  const rows = 120_000;
  const sql = `select (i * 7)::integer as k, i / 7 as amount from range(${rows}) t(i)`;
  let works: ChunkWork[];
  beforeEach(async () => {
    const path = await place.parquet('large.parquet', sql);
    const divide = { kind: 'hash' as const, partitions, keys: ['"k"'] };
    const program = queryProgram('from "sales"', [leaf('sales', sales)], sales, { divide });
    const [only] = await place.worksOf(path);
    const chunkDirectory = join(place.root, 'one');
    const reading = work(0, read('sales', { sources: [only!.source!] }));
    const { records } = await place.run(program, [reading], { chunkDirectory });
    const files = await onMachine('one', records[0]!.files);
    const slices = [0, 1, 2].map((partition) => slicesOf(files, partition));
    const blocks = files[0]!.divided!.blocks.length;
    expect(blocks).toBeGreaterThan(4);
    for (const [slice] of slices) expect(slice!.blocks.length).toBeLessThan(blocks);
    works = slices.map((each, partition) => work(partition, read('sales', { slices: each })));
  });

  it('only those are fetched that have rows of the partition, and all rows are there', async () => {
    const program = queryProgram('from "sales"', [leaf('sales', sales)], sales);
    const { failure, records } = await place.run(program, works);
    expect(failure).toBeUndefined();
    const [found] = await place.rowsOf(records, 'count(*) as n, count(distinct k) as keys');
    expect(found).toEqual({ n: BigInt(rows), keys: BigInt(rows) });
  });

  it('a row that fails is found behind row groups that were not fetched', async () => {
    const failing = `select case when "k" = 700007 then error('not this one') else "k" end as k, "amount" from "sales"`;
    const program = queryProgram(failing, [leaf('sales', sales)], sales);
    const { failure } = await place.run(program, works);
    expect(failure).toMatchObject({ code: 'E_SQL_RUNTIME' });
    expect(failure!.message).toMatch(/^not this one; it fails for the row \{"k":700007,/);
  });
});

it('what is gone here after a chunk has read of it comes whole from elsewhere', async () => {
  const files = await made('one', 'users', usersSql, users, true);
  const seen = join(place.root, 'seen');
  cpSync(join(place.root, 'one'), seen, { recursive: true });
  const machine = await OtherMachine.start(join(place.root, 'one'), { root: seen });
  machines.push(machine);
  const served = files.map((file) => {
    return { ...file, path: machine.nameOf(file.path), servedBy: machine.address };
  });
  const works = Array.from({ length: partitions }, (_, partition) =>
    work(partition, read('users', { slices: slicesOf(served, partition) })),
  );
  const program = queryProgram('from "users"', [leaf('users', users)], users);
  const inputs = new AttemptInputs(place.attempt(program, works), () => undefined);
  let rows = 0;
  for (const at of works.keys()) {
    await inputs.ready(at, async ([leafFiles]) => {
      for (const { path, from } of leafFiles!.slices) {
        expect(path.startsWith(seen)).toBe(at === 0);
        const partition = `from read_parquet('${path}') where ${partitionColumn} = ${from}`;
        rows += (await place.sql(`select k, name ${partition}`)).length;
      }
    });
    rmSync(seen, { recursive: true, force: true });
  }
  expect(rows).toBe(3000);
});

it('names what another machine has lost or altered, and leaves nothing behind', async () => {
  const files = await made('one', 'sales', salesSql, sales, false);
  const there = await onMachine('one', files);
  const bytes = readFileSync(files[1]!.path);
  bytes[50]! ^= 1;
  writeFileSync(files[1]!.path, bytes);
  rmSync(files[2]!.path);
  const program = queryProgram('from "sales"', [leaf('sales', sales)], sales);
  const works = there.map((file, chunk) => work(chunk, read('sales', { files: [file] })));
  const [first, ...all] = [works[0]!, work(9, read('sales', { files: there }))];
  const { failure, records } = await place.run(program, [first, ...all]);
  expect(records).toHaveLength(1);
  expect(failure).toMatchObject({
    kind: 'fetchFailed',
    code: 'E_CHUNK_LOST',
    lost: [there[1]!.path, there[2]!.path],
  });
  expect(fetchedDirectories()).toEqual([]);
});

it('brings the token that machines ask for, and fails for good without it', async () => {
  const files = await onMachine('one', await made('one', 'users', usersSql, users, true), 'ours');
  const program = queryProgram('from "users"', [leaf('users', users)], users);
  const works = [work(0, read('users', { files }))];
  expect((await place.run(program, works)).failure).toMatchObject({
    kind: 'invalidSpec',
    code: 'E_UNAUTHENTICATED',
  });
  const { failure } = await place.run(program, works, { peers: { token: 'ours' } });
  expect(failure).toBeUndefined();
});
