/**
 * What a killed run costs: everything is killed at 50 %, and the next run may infer no more than what
 * was left and one chunk a slot. Ends with 1 when a promise is broken.
 * Usage: npm run bench:resume
 */
import { linkSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { inferenceSpec, makeVisits, rowsPerFile, visitsFile } from './data.js';
import { dataDirectory, runJob, type RunResult } from './engine.js';
import { report, seconds, table, thousands } from './report.js';

const files = 4;
const slots = 2;
/** DuckDB's row groups, which are whole chunks. */
const chunkRows = 122_880;

await makeVisits(files + 1);
const folder = path.join(dataDirectory, 'resume');
rmSync(folder, { recursive: true, force: true });
mkdirSync(path.join(folder, 'in'), { recursive: true });
const add = (index: number): void =>
  linkSync(visitsFile(index), path.join(folder, 'in', `part-${index}.parquet`));
for (let index = 0; index < files; index += 1) add(index);
const total = files * rowsPerFile;

const spec = inferenceSpec({
  parquet: path.join(folder, 'in', '*.parquet'),
  features: 64,
  output: path.join(folder, 'out'),
  mode: 'overwrite',
});
const args = [spec, '--workers', String(slots), '--state', path.join(folder, 'state')];

let doneAtKill = 0;
await runJob(args, ({ rowsDone, rowsTotal }) => {
  doneAtKill = rowsDone;
  return rowsDone >= rowsTotal / 2 ? 'kill' : undefined;
});
if (doneAtKill >= total) throw new Error('the run ended before it could be killed');

async function finish(): Promise<RunResult & { wallMs: number }> {
  const { result, wallMs } = await runJob(args);
  if (result === null || result.state !== 'succeeded') throw new Error('the run failed');
  return { ...result, wallMs };
}

const second = await finish();
const third = await finish();
add(files);
const fourth = await finish();

const allowed = total - doneAtKill + slots * chunkRows;
const line = (
  what: string,
  run: RunResult & { wallMs: number },
  most: number,
): Record<string, string> => ({
  run: what,
  'rows inferred': thousands(run.rowsInferred),
  'at most': thousands(most),
  'rows reused': thousands(run.rowsReused),
  seconds: seconds(run.wallMs),
  kept: run.rowsInferred <= most ? 'yes' : 'NO',
});
const rows = [
  line(`after kill -9 at ${thousands(doneAtKill)} of ${thousands(total)} rows`, second, allowed),
  line('once more', third, 0),
  line('one more file', fourth, rowsPerFile),
];
report('resume', [`${thousands(total)} rows, ${slots} slots, 64 → 256 → 256 → 1.`, table(rows)]);
if (rows.some((row) => row['kept'] !== 'yes')) process.exit(1);
