/**
 * Files and paths that are wrong: inputs refused before native code sees them, outputs before any
 * work, and a disk that fills up while a chunk is written to it.
 */
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SmallDisk, smallDisks } from '../small-disk.js';
import {
  duckdb,
  expectFailed,
  expectInvalid,
  expectRefused,
  filesBelow,
  Place,
  type Refusal,
  windrow,
} from './place.js';

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(() => place.close());

const fixtures = join(import.meta.dirname, '../interop/fixtures');

interface FileCase extends Refusal {
  readonly name: string;
  /** Makes the bytes of the source's one file from those of a good one. */
  readonly spoil: (good: Buffer) => Buffer;
}

function withFooterLength(good: Buffer, length: number): Buffer {
  const bytes = Buffer.from(good);
  bytes.writeUInt32LE(length, bytes.length - 8);
  return bytes;
}

const spoiled: FileCase[] = [
  {
    name: 'truncated at its end',
    spoil: (good) => good.subarray(0, good.length - 100),
    code: 'E_PARQUET_INVALID',
    says: [/does not end with PAR1/],
  },
  {
    name: 'truncated in its middle, its footer kept',
    spoil: (good) => {
      const footer = good.readUInt32LE(good.length - 8) + 8;
      return Buffer.concat([good.subarray(0, 5000), good.subarray(good.length - footer)]);
    },
    code: 'E_PARQUET_INVALID',
    says: [/row group 0/, /outside the data/],
  },
  {
    name: 'with a footer longer than itself',
    spoil: (good) => withFooterLength(good, good.length),
    code: 'E_PARQUET_INVALID',
    says: [/longer than the file/],
  },
  {
    name: 'with a footer of 4 GiB',
    spoil: (good) => withFooterLength(good, 0xffffffff),
    code: 'E_PARQUET_INVALID',
    says: [/longer than the file/],
  },
  {
    name: 'of 21 bytes that ask for two thousand million schema elements',
    spoil: () => {
      const footer = [0x15, 0x02, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07];
      return Buffer.from([...Buffer.from('PAR1'), ...footer, 9, 0, 0, 0, ...Buffer.from('PAR1')]);
    },
    code: 'E_PARQUET_INVALID',
    says: [/list of 2147483647 elements/],
  },
  {
    name: 'whose footer is noise',
    spoil: (good) => {
      const bytes = Buffer.from(good);
      bytes.fill(0xa5, bytes.length - 400, bytes.length - 8);
      return bytes;
    },
    code: 'E_PARQUET_INVALID',
    says: [/footer/],
  },
  {
    name: 'that is empty',
    spoil: () => Buffer.alloc(0),
    code: 'E_PARQUET_INVALID',
    says: [/0 bytes/],
  },
  {
    name: 'that is text',
    spoil: () => Buffer.from('id,amount\n1,2\n'.repeat(100)),
    code: 'E_PARQUET_INVALID',
    says: [/PAR1/],
  },
];

describe('a file is refused', () => {
  it.concurrent.each(spoiled)('$name', async ({ name, spoil, code, says }) => {
    const good = readFileSync(place.path('data.parquet'));
    const file = place.write(`${name.replaceAll(/\W+/g, '-')}/bad.parquet`, spoil(good));
    const spec = place.spec(`file ${name}`, { sources: { orders: { parquet: file } } });
    await expectInvalid(place, spec, { code, says: [...says, `file ${file}`, /hint: /] });
  });

  it.concurrent.each(['file_row_number', '__windrow_row'])('with a column %s', async (name) => {
    const file = place.path(`${name}.parquet`);
    await duckdb(`copy (select 1 as id, 2 as ${name}) to '${file}' (format parquet)`);
    const spec = place.spec(`column ${name}`, { sources: { orders: { parquet: file } } });
    const says = [new RegExp(`column ${name}`), `file ${file}`, /rename/];
    await expectInvalid(place, spec, { code: 'E_COLUMN_RESERVED', says });
  });
});

describe('a path is refused', () => {
  const cases: (Refusal & { parquet: string })[] = [
    {
      parquet: 'nowhere/*.parquet',
      code: 'E_NO_FILES',
      says: [/source 'orders'/, /nearest directory/],
    },
    { parquet: 'nowhere.parquet', code: 'E_NO_FILES', says: [/nowhere\.parquet/] },
    { parquet: 's3://bucket/a.parquet', code: 'E_URI_SCHEME', says: [/s3:/, /local/] },
    { parquet: 'a/%2e%2e/%2e%2e/data.parquet', code: 'E_URI_DENIED', says: [/encoded/] },
    { parquet: 'a%00.parquet', code: 'E_URI_DENIED', says: [/NUL/] },
  ];
  it.concurrent.each(cases)('$parquet', async ({ parquet, code, says }) => {
    const spec = place.spec(`path ${parquet}`, { sources: { orders: { parquet } } });
    await expectInvalid(place, spec, { code, says: [...says, /hint: /] });
  });
});

describe('an output is refused', () => {
  it.concurrent('that holds files of others', async () => {
    const spec = place.spec('foreign', {});
    copyFileSync(place.path('data.parquet'), place.write('foreign/out/theirs.parquet', ''));
    const says = [/theirs\.parquet/, /mode: overwrite/];
    await expectRefused(place, spec, { code: 'E_OUTPUT_EXISTS', says });
    expect(place.published(spec)).toEqual(['theirs.parquet']);
  });

  it.concurrent.each([
    ['below a file', '../data.parquet/out'],
    ['where nobody may write', '/proc/windrow/out'],
  ])('%s', async (name, parquet) => {
    const spec = place.spec(name, { outputs: [{ name: 'result', from: 'orders', parquet }] });
    const says = [/output result/, /hint: name a directory/];
    await expectRefused(place, spec, { code: 'E_OUTPUT_NOT_WRITABLE', says });
  });

  it.concurrent.each([
    [
      'checkpoints',
      { checkpoints: { location: '../data.parquet/chunks' } },
      /checkpoints\.location/,
    ],
    ['shuffle files', { shuffle: { location: '../data.parquet/shuffle' } }, /shuffle\.location/],
    ['dead letters', { deadLetters: { path: '../data.parquet/dead' } }, /dead letters of output/],
  ] as const)('whose %s lie where nobody may write', async (name, change, what) => {
    const checks = [{ name: 'has_age', notNull: 'age' }];
    const steps = [{ id: 'a', expect: { from: 'orders', onFail: 'deadLetter' as const, checks } }];
    const spec = place.spec(`unwritable ${name}`, { steps, ...change });
    const says = [what, /hint: name a directory/];
    await expectRefused(place, spec, { code: 'E_OUTPUT_NOT_WRITABLE', says });
    expect(place.published(spec)).toEqual([]);
  });

  it.concurrent('that is read by the same job', async () => {
    const spec = place.spec('own input', {
      outputs: [{ name: 'result', from: 'orders', parquet: '..', mode: 'overwrite' }],
    });
    await expectRefused(place, spec, { code: 'E_OUTPUT_IS_INPUT', says: [/result/, /hint: /] });
    expect(readFileSync(place.path('data.parquet')).length).toBeGreaterThan(1000);
  });
});

describe('a partition that no directory can be fails the job at once', () => {
  it.concurrent.each([
    [
      'null-text',
      `'__HIVE_DEFAULT_PARTITION__'`,
      /the text __HIVE_DEFAULT_PARTITION__ is what stands/,
    ],
    ['long-value', `repeat('é/', 40)`, /'(é\/){40}' is too long .* have 365 bytes of 255/],
  ])('%s', async (name, value, said) => {
    const spec = place.spec(name, {
      steps: [
        {
          id: 'named',
          select: {
            from: 'orders',
            columns: {
              id: 'id',
              kind: `case id when 31234 then ${value} when 7 then null else '' end`,
            },
          },
        },
      ],
      outputs: [{ name: 'result', from: 'named', parquet: 'out', partitionBy: ['kind'] }],
    });
    const { failure } = await expectFailed(place, spec, 'E_HIVE_VALUE');
    expect(failure).toMatchObject({ kind: 'badData', at: { step: 'named', column: 'kind' } });
    expect(failure.message).toMatch(said);
  });
});

describe('a file that is damaged behind its footer fails the job', () => {
  it.concurrent('where a page does not match its checksum', async () => {
    const bytes = readFileSync(join(fixtures, 'pyarrow-page-checksum.parquet'));
    // In the values of the first page, where only its checksum can tell.
    bytes[60] = bytes[60]! ^ 0x01;
    const file = place.write('flipped.parquet', bytes);
    const spec = place.spec('flipped', { sources: { orders: { parquet: file } } });
    const run = await windrow(['run', spec, '--workers', '1']);
    expect(run.stderr).toContain('error E_PARQUET_CORRUPT: ');
    expect(run.stderr).toMatch(/row group 0/);
    expect(run.stderr).toMatch(/column id/);
    expect(run.stderr).toContain(`file ${file}`);
    expect(run.code, run.stderr).toBe(1);
    expect(place.published(spec).filter((name) => name.endsWith('.parquet'))).toEqual([]);
  });
});

describe('a source without rows', () => {
  it.concurrent('still publishes its schema', async () => {
    const spec = place.spec('no rows', {
      sources: { orders: { parquet: join(fixtures, 'pyarrow-empty.parquet') } },
    });
    const run = await windrow(['run', spec, '--workers', '1']);
    expect(run.code, run.stderr).toBe(0);
    const out = join(dirname(spec), 'out');
    const [one] = await duckdb(`select count(*)::int as n from '${out}/*.parquet'`);
    expect(one).toEqual({ n: 0 });
    const columns = await duckdb(`describe select * from '${out}/*.parquet'`);
    expect(columns.slice(0, 2)).toMatchObject([{ column_name: 'id' }, { column_name: 'small' }]);
  });

  it.concurrent('nor rows left by pruning, still publishes its schema', async () => {
    const spec = place.spec('all pruned', {
      steps: [{ id: 'none', filter: { from: 'orders', where: 'id < 0' } }],
    });
    const run = await windrow(['run', spec, '--workers', '1']);
    expect(run.code, run.stderr).toBe(0);
    const out = join(dirname(spec), 'out');
    expect(await duckdb(`select count(*)::int as n from '${out}/*.parquet'`)).toEqual([{ n: 0 }]);
  });
});

if (smallDisks) {
  describe('a full disk', () => {
    let disk: SmallDisk;
    const ballast = () => join(disk.path, 'ballast');
    beforeAll(async () => {
      disk = await SmallDisk.open(place.path('disk'), '32m');
      writeFileSync(ballast(), Buffer.alloc(30 << 20));
    });
    afterAll(() => disk.close());

    /** Text that no compression makes small: some 6 MiB. */
    const noise = 'md5(id::varchar) || md5((id + 1)::varchar) || md5((id + 2)::varchar)';
    const large = { select: { from: 'orders', columns: { id: 'id', noise } } };

    it('fails the job with its code once the attempts are used up, leaves no half file, and lets it go on once there is room', async () => {
      const out = join(disk.path, 'out');
      const spec = place.spec('full', {
        run: { attempts: 2 },
        steps: [{ id: 'large', ...large }],
        outputs: [{ name: 'result', from: 'large', parquet: out }],
      });
      const { failure } = await expectFailed(place, spec, 'E_DISK_FULL');
      expect(failure).toMatchObject({ kind: 'resource' });
      expect(failure.hint).toMatch(/checkpoints\.location/);
      expect(filesBelow(out).filter((name) => name.endsWith('.parquet'))).toEqual([]);
      expect(filesBelow(out)).not.toContain('_SUCCESS');

      rmSync(ballast());
      const run = await windrow(['run', spec, '--workers', '1']);
      expect(run.code, run.stderr).toBe(0);
    });
  });
}
