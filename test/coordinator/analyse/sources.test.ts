import { symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WindrowError } from '../../../shared/failure.js';
import type { SourceSpec } from '../../../shared/job-spec.js';
import type { SourceInput } from '../../../shared/plan.js';
import { Workbench } from './workbench.js';

let bench: Workbench;

beforeAll(async () => {
  bench = await Workbench.open();
  await bench.parquet('a/1.parquet', 'select 1::integer as x, 2::bigint as y');
  await bench.parquet('a/2.parquet', "select 1::integer as x, 'two' as y");
  await bench.parquet('b/1.parquet', 'select 1::integer as x, 2::bigint as y');
  await bench.parquet('b/2.parquet', 'select 1::integer as x');
  await bench.parquet('h/day=1/1.parquet', 'select 1 as x');
  await bench.parquet('h/day=one/1.parquet', 'select 1 as x');
  await bench.parquet('odd/we[i]rd*.parquet', 'select 1 as x');
  writeFileSync(bench.path('empty.parquet'), '');
  symlinkSync(bench.path('a'), bench.path('link'));
});
afterAll(() => bench.close());

function job(
  source: Omit<SourceSpec, 'parquet'> & { parquet: string | string[] },
): Parameters<Workbench['plan']>[0] {
  const parquet = [source.parquet].flat().map((name) => bench.path(name));
  return {
    sources: { s: { ...source, parquet } },
    outputs: [{ from: 's', parquet: bench.path('out') }],
  };
}

describe('files of a source', () => {
  test('are found in one order, each once, under their own names', async () => {
    const { plan } = await bench.plan(
      job({ parquet: ['b/1.parquet', 'b/?.parquet', 'odd/we[i]rd*.parquet'], unionByName: true }),
    );
    const { files } = plan.stages[0]!.input as SourceInput;
    expect(files.map((file) => file.path)).toEqual(
      ['b/1.parquet', 'b/2.parquet', 'odd/we[i]rd*.parquet'].map((name) => bench.path(name)),
    );
    expect(files.map((file) => file.missingColumns)).toEqual([[], ['y'], ['y']]);
  });

  test.each<[string, Parameters<typeof job>[0], RegExp]>([
    ['E_NO_FILES', { parquet: 'a/none/*.parquet' }, /nearest directory that exists is .*\/a"/],
    ['E_NO_FILES', { parquet: 'nowhere.parquet' }, /nearest directory/],
    ['E_SCHEMA_DRIFT', { parquet: 'a/*.parquet' }, /a\/2\.parquet.*"column":"y"/],
    [
      'E_SCHEMA_DRIFT',
      { parquet: 'a/*.parquet', unionByName: true },
      /VARCHAR; in .* it is BIGINT/,
    ],
    ['E_SCHEMA_DRIFT', { parquet: 'b/*.parquet' }, /unionByName/],
    ['E_PARQUET_INVALID', { parquet: 'empty.parquet' }, /is empty/],
    // Read ahead of its turn.
    ['E_PARQUET_INVALID', { parquet: ['b/1.parquet', 'empty.parquet'] }, /is empty/],
    ['E_HIVE_VALUE', { parquet: 'h', hive: { day: 'BIGINT' } }, /'one' is not BIGINT/],
    ['E_UNKNOWN_COLUMN', { parquet: 'h', hive: { dya: 'BIGINT' } }, /did you mean 'day'/],
  ])('%s for %j', async (code, source, message) => {
    const failure = await bench.refusal(job(source));
    expect(failure).toMatchObject({ code, kind: 'invalidSpec' });
    expect(JSON.stringify(failure)).toMatch(message);
  });

  test('are each checked against the roots before they are opened', async () => {
    const checked: string[] = [];
    const checkPath = (path: string): void => {
      checked.push(path);
      if (path.endsWith('2.parquet')) {
        throw new WindrowError({ kind: 'invalidSpec', code: 'E_URI_DENIED', message: path });
      }
    };
    const failure = await bench.refusal(job({ parquet: 'link/*.parquet' }), { checkPath });
    expect(failure.code).toBe('E_URI_DENIED');
    expect(checked).toContain(bench.path('link/1.parquet'));
  });

  test('may not lie inside an output', async () => {
    const spec = {
      ...job({ parquet: 'b/1.parquet' }),
      outputs: [{ from: 's', parquet: bench.path('b') }],
    };
    expect(await bench.refusal(spec)).toMatchObject({ code: 'E_OUTPUT_IS_INPUT' });
  });
});
