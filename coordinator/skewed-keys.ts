/**
 * Looks into a partition that is far larger than the others for the key that makes it so: a few
 * thousand rows of one of its parts tell. Never: decides anything; what cannot be read tells nothing.
 */
import { open, type FileHandle } from 'node:fs/promises';
import type { StageId } from '../shared/ids.js';
import type { ChunkPart, ChunkRecord, PlanNote, StagePlan } from '../shared/plan.js';

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
    const parts = files.flatMap(({ path, parts: all = [] }) =>
      all.flatMap((part) => (part.partition === from ? [{ path, part }] : [])),
    );
    const [largest] = parts.sort((a, b) => b.part.rows - a.part.rows);
    const keys = keysOf(stageOf(stages[0]!));
    const found = largest && keys && (await mostFrequent(largest, keys).catch(() => undefined));
    if (!found || found.share < shareMin) continue;
    const key = keys.map((column, at) => `${nameOf(column)} = ${found.values[at]}`).join(', ');
    const rows = parts.reduce((sum, { part }) => sum + part.rows, 0);
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
  { path, part }: { readonly path: string; readonly part: ChunkPart },
  keys: readonly string[],
): Promise<{ values: string[]; share: number } | undefined> {
  const { parquetReadObjects } = await import('hyparquet');
  const file = await open(path, 'r');
  try {
    const rows = await parquetReadObjects({
      file: { byteLength: part.bytes, slice: (from, to) => bytesOf(file, part, from, to) },
      columns: [...keys],
      rowEnd: Math.min(part.rows, rowsLookedAt),
    });
    const counts = new Map<string, { values: string[]; count: number }>();
    for (const row of rows) {
      const values = keys.map((key) => String(row[key]));
      const known = counts.get(values.join('\0')) ?? { values, count: 0 };
      known.count += 1;
      counts.set(values.join('\0'), known);
    }
    const [first] = [...counts.values()].sort((a, b) => b.count - a.count);
    return first && { values: first.values, share: first.count / rows.length };
  } finally {
    await file.close();
  }
}

/** The part as if it were a file of its own. */
async function bytesOf(
  file: FileHandle,
  { offset, bytes }: ChunkPart,
  from: number,
  to = bytes,
): Promise<ArrayBuffer> {
  const block = new Uint8Array(to - from);
  await file.read(block, 0, block.length, offset + from);
  return block.buffer;
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
