import { describe, expect, it } from 'vitest';
import { probeDevices } from '../../../worker/inference/devices.js';
import type { Surroundings } from '../../../worker/inference/devices.js';

function around(
  files: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Surroundings {
  return {
    env,
    runtimeDirectory: '/ort',
    read: (path) => files[path],
    list: (directory) =>
      Object.keys(files)
        .filter((path) => path.startsWith(`${directory}/`))
        .map((path) => path.slice(directory.length + 1)),
  };
}

describe.runIf(process.platform === 'linux')('the devices of a machine', () => {
  it('are the cpu alone where nothing else is, with what is missing said', async () => {
    const { devices, absent } = await probeDevices(around({}));
    expect(devices).toEqual([{ device: 'cpu', hardware: true, reason: 'always there' }]);
    expect(absent.map(({ device }) => device)).toEqual(['cuda', 'webgpu']);
    expect(absent[0]!.reason).toContain('libonnxruntime_providers_cuda.so is not beside');
    expect(absent[0]!.reason).toContain('/dev/nvidia*');
    expect(absent[1]!.reason).toContain('VK_DRIVER_FILES');
  });

  it('have cuda only with both the library and a device', async () => {
    const library = { '/ort/libonnxruntime_providers_cuda.so': '' };
    const node = { '/dev/nvidia0': '' };
    const found = async (files: Record<string, string>): Promise<string[]> =>
      (await probeDevices(around(files))).devices.map(({ device }) => device);
    expect(await found(library)).toEqual(['cpu']);
    expect(await found(node)).toEqual(['cpu']);
    expect(await found({ ...library, '/dev/nvidiactl': '' })).toEqual(['cpu']);
    expect(await found({ ...library, ...node })).toEqual(['cpu', 'cuda']);
  });

  it('have webgpu with a Vulkan driver, marked as software where it is', async () => {
    const vendor = { '/usr/share/vulkan/icd.d/nvidia_icd.json': '{"library_path":"libGLX.so"}' };
    const soft = { '/chromium/icd.json': '{"library_path":"./libvk_swiftshader.so"}' };
    const webgpu = async (files: Record<string, string>, env: Record<string, string> = {}) =>
      (await probeDevices(around(files, env))).devices.find(({ device }) => device === 'webgpu');
    expect(await webgpu(vendor)).toMatchObject({ hardware: true });
    expect(await webgpu(soft)).toBeUndefined();
    const named = { VK_DRIVER_FILES: '/chromium/icd.json' };
    expect(await webgpu(soft, named)).toMatchObject({ hardware: false });
    expect(await webgpu({ ...vendor, ...soft }, named)).toMatchObject({ hardware: false });
    expect(await webgpu(vendor, named)).toBeUndefined();
  });

  it('can be found on the machine at hand', async () => {
    const { devices, absent } = await probeDevices();
    expect(devices[0]!.device).toBe('cpu');
    expect([...devices, ...absent].map(({ device }) => device).sort()).toEqual([
      'cpu',
      'cuda',
      'webgpu',
    ]);
  });
});
