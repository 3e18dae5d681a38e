/**
 * What callers hand in, made ready as the client makes it ready, as far as no file has to be read for
 * it: params set, templates pasted. Never: judges whether it may run.
 */
import type * as z from 'zod';
import type { SubmitRequest } from '../../shared/gen/windrow.js';
import type { scheduleRequestShape } from '../../shared/http-schedule-shapes.js';
import type { jobRequestShape } from '../../shared/http-shapes.js';
import type { files } from '../../shared/http-values.js';
import { validateSchedule } from '../../shared/schedule-file.js';
import { runVariables } from '../../shared/schedule-variables.js';
import { validateSpec } from '../../shared/spec-file.js';
import { applyParams } from '../../shared/spec-params.js';
import { pasteTemplates } from '../../shared/spec-paths.js';

type Params = Readonly<Record<string, string | number | boolean>>;

/** @throws WindrowError of kind invalidSpec, codes as in docs/ERRORS.md */
export function submitRequest(
  { spec, params, files }: z.output<typeof jobRequestShape>,
  requestId = '',
): SubmitRequest {
  return {
    requestId,
    specJson: jobText(spec, params),
    files: uploaded(files),
    redoDeadLetters: false,
  };
}

/** @throws WindrowError of kind invalidSpec, for the schedule as for its job */
export function scheduleRequest({ spec, job, files }: z.output<typeof scheduleRequestShape>): {
  readonly specJson: string;
  readonly job: Pick<SubmitRequest, 'specJson' | 'files'>;
} {
  const schedule = validateSchedule(spec);
  return {
    specJson: JSON.stringify(schedule),
    job: { specJson: jobText(job, schedule.params, runVariables), files: uploaded(files) },
  };
}

/** @param later variables that get their values with each run */
function jobText(value: unknown, params: Params, later: readonly string[] = []): string {
  const set = Object.entries(params).map(([name, param]) => `${name}=${String(param)}`);
  const written = applyParams(validateSpec(value, { variables: later }), set);
  const pasted = pasteTemplates(written, later);
  return JSON.stringify(validateSpec(pasted, { variables: later }));
}

function uploaded(given: z.output<typeof files>): SubmitRequest['files'] {
  const entries = Object.entries(given).map(([path, file]) => {
    const external = file.external.map((each) => ({ ...each, external: [] }));
    return [path, { ...file, external }] as const;
  });
  return Object.fromEntries(entries);
}
