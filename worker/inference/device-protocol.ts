/** What crosses a device channel. Structured clone both ways; answers may come in any order. */
import type { Failure } from '../../shared/failure.js';
import type { Tensors } from './host-tensor.js';
import type { ModelSource } from './session-options.js';

export interface LoadModel {
  readonly type: 'load';
  readonly id: number;
  /** Names the session from here on; equal keys share one. */
  readonly model: string;
  readonly source: ModelSource;
}

export interface RunFeeds {
  readonly type: 'run';
  readonly id: number;
  readonly model: string;
  readonly feeds: Tensors;
  readonly rows: number;
  /** Rows of a run that others may join; 0 keeps it alone. */
  readonly joinRows: number;
}

export type DeviceRequest = LoadModel | RunFeeds;

export type DeviceAnswer =
  | { readonly id: number; readonly results: Tensors }
  | { readonly id: number; readonly failure: Failure };
