/** What `import … from 'windrow'` gives: the published surface, and nothing else. */
export { job, parquet, JobBuilder } from './builder.js';
export { connect } from './client.js';
export { loadJob, prepareJob, type LoadOptions } from './load.js';
export type { Client, ConnectOptions, LoadedJob, LocalFile, SubmitOptions } from './types.js';
export { WindrowError, type Failure, type FailureKind } from '../shared/failure.js';
export type { JobSpec, JobSpecInput } from '../shared/job-spec.js';
export type { EventView, JobView, ProgressView, WhyView, WorkerView } from '../shared/views.js';
