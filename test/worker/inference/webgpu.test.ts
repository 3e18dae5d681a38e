import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

// The software Vulkan device that Debian's chromium package brings; another one may be named.
const driver =
  process.env['VK_DRIVER_FILES'] ??
  process.env['VK_ICD_FILENAMES'] ??
  '/usr/lib/chromium/vk_swiftshader_icd.json';
const required = process.env['WINDROW_REQUIRE_WEBGPU'] === '1';

// Where no driver is, the suite shows as skipped; with WINDROW_REQUIRE_WEBGPU=1 that is a failure.
describe.runIf(required || existsSync(driver))('the webgpu provider', () => {
  it(`agrees with the cpu to 1e-5 on the Vulkan driver ${driver}`, async () => {
    expect(existsSync(driver), `no Vulkan driver at ${driver}`).toBe(true);
    const script = fileURLToPath(new URL('./score-on.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', script, 'cpu', 'webgpu'],
      {
        env: { ...process.env, VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver },
        maxBuffer: 64 * 1024 * 1024,
      },
    );
    const scores = JSON.parse(stdout) as Record<'cpu' | 'webgpu', number[][]>;
    expect(scores.cpu).toHaveLength(5_000);
    expect(scores.webgpu).toHaveLength(5_000);
    const differences = scores.cpu.flatMap((row, i) =>
      row.map((value, k) => Math.abs(value - scores.webgpu[i]![k]!)),
    );
    expect(differences).toHaveLength(15_000);
    // NaN on either side would make this NaN, which is not below anything.
    expect(differences.reduce((worst, one) => (one <= worst ? worst : one), 0)).toBeLessThan(1e-5);
    expect(new Set(scores.cpu.flat()).size).toBeGreaterThan(1_000);
  }, 300_000);
});
