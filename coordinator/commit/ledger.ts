/**
 * What a commit keeps of a stage while its chunks' records pass by, one after the other: sums, the
 * first that does not add up, and what lies in the output of them. Pure. Never: keeps a record.
 */
import type { Failure } from '../../shared/failure.js';
import type { StageId } from '../../shared/ids.js';
import type { ManifestFile } from '../../shared/manifest.js';
import type { ChunkFile, ChunkRecord, StagePlan } from '../../shared/plan.js';
import { publishedName } from '../../shared/storage/paths.js';

export interface NamedFile {
  /** Below the output, `/`-separated. */
  readonly name: string;
  readonly file: ChunkFile;
}

/**
 * Names of one chunk's files; they derive from the record alone, wherever the files lie.
 * @param place of the chunk, where the output has an order
 */
export function namedFiles(record: ChunkRecord, place?: number): NamedFile[] {
  const seen = new Map<string, number>();
  return record.files.map((file) => {
    const first = publishedName(record.identity, file.partition, 0, place);
    const copy = seen.get(first) ?? 0;
    seen.set(first, copy + 1);
    return {
      name: copy === 0 ? first : publishedName(record.identity, file.partition, copy, place),
      file,
    };
  });
}

/** Dead letters are never partitioned. */
export function deadLetterName(record: ChunkRecord): string {
  return publishedName(record.identity, []);
}

export class StageLedger {
  readonly sums = { rowsIn: 0, rowsOut: 0, filtered: 0, dead: 0 };
  readonly deadLetters: ManifestFile[] = [];
  /** Chunks of manifests before, by whatever program, that have the rows of the stage's own. */
  readonly redone = new Set<string>();
  private readonly filled: ManifestFile[] = [];
  private empty: ManifestFile | undefined;
  private wrong: Failure | undefined;
  private chunks = 0;

  /**
   * @param published whether the stage's files are those of an output
   * @param ordered whether their names have to sort as their rows do
   */
  constructor(
    private readonly stage: StagePlan,
    private readonly published: boolean,
    private readonly ordered = false,
  ) {}

  /** Takes in the next chunk, in chunk order. */
  add(record: ChunkRecord): void {
    const { counts, deadLetters } = record;
    this.sums.rowsIn += counts.rowsIn;
    this.sums.rowsOut += counts.rowsOut;
    this.sums.filtered += counts.filtered;
    this.sums.dead += counts.dead;
    if (this.stage.input.kind !== 'empty') this.wrong ??= checkChunk(this.stage, record);
    if (deadLetters && deadLetters.rows > 0) {
      this.deadLetters.push(entry(record, deadLetterName(record), deadLetters));
    }
    if (!this.published) return;
    const place = this.ordered ? this.chunks : undefined;
    this.chunks += 1;
    for (const { name, file } of namedFiles(record, place)) {
      if (file.rows > 0) this.filled.push(entry(record, name, file));
      else this.empty ??= entry(record, name, file);
    }
  }

  /** The first chunk whose books do not balance. */
  get failure(): Failure | undefined {
    return this.wrong;
  }

  /** Files without rows are left out, unless there are no others: one then carries the schema. */
  get files(): readonly ManifestFile[] {
    return this.filled.length === 0 && this.empty ? [this.empty] : this.filled;
  }
}

export type Ledgers = ReadonlyMap<StageId, StageLedger>;

function entry(record: ChunkRecord, name: string, file: ChunkFile): ManifestFile {
  const { rows, bytes, sha256 } = file;
  return { name, rows, bytes, sha256, chunk: record.identity };
}

function checkChunk(stage: StagePlan, chunk: ChunkRecord): Failure | undefined {
  const { rowsIn, rowsOut, filtered, dead } = chunk.counts;
  const name = `chunk ${chunk.identity.slice(0, 12)} of stage ${stage.id}`;
  if (stage.program.rowwise && rowsIn !== rowsOut + filtered + dead) {
    return unbalanced(
      `${name} took in ${rowsIn} rows, but ${rowsOut} out + ${filtered} filtered + ${dead} dead ` +
        `make ${rowsOut + filtered + dead}`,
    );
  }
  const written = chunk.files.reduce((sum, { rows }) => sum + rows, 0);
  if (written !== rowsOut) {
    return unbalanced(`${name} put out ${rowsOut} rows, but its files hold ${written}`);
  }
  const deadWritten = chunk.deadLetters?.rows ?? 0;
  if (deadWritten !== dead) {
    return unbalanced(`${name} has ${dead} dead letters, but their file holds ${deadWritten}`);
  }
  return undefined;
}

export function unbalanced(message: string): Failure {
  return {
    kind: 'broken',
    code: 'E_BOOKS',
    message: `the books do not balance: ${message}`,
    hint: 'nothing was published; please report this with the job id',
  };
}
