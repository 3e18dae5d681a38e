/**
 * Whether what a job writes stays apart from what it reads, and its outputs from one another, wherever
 * links lead. Never: what lies in these places.
 */
import { lstatSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { dirname, relative, sep } from 'node:path';
import { fail } from '../../shared/failure.js';
import type { JobPlan, OutputPlan } from '../../shared/plan.js';
import { isInside } from '../../shared/storage/paths.js';
import { realPlace } from '../../shared/storage/roots.js';

/** @throws WindrowError E_OUTPUT_IS_INPUT, E_SPEC_INVALID */
export async function checkPlacesApart({ stages, sources = {}, outputs }: JobPlan): Promise<void> {
  const files = [
    ...stages.flatMap(({ input }) => (input.kind === 'source' ? input.files : [])),
    ...Object.values(sources).flat(),
  ];
  const inputs = await directoriesOf(files.map(({ path }) => path));
  const places: { output: OutputPlan; path: string }[] = [];
  for (const output of outputs) {
    const path = await realPlace(output.path);
    refuseInputs(`output '${output.name}' holds`, path, inputs);
    const dead = await realPlace(output.deadLetterPath);
    refuseInputs(`the dead letters of output '${output.name}' would lie among`, dead, inputs);
    places.push({ output, path });
  }
  for (const { output, path } of places) {
    for (const other of places) refuseShared(output.name, path, other);
  }
}

/** Directories that files truly lie in, and what they are called. */
async function directoriesOf(paths: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const directory of new Set(paths.map((path) => dirname(path)))) {
    found.set(await realPlace(directory), directory);
  }
  for (const path of paths.filter(isLink)) {
    found.set(dirname(await realpath(path).catch(() => path)), path);
  }
  return found;
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

/** It would be read again, or replaced while it is read. */
function refuseInputs(what: string, path: string, inputs: ReadonlyMap<string, string>): void {
  for (const [real, directory] of inputs) {
    if (!isInside(path, real)) continue;
    fail('invalidSpec', 'E_OUTPUT_IS_INPUT', `${what} files that are read`, {
      at: { file: directory },
      hint: 'write to a directory of its own',
    });
  }
}

function refuseShared(
  name: string,
  path: string,
  { output: other, path: place }: { readonly output: OutputPlan; readonly path: string },
): void {
  if (name === other.name) return;
  const [first = ''] = relative(place, path).split(sep);
  const folder = /^([^=]+)=/.exec(first)?.[1]?.toLowerCase();
  const inPartition = other.partitionBy.some((column) => column.toLowerCase() === folder);
  if (path !== place && !inPartition) return;
  fail(
    'invalidSpec',
    'E_SPEC_INVALID',
    `output '${name}' writes where output '${other.name}' does`,
    {
      at: { file: path },
      hint: 'give each output a directory of its own',
    },
  );
}
