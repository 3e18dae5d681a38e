/** What `import … from 'windrow'` gives: the published surface, and nothing else. */
export { job, parquet, JobBuilder } from './builder.js';
export type {
  OutputInput,
  ParamInput,
  Reading,
  SourceInput,
  StepBody,
  StepInput,
} from './builder.js';
export { connect } from './client.js';
export { runEmbedded, type EmbeddedResult, type RunEmbeddedOptions } from './embedded.js';
export { loadJob, prepareJob, type LoadOptions } from './load.js';
export { loadSchedule, readSchedule } from './load-schedule.js';
export type { BackfillOptions, NextOptions, Schedules, TriggerOptions } from './schedules.js';
export type {
  Client,
  ConnectOptions,
  LoadedJob,
  LoadedSchedule,
  LocalFile,
  RetryOptions,
  SubmitOptions,
} from './types.js';
export {
  WindrowError,
  type Failure,
  type FailureKind,
  type FailureLocation,
} from '../shared/failure.js';
export type { Manifest, ManifestFile, ManifestOrigin, Origin } from '../shared/manifest.js';
export type { ColumnDef } from '../shared/plan.js';
export type { JobSpec, JobSpecInput } from '../shared/job-spec.js';
export type {
  EventView,
  JobStateName,
  JobView,
  OutputView,
  ProgressView,
  RowTotals,
  WhyView,
  WorkerView,
} from '../shared/views.js';
export type { ScheduleSpec, ScheduleSpecInput } from '../shared/schedule-spec.js';
export type { AssetEvent, AssetEvents, AssetFacts } from '../shared/asset-condition.js';
export type { RunTimes } from '../shared/calendar/intervals.js';
export type {
  AssetView,
  BackfillPreview,
  BackfillView,
  ReprocessPolicy,
  RunView,
  ScheduleView,
  WebhookView,
} from '../shared/schedule-views.js';
