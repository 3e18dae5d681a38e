/**
 * A coordinator's metrics in the text format of Prometheus; docs/METRICS.md lists them. Never: a label
 * whose values users make, such as a job's name, so that their number is bounded.
 */
import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';
import { type ModelRuns, runRowsBounds, runSecondsBounds } from '../../shared/model-runs.js';
import type { Journal } from '../journal/journal.js';
import { BucketHistogram } from './bucket-histogram.js';
import { EventCounts } from './event-counts.js';
import { devices } from './labels.js';
import { type Observed, stateGauges } from './state-gauges.js';

/** From a tenth of a millisecond to ten seconds. */
const appendSeconds = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 10];

/** Gauges that prom-client calls totals, which Prometheus' own check of names refuses. */
const misnamed = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

export class Metrics {
  /** For the loop, in place of the core's own. */
  readonly transition: EventCounts['transition'];
  private readonly registry = new Registry();
  private readonly runSeconds: BucketHistogram;
  private readonly runRows: BucketHistogram;
  private readonly journalTook: Histogram;
  private readonly journaled: Counter;

  constructor(observed: Observed) {
    const { registry } = this;
    this.transition = new EventCounts(registry).transition;
    stateGauges(observed, registry);
    this.runSeconds = new BucketHistogram(
      'windrow_model_run_seconds',
      'How long runs of models took, waiting for the device included.',
      'device',
      runSecondsBounds,
      registry,
    );
    this.runRows = new BucketHistogram(
      'windrow_model_run_rows',
      'Rows in one run of a model.',
      'device',
      runRowsBounds,
      registry,
    );
    const registers = [registry];
    this.journalTook = new Histogram({
      name: 'windrow_journal_append_seconds',
      help: 'From asking the journal to keep events until they are durable.',
      buckets: appendSeconds,
      registers,
    });
    this.journaled = new Counter({
      name: 'windrow_journal_events_total',
      help: 'Events handed to the journal.',
      registers,
    });
    collectDefaultMetrics({ register: registry });
    for (const name of misnamed) registry.removeSingleMetric(name);
  }

  /** The loop's journal, timed from the call to the answer: its turn in the queue is part of it. */
  journal(journal: Pick<Journal, 'append' | 'snapshot'>): Pick<Journal, 'append' | 'snapshot'> {
    return {
      append: async (epoch, events, notices) => {
        this.journaled.inc(events.length);
        const done = this.journalTook.startTimer();
        await journal.append(epoch, events, notices);
        done();
      },
      snapshot: (epoch, jobs) => journal.snapshot(epoch, jobs),
    };
  }

  /** What workers tell of the models they run. */
  modelRuns(runs: readonly ModelRuns[]): void {
    for (const { device, seconds, rows } of runs) {
      const known = devices.has(device) ? device : 'other';
      this.runSeconds.add(known, seconds);
      this.runRows.add(known, rows);
    }
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }
}
