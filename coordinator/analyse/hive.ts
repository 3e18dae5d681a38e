/** Partition values in paths (`day=2026-11-20/`), and the types they have. Pure. */
import { fail } from '../../shared/failure.js';
import type { ColumnDef } from '../../shared/plan.js';
import { nameHint } from '../../shared/spec-problems.js';
import { nameKey } from '../../shared/sql-text.js';
import { nullPartition } from '../../shared/storage/paths.js';

export type HiveValues = Readonly<Record<string, string | null>>;

/** Values from the directories of a path, outermost first. */
export function hiveValues(path: string): HiveValues {
  const values: Record<string, string | null> = {};
  for (const part of path.split('/').slice(0, -1)) {
    const cut = part.indexOf('=');
    if (cut < 1) continue;
    const text = decode(part.slice(cut + 1));
    values[decode(part.slice(0, cut))] = text === nullPartition ? null : text;
  }
  return values;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Partition columns of a source, typed as asked for or as all their values allow: BIGINT, DATE,
 * TIMESTAMP, else VARCHAR.
 * @throws WindrowError E_SCHEMA_DRIFT when files differ in their keys, E_DUPLICATE_COLUMN,
 *   E_UNKNOWN_COLUMN
 */
export function hiveColumns(
  source: string,
  files: readonly { readonly path: string; readonly hive: HiveValues }[],
  wanted: Readonly<Record<string, string>>,
): ColumnDef[] {
  const first = files[0];
  const names = Object.keys(first?.hive ?? {});
  const twice = names.find((name, at) => names.findIndex((one) => isOne(one, name)) < at);
  if (twice !== undefined) {
    fail('invalidSpec', 'E_DUPLICATE_COLUMN', `path has two partitions '${twice}', case aside`, {
      at: { file: first!.path, column: twice },
      hint: 'rename one of the directories',
    });
  }
  for (const { path, hive } of files) {
    const odd =
      names.find((name) => !Object.hasOwn(hive, name)) ??
      Object.keys(hive).find((name) => !names.includes(name));
    if (odd === undefined) continue;
    const lacks = Object.hasOwn(hive, odd) ? first!.path : path;
    fail('invalidSpec', 'E_SCHEMA_DRIFT', `path has no partition '${odd}', others of it have`, {
      at: { file: lacks, column: odd },
      hint: `give all files of source '${source}' the same directories`,
    });
  }
  for (const name of Object.keys(wanted)) {
    if (names.includes(name)) continue;
    fail('invalidSpec', 'E_UNKNOWN_COLUMN', `source '${source}' has no partition '${name}'`, {
      at: { column: name },
      hint: nameHint(name, names) ?? 'partitions are directories such as day=2026-11-20',
    });
  }
  return names.map((name) => ({
    name,
    type: wanted[name] ?? guessType(files.map(({ hive }) => hive[name] ?? null)),
  }));
}

function isOne(name: string, other: string): boolean {
  return nameKey(name) === nameKey(other);
}

function guessType(values: readonly (string | null)[]): string {
  const present = new Set(values.filter((value) => value !== null));
  const all = (test: (value: string) => boolean): boolean =>
    present.size > 0 && [...present].every(test);
  if (all(isBigint)) return 'BIGINT';
  if (all(isDate)) return 'DATE';
  if (all(isTimestamp)) return 'TIMESTAMP';
  return 'VARCHAR';
}

function isBigint(value: string): boolean {
  return /^-?\d{1,19}$/.test(value) && BigInt.asIntN(64, BigInt(value)) === BigInt(value);
}

function isDate(value: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(value)) return false;
  const ms = Date.parse(`${value}T00:00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(value);
}

function isTimestamp(value: string): boolean {
  const match = /^(\d{4}-\d{2}-\d{2})[ T]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?$/.exec(
    value,
  );
  return match !== null && isDate(match[1]!);
}
