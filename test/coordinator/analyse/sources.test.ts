import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { parquetWriteBuffer } from 'hyparquet-writer';
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
  await bench.parquet('case/1.parquet', 'select 1 as ID, 2 as "É"');
  await bench.parquet('case/2.parquet', `select 'x' as n, i::integer as id from range(100) t(i)`);
  await bench.parquet('case/3.parquet', 'select 1 as "é", 5 as Id');
  await bench.parquet('k=1/K=2/1.parquet', 'select 1 as x');
  writeFileSync(
    bench.path('twins.parquet'),
    new Uint8Array(
      parquetWriteBuffer({
        columnData: [
          { name: 'a', data: [1], type: 'INT32' },
          { name: 'A', data: [2], type: 'INT32' },
        ],
      }),
    ),
  );
  await bench.parquet('h/day=1/1.parquet', 'select 1 as x');
  await bench.parquet('h/day=one/1.parquet', 'select 1 as x');
  await bench.parquet('odd/we[i]rd*.parquet', 'select 1 as x');
  writeFileSync(bench.path('empty.parquet'), '');
  symlinkSync(bench.path('a'), bench.path('link'));
  symlinkSync(bench.path('b'), bench.path('to-b'));
  symlinkSync(bench.path('b/1.parquet'), bench.path('linked.parquet'));
  mkdirSync(bench.path('new'));
  symlinkSync(bench.path('new'), bench.path('to-new'));
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

  test('have one column where names differ in case alone, as DuckDB has', async () => {
    const { sources, ...outputs } = job({ parquet: 'case/*.parquet', unionByName: true });
    const { plan } = await bench.plan({
      sources: sources!,
      steps: [{ id: 'few', filter: { from: 's', where: 'iD > 50' } }],
      outputs: outputs.outputs!.map((output) => ({ ...output, from: 'few' })),
    });
    const { files } = plan.stages[0]!.input as SourceInput;
    expect(plan.outputs[0]?.columns.map(({ name }) => name)).toEqual(['ID', 'É', 'n', 'é']);
    expect(files.map((file) => file.missingColumns)).toEqual([
      ['n', 'é'],
      ['É', 'é'],
      ['É', 'n'],
    ]);
    expect(files.map((file) => file.prunedRowGroups)).toEqual([[0], [], [0]]);
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
    ['E_DUPLICATE_COLUMN', { parquet: 'twins.parquet' }, /'a' and 'A' have one name/],
    ['E_DUPLICATE_COLUMN', { parquet: 'k=1' }, /two partitions 'K'/],
    ['E_SCHEMA_DRIFT', { parquet: 'case/*.parquet' }, /column is new; .*"column":"n"/],
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

  test.each<[string, string, object, string]>([
    ['b/1.parquet', 'to-b', {}, 'E_OUTPUT_IS_INPUT'],
    ['to-b/1.parquet', 'b', {}, 'E_OUTPUT_IS_INPUT'],
    ['linked.parquet', 'b', {}, 'E_OUTPUT_IS_INPUT'],
    ['b/1.parquet', 'out', { deadLetters: { path: 'to-b' } }, 'E_OUTPUT_IS_INPUT'],
  ])('%s is kept apart from what goes to %s, %j', async (file, output, more, code) => {
    const { deadLetters } = more as { deadLetters?: { path: string } };
    const spec = {
      ...job({ parquet: file }),
      outputs: [{ from: 's', parquet: bench.path(output) }],
      ...(deadLetters ? { deadLetters: { path: bench.path(deadLetters.path) } } : {}),
    };
    expect(await bench.refusal(spec)).toMatchObject({ code });
  });

  test.each([
    ['new', 'to-new'],
    ['new/x=1', 'new'],
  ])('and outputs from one another: %s and %s', async (first, second) => {
    const outputs = [first, second].map((name, index) => ({
      name: `o${index}`,
      from: 's',
      parquet: bench.path(name),
      partitionBy: ['x'],
    }));
    const spec = { ...job({ parquet: 'a/2.parquet' }), outputs };
    expect(await bench.refusal(spec)).toMatchObject({
      code: 'E_SPEC_INVALID',
      message: expect.stringMatching(/writes where output '.*' does/) as string,
    });
  });
});
