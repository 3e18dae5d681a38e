/** Runs a map step over the rows of a query, in a worker's attempt. */
import { sha256Hex } from '../../../shared/chunk-identity.js';
import type { MapStep, ProgramStep } from '../../../shared/plan.js';
import { columns, type Place, programOf } from '../attempt/fixture.js';

export interface MapOptions {
  readonly reads: Record<string, string>;
  readonly columns: Record<string, string>;
  readonly style?: 'batch' | 'row';
  readonly rowwise?: boolean;
  readonly onError?: 'fail' | 'deadLetter';
  readonly export?: string;
}

function mapStep(
  place: Place,
  source: string,
  options: MapOptions,
): { step: MapStep; blobs: Record<string, string> } {
  const digest = sha256Hex(source);
  const step: MapStep = {
    kind: 'map',
    id: 'm',
    bundle: { digest, bytes: source.length, name: 'bundle.mjs' },
    export: options.export ?? options.style ?? 'batch',
    style: options.style ?? 'batch',
    rowwise: options.rowwise ?? true,
    reads: columns(options.reads),
    columns: columns(options.columns),
    onError: options.onError ?? 'fail',
  };
  return { step, blobs: { [digest]: place.file(digest, source) } };
}

export async function runMap(
  place: Place,
  query: string,
  scan: Record<string, string>,
  source: string,
  options: MapOptions,
  sink: Record<string, string>,
  more: { before?: ProgramStep[]; after?: ProgramStep[]; rowwise?: boolean } = {},
) {
  const path = await place.parquet('a.parquet', query);
  const { step, blobs } = mapStep(place, source, options);
  const steps = [...(more.before ?? []), step, ...(more.after ?? [])];
  const program = programOf(scan, steps, sink, {
    rowwise: more.rowwise ?? options.rowwise ?? true,
  });
  return { path, ...(await place.run(program, await place.worksOf(path), { blobs })) };
}

export const ids = 'select i as id, i::varchar as name from range(5000) t(i)';
export const idScan = { id: 'BIGINT', name: 'VARCHAR' };
