/** Two state directories, one output: a commit that was frozen before the other's never undoes it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { duckdb, filesBelow, startRun } from './engine.js';

let home: string;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'windrow-writers-'));
  mkdirSync(join(home, 'data'));
  for (const [name, first] of [
    ['before', 0],
    ['late', 100],
    ['newer', 200],
  ] as const) {
    const path = join(home, 'data', `${name}.parquet`);
    await duckdb(`copy (select i as id from range(${first}, ${first + 50}) t(i)) to '${path}'`);
  }
});

afterAll(() => rmSync(home, { recursive: true, force: true }));

/** A job of a state directory of its own, over the data of its name. */
function run(directory: string, name: string, mode: string, env: Record<string, string> = {}) {
  const spec = join(directory, `${name}.yaml`);
  writeFileSync(
    spec,
    `apiVersion: windrow/v1
kind: Job
metadata: { name: ${name} }
sources:
  rows: { parquet: ${join(home, 'data', `${name}.parquet`)} }
outputs:
  - { from: rows, parquet: out, mode: ${mode} }
`,
  );
  const state = ['--state', join(directory, `state-${name}`), '--workers', '1'];
  return startRun(spec, state, env).done;
}

/** First id of each job whose rows are all there, each once. */
async function firstIds(directory: string): Promise<number[]> {
  const rows = await duckdb<{ id: string }>(
    `select id from read_parquet('${directory}/out/**/*.parquet') order by id`,
  );
  const ids = rows.map(({ id }) => Number(id));
  expect(new Set(ids).size).toBe(ids.length);
  const firsts = ids.filter((id) => id % 100 === 0);
  expect(ids).toHaveLength(50 * firsts.length);
  return firsts;
}

describe('a frozen commit whose process was killed, resumed after another wrote there', () => {
  it.each([
    ['append', 'publish.removeSuccess.before', [0, 200], [0, 100, 200]],
    ['append', 'publish.manifest.after', [0, 100, 200], [0, 100, 200]],
    ['overwrite', 'publish.removeSuccess.before', [0, 200], [100]],
    ['overwrite', 'publish.trash.after', [200], [100]],
  ] as const)(
    'under %s leaves its rows alone (killed at %s), and comes after them when run again',
    async (mode, failpoint, afterNewer, afterAgain) => {
      const directory = mkdtempSync(join(home, 'case-'));
      expect((await run(directory, 'before', 'append')).code).toBe(0);

      const killed = await run(directory, 'late', mode, { WINDROW_FAILPOINT: failpoint });
      expect(killed.signal).toBe('SIGKILL');
      // What is half replaced cannot be added to, only replaced.
      const half = failpoint === 'publish.trash.after';
      const newer = await run(directory, 'newer', half ? 'overwrite' : 'append');
      expect(newer.stderr).not.toMatch(/error E_/);
      expect(await firstIds(directory)).toEqual(afterNewer);

      const before = filesBelow(join(directory, 'out'));
      const resumed = await run(directory, 'late', mode);
      expect(resumed.stderr).toMatch(/error E_SUPERSEDED_COMMIT: .*job newer/);
      expect(resumed.stderr).toMatch(/hint: .*run the job again/);
      expect(resumed.code).toBe(1);
      expect(filesBelow(join(directory, 'out'))).toEqual(before);

      const again = await run(directory, 'late', mode);
      expect(again.stderr).not.toMatch(/error E_/);
      expect(again.result?.rowsReused).toBe(50);
      expect(await firstIds(directory)).toEqual(afterAgain);
    },
    120_000,
  );

  it('under error, too, where the output was empty at first', async () => {
    const directory = mkdtempSync(join(home, 'case-'));
    const env = { WINDROW_FAILPOINT: 'publish.rename.before' };
    expect((await run(directory, 'late', 'error', env)).signal).toBe('SIGKILL');
    expect((await run(directory, 'newer', 'error')).code).toBe(0);

    const resumed = await run(directory, 'late', 'error');
    expect(resumed.stderr).toMatch(/error E_SUPERSEDED_COMMIT|error E_OUTPUT_EXISTS/);
    expect(await firstIds(directory)).toEqual([200]);
    const again = await run(directory, 'late', 'error');
    expect(again.stderr).toMatch(/error E_OUTPUT_EXISTS/);
    expect(again.code).toBe(2);
    expect(await firstIds(directory)).toEqual([200]);
  }, 120_000);
});
