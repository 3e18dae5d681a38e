import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ProgramStep, StageProgram } from '../../../shared/plan.js';
import type { AttemptMessage, AttemptResult, ChunkWork } from '../../../worker/attempt/protocol.js';
import { Place, programOf } from './fixture.js';

let place: Place;
let pool: Piscina;
beforeEach(() => {
  place = new Place();
  pool = new Piscina({
    filename: fileURLToPath(new URL('../../../worker/attempt/thread.ts', import.meta.url)),
    name: 'runAttempt',
    maxThreads: 1,
    atomics: 'disabled',
    execArgv: ['--import', 'tsx'],
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
) {
  const { port1, port2 } = new MessageChannel();
  const messages: AttemptMessage[] = [];
  port1.on('message', (message: AttemptMessage) => {
    messages.push(message);
    act(message, () => port1.postMessage({ type: 'interrupt' }));
  });
  const closed = once(port1, 'close');
  const task = {
    ...place.attempt(program, chunks),
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
