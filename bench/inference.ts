/**
 * Speed of the main job: six million rows of thirteen columns scored by two models on two slots, as a
 * share of what DuckDB and ONNX Runtime alone need for the same work in the same minutes.
 * Usage: npm run bench:inference [-- 8 | 64]
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { inferenceSpec, makeTenRows, makeVisits, rowCount, visitsGlob } from './data.js';
import { dataDirectory, median, runJob, type Run } from './engine.js';
import { modelMs, relationalMs } from './limit.js';
import { megabytes, report, seconds, table, thousands } from './report.js';

const slots = 2;
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

await makeVisits();
const ten = await makeTenRows();
const sections: string[] = [];
for (const features of sizes) {
  const relational = await relationalMs(features);
  const model = await modelMs(features, rowCount);
  const limit = relational + model;
  const startups: number[] = [];
  for (let k = 0; k < 3; k += 1) startups.push((await fresh(ten, features)).wallMs);
  const startup = median(startups);
  const run = await fresh(visitsGlob, features);
  if (run.result?.rowsInferred !== rowCount) throw new Error('not every row was inferred');
  const work = run.wallMs - startup;
  const line = (what: string, ms: number): Record<string, string> => ({
    what,
    seconds: seconds(ms),
    'rows/s': thousands(rowCount / (ms / 1000)),
    'share of the limit': (limit / ms).toFixed(2),
  });
  sections.push(
    `### ${features} → 256 → 256 → 1, ${thousands(rowCount)} rows, ${slots} slots`,
    table([
      line('limit: DuckDB + bare model', limit),
      line('· DuckDB reads, computes features, writes', relational),
      line('· bare model on two threads', model),
      line('Windrow, less start-up', work),
      ...peersOf(features).map((peer) =>
        line(`${peer.peer}, less ${peer.startupSeconds} s of start-up`, peer.seconds * 1000),
      ),
    ]),
    `Start-up (a run of ten rows): ${seconds(startup)} s. Largest resident set: worker ` +
      `${megabytes(run.workerBytes)}, coordinator ${megabytes(run.coordinatorBytes)}.`,
  );
}
report('inference', sections);
