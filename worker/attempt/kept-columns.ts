/**
 * Which columns of a chunk's file need not be decoded and written again: those that are the columns of
 * one whole row group, in the very layout that DuckDB would give them. Decides; never copies.
 */
import { open, rm } from 'node:fs/promises';
import type { ColumnMetaData, RowGroup, SchemaElement } from 'hyparquet';
import {
  extentOf,
  readWholeFooter,
  topLevelElements,
  type WholeFooter,
} from '../../shared/parquet-footer.js';
import type { ColumnDef, SinkProgram, StageProgram } from '../../shared/plan.js';
import { quoteName } from '../../shared/sql-text.js';
import type { Kernel } from '../kernel/duckdb.js';
import { quotePath } from '../kernel/sql-text.js';
import { holdsText, layoutOf } from './column-layout.js';
import { arePagesOfFirstVersion } from './page-checksums.js';
import type { ChunkWork, SourceWork } from './protocol.js';
import { decodeFooter, encodeFooter, isByDuckdb, type RawFooter } from './raw-footer.js';
import { selectTrees } from './select-trees.js';
import { copyStatement } from './statement.js';

/** A look at the footer of a smaller file takes longer than writing its columns again. */
const fileBytesMin = 1024 * 1024;
/** A longer one takes a good part of a thread's heap. */
const footerBytesMax = 1024 * 1024;

/** Of one chunk. */
export interface KeptColumns {
  readonly source: SourceWork;
  /** By the columns of the chunk's file: the columns of the source whose pages are theirs. */
  readonly from: ReadonlyMap<string, string>;
  /** Of the source, and of a file of all the columns as DuckDB writes them. */
  readonly footers: { readonly source: RawFooter; readonly landing: RawFooter };
  /** What is left to be computed and written. */
  readonly rest: SinkProgram;
}

/** A file's footer, and its columns by their names. */
interface Laid {
  readonly raw: RawFooter;
  readonly rowGroups: readonly RowGroup[];
  readonly columns: ReadonlyMap<string, readonly SchemaElement[]>;
}

/** How DuckDB writes the columns of a sink. */
interface Landing extends Laid {
  /** Columns that have the sink's type again when they are read. */
  readonly faithful: ReadonlySet<string>;
}

/** Of one program; remembers the last file that its chunks read. */
export class ColumnKeeper {
  private handed: ReadonlyMap<string, string> | undefined;
  private landing: Landing | undefined;
  private last: { readonly source: SourceWork; readonly laid: Laid | undefined } | undefined;

  constructor(
    private readonly program: StageProgram,
    private readonly bytesMin = fileBytesMin,
  ) {}

  /**
   * @param scratch a name that nothing has, where the kernel may write
   * @throws WindrowError E_PARQUET_INVALID
   */
  async kept(kernel: Kernel, work: ChunkWork, scratch: string): Promise<KeptColumns | undefined> {
    const { source, poisonRows } = work;
    if (!source || source.bytes < this.bytesMin || poisonRows.length > 0) return undefined;
    const { sink } = this.program;
    const rows = source.rowEnd - source.rowStart;
    if (rows > (sink.rowGroupSize ?? rows)) return undefined;
    const handed = (this.handed ??= await handedThrough(kernel, this.program));
    // Something is left for DuckDB to write.
    if (handed.size === 0 || handed.size === sink.columns.length) return undefined;
    const laid = await this.laidOf(source);
    if (!laid || !isWholeRowGroup(laid, source)) return undefined;
    const landing = (this.landing ??= await landingOf(kernel, sink, scratch));
    const alike = isLaidOutAlike(laid, source.rowGroup, landing);
    const candidates = [...handed].filter(([to, name]) => alike(name, to));
    const sound = await soundColumns(laid, source, new Set(candidates.map(([, name]) => name)));
    const from = new Map(candidates.filter(([, name]) => sound.has(name)));
    if (from.size === 0) return undefined;
    const columns = sink.columns.filter(({ name }) => !from.has(name));
    const footers = { source: laid.raw, landing: landing.raw };
    return { source, from, footers, rest: { ...sink, columns, rowGroupSize: rows } };
  }

  private async laidOf(source: SourceWork): Promise<Laid | undefined> {
    const { path, mtimeMs, bytes } = this.last?.source ?? {};
    if (this.last && path === source.path && mtimeMs === source.mtimeMs && bytes === source.bytes) {
      return this.last.laid;
    }
    const footer = await readWholeFooter(source.path, footerBytesMax);
    const laid = footer && laidOut(footer, source.path);
    this.last = { source, laid };
    return laid;
  }
}

/**
 * Columns of the sink that are, row by row, columns of the file scanned: by their names, the names
 * there. None where rows may be left out on the way or are dealt out to several files.
 */
export async function handedThrough(
  kernel: Kernel,
  { query, scan, steps, sink }: StageProgram,
): Promise<ReadonlyMap<string, string>> {
  const nothing = new Map<string, string>();
  const severalFiles = sink.partitionBy.length > 0 || sink.divide || sink.fileBytes !== undefined;
  if (query || scan.kind !== 'source' || severalFiles) return nothing;
  let columns = new Map(scan.columns.map((column) => [column.name.toLowerCase(), column]));
  for (const step of steps) {
    switch (step.kind) {
      case 'expect':
        if (step.checks.some(({ action }) => action === 'deadLetter')) return nothing;
        break;
      case 'select': {
        const trees = (await selectTrees(kernel, step))?.statements[0].node.select_list ?? [];
        const kept = step.columns.flatMap(({ name }, at): [string, ColumnDef][] => {
          const [from, ...more] =
            (trees[at]?.class === 'COLUMN_REF' && trees[at].column_names) || [];
          const column = more.length === 0 ? columns.get(from?.toLowerCase() ?? '') : undefined;
          return column ? [[name.toLowerCase(), column]] : [];
        });
        columns = new Map(kept);
        break;
      }
      case 'infer':
        if (step.onNull === 'deadLetter' || step.onError === 'deadLetter') return nothing;
        for (const { column } of step.outputs) columns.delete(column.name.toLowerCase());
        break;
      default:
        return nothing;
    }
  }
  return new Map(
    sink.columns.flatMap(({ name, type }): [string, string][] => {
      const column = columns.get(name.toLowerCase());
      return column?.type === type ? [[name, column.name]] : [];
    }),
  );
}

function laidOut({ metadata, bytes }: WholeFooter, path: string): Laid {
  const columns = topLevelElements(metadata.schema, path);
  return {
    raw: decodeFooter(bytes),
    rowGroups: metadata.row_groups,
    columns: new Map(columns.map(({ name, elements }) => [name, elements])),
  };
}

/** Writes one row of nothing there, and removes it. */
async function landingOf(kernel: Kernel, sink: SinkProgram, scratch: string): Promise<Landing> {
  const columns = sink.columns.map(({ name }) => name);
  const sql = `select ${columns.map((name) => `null as ${quoteName(name)}`).join(', ')}`;
  try {
    const row = { sql, columns, carriesRow: false, open: false };
    await kernel.run(copyStatement(row, sink, scratch));
    const described = await kernel.rows(
      `describe select * from read_parquet(${quotePath(scratch)})`,
    );
    const types = new Map(described.map((row) => [row['column_name'], row['column_type']]));
    const footer = await readWholeFooter(scratch);
    const laid = laidOut(footer, scratch);
    // What cannot be written back as it was read is not to be trusted with anything.
    const exact = Buffer.from(encodeFooter(laid.raw)).equals(footer.bytes);
    const faithful = exact ? sink.columns.filter(({ name, type }) => types.get(name) === type) : [];
    return { ...laid, faithful: new Set(faithful.map(({ name }) => name)) };
  } finally {
    await rm(scratch, { force: true });
  }
}

function isWholeRowGroup({ rowGroups }: Laid, source: SourceWork): boolean {
  const { rowGroup, lastRowGroup = rowGroup, rowStart, rowEnd } = source;
  const before = rowGroups.slice(0, rowGroup);
  const start = before.reduce((rows, group) => rows + Number(group.num_rows), 0);
  const rows = Number(rowGroups[rowGroup]?.num_rows ?? 0);
  return lastRowGroup === rowGroup && rows > 0 && rowStart === start && rowEnd === start + rows;
}

/** Whether the pages of a source's column are what DuckDB might have written for one of the sink. */
function isLaidOutAlike(
  { raw, rowGroups, columns }: Laid,
  rowGroup: number,
  landing: Landing,
): (from: string, to: string) => boolean {
  const group = rowGroups[rowGroup]!;
  const byDuckdb = isByDuckdb(raw);
  const leaves = { found: leavesOf(group), wanted: leavesOf(landing.rowGroups[0]!) };
  return (from, to) => {
    const [found, wanted] = [columns.get(from), landing.columns.get(to)];
    if (!found || !wanted || !landing.faithful.has(to)) return false;
    if (layoutOf(found) !== layoutOf(wanted) || (holdsText(found) && !byDuckdb)) return false;
    const codec = leaves.wanted.get(to)?.[0]?.codec;
    return leaves.found.get(from)!.every((leaf) => {
      const complete = leaf.path_in_schema.length > 1 || leaf.num_values === group.num_rows;
      const usual = leaf.encodings.every((encoding) => encodings.has(encoding));
      return complete && usual && leaf.codec === codec && extentOf(leaf).size > 0;
    });
  };
}

/**
 * Columns whose pages are of the first version and lie one behind the other, as the footer says. Nobody
 * decodes those that are kept, and who does decode them copes with what is wrong or says where it is.
 */
async function soundColumns(
  { rowGroups }: Laid,
  { path, rowGroup }: SourceWork,
  columns: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const leaves = leavesOf(rowGroups[rowGroup]!);
  const sound = new Set(columns);
  const file = await open(path, 'r');
  try {
    await Promise.all(
      [...columns].map(async (column) => {
        for (const leaf of leaves.get(column)!) {
          const { start, size } = extentOf(leaf);
          const extent = { rowGroup, column, start, end: start + size };
          if (!(await arePagesOfFirstVersion(file, path, extent))) sound.delete(column);
        }
      }),
    );
  } finally {
    await file.close();
  }
  return sound;
}

/** Those that DuckDB writes: no reader of an output has to know more than before. */
const encodings: ReadonlySet<string> = new Set([
  'PLAIN',
  'PLAIN_DICTIONARY',
  'RLE_DICTIONARY',
  'RLE',
  'BIT_PACKED',
]);

/** By top-level columns, in order. */
function leavesOf({ columns }: RowGroup): Map<string, ColumnMetaData[]> {
  const leaves = new Map<string, ColumnMetaData[]>();
  for (const { meta_data: meta } of columns) {
    if (!meta) continue;
    const [name = ''] = meta.path_in_schema;
    const known = leaves.get(name);
    if (known) known.push(meta);
    else leaves.set(name, [meta]);
  }
  return leaves;
}
