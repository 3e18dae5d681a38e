/**
 * Bundles the module of a `map` step into one file, whose digest is the code's identity. Never: runs
 * any of it.
 */
import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { build, type BuildFailure, type BuildResult, type Message } from 'esbuild';
import { sha256Hex } from '../shared/chunk-identity.js';
import { fail, WindrowError, type Failure } from '../shared/failure.js';
import { isRowFunction, type StepSpec } from '../shared/job-spec.js';
import type { LocalFile } from './types.js';

export type MapStepSpec = Extract<StepSpec, { map: unknown }>;

/** CommonJS packages call `require`, which ES modules lack. */
const banner = [
  "import { createRequire as windrowCreateRequire } from 'node:module';",
  'const require = windrowCreateRequire(import.meta.url);',
].join('\n');

/**
 * @param step its module is an absolute path
 * @returns the bundle (an ES module; `apache-arrow` stays an import) and the export that was chosen
 * @throws WindrowError E_MAP_MODULE_MISSING, E_MAP_MODULE with file and line
 */
export async function bundleModule(
  step: MapStepSpec,
  directory = defaultDirectory(),
): Promise<{ file: LocalFile; chosen: string }> {
  const bundle = await bundleOf(step.map.module, { step: step.id });
  const chosen = chooseExport(step, bundle.exports);
  return { file: await fileOf(bundle, directory), chosen };
}

/**
 * The bundle of a module as a file to send, whichever of its functions is called.
 * @throws WindrowError E_MAP_MODULE_MISSING, E_MAP_MODULE with file and line
 */
export async function bundleFile(entry: string): Promise<LocalFile> {
  return fileOf(await bundleOf(entry), defaultDirectory());
}

async function fileOf({ bytes, digest }: Bundle, directory: string): Promise<LocalFile> {
  const name = `${digest}.mjs`;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, name);
  const unfinished = `${path}.${process.pid}`;
  await writeFile(unfinished, bytes);
  await rename(unfinished, path);
  return { digest, bytes: bytes.byteLength, name, path, external: [] };
}

interface Bundle {
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly exports: readonly string[];
}

/**
 * The bundle of a module as it lies there now.
 * @param entry its path, absolute
 * @param at whose it is, for messages
 */
export async function bundleOf(entry: string, at: Failure['at'] = {}): Promise<Bundle> {
  await checkEntry(entry, at);
  const result = await buildBundle(entry, at);
  const bytes = result.outputFiles[0]?.contents ?? new Uint8Array();
  const exports = Object.values(result.metafile.outputs).flatMap((output) => output.exports);
  return { bytes, digest: sha256Hex(bytes), exports };
}

function defaultDirectory(): string {
  return join(tmpdir(), `windrow-bundles-${userInfo().uid}`);
}

async function checkEntry(entry: string, at: Failure['at']): Promise<void> {
  const found = await stat(entry).catch(() => undefined);
  if (found?.isFile()) return;
  fail(
    'invalidSpec',
    'E_MAP_MODULE_MISSING',
    found ? 'the module is not a regular file' : 'there is no such module',
    { at: { ...at, file: entry }, hint: 'give the path of a TypeScript or JavaScript file' },
  );
}

async function buildBundle(
  entry: string,
  at: Failure['at'],
): Promise<BuildResult<{ write: false; metafile: true }>> {
  const directory = dirname(entry);
  try {
    return await build({
      entryPoints: [`./${basename(entry)}`],
      // Paths stand in the bundle relative to this: the digest must not depend on where we run.
      absWorkingDir: directory,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      external: ['apache-arrow'],
      banner: { js: banner },
      charset: 'utf8',
      legalComments: 'none',
      // So that an error is told with the line of the user's own file.
      sourcemap: 'inline',
      sourcesContent: false,
      logLevel: 'silent',
      metafile: true,
      write: false,
    });
  } catch (error) {
    const errors = (error as Partial<BuildFailure>).errors;
    if (!Array.isArray(errors) || errors.length === 0) throw error;
    const problems = errors.map((message) =>
      buildFailure(message, directory, { ...at, file: entry }),
    );
    throw new WindrowError(problems[0]!, error, problems);
  }
}

function buildFailure(message: Message, directory: string, at: Failure['at']): Failure {
  const { location } = message;
  return {
    kind: 'invalidSpec',
    code: 'E_MAP_MODULE',
    message: message.text,
    at: location
      ? {
          ...at,
          file: resolve(directory, location.file),
          line: location.line,
          col: location.column + 1,
        }
      : { ...at },
    hint: 'correct the module',
  };
}

function chooseExport(step: MapStepSpec, exports: readonly string[]): string {
  const { map } = step;
  const chosen = map.export ?? ['batch', 'row'].find((name) => exports.includes(name));
  const at = { step: step.id, file: map.module };
  if (chosen === undefined || !exports.includes(chosen)) {
    const there = exports.length > 0 ? exports.join(', ') : 'nothing';
    const wanted = map.export ?? 'batch or row';
    fail('invalidSpec', 'E_MAP_MODULE', `the module exports ${there}, not ${wanted}`, {
      at,
      hint: 'export a function batch(recordBatch) or row(row), or name one with export',
    });
  }
  const rowwise = map.rowwise ?? isRowFunction(chosen);
  if (!rowwise && map.onError === 'deadLetter') {
    fail('invalidSpec', 'E_SPEC_INVALID', 'onError: deadLetter needs a row-wise function', {
      at,
      hint: 'write rowwise: true if each input row gives one output row, or onError: fail',
    });
  }
  return chosen;
}
