/**
 * The only place that makes and reads names of files Windrow writes. Nothing unpublished ends in
 * `.parquet`: a glob such as `out/**\/*.parquet` sees every folder, hidden ones too. Never: I/O.
 */
import { join, relative, sep } from 'node:path';
import { attemptKey, type AttemptRef, jobId, type JobId } from '../ids.js';

const workFolder = '_windrow';
const publishedSuffix = '.parquet';

export const manifestPath = (output: string): string => join(output, workFolder, 'manifest.json');
export const claimPath = (output: string): string => join(output, workFolder, 'claim.json');
export const successPath = (output: string): string => join(output, '_SUCCESS');
export const trashDirectory = (output: string): string => join(output, workFolder, 'trash');
/** Where chunks live unless `checkpoints.location` says otherwise. */
export const defaultChunkDirectory = (output: string): string => join(output, workFolder, 'chunks');

/** Where workers of a state directory leave the rows between a query's stages. */
export const shuffleDirectoryOf = (stateDirectory: string): string =>
  join(stateDirectory, 'shuffle');

/** What names an attempt's files: unique in the cluster, so that two attempts never write one name. */
export function attemptTag(attempt: AttemptRef, incarnation: string): string {
  return `${attemptKey(attempt).replaceAll('/', '-')}-${incarnation}`;
}

/**
 * A chunk's file while it is not published.
 * @param tag see `attemptTag`
 * @param part number of the file when a partitioned chunk has several
 */
export function chunkFilePath(
  directory: string,
  identity: string,
  tag: string,
  part?: number,
): string {
  return staged(directory, identity, tag, part === undefined ? '' : `.${part}`, '.chunk');
}

/** A chunk's dead letters while they are not published. */
export function deadLetterFilePath(directory: string, identity: string, tag: string): string {
  return staged(directory, identity, tag, '', '.dead');
}

function staged(
  directory: string,
  identity: string,
  tag: string,
  part: string,
  suffix: string,
): string {
  return join(directory, identity.slice(0, 2), `${identity}.${tag}${part}${suffix}`);
}

/** A name to write under before the real one is taken. */
export function temporaryPath(path: string, tag: string): string {
  return `${path}.${tag}.tmp`;
}

/** The chunk that a staged or trashed file belongs to, from its name alone. */
export function identityOfPath(path: string): string | undefined {
  const name = path.slice(path.lastIndexOf(sep) + 1);
  return (/^([0-9a-f]{64})\..*\.(?:chunk|dead)(?:\..*\.tmp)?$/.exec(name) ??
    /\.([0-9a-f]{64})(?:\.\d+)?\.trash$/.exec(name))?.[1];
}

/** The job that wrote a staged file, from its name alone. */
export function jobOfPath(path: string): JobId | undefined {
  const name = path.slice(path.lastIndexOf(sep) + 1);
  const job = /^[0-9a-f]{64}\.([^-.]+)-.*\.(?:chunk|dead)(?:\..*\.tmp)?$/.exec(name)?.[1];
  return job === undefined ? undefined : jobId(job);
}

/** The incarnation of the worker that wrote a chunk's file, from its name alone. */
export function writerOfPath(path: string): string | undefined {
  const name = path.slice(path.lastIndexOf(sep) + 1);
  // After the chunk's identity come job, stage, task and attempt.
  return /^[0-9a-f]{64}\.[^-.]+-[^-.]+-\d+-\d+-([\w-]+)(?:\.\d+)?\.chunk$/.exec(name)?.[1];
}

export interface PartitionValue {
  readonly column: string;
  readonly value: string | null;
}

/**
 * Name of a published file below its output, `/`-separated. It derives from identity and layout
 * alone, so what did not change keeps its name and place.
 * @param copy counts files of one chunk in one partition, from 0
 * @param place of the chunk, where the output has an order: names sort as the rows do, and so all
 *   of them tell the copy, also the first, in as many digits
 */
export function publishedName(
  identity: string,
  partition: readonly PartitionValue[],
  copy = 0,
  place?: number,
): string {
  const folders = partition.map(({ column, value }) => `${hiveDirectory(column, value)}/`).join('');
  const chunk = identity.slice(0, 32);
  const name =
    place === undefined
      ? `${chunk}${copy === 0 ? '' : `-${copy}`}`
      : `${inDigits(place)}-${chunk}-${inDigits(copy)}`;
  return `${folders}part-${name}${publishedSuffix}`;
}

/** As text that sorts as the numbers do. */
function inDigits(count: number): string {
  return String(count).padStart(6, '0');
}

/** The place that a published name tells, if any. */
export function placeOf(name: string): number | undefined {
  const place = /(?:^|\/)part-(\d{6,})-[0-9a-f]{32}/.exec(name)?.[1];
  return place === undefined ? undefined : Number(place);
}

/** What stands for NULL in the name of a partition's folder. */
export const nullPartition = '__HIVE_DEFAULT_PARTITION__';

/** Of one name in a path, as file systems have it. */
export const nameBytesMax = 255;

/** `k=v` percent-encoded as DuckDB writes it. */
export function hiveDirectory(column: string, value: string | null): string {
  const encoded = value === null ? nullPartition : percentEncode(value);
  return `${percentEncode(column)}=${encoded}`;
}

function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** The hive folders of a published name, with their `/`; empty when there are none. */
export function partitionOf(name: string): string {
  return name.slice(0, name.lastIndexOf('/') + 1);
}

/**
 * Where a published file goes when it is replaced.
 * @param commit tells the trash of one commit from another's
 * @param chunk identity of the file's chunk; absent for a foreign file
 * @param copy counts names that are taken already, from 0
 */
export function trashPath(
  output: string,
  commit: string,
  name: string,
  chunk: string | undefined,
  copy = 0,
): string {
  const suffix = `${chunk === undefined ? '' : `.${chunk}`}${copy === 0 ? '' : `.${copy}`}.trash`;
  return join(trashDirectory(output), commit.slice(0, 16), `${name}${suffix}`);
}

/** Name below the output of a file that a reader's glob would see; undefined for all others. */
export function visibleName(output: string, path: string): string | undefined {
  const name = relative(output, path).split(sep).join('/');
  return name.endsWith(publishedSuffix) && !name.startsWith('../') ? name : undefined;
}

export function isInside(directory: string, path: string): boolean {
  const name = relative(directory, path);
  return name !== '..' && !name.startsWith(`..${sep}`) && !name.startsWith(sep);
}
