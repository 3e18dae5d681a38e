/** Where benchmarks write what they found: one section each in bench/RESULTS.md, with the machine. Never measures. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import path from 'node:path';

const file = path.join(import.meta.dirname, 'RESULTS.md');
const opening =
  '# Results\n\nWritten by the programs in this folder; each section is replaced when its program runs.\n';

export type Row = Readonly<Record<string, string | number>>;

export function machine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${model}, ${availableParallelism()} cores, ${memory} GiB, Node ${process.versions.node}`;
}

/** A Markdown table; the first row decides the columns. */
export function table(rows: readonly Row[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const text = rows.map((row) => columns.map((column) => String(row[column] ?? '')));
  const widths = columns.map((column, k) =>
    Math.max(column.length, ...text.map((cells) => cells[k]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, k) => cell.padEnd(widths[k] ?? 0)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(columns), rule, ...text.map(line)].join('\n');
}

/** Prints a section and puts it into RESULTS.md, in place of the older one of that name. */
export function report(name: string, parts: readonly string[]): void {
  const day = new Date().toISOString().slice(0, 10);
  const body = [`## ${name}`, `${machine()}; ${day}.`, ...parts].join('\n\n');
  console.log(`\n${body}\n`);
  const before = existsSync(file) ? readFileSync(file, 'utf8') : opening;
  const [head = opening, ...sections] = before.split(/^(?=## )/m).map((part) => part.trim());
  const others = sections.filter((section) => section.split('\n')[0] !== `## ${name}`);
  const all = [...others, body].sort((a, b) => (a < b ? -1 : 1));
  writeFileSync(file, `${[head.trim(), ...all].join('\n\n')}\n`);
}

export const seconds = (ms: number): string => (ms / 1000).toFixed(2);
export const thousands = (value: number): string => Math.round(value).toLocaleString('en');
export const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
