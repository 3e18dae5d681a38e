/**
 * How long runs of models took and how many rows they had, counted in buckets: what workers measure
 * and coordinators add up. Never: single runs, of which there are thousands a second.
 */

/** Upper bounds, each inclusive; one bucket more holds what is above the last. */
export const runSecondsBounds = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const;
export const runRowsBounds = [
  1, 8, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 65_536,
] as const;

export class Distribution {
  readonly counts: number[];
  sum = 0;

  constructor(readonly bounds: readonly number[]) {
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  get count(): number {
    return this.counts.reduce((sum, each) => sum + each, 0);
  }

  observe(value: number): void {
    const above = this.bounds.findIndex((bound) => value <= bound);
    const bucket = above < 0 ? this.bounds.length : above;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += value;
  }

  /** False, and nothing is added, where that is no distribution over the same bounds. */
  add({ counts, sum }: { readonly counts: readonly number[]; readonly sum: number }): boolean {
    const sound = (value: number): boolean => Number.isFinite(value) && value >= 0;
    if (counts.length !== this.counts.length || !counts.every(sound) || !sound(sum)) return false;
    counts.forEach((count, bucket) => (this.counts[bucket] = (this.counts[bucket] ?? 0) + count));
    this.sum += sum;
    return true;
  }
}

/** Runs on one kind of device. Plain data, so that it crosses between threads. */
export interface ModelRuns {
  readonly device: string;
  readonly seconds: { readonly counts: readonly number[]; readonly sum: number };
  readonly rows: { readonly counts: readonly number[]; readonly sum: number };
}

/** Runs by device, until somebody takes them on. */
export class ModelRunsTally {
  private devices = new Map<string, { seconds: Distribution; rows: Distribution }>();

  ran(device: string, rows: number, seconds: number): void {
    const runs = this.of(device);
    runs.rows.observe(rows);
    runs.seconds.observe(seconds);
  }

  add({ device, seconds, rows }: ModelRuns): void {
    const runs = this.of(device);
    runs.seconds.add(seconds);
    runs.rows.add(rows);
  }

  /** What has come in since the last time. */
  take(): ModelRuns[] {
    const { devices } = this;
    if (devices.size === 0) return [];
    this.devices = new Map();
    return [...devices].map(([device, { seconds, rows }]) => ({
      device,
      seconds: { counts: seconds.counts, sum: seconds.sum },
      rows: { counts: rows.counts, sum: rows.sum },
    }));
  }

  private of(device: string): { seconds: Distribution; rows: Distribution } {
    let runs = this.devices.get(device);
    if (!runs) {
      runs = {
        seconds: new Distribution(runSecondsBounds),
        rows: new Distribution(runRowsBounds),
      };
      this.devices.set(device, runs);
    }
    return runs;
  }
}
