/**
 * Looks into a partition that is far larger than the others for the key that makes it so: a few
 * thousand rows of one of its parts tell. Never: decides anything; what cannot be read tells nothing.
 */
import type { StageId } from '../shared/ids.js';
import { type FileSlice, sliceOf } from '../shared/divided-file.js';
import type { ChunkRecord, PlanNote, StagePlan } from '../shared/plan.js';

const rowsLookedAt = 10_000;
/** A key that has fewer of those rows does not explain anything. */
const shareMin = 0.1;

/** One note for each partition that the stage reads in shares. */
export async function skewNotes(
  stage: StagePlan,
  stageOf: (id: StageId) => StagePlan,
  recordsOf: (id: StageId) => readonly ChunkRecord[],
  nameOf: (column: string) => string,
): Promise<PlanNote[]> {
  const { input } = stage;
  if (input.kind !== 'exchange' || input.driving.kind !== 'partitions') return [];
  const { ranges, inputs } = input.driving;
  const notes: PlanNote[] = [];
  const seen = new Set<number>();
  for (const { from, share } of ranges) {
    if (!share || seen.has(from)) continue;
    seen.add(from);
    const { stages } = inputs[share.input]!;
    const files = stages.flatMap((id) => recordsOf(id).flatMap((record) => record.files));
    const slices = files.flatMap((file) => sliceOf(file, from, from + 1) ?? []);
    const [largest] = slices.sort((a, b) => b.rows - a.rows);
    const keys = keysOf(stageOf(stages[0]!));
    const found = largest && keys && (await mostFrequent(largest, keys).catch(() => undefined));
    if (!found || found.share < shareMin) continue;
    const key = keys.map((column, at) => `${nameOf(column)} = ${found.values[at]}`).join(', ');
    const rows = slices.reduce((sum, slice) => sum + slice.rows, 0);
    const percent = Math.round(found.share * 100);
    const text = `partition ${from} of ${stages.join(' and ')} is so large because of ${key}: ${percent} % of the rows looked at, of ${rows}`;
    notes.push({ kind: 'exchange', step: stage.id, text });
  }
  return notes;
}

/** Columns that rows are divided by; undefined where they are no plain columns. */
function keysOf({ program }: StagePlan): string[] | undefined {
  const { divide } = program.sink;
  if (divide?.kind !== 'hash') return undefined;
  const names = divide.keys.map((key) => /^"([^"]+)"$/.exec(key)?.[1]);
  return names.every((name) => name !== undefined) ? names : undefined;
}

async function mostFrequent(
  { path, rowStart, rows }: FileSlice,
  keys: readonly string[],
): Promise<{ values: string[]; share: number } | undefined> {
  const { parquetReadObjects, asyncBufferFromFile } = await import('hyparquet');
  const found = await parquetReadObjects({
    file: await asyncBufferFromFile(path),
    columns: [...keys],
    rowStart,
    rowEnd: rowStart + Math.min(rows, rowsLookedAt),
  });
  const counts = new Map<string, { values: string[]; count: number }>();
  for (const row of found) {
    const values = keys.map((key) => String(row[key]));
    const known = counts.get(values.join('\0')) ?? { values, count: 0 };
    known.count += 1;
    counts.set(values.join('\0'), known);
  }
  const [first] = [...counts.values()].sort((a, b) => b.count - a.count);
  return first && { values: first.values, share: first.count / found.length };
}

/** Names of a relational plan's columns as the user wrote them, by id. */
export function columnNames(relational: string | undefined): Map<string, string> {
  const names = new Map<string, string>();
  const walk = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(walk);
    if (typeof value !== 'object' || value === null) return;
    const { id, name } = value as { id?: unknown; name?: unknown };
    if (typeof id === 'string' && typeof name === 'string' && !names.has(id)) names.set(id, name);
    Object.values(value).forEach(walk);
  };
  if (relational !== undefined) walk(JSON.parse(relational));
  return names;
}
