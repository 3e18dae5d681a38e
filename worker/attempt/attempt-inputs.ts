/**
 * What the chunks of one attempt read: checked before anything decodes it; what only another worker
 * has is brought into a directory that lasts as long as its chunk does. Never: runs a statement.
 */
import { mkdir, realpath, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';
import type { ColumnDef, StageProgram } from '../../shared/plan.js';
import { type FileSlice, wholeSlice } from '../../shared/divided-file.js';
import {
  fetchFiles,
  type ServedFile,
  wantedOfFile,
  wantedOfSlice,
  type WantedFile,
} from '../shuffle/fetch.js';
import { verifyInputs, verifyUnchanged } from './inputs.js';
import { PageChecksums } from './page-checksums.js';
import type { AttemptTask, ChunkWork, LeafRead, SourceWork } from './protocol.js';
import type { LeafFiles } from './query-statement.js';

export type InputsTask = Pick<
  AttemptTask,
  'program' | 'chunks' | 'attemptTag' | 'spillDirectory' | 'peers'
>;

export class AttemptInputs {
  /** Of this thread alone; each chunk has one of its own in it, never used twice. */
  private readonly fetched: string;
  private readonly pages: readonly PageChecksums[];
  private readonly pagesOfScan: PageChecksums;
  /** Read by several chunks of the attempt, checked by the first. */
  private readonly sound = new Set<string>();

  constructor(
    private readonly task: InputsTask,
    private readonly throwIfCancelled: () => void,
  ) {
    const { program, spillDirectory } = task;
    this.fetched = join(spillDirectory, `parts-${process.pid}-${threadId}`);
    const pagesOf = (columns: readonly ColumnDef[]) =>
      new PageChecksums(
        columns.map(({ name }) => name),
        throwIfCancelled,
      );
    this.pagesOfScan = pagesOf(program.scan.columns);
    this.pages = program.query?.leaves.map(({ columns }) => pagesOf(columns)) ?? [];
  }

  /** All directories that statements over these chunks read; DuckDB asks where a link leads. */
  async directories(): Promise<string[]> {
    const directories = new Set<string>(this.task.program.query ? [this.fetched] : []);
    for (const work of this.task.chunks) {
      for (const { path } of [...sourcesOf(work), ...filesOf(work), ...slicesOf(work)]) {
        directories.add(dirname(path));
      }
      for (const { path } of sourcesOf(work)) {
        directories.add(dirname(await realpath(path).catch(() => path)));
      }
    }
    return [...directories];
  }

  /**
   * Runs `use` while the chunk's inputs lie ready; it gets those of each leaf of the query.
   * @param at index of the chunk in the attempt
   * @throws WindrowError E_INPUT_CHANGED, E_PARQUET_CORRUPT; E_CHUNK_LOST of kind `fetchFailed`
   */
  async ready(at: number, use: (leaves: readonly LeafFiles[]) => Promise<void>): Promise<void> {
    const work = this.task.chunks[at]!;
    const later = this.task.chunks.slice(at + 1);
    const elsewhere = await filesElsewhere(work);
    await this.verify(work, elsewhere, later);
    if (!this.task.program.query) return use([]);
    const reads = readsOf(this.task.program, work);
    const directory = join(this.fetched, `${this.task.attemptTag}-${work.chunk}`);
    try {
      await mkdir(directory, { recursive: true });
      const wanted = reads.flatMap((read) => this.wantedOf(read, elsewhere));
      const places = await fetchFiles(wanted, directory, {
        throwIfCancelled: this.throwIfCancelled,
        access: this.task.peers,
      });
      for (const [at, { path, ranges }] of wanted.entries()) {
        if (places[at] === path) for (const range of ranges) this.sound.add(rangeKey(path, range));
      }
      // In the order in which they were wanted: two leaves may read one file, each a copy of its own.
      const next = places.values();
      await use(
        reads.map(({ sources, files, slices }) => ({
          sources,
          paths: files.map(({ path }) => (elsewhere.has(path) ? next.next().value! : path)),
          slices: slices.map((slice) => ({ ...slice, path: next.next().value! })),
        })),
      );
    } finally {
      await rm(this.fetched, { recursive: true, force: true });
    }
  }

  /** All that is read; what an earlier chunk has found sound where it lies is marked so. */
  private wantedOf({ files, slices }: LeafRead, elsewhere: ReadonlySet<string>): WantedFile[] {
    const wanted = [
      ...files.filter(({ path }) => elsewhere.has(path)).map(wantedOfFile),
      ...slices.map(wantedOfSlice),
    ];
    return wanted.map((file) => ({
      ...file,
      ranges: file.ranges.map((range) => ({
        ...range,
        sound: this.sound.has(rangeKey(file.path, range)),
      })),
    }));
  }

  private async verify(
    work: ChunkWork,
    elsewhere: ReadonlySet<string>,
    later: readonly ChunkWork[],
  ): Promise<void> {
    // What is fetched is checked on the way, and so are slices of divided files.
    const unseen = filesOf(work).filter(
      ({ path, divided }) => !divided && !elsewhere.has(path) && !this.sound.has(path),
    );
    if (work.source) await this.verifySource(work.source, this.pagesOfScan);
    for (const [at, { leaf, sources }] of readsOf(this.task.program, work).entries()) {
      for (const source of sources) {
        const key = [leaf, source.path, source.rowGroup, source.lastRowGroup].join('\n');
        if (this.sound.has(key)) continue;
        await this.verifySource(source, this.pages[at]!);
        this.sound.add(key);
      }
    }
    const mustLieHere = (): ServedFile[] =>
      later.flatMap(filesOf).filter(({ servedBy }) => !servedBy);
    await verifyInputs(unseen, mustLieHere, this.throwIfCancelled);
    if (this.pages.length > 0) for (const { path } of unseen) this.sound.add(path);
  }

  private async verifySource(source: SourceWork, pages: PageChecksums): Promise<void> {
    await verifyUnchanged(source);
    await pages.verify(source);
  }
}

/** Rows that count as this chunk's own: those of what drives the query, or all that is scanned. */
export function rowsRead({ query }: StageProgram, work: ChunkWork): number {
  const { source, inputs, reads = [] } = work;
  const driving = new Set(query?.leaves.flatMap(({ leaf, driving: own }) => (own ? leaf : [])));
  const own = reads.filter(({ leaf }) => driving.has(leaf));
  const sources = [...(source ? [source] : []), ...own.flatMap((read) => read.sources)];
  const counted: readonly { readonly rows: number }[] = [
    ...inputs,
    ...own.flatMap((read) => read.files),
    ...own.flatMap((read) => read.slices),
    ...sources.map(({ rowStart, rowEnd }) => ({ rows: rowEnd - rowStart })),
  ];
  return counted.reduce((sum, { rows }) => sum + rows, 0);
}

/**
 * What is read for each leaf, a divided file as a slice of all its rows: what stands for its bytes is
 * not the checksum of the file. A leaf that nothing is said about must not pass for an empty one.
 */
function readsOf({ query }: StageProgram, { chunk, reads = [] }: ChunkWork): LeafRead[] {
  const leaves = query?.leaves ?? [];
  const found = leaves.flatMap(({ leaf }) => reads.filter((read) => read.leaf === leaf));
  if (found.length === leaves.length && found.length === reads.length) return found.map(asSlices);
  const [told, wanted] = [reads, leaves].map((list) => list.map(({ leaf }) => leaf).join(', '));
  throw new Error(
    `chunk ${chunk} is to read ${told || 'nothing'}, its query ${wanted || 'nothing'}`,
  );
}

function asSlices({ files, slices, ...read }: LeafRead): LeafRead {
  const divided = files.flatMap((file) => {
    const slice = wholeSlice(file);
    return slice ? [{ ...slice, ...(file.servedBy ? { servedBy: file.servedBy } : {}) }] : [];
  });
  return { ...read, files: files.filter((file) => !file.divided), slices: [...slices, ...divided] };
}

function sourcesOf({ source, reads = [] }: ChunkWork): SourceWork[] {
  return [...(source ? [source] : []), ...reads.flatMap(({ sources }) => sources)];
}

function slicesOf({ reads = [] }: ChunkWork): FileSlice[] {
  return reads.flatMap(({ slices }) => slices);
}

function rangeKey(path: string, { offset }: { readonly offset: number }): string {
  return `${path}\n${offset}`;
}

/** Whole files that are to be asked for at the worker that has them. */
async function filesElsewhere({ reads = [] }: ChunkWork): Promise<Set<string>> {
  const elsewhere = new Set<string>();
  for (const { path, bytes, divided, servedBy } of reads.flatMap(({ files }) => files)) {
    if (servedBy === undefined || divided || elsewhere.has(path)) continue;
    const found = await stat(path).catch(() => undefined);
    if (found?.size !== bytes) elsewhere.add(path);
  }
  return elsewhere;
}

function filesOf({ inputs, reads = [] }: ChunkWork): ServedFile[] {
  return [...inputs, ...reads.flatMap(({ files }) => files)];
}
