/** Schedule specs as users write them: defaults, meaning, and what is wrong with them, located. */
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { WindrowError, type Failure } from '../../shared/failure.js';
import { scheduleSchemaText } from '../../shared/job-schema.js';
import { parseScheduleText, validateSchedule } from '../../shared/schedule-file.js';
import {
  assetSchema,
  overlapPolicies,
  scheduleSpecSchema,
  triggerSchema,
  webhookSchema,
} from '../../shared/schedule-spec.js';
import { runVariables } from '../../shared/schedule-variables.js';
import { reprocessPolicies, runKinds, runStateNames } from '../../shared/schedule-views.js';
import { assetTriggerOf, instantOf, timetableOf } from '../../shared/schedule-meaning.js';

const head = 'apiVersion: windrow/v1\nkind: Schedule\nmetadata: { name: nightly }\njob: job.yaml\n';
const specWith = (trigger: string, more = ''): string => `${head}trigger: ${trigger}\n${more}`;

function problemsOf(text: string): readonly Failure[] {
  try {
    parseScheduleText(text, 'nightly.yaml');
  } catch (error) {
    if (error instanceof WindrowError) return error.problems;
    throw error;
  }
  throw new Error('nothing is wrong with it');
}

describe('a schedule', () => {
  test('gets its defaults', () => {
    expect(parseScheduleText(specWith("{ cronInterval: '@daily' }"))).toMatchObject({
      params: {},
      trigger: { timezone: 'UTC', catchup: false },
      maxActiveRuns: 1,
      overlap: 'wait',
      dependsOnPast: false,
      retries: { count: 0, delay: 'PT5M' },
    });
  });

  test('is the same as JSON', () => {
    const text = specWith('{ delta: PT1H, startDate: 2026-01-01 }', 'timeout: PT2H');
    expect(validateSchedule(parse(text))).toEqual(parseScheduleText(text));
  });

  test.each([
    ['{ cronInterval: "@daily" }', { kind: 'cronInterval', cron: '@daily', timezone: 'UTC' }],
    ['{ cronTrigger: "0 6 * * mon" }', { kind: 'cronTrigger', cron: '0 6 * * mon' }],
    ['{ delta: PT90M }', { kind: 'delta', everyMs: 5_400_000 }],
    [
      '{ cronInterval: "@daily", timezone: Europe/Berlin, startDate: 2026-07-01, endDate: "2026-07-02T00:00:00Z" }',
      { startDateMs: Date.UTC(2026, 5, 30, 22), endDateMs: Date.UTC(2026, 6, 2) },
    ],
    ['{ assetOrTime: { asset: { files: a }, delta: PT90M } }', { everyMs: 5_400_000 }],
  ])('with trigger %s has that timetable', (trigger, timetable) => {
    expect(timetableOf(parseScheduleText(specWith(trigger)).trigger)).toMatchObject(timetable);
  });
});

test('a schedule of data sets has their condition, and no timetable', () => {
  const text = specWith('{ asset: { all: [{ files: a }, { any: [{ name: b, output: c }] }] } }');
  const { trigger } = parseScheduleText(text);
  expect(timetableOf(trigger)).toBeUndefined();
  expect(assetTriggerOf(trigger)).toEqual({
    checkEveryMs: 30_000,
    condition: {
      all: [
        { asset: { name: 'a', kind: 'files', path: 'a' } },
        { any: [{ asset: { name: 'b', kind: 'output', path: 'c' } }] },
      ],
    },
  });
});

describe('what is wrong with a schedule is said where it stands', () => {
  test.each([
    ['a cron expression that never fires', '{ cronInterval: "0 0 31 2 *" }', /never fires/, 26],
    ['one that is none', '{ cronTrigger: "61 * * * *" }', /'61' as minute/, 25],
    ['a zone that is none', '{ delta: PT1H, timezone: Mars/Utopia }', /not a time zone/, 35],
    ['an interval of zero', '{ delta: PT0S }', /no time at all/, 19],
    [
      'an end before the start',
      '{ delta: PT1H, startDate: 2026-02-01, endDate: 2026-01-01 }',
      /ends before it starts/,
      57,
    ],
    ['catchup from nowhere', '{ delta: PT1H, catchup: true }', /no date to catch up from/, 34],
    ['a day that does not exist', '{ delta: PT1H, startDate: 2026-02-30 }', /not a date/, 36],
    ['a date in words', '{ delta: PT1H, startDate: yesterday }', /must be a date/, 36],
    ['nothing about when', '{ timezone: UTC }', /says nothing about when/, 10],
    ['two ways to say when', '{ delta: PT1H, cronTrigger: "@daily" }', /cronTrigger already/, 12],
    ['catchup without a calendar', '{ asset: { files: a }, catchup: true }', /no calendar/, 33],
    ['a start without one', '{ asset: { files: a }, startDate: 2026-01-01 }', /no calendar/, 33],
    ['looks at nothing', '{ delta: PT1H, checkEvery: PT1M }', /no data set to look at/, 25],
    ['a data set or no time', '{ assetOrTime: { asset: { files: a } } }', /about when/, 25],
    ['no data set', '{ asset: { name: a } }', /names no data set/, 19],
    ['two in one', '{ asset: { files: a, output: b } }', /there is output already/, 21],
    ['a name of several', '{ asset: { name: a, all: [{ files: b }] } }', /only a data set/, 21],
    ['two of one name', '{ asset: { any: [{ files: a }, { output: a }] } }', /is called 'a'/, 51],
    ['a glob', '{ asset: { files: a/*.parquet } }', /no glob/, 28],
    ['a prefix of an output', '{ asset: { output: a* } }', /no glob/, 29],
    ['a variable', '{ asset: { files: "a/{{ ds }}" } }', /no run yet/, 28],
    [
      'too many',
      `{ asset: { all: [${'{ any: [{ files: a }] },'.repeat(51)}] } }`,
      /at most 50/,
      26,
    ],
  ])('%s', (_what, trigger, message, col) => {
    const [problem, ...more] = problemsOf(specWith(trigger));
    expect(more).toEqual([]);
    expect(problem).toMatchObject({ kind: 'invalidSpec', code: 'E_SPEC_INVALID' });
    expect(problem?.message).toMatch(message);
    expect(problem?.at).toEqual({ file: 'nightly.yaml', line: 5, col });
  });

  test('a job, with the verb that takes it, and nothing else of it', () => {
    const job =
      'apiVersion: windrow/v1\nkind: Job\nmetadata: { name: j }\nsources: {}\noutputs: []\n';
    expect(problemsOf(job)).toMatchObject([
      { at: { line: 2 }, message: 'kind: this is a Job, not a Schedule' },
    ]);
    expect(problemsOf(job)[0]?.hint).toContain('windrow run');
  });

  test('all of it at once, with the nearest name for a field that is unknown', () => {
    const text = specWith('{ cronIntervall: "@daily" }', 'maxActiveRuns: 0\noverlap: skipp\n');
    expect(problemsOf(text).map(({ code, at, hint }) => [code, at?.line, hint])).toEqual([
      ['E_SPEC_UNKNOWN_FIELD', 5, "did you mean 'cronInterval'"],
      ['E_SPEC_INVALID', 6, undefined],
      ['E_SPEC_INVALID', 7, "did you mean 'skip'"],
    ]);
  });

  test.each([
    ['onFailure: { url: example.com }', /no address that can be called/],
    ['onSuccess: { url: "ftp://example.com/x" }', /no address that can be called/],
    ['onSuccess: { url: "https://me:secret@example.com/x" }', /holds a password/],
    ['onFailure: { url: "https://example.com", timeout: PT0S }', /no time at all/],
    ['onFailure: { url: "https://example.com", timeout: PT11M }', /longer than ten minutes/],
    ['startWithin: PT1H', /no calendar/],
  ])('%s', (line, message) => {
    const [problem, ...more] = problemsOf(specWith('{ asset: { files: a } }', line));
    expect(more).toEqual([]);
    expect(problem).toMatchObject({ code: 'E_SPEC_INVALID', at: { line: 6 } });
    expect(problem?.message).toMatch(message);
  });

  test('a misspelled field of a data set, with the nearest name', () => {
    const [problem] = problemsOf(specWith('{ asset: { all: [{ fles: a }] } }'));
    expect(problem).toMatchObject({ code: 'E_SPEC_UNKNOWN_FIELD', hint: "did you mean 'files'" });
  });

  test('a job instead of a schedule', () => {
    const [problem] = problemsOf(specWith('{ delta: PT1H }').replace('Schedule', 'Job'));
    expect(problem).toMatchObject({ at: { line: 2 } });
  });
});

describe('dates and times', () => {
  test.each([
    ['2026-01-31', 'UTC', Date.UTC(2026, 0, 31)],
    ['2026-01-31T06:00', 'America/New_York', Date.UTC(2026, 0, 31, 11)],
    ['2026-01-31T06:00:00.5Z', 'America/New_York', Date.UTC(2026, 0, 31, 6, 0, 0, 500)],
    ['2026-01-31T06:00:30+05:30', 'UTC', Date.UTC(2026, 0, 31, 0, 30, 30)],
    ['2026-01-31T06:00-01:00', 'UTC', Date.UTC(2026, 0, 31, 7)],
  ])('%s in %s', (text, zone, ms) => {
    expect(instantOf(text, zone)).toBe(ms);
  });

  test.each(['2026', 'now', '2026-13-01', '2026-04-31T00:00', '2026-01-01T25:00', ''])(
    '%j is none',
    (text) => {
      expect(() => instantOf(text, 'UTC')).toThrow(/is not a date or time/);
    },
  );
});

describe('docs/SCHEDULES.md', () => {
  const page = readFileSync(new URL('../../docs/SCHEDULES.md', import.meta.url), 'utf8');

  test('shows the schedule of the examples', () => {
    const shown = /```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
    const example = readFileSync(new URL('../../examples/nightly.yaml', import.meta.url), 'utf8');
    expect(example).toContain(shown);
    expect(parseScheduleText(shown).metadata.name).toBe('nightly');
  });

  test('shows schedules that are sound', () => {
    const shown = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text ?? '');
    expect(shown.map((text) => parseScheduleText(text).metadata.name)).toEqual([
      'nightly',
      'reports',
    ]);
  });

  test('names every field of a schedule, every variable and every state of a run', () => {
    const { shape } = scheduleSpecSchema;
    const parts = [triggerSchema, assetSchema, webhookSchema].map((each) =>
      Object.keys(each.shape),
    );
    const fields = [...Object.keys(shape), ...parts.flat(), ...overlapPolicies];
    const words = [...fields, ...runVariables, ...runStateNames, ...runKinds, ...reprocessPolicies];
    const unsaid = words.filter((word) => !new RegExp(`\\b${word}\\b`).test(page));
    expect(unsaid).toEqual([]);
  });
});

describe('the JSON Schema', () => {
  const committed = readFileSync(
    new URL('../../schema/schedule.schema.json', import.meta.url),
    'utf8',
  );

  test('that is committed is what the zod schema says now', () => {
    expect(committed, 'run npm run schema').toBe(scheduleSchemaText());
  });

  test('takes a good schedule, and neither none nor two ways to say when', () => {
    const takes = new Ajv({ allowUnionTypes: true }).compile(JSON.parse(committed) as object);
    const check = (trigger: string): boolean => takes(parse(specWith(trigger)));
    expect(check("{ cronInterval: '@daily', catchup: true, startDate: '2026-01-01' }")).toBe(true);
    expect(check('{ timezone: UTC }')).toBe(false);
    expect(check("{ delta: PT1H, cronInterval: '@daily' }")).toBe(false);
    expect(check('{ asset: { all: [{ files: a }, { any: [{ output: b }] }] } }')).toBe(true);
    expect(check('{ assetOrTime: { asset: { files: a }, delta: PT1H } }')).toBe(true);
    expect(check('{ assetOrTime: { asset: { files: a } } }')).toBe(false);
    expect(check('{ asset: { all: [{ files: a, output: b }] } }')).toBe(false);
  });
});
