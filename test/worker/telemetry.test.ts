import { expect, it } from 'vitest';
import { jobId, stageId } from '../../shared/ids.js';
import { ModelRunsTally } from '../../shared/model-runs.js';
import { Telemetry } from '../../worker/telemetry.js';

const ref = { jobId: jobId('j1'), stageId: stageId('s0'), task: 0, attempt: 1 };

it('runs of models from all threads are told by one heartbeat, once', () => {
  const telemetry = new Telemetry('w1');
  for (const rows of [512, 100]) {
    const thread = new ModelRunsTally();
    thread.ran('cpu', rows, 0.002);
    telemetry.modelRuns(thread.take());
  }
  const [cpu, ...others] = telemetry.heartbeat().modelRuns;
  expect(others).toEqual([]);
  expect(cpu).toMatchObject({ device: 'cpu', rows: { sum: 612 }, seconds: { sum: 0.004 } });
  expect(cpu!.rows!.counts.reduce((sum, count) => sum + count, 0)).toBe(2);
  expect(telemetry.heartbeat().modelRuns).toEqual([]);
});

it('lines that are too many for one heartbeat are said to be missing, and the next has room', () => {
  const telemetry = new Telemetry('w1');
  for (let k = 0; k < 1_200; k += 1) telemetry.log(ref, 'info', `line ${k}`);
  const { logs } = telemetry.heartbeat();
  expect(logs).toHaveLength(1_001);
  expect(logs.at(-1)).toMatchObject({ level: 'warn', text: expect.stringMatching(/more lines/) });
  telemetry.log(ref, 'info', 'room');
  expect(telemetry.heartbeat().logs).toMatchObject([{ text: 'j1/s0/0/1 room' }]);
});

it('log lines are told once, and rows of attempts until they end', () => {
  const telemetry = new Telemetry('w1');
  telemetry.log(ref, 'info', 'said');
  telemetry.progress(ref, 10, 20, 'computing');
  expect(telemetry.heartbeat()).toMatchObject({ logs: [{ text: 'j1/s0/0/1 said' }] });
  const later = telemetry.heartbeat();
  expect(later.logs).toEqual([]);
  expect(later.progress).toMatchObject([{ rows: 10, rowsTotal: 20 }]);
  telemetry.ended(ref);
  expect(telemetry.heartbeat().progress).toEqual([]);
});
