/**
 * Gathers each program of the build (the CLI, the engine of `runEmbedded`, a worker process and its
 * two kinds of threads) into a few files: loading hundreds of small modules costs a short run more than its work does. The files
 * that `tsc` made for these programs become one-liners that lead there; the published API stays as
 * `tsc` makes it.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { build, transform } from 'esbuild';
import { root } from './ready.mjs';

/** Name in the bundle -> source. All lie side by side, so that relative paths hold in each. */
const programs = {
  cli: 'cli/main.ts',
  engine: 'cli/engine.ts',
  worker: 'worker/main.ts',
  thread: 'worker/attempt/thread.ts',
  'device-loop': 'worker/inference/device-loop.ts',
};

/** Native libraries, packages that read files beside them, and Arrow, whose classes user code shares. */
const external = [
  '@duckdb/node-bindings',
  '@grpc/proto-loader',
  '@grpc/reflection',
  '@node-rs/crc32',
  'apache-arrow',
  'esbuild',
  'grpc-health-check',
  'libsql',
  'onnxruntime-node',
  'parquetjs-lite',
  'piscina',
];

/** Packages that are CommonJS call `require`, which ES modules lack. */
const banner = [
  "import { createRequire as windrowCreateRequire } from 'node:module';",
  'const require = windrowCreateRequire(import.meta.url);',
].join('\n');

/** `import.meta.url` goes on naming the place that `tsc` gives the module. */
const keepPlaces = {
  name: 'keep-places',
  setup(bundle) {
    bundle.onLoad({ filter: /\.ts$/ }, async ({ path: file }) => {
      const text = await readFile(file, 'utf8');
      const inRoot = path.relative(root, file);
      if (!text.includes('import.meta.url') || inRoot.startsWith('node_modules')) return undefined;
      const built = `../${inRoot.replace(/\.ts$/, '.js')}`;
      const { code } = await transform(text, {
        loader: 'ts',
        sourcefile: file,
        sourcemap: 'inline',
        define: { 'import.meta.url': 'windrowModuleUrl' },
      });
      const place = `const windrowModuleUrl = new URL('${built}', import.meta.url).href;`;
      return { contents: `${place} ${code}`, loader: 'js' };
    });
  },
};

/** @param dist directory of what `tsc` built */
export async function bundlePrograms(dist) {
  const directory = path.join(dist, 'bundle');
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: programs,
    outdir: directory,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external,
    banner: { js: banner },
    legalComments: 'linked',
    sourcemap: true,
    sourcesContent: false,
    metafile: true,
    logLevel: 'warning',
    plugins: [keepPlaces],
  });
  const made = new Set(Object.keys(metafile.outputs).map((file) => path.basename(file)));
  for (const name of readdirSync(directory)) {
    if (!made.has(name)) rmSync(path.join(directory, name));
  }
  for (const [name, source] of Object.entries(programs)) {
    const file = path.join(dist, source.replace(/\.ts$/, '.js'));
    const target = path.relative(path.dirname(file), path.join(directory, `${name}.js`));
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, `export * from '${target.split(path.sep).join('/')}';\n`);
  }
}
