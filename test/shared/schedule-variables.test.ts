import { describe, expect, test } from 'vitest';
import type { AssetChange } from '../../shared/asset-condition.js';
import { WindrowError } from '../../shared/failure.js';
import { jobOfRun, runIdOf, runVariables, variablesOf } from '../../shared/schedule-variables.js';
import { validateSpec } from '../../shared/spec-file.js';

const startMs = Date.UTC(2026, 0, 31, 6);
const run = { runId: 'r-1', startMs, endMs: startMs + 3_600_000 };
const spec = validateSpec(
  {
    apiVersion: 'windrow/v1',
    kind: 'Job',
    metadata: { name: 'any' },
    params: { ds: '1999-01-01', least: 2 },
    sources: { a: { parquet: '/in/{{ ds }}.parquet' } },
    steps: [{ id: 'b', filter: { from: 'a', where: 'day = $ds and n > $least' } }],
    outputs: [{ from: 'b', parquet: '/out/{{ ts_nodash }}' }],
  },
  { variables: runVariables },
);

test('variables are those of Airflow, in UTC', () => {
  expect(variablesOf({ ...run, previousSuccessMs: startMs - 3_600_000 })).toEqual({
    data_interval_start: '2026-01-31T06:00:00+00:00',
    data_interval_end: '2026-01-31T07:00:00+00:00',
    logical_date: '2026-01-31T06:00:00+00:00',
    ds: '2026-01-31',
    ds_nodash: '20260131',
    ts: '2026-01-31T06:00:00+00:00',
    ts_nodash: '20260131T060000',
    run_id: 'r-1',
    prev_data_interval_start_success: '2026-01-31T05:00:00+00:00',
    triggering_asset_events: '{}',
  });
});

test('a run is told of the changes that it was made for, as JSON by the names of data sets', () => {
  const change = (name: string, version: string): AssetChange => ({
    name,
    key: `files:/${name}`,
    path: `/${name}`,
    version,
    atMs: startMs,
    facts: { files: 1 },
  });
  const changes = [change('a', '1'), change('b', '1'), change('a', '2')];
  const event = (name: string, version: string) => ({
    uri: `/${name}`,
    timestamp: '2026-01-31T06:00:00.000Z',
    extra: { version, files: 1 },
  });
  expect(JSON.parse(variablesOf({ ...run, changes }).triggering_asset_events as string)).toEqual({
    a: [event('a', '1'), event('a', '2')],
    b: [event('b', '1')],
  });
});

test('where no run succeeded before, that variable is null', () => {
  expect(variablesOf(run).prev_data_interval_start_success).toBeNull();
});

describe('the job of a run', () => {
  test('has the run’s name, variables as params, and paths without templates', () => {
    const job = jobOfRun(spec, run);
    expect(job.metadata.name).toBe('r-1');
    expect(job.params).toMatchObject({ ds: '2026-01-31', least: 2, run_id: 'r-1' });
    expect(job.sources['a']?.parquet).toBe('/in/2026-01-31.parquet');
    expect(job.outputs[0]?.parquet).toBe('/out/20260131T060000');
    expect(() => validateSpec(job)).not.toThrow();
  });

  test('is refused where a path asks for what a run lacks', () => {
    const [output] = spec.outputs;
    const parquet = '/out/{{ prev_data_interval_start_success }}';
    const strange = { ...spec, outputs: [{ ...output!, parquet }] };
    const events = { ...output!, parquet: '/out/{{ triggering_asset_events }}' };
    expect(() => jobOfRun({ ...spec, outputs: [events] }, run)).toThrow(/no part of a path/);
    expect(() => jobOfRun(strange, run)).toThrow(WindrowError);
    expect(jobOfRun(strange, { ...run, previousSuccessMs: 0 }).outputs[0]?.parquet).toBe(
      '/out/1970-01-01T00:00:00+00:00',
    );
  });
});

test('ids of runs sort as their intervals do, and tell milliseconds apart', () => {
  const ids = [0, 1, 1000, startMs].map((ms) => runIdOf('n', ms));
  expect(ids[3]).toBe('n-20260131T060000');
  expect(ids[1]).toBe('n-19700101T000000.001');
  expect(new Set(ids).size).toBe(4);
  expect([...ids].sort()).toEqual(ids);
});
