import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../../shared/chunk-identity.js';
import { buildModel } from '../../../shared/onnx-model.js';
import type { InferStep, ProgramStep } from '../../../shared/plan.js';
import { Place, programOf } from './fixture.js';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.close());

const scan = { id: 'BIGINT', a: 'DOUBLE' };
const bytes = buildModel({
  inputs: [{ name: 'x', type: 'float32', dims: ['n'] }],
  outputs: [{ name: 'y', type: 'float32', dims: ['n'] }],
  nodes: [{ op: 'Add', inputs: ['x', 'x'], outputs: ['y'] }],
});
const digest = sha256Hex(bytes);

function infer(id: string, from: string, to: string, more: Partial<InferStep> = {}): InferStep {
  return {
    kind: 'infer',
    id,
    model: { digest, bytes: bytes.length, name: 'double.onnx' },
    externalData: [],
    inputs: [
      {
        tensor: 'x',
        type: 'float32',
        dims: [null],
        columns: [{ name: from, type: 'DOUBLE' }],
        list: false,
      },
    ],
    outputs: [{ tensor: 'y', type: 'float32', dims: [null], column: { name: to, type: 'FLOAT' } }],
    device: 'cpu',
    batchSize: 'auto',
    onNull: 'fail',
    onError: 'fail',
    ...more,
  };
}

async function run(steps: readonly ProgramStep[], sink: Record<string, string>, query: string) {
  const path = await place.parquet('a.parquet', query);
  const blobs = { [digest]: place.file('double.onnx', bytes) };
  return {
    path,
    ...(await place.run(programOf(scan, steps, sink), await place.worksOf(path), { blobs })),
  };
}

const rows = `select i as id, i::double as a from range(5000) t(i)`;
const someNull = `select i as id, case when i % 1000 = 7 then null else i::double end as a from range(5000) t(i)`;

describe('a model inside an attempt', () => {
  it('runs once on each row that reaches it, between filters, and feeds another model', async () => {
    const steps: ProgramStep[] = [
      { kind: 'filter', id: 'f1', where: 'id < 3000' },
      infer('m1', 'a', 'p'),
      { kind: 'filter', id: 'f2', where: 'p >= 2000' },
      infer('m2', 'p', 'q'),
      { kind: 'filter', id: 'f3', where: 'q < 8000' },
    ];
    const { failure, records } = await run(steps, { id: 'BIGINT', p: 'FLOAT', q: 'FLOAT' }, rows);
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toEqual({
      rowsIn: 5000,
      rowsOut: 1000,
      filtered: 4000,
      dead: 0,
      inferred: 3000 + 2000,
      warnings: {},
    });
    const [sums] = await place.rowsOf(records, 'bool_and(p = 2 * id and q = 4 * id) as right');
    expect(sums).toEqual({ right: true });
  });

  it('drops rows that the model cannot take into the dead letters, before later steps see them', async () => {
    const steps: ProgramStep[] = [
      infer('m1', 'a', 'p', { onNull: 'deadLetter' }),
      { kind: 'filter', id: 'f', where: 'p is not null and id <> 1' },
    ];
    const { failure, records, path } = await run(steps, { id: 'BIGINT', p: 'FLOAT' }, someNull);
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toMatchObject({ rowsOut: 4994, filtered: 1, dead: 5 });
    const dead = await place.deadOf(records[0]);
    expect(dead[0]).toMatchObject({ source_file: path, row: 7n, step: 'm1' });
    expect(JSON.parse(String(dead[0]?.row_json))).toEqual({ id: 7, a: null });
  });

  it('fails on NULL naming step, file and row', async () => {
    const { failure, path } = await run([infer('m1', 'a', 'p')], { p: 'FLOAT' }, someNull);
    expect(failure).toMatchObject({ kind: 'badData', at: { step: 'm1', file: path, row: 7 } });
  });

  it.each([
    [
      'E_TENSOR_SHAPE',
      'float32',
      [null, 2],
      'FLOAT[]',
      'case i when 3777 then [1] else [1, 2] end',
    ],
    ['E_MODEL_RUN', 'string', [null], 'VARCHAR', `case i when 3777 then chr(0) else 'a' end`],
  ] as const)(
    'fails with %s naming step, file and row where NULL is NULL',
    async (code, type, dims, column, a) => {
      const open = dims.map((dim) => dim ?? 'n');
      const same = buildModel({
        inputs: [{ name: 'x', type, dims: open }],
        outputs: [{ name: 'y', type, dims: open }],
        nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
      });
      const model = { digest: sha256Hex(same), bytes: same.length, name: 'same.onnx' };
      const columns = [{ name: 'a', type: column }];
      const step = infer('m1', 'a', 'p', {
        model,
        inputs: [{ tensor: 'x', type, dims, columns, list: dims.length > 1 }],
        outputs: [{ tensor: 'y', type, dims, column: { name: 'p', type: column } }],
        onNull: 'null',
      });
      const path = await place.parquet(
        'a.parquet',
        `select i as id, ${a} as a from range(5000) t(i)`,
      );
      const program = programOf({ a: column }, [step], { p: column });
      const blobs = { [model.digest]: place.file('same.onnx', same) };
      const { failure } = await place.run(program, await place.worksOf(path), { blobs });
      expect(failure).toMatchObject({
        kind: 'badData',
        code,
        at: { step: 'm1', file: path, row: 3777 },
      });
    },
  );

  it('keeps the model for the next attempt of the same program, with counts of its own', async () => {
    const first = await run([infer('m1', 'a', 'p')], { p: 'FLOAT' }, rows);
    const second = await run([infer('m1', 'a', 'p')], { p: 'FLOAT' }, rows);
    expect(first.records[0]?.counts.inferred).toBe(5000);
    expect(second.records[0]?.counts.inferred).toBe(5000);
  });
});
