/** What `import … from 'windrow'` gives: the published surface, and nothing else. */
export { job, parquet, JobBuilder } from './builder.js';
export { connect } from './client.js';
export { loadJob, prepareJob, type LoadOptions } from './load.js';
export { loadSchedule, readSchedule } from './load-schedule.js';
export type { BackfillOptions, Schedules, TriggerOptions } from './schedules.js';
export type {
  Client,
  ConnectOptions,
  LoadedJob,
  LoadedSchedule,
  LocalFile,
  SubmitOptions,
} from './types.js';
export { WindrowError, type Failure, type FailureKind } from '../shared/failure.js';
export type { JobSpec, JobSpecInput } from '../shared/job-spec.js';
export type { EventView, JobView, ProgressView, WhyView, WorkerView } from '../shared/views.js';
export type { ScheduleSpec, ScheduleSpecInput } from '../shared/schedule-spec.js';
export type {
  BackfillPreview,
  BackfillView,
  ReprocessPolicy,
  RunView,
  ScheduleView,
} from '../shared/schedule-views.js';
