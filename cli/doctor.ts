/**
 * `windrow doctor`: looks at the machine and says what would keep a run from working, and what to
 * do about it. Never: changing anything.
 */
import { constants, existsSync } from 'node:fs';
import { access, mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism, freemem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { defaultStateName } from './connection.js';
import type { ExitCode } from './exit.js';
import { exitCodes } from './exit.js';
import { machineMemoryBytes } from '../shared/machine-memory.js';
import { nodeIsTooOld, oldestNode } from './runtime-version.js';
import { print } from './output.js';
import type { OutputFormat } from './table.js';
import { formatTable, formatValue } from './table.js';

export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** What to do; absent when all is well. */
  readonly advice?: string;
}

export async function runDoctor(flags: {
  output: OutputFormat;
  state?: string;
}): Promise<ExitCode> {
  const state = resolve(flags.state ?? defaultStateName);
  const findings = [
    checkNode(process.versions.node),
    await checkModule('duckdb', '@duckdb/node-api'),
    await checkModule('onnxruntime', 'onnxruntime-node'),
    await checkModule('libsql', 'libsql'),
    await checkDevices(),
    checkThreadPool(process.env['UV_THREADPOOL_SIZE'], availableParallelism()),
    checkMemory(machineMemoryBytes(), freemem(), availableParallelism()),
    await checkState(state),
    await checkDisk(state),
    checkSocketPath(join(state, 'windrow.sock')),
    await checkSharedMemory('/dev/shm'),
  ];
  print(
    await formatValue(findings, flags.output, () =>
      formatTable(
        findings,
        [
          { title: 'STATUS', value: (finding) => finding.status },
          { title: 'CHECK', value: (finding) => finding.check },
          { title: 'FOUND', value: (finding) => finding.found },
          { title: 'WHAT TO DO', value: (finding) => finding.advice },
        ],
        200,
      ),
    ),
  );
  const failed = findings.some((finding) => finding.status === 'fail');
  return failed ? exitCodes.jobFailed : exitCodes.done;
}

export function checkNode(version: string): Finding {
  return nodeIsTooOld(version)
    ? {
        check: 'node',
        status: 'fail',
        found: version,
        advice: `install Node ${oldestNode} or newer`,
      }
    : { check: 'node', status: 'ok', found: version };
}

/** Native modules fail when they are loaded, not when they are installed. */
async function checkModule(check: string, name: string): Promise<Finding> {
  try {
    await import(name);
    return { check, status: 'ok', found: `${name} ${versionOf(name)}` };
  } catch (error) {
    const message = error instanceof Error ? error.message.split('\n')[0]! : String(error);
    return {
      check,
      status: 'fail',
      found: message,
      advice: `reinstall with npm ci; ${name} must be for ${process.platform}-${process.arch}`,
    };
  }
}

function versionOf(name: string): string {
  let directory = dirname(createRequire(import.meta.url).resolve(name));
  const require = createRequire(import.meta.url);
  for (; directory !== dirname(directory); directory = dirname(directory)) {
    const file = join(directory, 'package.json');
    if (!existsSync(file)) continue;
    const about = require(file) as { name?: string; version?: string };
    if (about.name === name && about.version !== undefined) return about.version;
  }
  return '';
}

/** What ONNX Runtime can use here; a worker looks again, and closer, when it starts. */
async function checkDevices(): Promise<Finding> {
  const check = 'devices';
  try {
    const { listSupportedBackends } = await import('onnxruntime-node');
    const bundled = listSupportedBackends()
      .filter((backend) => backend.bundled)
      .map((backend) => backend.name);
    const nvidia = existsSync('/dev/nvidia0');
    const gpu = nvidia || existsSync('/dev/dri/renderD128');
    const found = `ONNX Runtime with ${bundled.join(', ')}; ${gpu ? 'a GPU is there' : 'no GPU'}`;
    return nvidia && !bundled.includes('cuda')
      ? {
          check,
          status: 'warn',
          found,
          advice: 'webgpu needs a Vulkan driver (libvulkan1); cuda is an install step of its own',
        }
      : { check, status: 'ok', found };
  } catch (error) {
    const found = error instanceof Error ? error.message.split('\n')[0]! : String(error);
    return { check, status: 'fail', found, advice: 'see the onnxruntime check' };
  }
}

/** A worker started as `windrow worker` sets it by itself; a value of the user's is kept. */
export function checkThreadPool(value: string | undefined, slots: number): Finding {
  const check = 'UV_THREADPOOL_SIZE';
  const wanted = 2 * slots + 8;
  if (value === undefined) return { check, status: 'ok', found: 'not set; workers set their own' };
  return Number(value) >= wanted
    ? { check, status: 'ok', found: value }
    : {
        check,
        status: 'warn',
        found: value,
        advice: `unset it, or set it to ${String(wanted)}: queries and file reads share those threads`,
      };
}

const gib = 2 ** 30;
/** A worker process with a small model stays below this. */
const memoryPerSlotBytes = 700 * 2 ** 20;

export function checkMemory(total: number, free: number, slots: number): Finding {
  const found = `${(free / gib).toFixed(1)} GiB free of ${(total / gib).toFixed(1)} GiB, ${String(slots)} slots`;
  return free >= memoryPerSlotBytes * slots
    ? { check: 'memory', status: 'ok', found }
    : {
        check: 'memory',
        status: 'warn',
        found,
        advice: `run with --workers ${String(Math.max(1, Math.floor(free / memoryPerSlotBytes)))}`,
      };
}

async function checkState(state: string): Promise<Finding> {
  const check = 'state directory';
  try {
    if (!existsSync(state)) {
      await access(nearestExisting(state), constants.W_OK);
      return { check, status: 'ok', found: `${state} can be made` };
    }
    const probe = join(state, `.doctor-${String(process.pid)}`);
    await mkdir(state, { recursive: true });
    await writeFile(probe, '');
    await rm(probe);
    return { check, status: 'ok', found: `${state} is writable` };
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    return { check, status: 'fail', found, advice: 'name a directory of yours with --state DIR' };
  }
}

async function checkDisk(state: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(nearestExisting(state));
  const free = bavail * bsize;
  const found = `${(free / gib).toFixed(1)} GiB free`;
  if (free < gib / 10) {
    return { check: 'disk', status: 'fail', found, advice: 'free space on that disk' };
  }
  return free >= 5 * gib
    ? { check: 'disk', status: 'ok', found }
    : {
        check: 'disk',
        status: 'warn',
        found,
        advice: 'chunks and spill files need about the size of the output twice',
      };
}

function nearestExisting(path: string): string {
  let at = path;
  while (!existsSync(at) && at !== dirname(at)) at = dirname(at);
  return at;
}

/** The kernel's `sun_path` holds 108 bytes on Linux, 104 elsewhere, the ending zero included. */
export function checkSocketPath(
  path: string,
  platform: NodeJS.Platform = process.platform,
): Finding {
  const most = (platform === 'linux' ? 108 : 104) - 1;
  const bytes = Buffer.byteLength(path);
  const found = `${String(bytes)} of ${String(most)} bytes`;
  return bytes <= most
    ? { check: 'socket path', status: 'ok', found }
    : {
        check: 'socket path',
        status: 'warn',
        found: `${found}: the socket goes to the temporary directory`,
        advice: 'name a shorter state directory with --state DIR',
      };
}

async function checkSharedMemory(path: string): Promise<Finding> {
  const check = 'shared memory';
  if (!existsSync(path)) return { check, status: 'ok', found: `${path} is not on this system` };
  const { bavail, bsize } = await statfs(path);
  const free = bavail * bsize;
  const found = `${(free / 2 ** 20).toFixed(0)} MiB free in ${path}`;
  return free >= 64 * 2 ** 20
    ? { check, status: 'ok', found }
    : { check, status: 'warn', found, advice: 'in a container, start it with --shm-size=256m' };
}
