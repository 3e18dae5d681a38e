/** Values that labels can have, where there are few enough to count each from the start. */
import type { FailureKind } from '../../shared/failure.js';
import type { RunStateName } from '../../shared/schedule-views.js';
import type { JobStateName, WorkerView } from '../../shared/views.js';

const kinds: Readonly<Record<FailureKind, true>> = {
  invalidSpec: true,
  userCode: true,
  badData: true,
  io: true,
  resource: true,
  fetchFailed: true,
  workerLost: true,
  cancelled: true,
  broken: true,
};
export const failureKinds = Object.keys(kinds) as FailureKind[];

export const endedStates = [
  'succeeded',
  'failed',
  'cancelled',
  'superseded',
] as const satisfies readonly JobStateName[];

export const livingStates = [
  'queued',
  'running',
  'committing',
  'stopping',
  'suspended',
] as const satisfies readonly JobStateName[];

export const livingRunStates = [
  'queued',
  'running',
  'stopping',
  'retrying',
] as const satisfies readonly RunStateName[];

export const endedRunStates = [
  'succeeded',
  'failed',
  'cancelled',
  'skipped',
] as const satisfies readonly RunStateName[];

export const workerStates = [
  'connected',
  'disconnected',
  'draining',
] as const satisfies readonly WorkerView['state'][];

/** Workers name their devices themselves; what is none of these counts as other. */
export const devices: ReadonlySet<string> = new Set(['cpu', 'cuda', 'webgpu']);
