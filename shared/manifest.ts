/** The manifest: the atomic view of one output. No times and no epoch: equal inputs, equal bytes. */
import { createHash } from 'node:crypto';
import { canonicalJson } from './chunk-identity.js';
import type { ColumnDef } from './plan.js';

export interface ManifestFile {
  /** Relative to the output directory, `/`-separated. */
  readonly name: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  /** Identity of the chunk whose bytes these are. */
  readonly chunk: string;
  /** Of the output as the job had it that put the file there, where others' files stay beside it. */
  readonly by?: string;
}

/** Which files rows are of, where each is of one, and how they are made. */
export interface Origin {
  /** SHA-256 (hex) of what the spec asks for: steps, the parameters in them, models. */
  readonly work: string;
  /** SHA-256 (hex) of the programs that do it, which are other ones with other versions. */
  readonly program: string;
  /** The versions, in words. */
  readonly engine: string;
  /** The beginning of `fileIdentity` of each file with rows that are not ruled out. */
  readonly sources: readonly string[];
  /** The same of its size and footer alone. */
  readonly contents: readonly string[];
}

export interface ManifestOrigin extends Origin {
  /** As `ManifestFile.by`. */
  readonly by: string;
}

export interface Manifest {
  readonly format: 1;
  readonly job: string;
  /** OutputPlan.identity: equal means the same inputs, steps and layout. */
  readonly identity: string;
  readonly columns: readonly ColumnDef[];
  readonly partitionBy: readonly string[];
  readonly rows: {
    readonly in: number;
    readonly out: number;
    readonly filtered: number;
    readonly deadLettered: number;
  };
  /** In the order of the input. */
  readonly files: readonly ManifestFile[];
  readonly deadLetters: readonly ManifestFile[];
  /** The oldest run first. */
  readonly origins?: readonly ManifestOrigin[];
}

export function manifestBytes(manifest: Manifest): Buffer {
  return Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`, 'utf8');
}

/** The hash users compare: over schema, names, rows and identities. */
export function manifestHash(manifest: Manifest): string {
  return createHash('sha256').update(canonicalJson(manifest)).digest('hex');
}
