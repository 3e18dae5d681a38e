/** Decides whether packages must be installed or sources built, and does it. Only node built-ins, because it runs before anything is installed. */
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const sourceFolders = ['client', 'cli', 'coordinator', 'worker', 'shared'];
const buildFiles = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];

/** Written by after-build.mjs as the last act of a build that succeeded. */
export const buildStamp = path.join(root, 'dist', '.built');

function modifiedMs(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? -1;
}

/** Newest change below a folder; a folder's own time shows that a file was removed. */
function newestMs(folder) {
  let newest = modifiedMs(folder);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const child = path.join(folder, entry.name);
    if (entry.isDirectory()) newest = Math.max(newest, newestMs(child));
    else if (entry.name.endsWith('.ts')) newest = Math.max(newest, modifiedMs(child));
  }
  return newest;
}

export function isInstalled() {
  const installed = modifiedMs(path.join(root, 'node_modules', '.package-lock.json'));
  return installed >= modifiedMs(path.join(root, 'package-lock.json'));
}

export function isBuilt() {
  const built = modifiedMs(buildStamp);
  return (
    sourceFolders.every((folder) => newestMs(path.join(root, folder)) <= built) &&
    buildFiles.every((file) => modifiedMs(path.join(root, file)) <= built)
  );
}

/** Runs a command in the repository and ends this process with its code when it fails. */
export function runOrExit(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error) console.error(`${command} could not be started: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

export function ensureInstalled() {
  if (!isInstalled()) runOrExit('npm', ['ci', '--no-audit', '--no-fund']);
}

export function ensureBuilt() {
  if (!isBuilt()) runOrExit('npm', ['run', '--silent', 'build']);
}
