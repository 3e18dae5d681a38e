/** A schedule made ready to travel, with the job of its runs. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadSchedule, readSchedule } from '../../client/load-schedule.js';
import type { JobSpec } from '../../shared/job-spec.js';
import { failureOf } from './job-server.js';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'windrow-schedule-'));
  mkdirSync(join(root, 'jobs'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(root, name);
  writeFileSync(path, text);
  return path;
}

function schedule(more = ''): string {
  const head = 'apiVersion: windrow/v1\nkind: Schedule\nmetadata: { name: nightly }\n';
  return write(
    'nightly.yaml',
    `${head}job: jobs/job.yaml\ntrigger: { cronInterval: "@daily" }\n${more}`,
  );
}

function job(output = 'out/{{ where }}/{{ ds }}', step = ''): void {
  const head = 'apiVersion: windrow/v1\nkind: Job\nmetadata: { name: "of-{{ ds }}" }\n';
  write(
    'jobs/job.yaml',
    `${head}params: { where: here, least: 1 }
sources: { a: { parquet: "{{ where }}/*.parquet" } }
steps: [${step}]
outputs: [{ from: a, parquet: "${output}" }]
`,
  );
}

test('its job has params and absolute paths, and keeps what each run will say', async () => {
  job(undefined, '{ id: s, filter: { from: a, where: "day = $ds and n > $least" } }');
  const loaded = await loadSchedule(schedule('params: { where: there, least: 5 }'));
  const spec = JSON.parse(loaded.job.specJson) as JobSpec;
  expect(loaded.name).toBe('nightly');
  expect(spec.params).toEqual({ where: 'there', least: 5 });
  expect(spec.sources['a']?.parquet).toBe(join(root, 'jobs/there/*.parquet'));
  expect(spec.outputs[0]?.parquet).toBe(join(root, 'jobs/out/there/{{ ds }}'));
  expect(spec.metadata.name).toBe('of-{{ ds }}');
});

test.each([
  ['a job that is not there', 'E_SPEC_MISSING', 'job: nothing.yaml', undefined],
  ['a param that the job lacks', 'E_UNKNOWN_PARAM', 'params: { x: 1 }', undefined],
  ['a param of another type', 'E_PARAM_INVALID', 'params: { least: many }', undefined],
  ['a template with an unknown variable', 'E_UNKNOWN_VARIABLE', '', 'out/{{ dss }}'],
  ['SQL with an unknown variable', 'E_UNKNOWN_PARAM', '', 'out', 'day = $dss and at > $ts'],
])('%s is refused', async (_what, code, more, output, where?: string) => {
  job(output, where && `{ id: s, filter: { from: a, where: "${where}" } }`);
  const path = schedule(more.startsWith('job:') ? '' : more);
  if (more.startsWith('job:')) {
    const text = `apiVersion: windrow/v1\nkind: Schedule\nmetadata: { name: n }\n${more}\ntrigger: { delta: PT1H }\n`;
    write('nightly.yaml', text);
  }
  expect(await failureOf(loadSchedule(path))).toMatchObject({ kind: 'invalidSpec', code });
});

test('a model that would be another one each night is refused', async () => {
  job(
    'out',
    '{ id: s, infer: { from: a, model: "m-{{ ds }}.onnx", inputs: { x: n }, outputs: { y: p } } }',
  );
  const failure = await failureOf(loadSchedule(schedule()));
  expect(failure).toMatchObject({ code: 'E_SPEC_INVALID' });
  expect(failure.message).toContain('cannot vary from run to run');
});

test('to read a schedule alone needs no job', async () => {
  rmSync(join(root, 'jobs/job.yaml'), { force: true });
  expect((await readSchedule(schedule())).job).toBe('jobs/job.yaml');
});
