/** Keeps the house rules that no compiler knows: who imports whom, what stays pure, how files look. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { globSync } from 'tinyglobby';
import { describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const folders = [
  'shared',
  'client',
  'coordinator',
  'worker',
  'cli',
  'test',
  'bench',
  'scripts',
  'examples',
];
const files = globSync(
  folders.map((folder) => `${folder}/**/*.{ts,mjs}`),
  { cwd: root, ignore: ['shared/gen/**', '**/fixtures/**', '**/.data/**'] },
).sort();
const source = new Map(files.map((file) => [file, readFileSync(path.join(root, file), 'utf8')]));
const shipped = files.filter((file) => !/^(test|bench|scripts|examples)\//.test(file));

/** Which of our folders a folder may import, itself aside. */
const mayImport: Record<string, (target: string) => boolean> = {
  shared: () => false,
  client: (target) => target.startsWith('shared/'),
  coordinator: (target) => target.startsWith('shared/'),
  worker: (target) => target.startsWith('shared/'),
  cli: (target) =>
    /^(shared|client)\//.test(target) || /^(coordinator|worker)\/main\.ts$/.test(target),
  scripts: (target) => target.startsWith('shared/'),
  examples: (target) => target.startsWith('shared/'),
  test: () => true,
  bench: () => true,
};

/** Decides, knows no outside world: synchronous, no clock, no chance, no environment. */
const pure = shipped.filter((file) =>
  /^coordinator\/(core|planner|scheduling)\/|^coordinator\/commit\/decide\.ts$|^shared\/calendar\//.test(
    file,
  ),
);
/** Shared files that pure code may import although they hash with node:crypto. */
const hashing = new Set(['shared/chunk-identity.ts', 'shared/manifest.ts']);

function importsOf(file: string): string[] {
  const text = source.get(file) ?? '';
  const specifiers = [
    ...text.matchAll(/^\s*(?:import|export)\s[^'"`;]*?from\s+['"]([^'"]+)['"]/gm),
    ...text.matchAll(/^\s*import\s+['"]([^'"]+)['"]/gm),
    ...text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g),
  ];
  return specifiers.map(([, specifier]) => specifier ?? '');
}

/** A relative import as a path in the repository; undefined for packages. */
function resolve(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const target = path.posix.join(path.posix.dirname(file), specifier);
  return target.replace(/\.js$/, '.ts');
}

/** The text without comments and string literals, so that only code is searched. */
function codeOf(file: string): string {
  return (source.get(file) ?? '')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, "''")
    .replace(/\/\/.*$/gm, '');
}

/** `file: what is wrong` for each file that breaks the rule, so that a failure names them all. */
function offenders(
  candidates: readonly string[],
  wrong: (file: string) => string | undefined,
): string[] {
  return candidates.flatMap((file) => {
    const what = wrong(file);
    return what === undefined ? [] : [`${file}: ${what}`];
  });
}

describe('imports', () => {
  test('there are source files to look at', () => {
    expect(shipped.length).toBeGreaterThan(20);
    expect(pure.length).toBeGreaterThan(5);
  });

  test('every folder imports only what the design lets it', () => {
    const wrong = files.flatMap((file) => {
      const folder = file.split('/')[0] ?? '';
      return importsOf(file)
        .map((specifier) => resolve(file, specifier))
        .filter((target) => target !== undefined)
        .filter((target) => target.split('/')[0] !== folder && !mayImport[folder]?.(target))
        .map((target) => `${file} imports ${target}`);
    });
    expect(wrong).toEqual([]);
  });

  test('code that ships imports no package that is only there for development', () => {
    const { devDependencies } = JSON.parse(
      readFileSync(path.join(root, 'package.json'), 'utf8'),
    ) as { devDependencies: Record<string, string> };
    expect(
      offenders(shipped, (file) =>
        importsOf(file).find((specifier) =>
          Object.keys(devDependencies).some(
            (name) => specifier === name || specifier.startsWith(`${name}/`),
          ),
        ),
      ),
    ).toEqual([]);
  });

  test('pure code reaches no node module, package or impure file of ours', () => {
    const seen = new Set<string>();
    const wrong: string[] = [];
    const visit = (file: string, from: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = source.get(file) ?? '';
      for (const specifier of importsOf(file)) {
        const target = resolve(file, specifier);
        if (target !== undefined) {
          if (!isTypeOnly(text, specifier)) visit(target, file);
        } else if (!isTypeOnly(text, specifier) && !isAllowed(file, specifier)) {
          wrong.push(`${file} (reached from ${from}) imports ${specifier}`);
        }
      }
    };
    for (const file of pure) visit(file, 'itself');
    expect(wrong).toEqual([]);
  });
});

function isAllowed(file: string, specifier: string): boolean {
  if (specifier === 'node:crypto') return hashing.has(file);
  // Joining and splitting text; the one formatter of paths has no other use for it.
  if (specifier === 'node:path') return file === 'shared/storage/paths.ts';
  // The spec's schema is the one shared type that comes with a library; it neither reads nor writes.
  return (
    (specifier === 'zod' && file === 'shared/job-spec.ts') || specifier === 'fastest-levenshtein'
  );
}

function isTypeOnly(text: string, specifier: string): boolean {
  const escaped = specifier.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  const all = text.match(new RegExp(`^\\s*(import|export)\\s[^;]*?['"]${escaped}['"]`, 'gm')) ?? [];
  return all.length > 0 && all.every((statement) => /^\s*(import|export)\s+type\s/.test(statement));
}

describe('purity', () => {
  const forbidden =
    /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bset(Timeout|Interval|Immediate)\b|\bprocess\.|\bawait\b|\basync\b|\bconsole\.|\bperformance\./;

  test('pure code knows no clock, chance, timer, environment, promise or console', () => {
    expect(offenders(pure, (file) => forbidden.exec(codeOf(file))?.[0])).toEqual([]);
  });
});

describe('files', () => {
  test('none is longer than 500 lines', () => {
    expect(
      offenders(files, (file) => {
        const lines = (source.get(file) ?? '').split('\n').length;
        return lines > 500 ? `${lines} lines` : undefined;
      }),
    ).toEqual([]);
  });

  test('names are kebab-case and none of the words that say nothing', () => {
    const banned = /(^|[-./])(executor|node|master|manager|helper|util)s?([-./]|$)/;
    expect(
      offenders(files, (file) => {
        if (!/^[a-z0-9./-]+$/.test(file)) return 'not kebab-case';
        return banned.exec(file)?.[0];
      }),
    ).toEqual([]);
  });

  // A test file says what it is about in the names of its tests.
  const described = files.filter((file) => !file.endsWith('.test.ts'));
  test('each opens by saying what it is for', () => {
    expect(
      offenders(described, (file) =>
        /^(#!.*\n)?\s*(\/\*\*?|\/\/)/.test(source.get(file) ?? '')
          ? undefined
          : 'no opening comment',
      ),
    ).toEqual([]);
  });

  test('nothing is exported as default', () => {
    const candidates = files.filter((file) => !file.startsWith('examples/'));
    expect(offenders(candidates, (file) => /^export default\b/m.exec(codeOf(file))?.[0])).toEqual(
      [],
    );
  });

  test('relative imports carry the extension that Node wants', () => {
    expect(
      offenders(
        files.filter((file) => file.endsWith('.ts')),
        (file) =>
          importsOf(file).find((name) => name.startsWith('.') && !/\.(js|mjs|json)$/.test(name)),
      ),
    ).toEqual([]);
  });

  test('no work is left behind in comments', () => {
    const marks = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X'].join('|')})\\b`);
    expect(offenders(files, (file) => marks.exec(source.get(file) ?? '')?.[0])).toEqual([]);
  });
});

describe('tests', () => {
  const tests = files.filter((file) => file.startsWith('test/'));

  test('none is skipped, left out or run alone', () => {
    const silenced =
      /\b(it|test|describe)\.(only|skip|todo|skipIf|runIf|fails)\b|\bx(it|describe)\(/;
    expect(
      offenders(
        // The device tests alone may depend on the machine: where none is asked for, there is none to test.
        tests.filter((file) => !file.includes('device') && !file.includes('webgpu')),
        (file) => silenced.exec(codeOf(file))?.[0],
      ),
    ).toEqual([]);
  });
});
