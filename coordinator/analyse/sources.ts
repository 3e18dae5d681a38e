/**
 * A source's files, their footers and their one schema. Every footer is checked by ours before
 * DuckDB sees the file. Never: reads rows.
 */
import { fail } from '../../shared/failure.js';
import type { SourceSpec } from '../../shared/job-spec.js';
import type { FooterColumn, ParquetFooter } from '../../shared/parquet-footer.js';
import type { ColumnDef } from '../../shared/plan.js';
import type { SourceFacts, SourceFile } from '../planner/facts.js';
import type { BindDatabase } from './bind-database.js';
import type { FooterCache } from './footer-cache.js';
import { expandPatterns, type CheckPath } from './globs.js';
import { hiveColumns, hiveValues } from './hive.js';
import { refuseReserved, refuseReservedInFile } from './reserved.js';
import { nameKey, quoteText } from '../../shared/sql-text.js';

/** Files open at once while footers are read. */
const readsAtOnce = 16;

export interface SourceContext {
  readonly database: BindDatabase;
  readonly footers: FooterCache;
  readonly checkPath: CheckPath;
  /** Whether a filter may compare this column: only then are its statistics kept. */
  readonly mayCompare: (column: string) => boolean;
}

/**
 * @throws WindrowError E_NO_FILES, E_URI_DENIED, E_PARQUET_INVALID, E_SCHEMA_DRIFT,
 *   E_DUPLICATE_COLUMN, E_COLUMN_RESERVED, E_HIVE_VALUE
 */
export async function analyseSource(
  id: string,
  spec: SourceSpec,
  context: SourceContext,
): Promise<SourceFacts> {
  const paths = await expandPatterns(id, [spec.parquet].flat(), context.checkPath);
  const schema = new SourceSchema(spec.unionByName === true, context.database);
  const found: FileFacts[] = [];
  const columnsOf: (readonly FooterColumn[])[] = [];
  const shapes = new Map<string, readonly FooterColumn[]>();
  await inOrder(
    paths,
    readsAtOnce,
    (path) => context.footers.read(path),
    async (footer) => {
      // Files of one source mostly share a schema: keep it once, not for each of a million files.
      const shape = JSON.stringify(footer.columns);
      const columns = shapes.get(shape) ?? footer.columns;
      shapes.set(shape, columns);
      if (columns === footer.columns) await schema.add(footer);
      columnsOf.push(columns);
      found.push(fileFacts(footer, context.mayCompare, schema));
    },
  );
  const hive = hiveColumns(
    id,
    found.map(({ path, hive: values }) => ({ path, hive: values })),
    spec.hive ?? {},
  );
  refuseReserved(hive, {});
  await checkHiveValues(id, hive, found, context.database);
  const inPath = new Set(hive.map((column) => column.name.toLowerCase()));
  const inFiles = schema.columns().filter((column) => !inPath.has(column.name.toLowerCase()));
  const files = found.map((facts, index): SourceFile => {
    const { stats, ...file } = facts;
    const there = keysOf(columnsOf[index]!);
    const missing = inFiles.filter(({ name }) => !there.has(nameKey(name)));
    const missingColumns = missing.map(({ name }) => name);
    return { file: { ...file, prunedRowGroups: [], missingColumns }, stats };
  });
  return { id, files, columns: [...inFiles, ...hive], hive };
}

interface FileFacts {
  readonly path: string;
  readonly bytes: number;
  readonly mtimeMs: number;
  readonly footerHash: string;
  readonly rowGroupRows: readonly number[];
  readonly hive: Readonly<Record<string, string | null>>;
  readonly stats: SourceFile['stats'];
}

function fileFacts(
  footer: ParquetFooter,
  mayCompare: SourceContext['mayCompare'],
  schema: SourceSchema,
): FileFacts {
  const { path, bytes, mtimeMs, footerHash, rowGroupRows } = footer;
  const compared = [...footer.stats].filter(([column]) => mayCompare(column));
  const stats = new Map(compared.map(([column, groups]) => [schema.nameOf(column), groups]));
  return { path, bytes, mtimeMs, footerHash, rowGroupRows, hive: hiveValues(path), stats };
}

function keysOf(columns: readonly { readonly name: string }[]): Set<string> {
  return new Set(columns.map(({ name }) => nameKey(name)));
}

interface SchemaColumn extends ColumnDef {
  readonly signature: string;
  /** The first that has it, whose name it keeps. */
  readonly file: string;
}

/**
 * Columns that all files agree on, case aside, typed by DuckDB; it is asked once for each distinct
 * footer.
 */
class SourceSchema {
  private readonly known = new Map<string, SchemaColumn>();
  private firstFile: string | undefined;

  constructor(
    private readonly union: boolean,
    private readonly database: BindDatabase,
  ) {}

  async add(footer: ParquetFooter): Promise<void> {
    const first = this.firstFile === undefined;
    this.firstFile ??= footer.path;
    refuseReservedInFile(footer.columns, { file: footer.path });
    const described = this.needsDescribing(footer)
      ? await this.database.describeFile(footer.path)
      : undefined;
    const types = described && new Map(described.map(({ name, type }) => [nameKey(name), type]));
    for (const { name, signature } of footer.columns) {
      const known = this.known.get(nameKey(name));
      const type = types ? types.get(nameKey(name)) : known?.type;
      if (type === undefined) {
        fail('invalidSpec', 'E_PARQUET_INVALID', 'DuckDB does not see this column', {
          at: { file: footer.path, column: name },
          hint: 'rename the column',
        });
      }
      if (!known) {
        if (!first && !this.union) {
          const message = `column is new; ${this.firstFile} lacks it`;
          this.drift(footer.path, name, 'presence', message);
        }
        this.known.set(nameKey(name), { name, type, signature, file: footer.path });
      } else if (known.type !== type) {
        const message = `column is ${type}; in ${known.file} it is ${known.type}`;
        this.drift(footer.path, name, 'type', message);
      }
    }
    if (this.union) return;
    const there = keysOf(footer.columns);
    for (const [key, { name }] of this.known) {
      if (!there.has(key)) {
        const message = `column is missing; ${this.firstFile} has it`;
        this.drift(footer.path, name, 'presence', message);
      }
    }
  }

  columns(): ColumnDef[] {
    return Array.from(this.known.values(), ({ name, type }) => ({ name, type }));
  }

  /** What the source calls a column of one of its files. */
  nameOf(column: string): string {
    return this.known.get(nameKey(column))?.name ?? column;
  }

  private needsDescribing(footer: ParquetFooter): boolean {
    return footer.columns.some(
      ({ name, signature }) => this.known.get(nameKey(name))?.signature !== signature,
    );
  }

  private drift(file: string, column: string, kind: 'type' | 'presence', message: string): never {
    const union = 'unionByName: true reads missing columns as NULL';
    const retype = 'write the files with one type, or give them sources of their own';
    fail('invalidSpec', 'E_SCHEMA_DRIFT', message, {
      at: { file, column },
      hint: kind === 'type' ? retype : union,
    });
  }
}

async function checkHiveValues(
  source: string,
  columns: readonly ColumnDef[],
  files: readonly { readonly path: string; readonly hive: FileFacts['hive'] }[],
  database: BindDatabase,
): Promise<void> {
  for (const { name, type } of columns) {
    if (type === 'VARCHAR') continue;
    const values = new Map<string, string>();
    for (const file of files) {
      const value = file.hive[name];
      if (value !== null && value !== undefined) values.set(value, file.path);
    }
    if (values.size === 0) continue;
    const list = [...values.keys()].map(quoteText).join(', ');
    let bad: unknown[][];
    try {
      bad = await database.rows(
        `select v from (select unnest([${list}]) as v) where try_cast(v as ${type}) is null limit 1`,
      );
    } catch (error) {
      return fail('invalidSpec', 'E_SQL_BIND', `'${type}' is not a type`, {
        at: { column: name },
        hint: `see hive of source '${source}'`,
        cause: error,
      });
    }
    const value = bad[0]?.[0];
    if (value === undefined) continue;
    const file = values.get(String(value));
    fail('invalidSpec', 'E_HIVE_VALUE', `partition value '${String(value)}' is not ${type}`, {
      at: { column: name, ...(file === undefined ? {} : { file }) },
      hint: `name another type under hive of source '${source}', or rename the directory`,
    });
  }
}

/** Starts up to `width` at once and hands results on in order, holding no more than that many. */
async function inOrder<Item, Result>(
  items: readonly Item[],
  width: number,
  start: (item: Item) => Promise<Result>,
  take: (result: Result) => Promise<void>,
): Promise<void> {
  const pending: Promise<Result>[] = [];
  try {
    for (const item of items) {
      const started = start(item);
      // Told when it is this one's turn; one that fails earlier must not end the process meanwhile.
      started.catch(() => undefined);
      pending.push(started);
      if (pending.length >= width) await take(await pending.shift()!);
    }
    while (pending.length > 0) await take(await pending.shift()!);
  } finally {
    await Promise.allSettled(pending);
  }
}
