/** Several runs on one state directory, and the one that owns it ends: the others go on by themselves. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockStateDirectory } from '../../coordinator/journal/state-lock.js';
import { type Ended, type Started, Workplace } from './workplace.js';

const rows = 40_960;

let place: Workplace;

beforeEach(async () => {
  place = new Workplace();
  await place.numbers(rows);
});
afterEach(() => place.close());

/** A job whose chunks, all but the first, are held until `open` is called. */
function gatedJob(name: string): { spec: string; open: () => void } {
  const gate = place.path(`${name}.go`);
  place.write(
    `${name}.js`,
    `import { existsSync } from 'node:fs';
export async function batch(rows) {
  while (rows.getChild('i').get(0) > 0n && !existsSync(${JSON.stringify(gate)})) {
    await new Promise((go) => setTimeout(go, 20));
  }
  return { label: Array(rows.numRows).fill('${name}') };
}
`,
  );
  const spec = place.write(
    `${name}.yaml`,
    `apiVersion: windrow/v1
kind: Job
metadata: { name: ${name} }
sources:
  numbers: { parquet: data/*.parquet }
steps:
  - { id: held, map: { from: numbers, module: ${name}.js, export: batch, rowwise: true, reads: [i], columns: { label: VARCHAR } } }
outputs:
  - { from: held, parquet: out-${name}, mode: overwrite }
`,
  );
  return { spec, open: () => place.write(`${name}.go`, '') };
}

function run(spec: string): Started {
  return place.start(['run', spec, '--workers', '2']);
}

/** Resolves once a first chunk is done, with the job's id. */
async function atWork(started: Started): Promise<string> {
  const [, job] = await started.says(/"event":"progress","job":"(j[^"]+)","rowsDone":10240,/);
  return job!;
}

/** Resolves with the id of the job once it is accepted. */
async function accepted(started: Started): Promise<string> {
  const [, job] = await started.says(/"event":"submitted","job":"(j[^"]+)"/);
  return job!;
}

function events({ stdout }: Ended): { event: string; seq?: number; job: string }[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; job: string });
}

function resultOf(ended: Ended) {
  return events(ended).at(-1) as unknown as {
    job: string;
    state: string;
    rows: { in: number; out: number };
  };
}

describe('a run that works in the process of another', () => {
  it.each(['SIGKILL', 'SIGINT'] as const)(
    'goes on with the same job when that process ends by %s, and repeats no event',
    async (signal) => {
      const first = gatedJob('first');
      const second = gatedJob('second');
      const owner = run(first.spec);
      const ownersJob = await atWork(owner);
      const guest = run(second.spec);
      await guest.says(new RegExp(`process ${owner.child.pid} works on .*: the job runs there`));
      const job = await accepted(guest);

      owner.child.kill(signal);
      const left = await owner.ended;
      expect(left.code).toBe(signal === 'SIGINT' ? 130 : null);
      if (signal === 'SIGINT') {
        expect(events(left).at(-1)).toMatchObject({ event: 'result', job: ownersJob });
        expect(resultOf(left)).toMatchObject({ state: 'suspended' });
        expect(left.stderr).toContain(`suspended job ${ownersJob}; finished work is kept`);
      }
      await guest.says(new RegExp(`process ${owner.child.pid} is gone: going on here`));
      second.open();
      const ended = await guest.ended;
      expect(ended.code, ended.stderr).toBe(0);
      expect(resultOf(ended)).toMatchObject({ job, state: 'succeeded', rows: { out: rows } });
      const numbers = events(ended).flatMap(({ seq }) => (seq ? [seq] : []));
      expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));

      // Nobody asked for the owner's job: it waits for its next run.
      const { state } = await place.json<{ state: string }>(['get', ownersJob, '-o', 'json']);
      expect(state).toBe('suspended');
      first.open();
      const again = await place.windrow(['run', first.spec, '--workers', '2']);
      expect(again.code, again.stderr).toBe(0);
      expect(resultOf(again)).toMatchObject({ state: 'succeeded', rows: { out: rows } });
    },
  );

  it('is served to its end by that process, whose own job is done', async () => {
    const first = gatedJob('first');
    const second = gatedJob('second');
    const owner = run(first.spec);
    await atWork(owner);
    const guest = run(second.spec);
    await accepted(guest);
    first.open();
    await owner.says(/this process still serves jobs that others submitted/);
    second.open();
    const ends = await Promise.all([owner.ended, guest.ended]);
    expect(ends.map(({ code, stderr }) => [code, /error/.test(stderr)])).toEqual([
      [0, false],
      [0, false],
    ]);
  });
});

describe('a run that comes while the owner of the state directory', () => {
  it('ends waits for it, and then works itself', async () => {
    const { spec, open } = gatedJob('late');
    open();
    const lock = lockStateDirectory(place.path('.windrow'));
    if (lock.busy) throw new Error('the state directory is busy');
    const late = run(spec);
    await late.says(/waiting for the process that is just starting or ending/);
    lock.release();
    const ended = await late.ended;
    expect(ended.code, ended.stderr).toBe(0);
  });

  it('has closed its socket looks again, and then works itself', async () => {
    const { spec, open } = gatedJob('late');
    open();
    const lock = lockStateDirectory(place.path('.windrow'));
    if (lock.busy) throw new Error('the state directory is busy');
    lock.announce(`unix:${place.path('.windrow/windrow.sock')}`);
    const late = run(spec);
    await late.says(/works on .*: the job runs there/);
    lock.release();
    const ended = await late.ended;
    expect(ended.stderr).not.toContain('error');
    expect(ended.code, ended.stderr).toBe(0);
  });

  it('ends can be told to stop waiting', async () => {
    const { spec } = gatedJob('late');
    const lock = lockStateDirectory(place.path('.windrow'));
    if (lock.busy) throw new Error('the state directory is busy');
    const late = run(spec);
    await late.says(/waiting for the process that is just starting or ending/);
    late.child.kill('SIGINT');
    const ended = await late.ended;
    expect(ended.stderr).toContain('nothing was started');
    expect(ended.code).toBe(130);
    lock.release();
  });

  it('ends is not kept from reading what is in the journal', async () => {
    const { spec, open } = gatedJob('early');
    open();
    await place.windrow(['run', spec, '--workers', '1']);
    const lock = lockStateDirectory(place.path('.windrow'));
    if (lock.busy) throw new Error('the state directory is busy');
    const reading = place.windrow(['get', 'early', '-o', 'json']);
    setImmediate(() => lock.release());
    expect(JSON.parse((await reading).stdout)).toMatchObject({ state: 'succeeded' });
  });
});

it('a job that is submitted just when its owner is killed is accepted once', async () => {
  const first = gatedJob('first');
  const second = gatedJob('second');
  second.open();
  const owner = run(first.spec);
  await atWork(owner);
  const guest = run(second.spec);
  await guest.says(/works on .*: the job runs there/);
  owner.child.kill('SIGKILL');
  const ended = await guest.ended;
  expect(ended.code, ended.stderr).toBe(0);
  const jobs = await place.json<{ name: string; state: string }[]>(['list', '-o', 'json']);
  expect(jobs.filter(({ name }) => name === 'second')).toMatchObject([{ state: 'succeeded' }]);
});
