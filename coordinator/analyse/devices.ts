/** Chooses the device a model runs on, from what workers have said they have. Pure. */
import type { Failure } from '../../shared/failure.js';
import type { Device } from '../../shared/plan.js';

export type RequestedDevice = 'auto' | 'cpu' | 'gpu' | 'cuda' | 'webgpu';

export interface DeviceFacts {
  /** False while no worker has said what it has. */
  readonly known: boolean;
  readonly devices: readonly string[];
  /** Those that are real: a software Vulkan device runs `webgpu` and is slower than the CPU. */
  readonly hardware: readonly string[];
}

export type DeviceChoice =
  { readonly device: Device; readonly reason: string } | { readonly failure: Failure };

export function chooseDevice(requested: RequestedDevice, facts: DeviceFacts): DeviceChoice {
  switch (requested) {
    case 'cpu':
      return { device: 'cpu', reason: 'asked for' };
    case 'cuda':
    case 'webgpu':
      return has(facts, requested)
        ? { device: requested, reason: 'asked for' }
        : unavailable(requested, facts);
    case 'gpu':
      if (facts.devices.includes('cuda')) return { device: 'cuda', reason: 'gpu asked for' };
      if (has(facts, 'webgpu')) return { device: 'webgpu', reason: 'gpu asked for, no cuda' };
      return unavailable(requested, facts);
    case 'auto':
      return automatic(facts);
  }
}

function automatic(facts: DeviceFacts): DeviceChoice {
  if (!facts.known) return { device: 'cpu', reason: 'no worker has said what devices it has' };
  if (facts.devices.includes('cuda')) return { device: 'cuda', reason: 'a worker has it' };
  if (!facts.devices.includes('webgpu')) {
    return { device: 'cpu', reason: 'no worker has a GPU that can be used' };
  }
  return facts.hardware.includes('webgpu')
    ? { device: 'webgpu', reason: 'a worker has it, and none has cuda' }
    : { device: 'cpu', reason: 'the only webgpu device is software' };
}

/** What nobody knows of yet may come: the job then waits for a worker that has it. */
function has(facts: DeviceFacts, device: Device): boolean {
  return !facts.known || facts.devices.includes(device);
}

function unavailable(requested: string, facts: DeviceFacts): DeviceChoice {
  const there = facts.devices.length > 0 ? facts.devices.join(', ') : 'none';
  return {
    failure: {
      kind: 'invalidSpec',
      code: 'E_DEVICE_UNAVAILABLE',
      message: `device '${requested}' was asked for; workers have: ${there}`,
      hint: 'write device: auto or cpu, or start a worker that has it (windrow doctor shows devices)',
    },
  };
}
