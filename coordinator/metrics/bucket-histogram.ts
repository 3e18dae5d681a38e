/** A histogram whose buckets others have counted, in the form that prom-client's registry exposes. */
import type { Metric, Registry } from 'prom-client';
import { Distribution } from '../../shared/model-runs.js';

interface Value {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export class BucketHistogram {
  private readonly type = 'histogram';
  private readonly distributions = new Map<string, Distribution>();

  constructor(
    readonly name: string,
    readonly help: string,
    private readonly label: string,
    private readonly bounds: readonly number[],
    registry: Registry,
  ) {
    // Its registry asks a metric for no more than a name, `get` and `reset`; the type says classes.
    registry.registerMetric(this as unknown as Metric);
  }

  add(
    labelled: string,
    counted: { readonly counts: readonly number[]; readonly sum: number },
  ): void {
    const distribution = this.distributions.get(labelled) ?? new Distribution(this.bounds);
    if (distribution.add(counted)) this.distributions.set(labelled, distribution);
  }

  reset(): void {
    this.distributions.clear();
  }

  async get() {
    const { name, help, type } = this;
    const values = [...this.distributions].flatMap(([labelled, counted]) =>
      this.valuesOf({ [this.label]: labelled }, counted),
    );
    return { name, help, type, values, aggregator: 'sum' };
  }

  private valuesOf(labels: Record<string, string>, { counts, sum }: Distribution): Value[] {
    let below = 0;
    const buckets = counts.map((count, bucket): Value => {
      below += count;
      const le = this.bounds[bucket] ?? '+Inf';
      return { metricName: `${this.name}_bucket`, labels: { le, ...labels }, value: below };
    });
    return [
      ...buckets,
      { metricName: `${this.name}_sum`, labels, value: sum },
      { metricName: `${this.name}_count`, labels, value: below },
    ];
  }
}
