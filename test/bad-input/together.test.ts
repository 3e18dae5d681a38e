/** Two runs at once: on one state directory, and on one output from two of them. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Ended } from '../verb-here.js';
import { duckdb, ended, lineOf, Place, start, windrow } from './place.js';

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(() => place.close());

/** Holds each chunk until a file appears, so that a second run finds the first at work. */
function slowSpec(name: string, label: string): { spec: string; letGo: () => void } {
  const spec = place.spec(name, {
    steps: [
      {
        id: 'a',
        map: {
          from: 'orders',
          module: 'f.js',
          export: 'batch',
          rowwise: true,
          reads: ['id'],
          columns: { label: 'VARCHAR' },
        },
      },
    ],
  });
  const gate = join(dirname(spec), 'go');
  place.write(
    `${name}/f.js`,
    `import { existsSync } from 'node:fs';
export async function batch(rows) {
  while (!existsSync(${JSON.stringify(gate)})) await new Promise((go) => setTimeout(go, 20));
  return { label: Array(rows.numRows).fill('${label}') };
}
`,
  );
  return { spec, letGo: () => place.write(`${name}/go`, '') };
}

function jobOf({ stdout }: Ended): { job: string; state: string } {
  const { job, state } = JSON.parse(stdout.trim().split('\n').at(-1)!) as Record<string, string>;
  return { job: job!, state: state! };
}

async function untilStarted(child: ReturnType<typeof start>): Promise<void> {
  let text = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout!.on('data', (data: Buffer) => {
      text += data.toString();
      if (text.includes('"event":"started"')) resolve();
    });
    child.on('close', () => reject(new Error(`ended before it started: ${text}`)));
  });
}

describe('a second run', () => {
  it('of the same job on the same state directory follows the first one', async () => {
    const { spec, letGo } = slowSpec('same', 'x');
    const first = start(['run', spec, '--workers', '1']);
    const one = ended(first);
    await untilStarted(first);
    const second = start(['run', spec, '--workers', '1']);
    const two = ended(second);
    // What comes to the first one's process after its job has ended is a job of its own.
    const follows = untilStarted(second);
    await lineOf(second, new RegExp(`process ${first.pid} works on .*: the job runs there`));
    await follows;
    letGo();
    const ends = await Promise.all([one, two]);
    expect(
      ends.map(({ code }) => code),
      ends[1].stderr,
    ).toEqual([0, 0]);
    expect(jobOf(ends[1])).toEqual(jobOf(ends[0]));
    const files = `${dirname(spec)}/out/*.parquet`;
    expect(await duckdb(`select count(*)::int as n from '${files}'`)).toEqual([{ n: 50_000 }]);
  });

  it('from another state directory on the same output is refused while the first works', async () => {
    const { spec, letGo } = slowSpec('busy', 'y');
    const first = start(['run', spec, '--workers', '1']);
    const one = ended(first);
    await untilStarted(first);
    const other = await windrow(['run', spec, '--workers', '1', '--state', place.path('other')]);
    expect(other.stderr).toMatch(/error E_OUTPUT_BUSY: /);
    expect(other.stderr).toContain(join(dirname(spec), 'out'));
    expect(other.stderr).toMatch(/hint: /);
    expect(other.code, other.stderr).toBe(2);
    letGo();
    expect((await one).code).toBe(0);
    const manifest = readFileSync(join(dirname(spec), 'out/_windrow/manifest.json'), 'utf8');
    expect(JSON.parse(manifest)).toMatchObject({ job: 'busy' });
  });
});
