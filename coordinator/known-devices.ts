/**
 * What devices the workers of a pool have said they have, with a wait for the first of them to speak
 * where some are on their way. Never: chooses one.
 */
import type { DeviceFacts } from './analyse/devices.js';

export type DeviceNames = Pick<DeviceFacts, 'devices' | 'hardware'>;
type WorkerDevices = DeviceNames & { readonly pools: readonly string[] };

export interface ExpectedDevices {
  /** How long the first hello may take; 0 where no worker was started. */
  readonly waitMs: number;
  /** What this machine has; asked where no worker spoke in time. */
  readonly local: () => Promise<DeviceNames>;
}

export class KnownDevices {
  private readonly byWorker = new Map<string, WorkerDevices>();
  private waiting: (() => void)[] = [];

  /** @param expected undefined where workers come from elsewhere, now or later */
  constructor(private readonly expected: ExpectedDevices | undefined) {}

  heard(worker: string, devices: WorkerDevices): void {
    this.byWorker.set(worker, devices);
    for (const wake of this.waiting.splice(0)) wake();
  }

  gone(worker: string): void {
    this.byWorker.delete(worker);
  }

  /** Of an empty pool nothing is known, whatever others have: what it will have may come. */
  async facts(pool: string): Promise<DeviceFacts> {
    if (this.byWorker.size === 0 && this.expected) {
      if (this.expected.waitMs > 0) await this.firstHello(this.expected.waitMs);
      if (this.byWorker.size === 0) return { known: true, ...(await this.expected.local()) };
    }
    const all = [...this.byWorker.values()].filter(
      ({ pools }) => pools.includes(pool) || pools.includes('*'),
    );
    return {
      known: all.length > 0,
      devices: [...new Set(all.flatMap(({ devices }) => devices))],
      hardware: [...new Set(all.flatMap(({ hardware }) => hardware))],
    };
  }

  private firstHello(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
