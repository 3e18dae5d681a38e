/** What `npm pack` would publish: all that the package needs, and nothing else. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

const root = path.resolve(import.meta.dirname, '..');
const [packed] = JSON.parse(
  execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }),
) as [{ files: { path: string }[] }];
const files = packed.files.map((file) => file.path).sort();

test('the package has its command, its programs, its types and its schemas', () => {
  const { bin, exports } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    bin: Record<string, string>;
    exports: Record<string, Record<string, string>>;
  };
  const named = [...Object.values(bin), ...Object.values(exports['.']!)].map((file) =>
    path.posix.normalize(file),
  );
  const programs = ['cli/engine.js', 'worker/main.js', 'worker/attempt/thread.js'];
  const data = ['schema/job.schema.json', 'shared/proto/windrow.proto', 'README.md', 'LICENSE'];
  const wanted = [...named, ...programs.map((file) => `dist/${file}`), ...data];
  expect(wanted.filter((file) => !files.includes(file))).toEqual([]);
  expect(readFileSync(path.join(root, bin['windrow']!), 'utf8')).toMatch(
    /^#!\/usr\/bin\/env node\n/,
  );
});

test.each(['json', 'yaml', 'table'])('the command as it is built prints %s', (format) => {
  const { bin } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    bin: Record<string, string>;
  };
  const args = [bin['windrow']!, 'doctor', '-o', format];
  const printed = execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  expect(format === 'table' ? printed : parse(printed)).toBeTruthy();
  expect(printed).toContain('onnxruntime');
});

test('nothing that is only there for development is packed', () => {
  const needless = /(^|\/)(test|bench|examples|scripts|node_modules|\.[^/]*)(\/|$)|\.ts$|\.zip$/;
  expect(files.filter((file) => needless.test(file) && !file.endsWith('.d.ts'))).toEqual([]);
});

test('whatever the published API imports is packed too, with its types', () => {
  const missing = new Set<string>();
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(path.join(root, file), 'utf8');
    for (const [, target] of text.matchAll(/(?:from|import)\s*\(?\s*['"](\.[^'"]+)['"]/g)) {
      const there = path.posix.join(path.posix.dirname(file), target!);
      for (const one of [there, there.replace(/\.js$/, '.d.ts')]) {
        if (!files.includes(one)) missing.add(`${file}: ${one}`);
        else if (existsSync(path.join(root, one))) visit(one);
      }
    }
  };
  visit('dist/client/index.js');
  expect(seen.size).toBeGreaterThan(20);
  expect([...missing]).toEqual([]);
});
