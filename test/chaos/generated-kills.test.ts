/**
 * Generated wide steps with kills at random moments: whatever dies, each output has the rows that DuckDB gives for the
 * same statement on the same files. A seed says all but how fast the machine is.
 */
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { JobSpecInput } from '../../client/index.js';
import { WideCluster } from '../e2e/wide-cluster.js';
import { Workplace } from '../e2e/workplace.js';
import { CoordinatorProcess } from './coordinator-process.js';
import {
  childrenOf,
  filesBelow,
  killGroup,
  type Run,
  type RunEvent,
  type RunResult,
  startRun,
} from './engine.js';
import { type Case, caseOf, makeSmallTables, makeTable, type Strike } from './generated-cases.js';
import { Machine } from './machines.js';

/** These have every kind of step among them. */
const usual = { first: 342, count: 6 };
const given = process.env['WINDROW_CHAOS_SEED'];
const more = process.env['WINDROW_CHAOS_SEEDS'];
const first = Number(given ?? (more === undefined ? usual.first : 1));
const count = Number(more ?? (given === undefined ? usual.count : 1));
const seeds = seedsFrom(first, count);

function seedsFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, at) => first + at);
}

let cluster: WideCluster;
let coordinator: CoordinatorProcess;
let machines: readonly [Machine, Machine];
let running: Run | undefined;
/** Strikes of a case that hit something unfinished. */
let hits: Strike[] = [];
let casesHit = 0;

beforeAll(async () => {
  const place = new Workplace();
  coordinator = new CoordinatorProcess({
    stateDirectory: place.path('state'),
    embedded: false,
    allowRoots: [place.directory],
    leaseMs: 1_500,
  });
  const endpoint = await coordinator.start();
  cluster = await WideCluster.at(place, endpoint);
  const machine = (name: string): Machine => new Machine(place.path(name), endpoint).start();
  machines = [machine('a'), machine('b')];
  await makeSmallTables(cluster, 1);
});
afterAll(async () => {
  await Promise.all(machines.map((machine) => machine.kill()));
  await coordinator.kill();
  await cluster.close();
});
afterEach(async () => {
  if (running && running.child.exitCode === null && running.child.signalCode === null) {
    killGroup(running);
    await running.done;
  }
});

it.each(seeds)('seed %i: what dies on the way changes no row', async (seed) => {
  const drawn = caseOf(seed);
  hits = [];
  try {
    await makeTable(cluster, seed, drawn);
    await play(seed, drawn);
    if (hits.length > 0) casesHit += 1;
  } catch (error) {
    const told = JSON.stringify({ ...drawn, hits }, undefined, 1);
    throw new Error(
      `seed ${seed} failed; replay: WINDROW_CHAOS_SEED=${seed} npx vitest run test/chaos/generated-kills.test.ts\n${told}`,
      { cause: error },
    );
  }
});

it('something died before it was done in most of them', () => {
  expect(casesHit).toBeGreaterThanOrEqual(Math.floor((seeds.length * 2) / 3));
});

it('the usual seeds have every kind of step, join and strike, and 1, 2 and 7 files and partitions', () => {
  const cases = seedsFrom(usual.first, usual.count).map(caseOf);
  const steps = cases.flatMap((each) => each.steps);
  const found = (values: readonly unknown[]): unknown[] => [...new Set(values)].sort();
  const words = (text: string): unknown[] => text.split(' ').sort();
  const kinds =
    'id filter select sql join aggregate distinct sort limit window union sample repartition';
  expect(found(steps.flatMap((step) => Object.keys(step)))).toEqual(words(kinds));
  const joins = steps.flatMap((step) => ('join' in step ? [step.join.how] : []));
  expect(found(joins)).toEqual(words('inner left right full semi anti cross'));
  const partitions = steps.flatMap((step) =>
    'repartition' in step ? [step.repartition.partitions] : [],
  );
  expect(found(partitions)).toEqual([1, 2, 7, undefined]);
  expect(found(cases.map(({ files }) => files))).toEqual([1, 2, 7]);
  const strikes = cases.flatMap((each) => each.strikes.map(({ what }) => what));
  expect(found(strikes)).toEqual([
    'all workers',
    'coordinator',
    'freeze',
    'run',
    'worker',
    'worker and disk',
  ]);
});

async function play(seed: number, drawn: Case): Promise<void> {
  const { spec, output } = cluster.spec(drawn.steps);
  const outputs = drawn.outputs.map(({ from }) => ({ from, parquet: `${output}/${from}` }));
  const job: JobSpecInput = {
    ...spec,
    outputs: outputs.map((each) => ({ ...each, mode: 'overwrite' })),
  };
  const rows = await (drawn.embedded ? runs(seed, job, drawn) : served(job, drawn));
  let expected = 0;
  for (const { from, oracle, ordered } of drawn.outputs) {
    expected += await expectRows(`${output}/${from}`, oracle, ordered);
  }
  expect(rows.out).toBe(expected);
}

/** As a job on a coordinator with two workers, neither of which reads the disk of the other. */
async function served(job: JobSpecInput, { strikes }: Case): Promise<{ out: number }> {
  const id = await cluster.submit(job);
  const due = [...strikes];
  for await (const event of cluster.client.events(id)) {
    while (due[0] && isTime(due[0], event)) {
      const strike = due.shift()!;
      await setTimeout(strike.delayMs);
      const { endedAt } = await cluster.client.get(id);
      if (endedAt !== undefined) break;
      hits.push(strike);
      await strikeServer(strike);
    }
  }
  const view = await cluster.client.wait(id, { timeoutMs: 90_000 });
  expect(view.failure).toBeUndefined();
  expect(view.state).toBe('succeeded');
  for (const stage of view.stages) expect(stage).toMatchObject({ chunksDone: stage.chunks });
  // Nobody disturbs it now: it finds everything done, and its books are the same.
  const again = await cluster.client.wait(await cluster.submit(job), { timeoutMs: 90_000 });
  expect(again).toMatchObject({ state: 'succeeded', upToDate: true, rows: view.rows });
  return view.rows;
}

function isTime({ seq }: Strike, event: RunEvent): boolean {
  return event.event === 'committing' || Number(event['seq']) >= seq;
}

async function strikeServer({ what, victim, frozenMs }: Strike): Promise<void> {
  const one = machines[victim];
  switch (what) {
    case 'worker':
    case 'worker and disk':
      await one.kill(what === 'worker and disk');
      one.start();
      break;
    case 'all workers':
      await Promise.all(machines.map((machine) => machine.kill()));
      for (const machine of machines) machine.start();
      break;
    case 'freeze':
      process.kill(one.pid, 'SIGSTOP');
      await setTimeout(frozenMs);
      process.kill(one.pid, 'SIGCONT');
      break;
    default:
      await coordinator.kill();
      await coordinator.start();
  }
}

/** As a run with its own coordinator and workers, begun again after each of its deaths. */
async function runs(seed: number, job: JobSpecInput, { strikes }: Case): Promise<{ out: number }> {
  const spec = cluster.place.write(`job-${seed}.json`, JSON.stringify(job));
  const due = [...strikes];
  const begin = (): Run => (running = startRun(spec, ['--workers', '2']));
  let run = begin();
  while (due[0]) {
    const strike = due.shift()!;
    const came = await run.until((event) => isTime(strike, event)).catch(() => undefined);
    if (came) await setTimeout(strike.delayMs);
    if (!came || run.child.exitCode !== null) break;
    hits.push(strike);
    if (strike.what === 'run') {
      killGroup(run);
      await run.done;
      run = begin();
    } else {
      const workers = childrenOf(run.child.pid!);
      const struck = strike.what === 'worker' ? workers.slice(strike.victim).slice(0, 1) : workers;
      for (const pid of struck) process.kill(pid, 'SIGKILL');
    }
  }
  const ended = await run.done;
  expectSucceeded(ended);
  return ended.result!.rows;
}

function expectSucceeded({ code, stderr, result }: RunResult): void {
  expect(stderr).not.toMatch(/error E_/);
  expect(code).toBe(0);
  expect(result?.state).toBe('succeeded');
}

/** The output has the statement's rows and columns, and no file that nobody names. @returns rows that it has */
async function expectRows(output: string, oracle: string, ordered: boolean): Promise<number> {
  const named = cluster.manifest(output).files.map(({ name }) => name);
  const place = cluster.place.path(output);
  const visible = filesBelow(place).filter((name) => !name.startsWith('_windrow/'));
  expect(visible.sort()).toEqual([...named, '_SUCCESS'].sort());
  expect(filesBelow(join(place, '_windrow')).filter((name) => name.endsWith('.parquet'))).toEqual(
    [],
  );

  const paths = named.map((name) => `'${join(place, name)}'`);
  await cluster.run(`create or replace temp table expected as ${oracle}`);
  await cluster.run(
    `create or replace temp table found as from read_parquet([${paths.join(', ')}])`,
  );
  const { columns } = await cluster.answer('from expected limit 0');
  expect((await cluster.answer('from found limit 0')).columns).toEqual(columns);
  const position = ordered ? 'rowid as at, ' : '';
  const rows = (table: string): string =>
    `select ${position}${columns.map(comparable).join(', ')} from ${table}`;
  const lacks = (a: string, b: string): string => `(${rows(a)} except all ${rows(b)})`;
  const { rows: different } = await cluster.answer(
    `(select 'missing' as what, * from ${lacks('expected', 'found')} limit 3)
     union all (select 'too many' as what, * from ${lacks('found', 'expected')} limit 3)`,
  );
  expect(different, oracle).toEqual([]);
  const counted = await cluster.run('select count(*)::integer as n from found');
  return Number(counted.getRows()[0]![0]);
}

/** Floating point to nine digits, for some means depend on the order of the rows. */
function comparable(column: string): string {
  const [name, type] = column.split(' ');
  return type === 'DOUBLE' ? `printf('%.8e', "${name}" + 0.0) as "${name}"` : `"${name}"`;
}
