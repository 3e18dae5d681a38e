/**
 * Speed of the main job: six million rows of thirteen columns scored by two models on two slots, as a
 * share of what DuckDB and ONNX Runtime alone need for the same work. Limit and engine take turns,
 * and the best round of each counts, because a machine is rarely left alone.
 * Usage: npm run bench:inference [-- 8 | 64]
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { inferenceSpec, makeTenRows, makeVisits, rowCount, visitsGlob } from './data.js';
import { dataDirectory, runJob, type Run } from './engine.js';
import { type Cost, modelBatches, modelCost, relationalCost } from './limit.js';
import { megabytes, report, seconds, table, thousands } from './report.js';

const slots = 2;
const rounds = 5;
/** Rows by which the best batch size for the bare model is found, before the rounds. */
const probeRows = 400_000;
const wanted = process.argv.slice(2).map(Number);
const sizes = ([8, 64] as const).filter((size) => wanted.length === 0 || wanted.includes(size));

interface Peer {
  readonly peer: string;
  readonly rows: number;
  readonly features: number;
  readonly seconds: number;
  readonly startupSeconds: number;
}

async function fresh(parquet: string, features: 8 | 64): Promise<Run> {
  const output = path.join(dataDirectory, 'out');
  const state = path.join(dataDirectory, 'state');
  for (const folder of [output, `${output}.dead`, state]) {
    rmSync(folder, { recursive: true, force: true });
  }
  const spec = inferenceSpec({ parquet, features, output });
  const run = await runJob([spec, '--workers', String(slots), '--state', state]);
  if (run.result === null || run.result.state !== 'succeeded') throw new Error('the run failed');
  return run;
}

function peersOf(features: number): Peer[] {
  const file = path.join(import.meta.dirname, 'peers', 'results.json');
  if (!existsSync(file)) return [];
  const all = JSON.parse(readFileSync(file, 'utf8')) as Peer[];
  return all.filter((peer) => peer.features === features && peer.rows === rowCount);
}

async function bestBatch(features: 8 | 64): Promise<number> {
  const found: { batch: number; cpuMs: number }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const batch of modelBatches) {
      found.push({ batch, cpuMs: (await modelCost(features, probeRows, batch)).cpuMs });
    }
  }
  return found.reduce((best, one) => (one.cpuMs < best.cpuMs ? one : best)).batch;
}

/** The smallest of each figure over the rounds. */
function best(costs: readonly Cost[]): Cost {
  return {
    wallMs: Math.min(...costs.map(({ wallMs }) => wallMs)),
    cpuMs: Math.min(...costs.map(({ cpuMs }) => cpuMs)),
  };
}

const plus = (a: Cost, b: Cost): Cost => ({
  wallMs: a.wallMs + b.wallMs,
  cpuMs: a.cpuMs + b.cpuMs,
});
const less = (a: Cost, b: Cost): Cost => ({
  wallMs: a.wallMs - b.wallMs,
  cpuMs: a.cpuMs - b.cpuMs,
});

async function section(features: 8 | 64, ten: string): Promise<string[]> {
  const batch = await bestBatch(features);
  const relationals: Cost[] = [];
  const models: Cost[] = [];
  const startups: Run[] = [];
  const runs: Run[] = [];
  for (let round = 0; round < rounds; round += 1) {
    relationals.push(await relationalCost(features));
    models.push(await modelCost(features, rowCount, batch));
    startups.push(await fresh(ten, features));
    runs.push(await fresh(visitsGlob, features));
  }
  if (runs.some(({ result }) => result?.rowsInferred !== rowCount)) {
    throw new Error('not every row was inferred');
  }
  const [relational, model, startup] = [best(relationals), best(models), best(startups)];
  const limit = plus(relational, model);
  const work = less(best(runs), startup);
  const line = (what: string, { wallMs, cpuMs }: Cost): Record<string, string> => ({
    what,
    seconds: seconds(wallMs),
    'rows/s': thousands(rowCount / (wallMs / 1000)),
    'share of the limit': (limit.wallMs / wallMs).toFixed(2),
    'CPU seconds': cpuMs > 0 ? seconds(cpuMs) : '',
    'CPU share': cpuMs > 0 ? (limit.cpuMs / cpuMs).toFixed(2) : '',
  });
  const rss = (pick: (run: Run) => number): string => megabytes(Math.max(...runs.map(pick)));
  return [
    `${thousands(rowCount)} rows of 13 columns, ${features} → 256 → 256 → 1, ${slots} slots.`,
    table([
      line('limit: DuckDB + bare model', limit),
      line('· DuckDB reads, computes features, writes', relational),
      line(`· bare model on two threads, ${batch} rows a run`, model),
      line('Windrow, less start-up', work),
      ...peersOf(features).map((peer) =>
        line(`${peer.peer}, less ${peer.startupSeconds} s of start-up`, {
          wallMs: peer.seconds * 1000,
          cpuMs: 0,
        }),
      ),
    ]),
    `The best of ${rounds} rounds each. Start-up (a run of ten rows): ${seconds(startup.wallMs)} s. ` +
      `Windrow's rounds: ${runs.map(({ wallMs }) => seconds(wallMs)).join(', ')} s. ` +
      `Largest resident set: worker ${rss((run) => run.workerBytes)}, ` +
      `coordinator ${rss((run) => run.coordinatorBytes)}.`,
  ];
}

await makeVisits();
const ten = await makeTenRows();
for (const features of sizes) {
  report(`inference, ${features} features`, await section(features, ten));
}
