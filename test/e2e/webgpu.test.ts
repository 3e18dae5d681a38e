import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EventView } from '../../shared/views.js';
import { scoringJob, Workplace } from './workplace.js';

const driver =
  process.env['VK_DRIVER_FILES'] ??
  process.env['VK_ICD_FILENAMES'] ??
  '/usr/lib/chromium/vk_swiftshader_icd.json';
const required = process.env['WINDROW_REQUIRE_WEBGPU'] === '1';
const withDriver = { VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver };
const withoutDriver = { VK_DRIVER_FILES: '/nowhere.json', VK_ICD_FILENAMES: '/nowhere.json' };
const rows = 20_000;

const place = new Workplace();
beforeAll(async () => {
  await place.numbers(rows);
  place.model();
});
afterAll(() => place.close());

async function run(device: string, env: Record<string, string>) {
  const spec = place.write(
    `${device}.yaml`,
    scoringJob(`on-${device}`, { device, output: `out/${device}` }),
  );
  const { code, stdout, stderr } = await place.windrow(['run', spec, '--workers', '1'], env);
  const events = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as EventView);
  const note = events.find(({ event, kind }) => event === 'note' && kind === 'device');
  return { code, stderr, note: note?.['text'] };
}

describe('devices', () => {
  it('auto without a device in hardware runs on the cpu and says why', async () => {
    const { code, stderr, note } = await run('auto', withoutDriver);
    expect(code, stderr).toBe(0);
    expect(note).toBe('runs on cpu (no worker has a GPU that can be used)');
  });

  it.each(['webgpu', 'cuda', 'gpu'])('%s where it is not there starts nothing', async (device) => {
    const { code, stderr } = await run(device, withoutDriver);
    expect(code).toBe(2);
    expect(stderr).toContain('E_DEVICE_UNAVAILABLE');
    expect(stderr).toContain('workers have: cpu');
    const spec = place.path(`${device}.yaml`);
    const validated = await place.windrow(['validate', spec], withoutDriver);
    expect(validated.code).toBe(2);
    expect(validated.stderr).toContain('E_DEVICE_UNAVAILABLE');
  });
});

// Where no driver is, the suite shows as skipped; with WINDROW_REQUIRE_WEBGPU=1 that is a failure.
describe.runIf(required || existsSync(driver))(`a job on the Vulkan driver ${driver}`, () => {
  it('agrees with the same job on the cpu to 1e-4, and says where it ran', async () => {
    expect(existsSync(driver), `no Vulkan driver at ${driver}`).toBe(true);
    const cpu = await run('cpu', withDriver);
    expect(cpu.code, cpu.stderr).toBe(0);
    expect(cpu.note).toBe('runs on cpu (asked for)');
    const webgpu = await run('webgpu', withDriver);
    expect(webgpu.code, webgpu.stderr).toBe(0);
    expect(webgpu.note).toBe('runs on webgpu (asked for)');

    const [compared] = await place.sql<Record<'n' | 'worst' | 'scores', string | number>>(`
      select count(*) as n, max(abs(c.score - w.score)) as worst, count(distinct c.score) as scores
      from '${place.path('out/cpu')}/*.parquet' c
      join '${place.path('out/webgpu')}/*.parquet' w using (i)`);
    expect(Number(compared!.n)).toBe(rows);
    expect(Number(compared!.worst)).toBeLessThan(1e-4);
    expect(Number(compared!.scores)).toBeGreaterThan(1_000);
  }, 300_000);

  it('auto prefers the cpu to a device in software', async () => {
    const { code, stderr, note } = await run('auto', withDriver);
    expect(code, stderr).toBe(0);
    expect(note).toBe('runs on cpu (the only webgpu device is software)');
  });
});
