/**
 * A model as a vectorised scalar function inside a DuckDB statement: columns in, predictions out,
 * at most 2,048 rows a call. Never: awaits inside the callback, or lets a row vanish: each one is
 * run, becomes NULL where the step says so, or is reported dead.
 */
import { BIGINT, BOOLEAN, DuckDBScalarFunction, LIST, ARRAY, STRUCT } from '@duckdb/node-api';
import type { DuckDBDataChunk, DuckDBType, DuckDBVector } from '@duckdb/node-api';
import { WindrowError, fail, toFailure } from '../../shared/failure.js';
import type { Failure } from '../../shared/failure.js';
import type { InferStep, TensorInput } from '../../shared/plan.js';
import { startDeviceThread } from './device-thread.js';
import type { DeviceChannel, DeviceThread } from './device-thread.js';
import { elementTypes } from './host-tensor.js';
import type { HostTensor, RunnableModel, Tensors } from './host-tensor.js';
import { outputWriter } from './outputs.js';
import type { OutputWriter } from './outputs.js';
import { padRows } from './pad-rows.js';
import { rawVector, structChild, vectorItems, writeItems } from './raw-vectors.js';
import { RowMarks, rowFit, rowMisshapen, rowNull } from './row-marks.js';
import type { RowProblem } from './row-marks.js';
import { runOrFail, runOrSetAside } from './run-rows.js';
import { sessionOptions } from './session-options.js';
import type { ModelSource } from './session-options.js';
import { SessionCache } from './sessions.js';
import { canRunSynchronously, loadSync } from './sync-run.js';
import { inputReader } from './tensors.js';
import type { InputReader } from './tensors.js';
