/** Verbs that look at a spec and start nothing: `validate`, `explain`, `preview`. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Client, LoadedJob } from '../client/types.js';
import { limits } from '../shared/limits.js';
import { unlessAborted } from '../shared/unless-aborted.js';
import { plainRows } from './cells.js';
import type { PlainRow } from './cells.js';
import type { ConnectionFlags } from './connection.js';
import { connectRemote, defaultStateName, remoteAddress } from './connection.js';
import { openEmbedded } from './embedded.js';
import { exitCodeOf, exitCodes, failuresOf } from './exit.js';
import type { ExitCode } from './exit.js';
import { interruption } from './interrupt.js';
import { print } from './output.js';
import type { OutputFormat } from './table.js';
import { formatJson, formatTable, formatValue } from './table.js';

export interface SpecFlags extends ConnectionFlags {
  readonly output: OutputFormat;
  readonly set?: readonly string[];
}

export async function validateSpec(
  spec: string,
  flags: SpecFlags & { specOnly?: boolean },
): Promise<ExitCode> {
  try {
    const job = await load(spec, flags);
    if (flags.specOnly !== true) {
      await withPlanner(spec, flags, 0, (client) => client.explain(job));
    }
    const good = { valid: true, name: job.name, checked: flags.specOnly === true ? 'spec' : 'all' };
    const text = `${job.name}: valid${flags.specOnly === true ? ' (the spec alone; no data was looked at)' : ''}`;
    print(await formatValue(good, flags.output, () => text));
    return exitCodes.done;
  } catch (error) {
    const problems = failuresOf(error);
    if (flags.output !== 'table' && exitCodeOf(problems[0]!) === exitCodes.usage) {
      print(await formatValue({ valid: false, problems }, flags.output, () => ''));
    }
    throw error;
  }
}

export async function explainSpec(spec: string, flags: SpecFlags): Promise<ExitCode> {
  const job = await load(spec, flags);
  const { plan, text } = await withPlanner(spec, flags, 0, (client) => client.explain(job));
  print(await formatValue(plan, flags.output, () => text));
  return exitCodes.done;
}

export async function previewSpec(
  spec: string,
  flags: SpecFlags & { step?: string; rows: number },
): Promise<ExitCode> {
  const job = await load(spec, flags);
  const step = flags.step === undefined ? {} : { step: flags.step };
  const { columns, rows } = await withPlanner(spec, flags, 1, (client) =>
    collect(client, job, { rows: flags.rows, ...step }),
  );
  print(await formatValue(rows, flags.output, () => rowTable(columns, rows)));
  const looked = Math.max(limits.previewRows, flags.rows).toLocaleString('en');
  process.stderr.write(`computed over the first rows of each source, at least ${looked} of them\n`);
  return exitCodes.done;
}

/** Rows as people read them: NULL is told apart from empty text. */
export function rowTable(columns: readonly string[], rows: readonly PlainRow[]): string {
  const numeric = new Set(
    columns.filter((name) => rows.some((row) => typeof row[name] === 'number')),
  );
  const table = formatTable(
    rows,
    columns.map((name) => ({
      title: name,
      value: (row) => cell(row[name]),
      align: numeric.has(name) ? ('right' as const) : ('left' as const),
    })),
    40,
  );
  return `${table}\n(${String(rows.length)} row${rows.length === 1 ? '' : 's'})`;
}

function cell(value: unknown): unknown {
  if (value === null) return 'NULL';
  return typeof value === 'object' ? formatJson(value, 0) : value;
}

async function load(spec: string, flags: SpecFlags): Promise<LoadedJob> {
  const { loadJob } = await import('../client/load.js');
  return loadJob(spec, { set: flags.set ?? [] });
}

async function collect(
  client: Client,
  job: LoadedJob,
  options: { step?: string; rows: number },
): Promise<{ columns: string[]; rows: PlainRow[] }> {
  const rows: PlainRow[] = [];
  let columns: string[] = [];
  for await (const batch of client.preview(job, options)) {
    columns = batch.schema.fields.map((field) => field.name);
    rows.push(...plainRows(batch));
  }
  return { columns, rows: rows.slice(0, options.rows) };
}

/**
 * A coordinator that can plan: the named one, or one in this process. Where no state directory is
 * yet, it works in one that is gone afterwards: looking at a spec leaves nothing behind.
 */
async function withPlanner<Result>(
  spec: string,
  flags: SpecFlags,
  workers: number,
  ask: (client: Client) => Promise<Result>,
): Promise<Result> {
  const address = remoteAddress(flags);
  if (address !== undefined) {
    const client = await connectRemote(address, flags);
    try {
      return await ask(client);
    } finally {
      client.close();
    }
  }
  const kept = resolve(flags.state ?? join(dirname(spec), defaultStateName));
  const temporary = existsSync(kept) ? undefined : await mkdtemp(join(tmpdir(), 'windrow-plan-'));
  const interrupt = interruption();
  try {
    const engine = await openEmbedded({
      stateDirectory: temporary ?? kept,
      workers,
    });
    try {
      return await unlessAborted(
        ask(engine.client),
        AbortSignal.any([interrupt.signal, engine.lost]),
      );
    } finally {
      await engine.suspend();
    }
  } finally {
    interrupt.restore();
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
  }
}
