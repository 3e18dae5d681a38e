import { readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ProgramStep } from '../../../shared/plan.js';
import { Place, programOf } from './fixture.js';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.close());

const numbers = `select i::bigint as id, case when i = 3333 then 'oops' else i::varchar end as text from range(6000) t(i)`;
const scan = { id: 'BIGINT', text: 'VARCHAR' };
const keep: ProgramStep = { kind: 'filter', id: 'keep', where: 'id >= 0' };
const cast: ProgramStep = {
  kind: 'select',
  id: 'cast',
  columns: [{ name: 'n', expr: 'text::int' }],
};

describe('a failing attempt', () => {
  it('names step, file, row group and row of an error that DuckDB raised without them', async () => {
    const path = await place.parquet('a.parquet', numbers, ', row_group_size 2048');
    const { failure, records } = await place.run(
      programOf(scan, [keep, cast], { n: 'INTEGER' }),
      await place.worksOf(path),
    );
    expect(failure).toMatchObject({
      kind: 'badData',
      code: 'E_SQL_RUNTIME',
      at: { step: 'cast', file: path, rowGroup: 1, row: 3333 },
    });
    expect(failure?.message).toContain('oops');
    // What was finished before stays, and nothing else does.
    expect(records).toHaveLength(1);
    expect(place.leftFiles()).toHaveLength(1);
  });

  it('says that the file is corrupt where its pages cannot be read', async () => {
    const path = await place.parquet('a.parquet', numbers, `, compression zstd`);
    const bytes = readFileSync(path);
    bytes.fill(0x5a, 60, 400);
    writeFileSync(path, bytes);
    const { failure } = await place.run(programOf(scan, [keep], scan), await place.worksOf(path));
    expect(failure).toMatchObject({
      kind: 'badData',
      code: 'E_PARQUET_CORRUPT',
      at: { file: path, rowGroup: 0 },
    });
    expect(place.leftFiles()).toEqual([]);
  });

  it('refuses an input file that is not the one that was planned', async () => {
    const path = await place.parquet('a.parquet', numbers);
    const works = await place.worksOf(path);
    utimesSync(path, new Date(), new Date(1_000_000_000_000));
    const changed = await place.run(programOf(scan, [], scan), works);
    expect(changed.failure).toMatchObject({ code: 'E_INPUT_CHANGED', at: { file: path } });
  });

  it('does not let SQL read another file of the machine', async () => {
    const path = await place.parquet('a.parquet', numbers);
    place.file('secret.txt', 'secret');
    const secret = join(place.root, 'secret.txt');
    const steal: ProgramStep = {
      kind: 'select',
      id: 'steal',
      columns: [{ name: 'text', expr: `(select content from read_text('${secret}'))` }],
    };
    const { failure } = await place.run(
      programOf(scan, [steal], { text: 'VARCHAR' }),
      await place.worksOf(path),
    );
    expect(failure?.message).toContain('Cannot access file');
    expect(place.leftFiles()).toEqual([]);
  });

  it('does not open to one program what another may read', async () => {
    const own = await place.parquet('own/a.parquet', numbers);
    const other = await place.parquet('other/b.parquet', numbers);
    expect(
      (await place.run(programOf(scan, [], scan), await place.worksOf(other))).failure,
    ).toBeUndefined();
    const steal: ProgramStep = {
      kind: 'select',
      id: 'steal',
      columns: [{ name: 'id', expr: `(select max(id) from read_parquet('${other}'))` }],
    };
    const { failure } = await place.run(
      programOf(scan, [steal], { id: 'BIGINT' }),
      await place.worksOf(own),
    );
    expect(failure?.message).toContain('Cannot access');
  });

  it('stops within a chunk when it is cancelled, and leaves no file', async () => {
    const path = await place.parquet(
      'a.parquet',
      'select i as id, i::varchar as text from range(100000) t(i)',
      ', row_group_size 20480',
    );
    const control = new Int32Array(new SharedArrayBuffer(4));
    place.runtime.scope.control = control;
    const attempt = place.run(
      programOf(scan, [keep], scan),
      await place.worksOf(path),
      {},
      (message) => {
        if (message.type === 'progress') Atomics.store(control, 0, 1);
      },
    );
    const { failure, records } = await attempt;
    expect(failure).toMatchObject({ kind: 'cancelled', code: 'E_CANCELLED' });
    expect(place.leftFiles()).toHaveLength(records.length);
    expect(records.length).toBeLessThan(4);
  });

  it('says that memory ran out as a failure that may be tried again', async () => {
    const path = await place.parquet('a.parquet', numbers);
    const big: ProgramStep = {
      kind: 'select',
      id: 'big',
      columns: [{ name: 'id', expr: '(select len(list(i)) from range(50000000) r(i))' }],
    };
    const { failure } = await place.run(
      programOf(scan, [big], { id: 'BIGINT' }),
      await place.worksOf(path),
      { memoryLimitBytes: 64 << 20 },
    );
    expect(failure).toMatchObject({ kind: 'resource', code: 'E_OUT_OF_MEMORY' });
  });
});
