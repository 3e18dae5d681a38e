import { once } from 'node:events';
import { resolve } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { sha256Hex } from '../../../shared/chunk-identity.js';
import type { ProgramStep, StageProgram } from '../../../shared/plan.js';
import type { AttemptMessage, AttemptResult, ChunkWork } from '../../../worker/attempt/protocol.js';
import { columns, Place, programOf } from './fixture.js';

let place: Place;
let pool: Piscina;
beforeEach(() => {
  place = new Place();
  pool = new Piscina({
    filename: resolve('dist/worker/attempt/thread.js'),
    name: 'runAttempt',
    maxThreads: 1,
    atomics: 'disabled',
  });
});
afterEach(async () => {
  await pool.destroy();
  place.close();
});

async function runInThread(
  program: StageProgram,
  chunks: readonly ChunkWork[],
  act: (message: AttemptMessage, interrupt: () => void) => void = () => undefined,
  blobs: Readonly<Record<string, string>> = {},
) {
  const { port1, port2 } = new MessageChannel();
  const messages: AttemptMessage[] = [];
  port1.on('message', (message: AttemptMessage) => {
    messages.push(message);
    act(message, () => port1.postMessage({ type: 'interrupt' }));
  });
  const closed = once(port1, 'close');
  const task = {
    ...place.attempt(program, chunks, { blobs }),
    control: new SharedArrayBuffer(4),
    port: port2,
  };
  const result = (await pool.run(task, { transferList: [port2] })) as AttemptResult;
  await closed;
  return { result, chunks: messages.filter(({ type }) => type === 'chunk').length };
}

const scan = { id: 'BIGINT' };

it('runs attempts one after the other and closes each port after its last message', async () => {
  const path = await place.parquet(
    'a.parquet',
    'select i as id from range(5000) t(i)',
    ', row_group_size 2048',
  );
  const works = await place.worksOf(path);
  for (let attempt = 0; attempt < 2; attempt++) {
    const { result, chunks } = await runInThread(programOf(scan, [], scan), works);
    expect(result).toEqual({});
    expect(chunks).toBe(works.length);
  }
});

it.each([
  ['throws', `throw new Error('later')`, 'E_MAP_THREW', /later \(at bundle:1:/],
  ['calls process.exit', 'process.exit(3)', 'E_MAP_EXIT', /process\.exit\(3\)/],
])(
  'a timer that %s ends its thread alone, and no chunk comes of it',
  async (_, act, code, says) => {
    const path = await place.parquet('a.parquet', 'select i as id from range(5000) t(i)');
    const source = `export function row(row) { if (row.id === 7n) setTimeout(() => { ${act} }, 0); return { x: 1 }; }`;
    const digest = sha256Hex(source);
    const step: ProgramStep = {
      kind: 'map',
      id: 'm',
      bundle: { digest, bytes: source.length, name: 'bundle.mjs' },
      export: 'row',
      style: 'row',
      rowwise: true,
      reads: columns(scan),
      columns: columns({ x: 'INTEGER' }),
      onError: 'fail',
    };
    const works = await place.worksOf(path);
    const blobs = { [digest]: place.file(digest, source) };
    const [thread] = pool.threads;
    const running = runInThread(programOf(scan, [step], { x: 'INTEGER' }), works, undefined, blobs);
    await expect(running).rejects.toMatchObject({
      failure: { kind: 'userCode', code, message: expect.stringMatching(says), at: { step: 'm' } },
    });
    expect(place.leftFiles()).toEqual([]);
    expect(pool.threads).not.toContain(thread);
    expect((await runInThread(programOf(scan, [], scan), works)).result).toEqual({});
  },
);

it('interrupts a statement that would run for hours, leaves no other file, and takes the next attempt', async () => {
  const query =
    'select case when i < 2048 then 1 else 1000000000000 end as n from range(2050) t(i)';
  const path = await place.parquet('a.parquet', query, ', row_group_size 2048');
  const works = await place.worksOf(path);
  const endless: ProgramStep = {
    kind: 'sql',
    id: 'endless',
    input: 'input',
    query: 'select t.i as id from input, range(input.n) t(i) where t.i % 2 = 2',
  };
  const program = programOf({ n: 'BIGINT' }, [endless], scan, { rowwise: false });
  // The report of the first chunk comes while the second one runs.
  const cancelled = await runInThread(program, works, ({ type }, interrupt) => {
    if (type === 'chunk') interrupt();
  });
  expect(cancelled.result.failure).toMatchObject({ kind: 'cancelled', code: 'E_CANCELLED' });
  expect(place.leftFiles()).toHaveLength(cancelled.chunks);

  const next = await runInThread(programOf({ n: 'BIGINT' }, [], { n: 'BIGINT' }), works);
  expect(next.result).toEqual({});
});
