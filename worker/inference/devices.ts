/**
 * Which devices this process could run models on, found without making a session. Never: chooses
 * one for a step; the plan does, from what its workers reported.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Device } from '../../shared/plan.js';

export interface FoundDevice {
  readonly device: Device;
  /** False for a device emulated in software, such as SwiftShader: right, but slower than `cpu`. */
  readonly hardware: boolean;
  /** Why it is here, or why not; for people. */
  readonly reason: string;
}

export interface DeviceReport {
  /** Usable devices; `cpu` is always the first. */
  readonly devices: readonly FoundDevice[];
  /** The others, with what is missing. */
  readonly absent: readonly FoundDevice[];
}

/** What the probe looks at; tests hand in their own. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Names in a directory; empty when there is none. */
  list(directory: string): readonly string[];
  /** Text of a file; undefined when it cannot be read. */
  read(path: string): string | undefined;
  /** Directory of ONNX Runtime's shared libraries. */
  readonly runtimeDirectory: string;
}

const icdDirectories = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d'];
const softwareDrivers = /swiftshader|lvp_|lavapipe|llvmpipe/i;

export function probeDevices(around: Surroundings = machine()): Promise<DeviceReport> {
  const cpu: FoundDevice = { device: 'cpu', hardware: true, reason: 'always there' };
  const devices: FoundDevice[] = [cpu];
  const absent: FoundDevice[] = [];
  for (const { present, ...found } of [probeCuda(around), probeWebgpu(around)]) {
    (present ? devices : absent).push(found);
  }
  return Promise.resolve({ devices, absent });
}

type Probed = FoundDevice & { readonly present: boolean };

function probeCuda(around: Surroundings): Probed {
  const library = 'libonnxruntime_providers_cuda.so';
  const hasLibrary = around.list(around.runtimeDirectory).includes(library);
  const hasDevice = around.list('/dev').some((name) => /^nvidia\d+$/.test(name));
  const missing = [
    ...(hasLibrary ? [] : [`${library} is not beside ONNX Runtime`]),
    ...(hasDevice ? [] : ['there is no /dev/nvidia* device']),
  ];
  const present = missing.length === 0;
  const reason = present ? `${library} and an NVIDIA device are here` : missing.join(', and ');
  return { device: 'cuda', hardware: present, reason, present };
}

function probeWebgpu(around: Surroundings): Probed {
  if (process.platform !== 'linux') {
    const bundled = process.platform === 'win32' || process.platform === 'darwin';
    const reason = bundled ? 'bundled for this platform' : 'not bundled for this platform';
    return { device: 'webgpu', hardware: bundled, reason, present: bundled };
  }
  const drivers = vulkanDrivers(around);
  const hardware = drivers.find((path) => !isSoftware(path, around));
  const driver = hardware ?? drivers[0];
  const reason = driver
    ? `Vulkan driver ${driver}${hardware ? '' : ' (software)'}`
    : 'no Vulkan driver is configured (VK_DRIVER_FILES, or a file in /usr/share/vulkan/icd.d)';
  const present = driver !== undefined;
  return { device: 'webgpu', hardware: hardware !== undefined, reason, present };
}

/** As the Vulkan loader finds them: the variables, where set, hide the directories. */
function vulkanDrivers(around: Surroundings): string[] {
  const named = around.env['VK_DRIVER_FILES'] ?? around.env['VK_ICD_FILENAMES'];
  const paths = named
    ? named.split(':').filter((path) => path !== '')
    : icdDirectories.flatMap((directory) =>
        around
          .list(directory)
          .filter((name) => name.endsWith('.json'))
          .map((name) => join(directory, name)),
      );
  return paths.filter((path) => around.read(path) !== undefined);
}

function isSoftware(path: string, around: Surroundings): boolean {
  return softwareDrivers.test(path) || softwareDrivers.test(around.read(path) ?? '');
}

function machine(): Surroundings {
  const require = createRequire(import.meta.url);
  const root = dirname(require.resolve('onnxruntime-node/package.json'));
  return {
    env: process.env,
    list: (directory) => attempt(() => readdirSync(directory)) ?? [],
    read: (path) => attempt(() => readFileSync(path, 'utf8')),
    runtimeDirectory: join(root, 'bin', 'napi-v6', process.platform, process.arch),
  };
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
