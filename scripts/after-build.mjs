/** Finishes a build: bundles its programs, makes the CLI executable, reachable as `npx windrow` in the checkout, and stamps the build. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { bundlePrograms } from './bundle.mjs';
import { buildStamp, root } from './ready.mjs';

const shebang = '#!/usr/bin/env node\n';
const main = path.join(root, 'dist', 'cli', 'main.js');
if (!existsSync(main)) {
  console.error(`the build made no ${main}: is cli/main.ts there?`);
  process.exit(1);
}
await bundlePrograms(path.join(root, 'dist'));
const text = readFileSync(main, 'utf8');
if (!text.startsWith(shebang)) writeFileSync(main, shebang + text.replace(/^#!.*\n/, ''));
chmodSync(main, 0o755);

const bin = path.join(root, 'node_modules', '.bin');
mkdirSync(bin, { recursive: true });
const link = path.join(bin, 'windrow');
rmSync(link, { force: true });
symlinkSync(path.relative(bin, main), link);

writeFileSync(buildStamp, '');
