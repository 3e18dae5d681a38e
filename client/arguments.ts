/**
 * What programs give to the client, checked before anything is done with it: not all of them are
 * compiled against its types. Never: what a job or a schedule says; who reads it checks it.
 */
import { fail } from '../shared/failure.js';
import { reprocessPolicies } from '../shared/schedule-views.js';

/** @throws WindrowError E_USAGE that names the argument and says what to give */
export type Check = (name: string, value: unknown) => void;

const int32Max = 2 ** 31 - 1;
/** As on the command line. */
const countMax = 10_000;
const workersMax = 1024;

export const text = kind('text', isText);
const flag = kind('true or false', (value) => typeof value === 'boolean');
const callback = kind('a function', (value) => typeof value === 'function');
const signal = kind('an AbortSignal', (value) => value instanceof AbortSignal);
const date = kind(
  'a Date that is valid',
  (value) => value instanceof Date && !Number.isNaN(value.getTime()),
);
const milliseconds = kind(
  'a number of milliseconds, Infinity for no end',
  (value) => typeof value === 'number' && value >= 0,
);
const texts = kind('a list of texts', isTexts);
const settings = kind(
  "a list of 'name=value', or values by name",
  (value) => isTexts(value) || isObject(value),
);
const policy = kind(`one of ${reprocessPolicies.join(', ')}`, (value) =>
  (reprocessPolicies as readonly unknown[]).includes(value),
);
const files = kind('files as a loaded job has them, a Map of LocalFile', isFiles);

export const paths: Check = (name, value) => {
  if (!isText(value)) kind('a path or a list of them', isTexts)(name, value);
};

export const loadedJob = kind(
  'what loadJob, prepareJob or the load of a builder resolves with',
  isLoadedJob,
);
export const loadedSchedule = kind('what loadSchedule resolves with', isLoadedSchedule);

const tlsFiles = members('paths of PEM files', {
  ca: optional(text),
  cert: optional(text),
  key: optional(text),
});
const interval = members('an interval, { start, end }', { start: date, end: date });

export const connectOptions = options({
  token: text,
  tls: tlsFiles,
  timeoutMs: milliseconds,
  retryMs: milliseconds,
  reconnectMs: milliseconds,
  onOutage: callback,
});
export const submitOptions = options({ requestId: text, redoDeadLetters: flag });
export const previewOptions = options({ step: text, rows: whole(1, int32Max), signal });
export const listOptions = options({ state: text, limit: whole(1, int32Max) });
export const eventsOptions = options({
  afterSeq: whole(0, Number.MAX_SAFE_INTEGER),
  follow: flag,
  signal,
});
export const waitOptions = options({ timeoutMs: milliseconds, signal });
export const retryOptions = options({ onlyDeadLetters: flag, requestId: text, files });
export const resultOptions = options({ maxRows: whole(1, Number.MAX_SAFE_INTEGER), signal });
export const logsOptions = options({ follow: flag, signal });
export const nextOptions = options({ from: date, count: whole(1, countMax) });
export const triggerOptions = options({ interval, requestId: text });
export const backfillOptions = members('what the backfill is of, { from, to }', {
  from: date,
  to: date,
  reprocess: optional(policy),
  maxActiveRuns: optional(whole(1, int32Max)),
  reverse: optional(flag),
  many: optional(flag),
  requestId: optional(text),
});
export const embeddedOptions = options({
  state: text,
  workers: whole(1, workersMax),
  onEvent: callback,
  collect: texts,
  signal,
});
export const loadOptions = options({ set: settings, later: texts, bundleDirectory: text });

function kind(wanted: string, holds: (value: unknown) => boolean): Check {
  return (name, value) => {
    if (holds(value)) return;
    fail('invalidSpec', 'E_USAGE', `${name} is ${shown(value)}`, { hint: `give ${wanted}` });
  };
}

function whole(least: number, most: number): Check {
  const wanted = `a whole number from ${least} to ${most}`;
  return kind(
    wanted,
    (value) => Number.isInteger(value) && least <= Number(value) && Number(value) <= most,
  );
}

function optional(check: Check): Check {
  return (name, value) => {
    if (value !== undefined) check(name, value);
  };
}

/** An object with all of these, and whatever else. */
function members(wanted: string, checks: Readonly<Record<string, Check>>): Check {
  const object = kind(wanted, isObject);
  return (name, value) => {
    object(name, value);
    for (const [member, check] of Object.entries(checks)) {
      check(`${name}.${member}`, (value as Readonly<Record<string, unknown>>)[member]);
    }
  };
}

/** An object with any of these. */
function options(checks: Readonly<Record<string, Check>>): Check {
  const all = Object.entries(checks).map(([name, check]) => [name, optional(check)] as const);
  return members('an object of options', Object.fromEntries(all));
}

/** Not what somebody forgot to await. */
function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  const isOther = Array.isArray(value) || value instanceof Promise;
  return typeof value === 'object' && value !== null && !isOther;
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every(isText);
}

function isLoadedJob(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { name, specJson, directory } = value;
  return [name, specJson, directory].every(isText) && isFiles(value['files']);
}

function isLoadedSchedule(value: unknown): boolean {
  if (!isObject(value)) return false;
  return [value['name'], value['specJson']].every(isText) && isLoadedJob(value['job']);
}

function isFiles(value: unknown): boolean {
  return value instanceof Map && [...(value as Map<unknown, unknown>).values()].every(isFile);
}

function isFile(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { digest, bytes, name, path, external } = value;
  if (![digest, name, path].every(isText) || !Number.isInteger(bytes)) return false;
  return Array.isArray(external) && external.every(isFile);
}

/** Never a text itself, which may be a secret. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Promise) return 'a promise';
  if (value instanceof Date)
    return `a Date${Number.isNaN(value.getTime()) ? ' that is invalid' : ''}`;
  switch (typeof value) {
    case 'string':
      return 'text';
    case 'object':
      return value === null ? 'null' : 'an object';
    case 'function':
    case 'symbol':
    case 'bigint':
      return `a ${typeof value}`;
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value);
  }
}
