/** A disk that fills up while a chunk is written: a real file system of 2 MiB. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectFailed, filesBelow, Place, windrow } from './place.js';

let place: Place;
let disk: string;

beforeAll(async () => {
  place = await Place.open();
  disk = place.path('disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]);
});
afterAll(() => {
  execFileSync('umount', [disk]);
  place.close();
});

/** Text that no compression makes small: some 6 MiB. */
const steps = [
  {
    id: 'large',
    select: {
      from: 'orders',
      columns: {
        id: 'id',
        noise: 'md5(id::varchar) || md5((id + 1)::varchar) || md5((id + 2)::varchar)',
      },
    },
  },
];

describe('a full disk', () => {
  it('fails the job with its code once the attempts are used up, and leaves no half file', async () => {
    const out = place.path('disk/out');
    const spec = place.spec('full', {
      run: { attempts: 2 },
      steps,
      outputs: [{ name: 'result', from: 'large', parquet: out }],
    });
    const { failure } = await expectFailed(place, spec, 'E_DISK_FULL');
    expect(failure).toMatchObject({ kind: 'resource' });
    expect(failure.hint).toMatch(/checkpoints\.location/);
    expect(filesBelow(out).filter((name) => name.endsWith('.parquet'))).toEqual([]);
    expect(filesBelow(out)).not.toContain('_SUCCESS');
  });

  it('goes on where it was once there is room', async () => {
    execFileSync('mount', ['-o', 'remount,size=64m', disk]);
    const run = await windrow(['run', place.path('full/job.json'), '--workers', '1']);
    expect(run.code, run.stderr).toBe(0);
  });
});
