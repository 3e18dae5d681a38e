/**
 * TPC-H in Spark, Daft and Polars, one after the other on the files of bench/tpch, beside Windrow's own seconds; every
 * answer is compared with DuckDB's. A run of all queries measures Windrow first and writes a section, which says whom
 * --peers left out; one with --queries reads Windrow's last seconds from RESULTS.md and only prints.
 * Usage: npm run bench:tpch-peers [-- --scale 10] [--rounds 1] [--peers spark,polars] [--queries 1,6] [--python …]
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { totalmem } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { dataDirectory, root } from '../engine.js';
import { report, seconds, table } from '../report.js';
import { generateTpch, tpchFolder } from '../tpch/generate.js';
import { checkAnswers, runOracle } from '../tpch/oracle.js';
import { queryName, queryNumbers } from '../tpch/queries.js';
import { SqlPeer } from './sql-peer.js';
import { peerNames, peerQueryText, type PeerName } from './tpch-dialects.js';
import { shortfalls, sideBySide, storedOutcomes, tally } from './tpch-tally.js';
import type { Outcome, PeerRun } from './tpch-tally.js';

const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '1' },
    peers: { type: 'string' },
    queries: { type: 'string' },
    python: { type: 'string', default: path.join(dataDirectory, 'venv-tpch/bin/python') },
  },
});
const scale = Number(values.scale);
const rounds = Number(values.rounds);
const numbers = values.queries?.split(',').map(Number) ?? queryNumbers;
const names = values.peers === undefined ? peerNames : values.peers.split(',').map(peerNamed);
const allQueries = values.queries === undefined;

const timeoutMs = 300_000;
/** What is left to the system and to this process. */
const residentBytesMax = totalmem() - 4 * 2 ** 30;
const folder = tpchFolder(scale);
const place = path.join(dataDirectory, 'tpch-peers');

function peerNamed(name: string): PeerName {
  const found = peerNames.find((each) => each === name);
  if (found === undefined) throw new Error(`no peer ${name}: there are ${peerNames.join(', ')}`);
  return found;
}

rmSync(place, { recursive: true, force: true });
await generateTpch({ scale });
if (allQueries) measureWindrow();
const windrow = storedOutcomes(
  readFileSync(path.join(root, 'bench/RESULTS.md'), 'utf8'),
  `tpch sf${scale}`,
);
const expected = await runOracle({ folder, scale, threads: 2, rounds: 1 });
const runs: PeerRun[] = [];
for (const name of names) runs.push(await run(name));
tell();

function measureWindrow(): void {
  const args = ['--import', 'tsx', 'bench/tpch/run.ts', '--scale', values.scale];
  const { status } = spawnSync(process.execPath, [...args, '--rounds', values.rounds], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`bench/tpch/run.ts ended with ${status}`);
}

/** Round by round, as Windrow's. */
async function run(name: PeerName): Promise<PeerRun> {
  const answers = path.join(place, name);
  const { python } = values;
  const limits = { timeoutMs, residentBytesMax };
  const peer = new SqlPeer({ name, python, tables: folder, place: answers, ...limits });
  const outcomes = new Map<number, Outcome>();
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const number of numbers) {
        const before = outcomes.get(number);
        if (before?.done === false) continue;
        const file = path.join(answers, `${queryName(number)}.parquet`);
        const outcome = await peer.answer(peerQueryText(name, number, scale), file);
        console.log(name, queryName(number), outcome.done ? seconds(outcome.ms) : outcome.why);
        const best = before !== undefined && outcome.done && before.ms < outcome.ms;
        outcomes.set(number, best ? before : outcome);
      }
    }
  } finally {
    await peer.stop();
  }
  const done = expected.filter(({ query }) => outcomes.get(query)?.done);
  for (const [number, difference] of await checkAnswers(done, answers)) {
    outcomes.set(number, { done: false, why: `wrong: ${difference}` });
  }
  const { title, startupMs, peakBytes } = peer;
  return { title, startupMs, peakBytes, outcomes };
}

function tell(): void {
  const text =
    `Scale factor ${scale}, ${numbers.length} queries, best of ${rounds}, on two cores. Windrow from SQL text to ` +
    `published files on two workers of one slot; its peers from SQL text to an answer in memory, in a session that ` +
    `has started and seen the tables. Every answer was compared with DuckDB's; at most ${timeoutMs / 1000} s a query.`;
  // An engine's message may name files; where they lie is nobody else's business.
  const missing = shortfalls(numbers, runs).map((line) => `- ${line.replaceAll(root, '.')}`);
  const absent = peerNames.filter((name) => !names.includes(name));
  if (absent.length > 0) missing.push(`- Left out of this run: ${absent.join(', ')}.`);
  const parts = [
    text,
    table(sideBySide(numbers, windrow, runs)),
    table(tally(numbers, windrow, runs)),
    ...(missing.length > 0 ? [missing.join('\n')] : []),
  ];
  if (allQueries) report(`tpch peers sf${scale}`, parts);
  else console.log(`\n${parts.join('\n\n')}\n`);
}
