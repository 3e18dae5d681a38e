import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  claimOutput,
  claimOutputs,
  holdsClaim,
  releaseClaims,
} from '../../../coordinator/commit/claim-files.js';
import type { Claim } from '../../../coordinator/commit/claims.js';
import { lockStateDirectory } from '../../../coordinator/journal/state-lock.js';
import { LocalStore } from '../../../shared/storage/local-store.js';
import { claimPath } from '../../../shared/storage/paths.js';
import { claimOf } from './fixture.js';

const place = () => mkdtempSync(join(tmpdir(), 'windrow-claims-'));
const store = new LocalStore();
const nobody = () => false;
const everybody = () => true;
const busy = { failure: { code: 'E_OUTPUT_BUSY' } };

const claimIn = async (output: string): Promise<Claim> =>
  JSON.parse((await store.get(claimPath(output)))?.toString('utf8') ?? 'null') as Claim;

describe('the claim of an output', () => {
  it('is had by one job, which may ask again, and is free after its release', async () => {
    const output = place();
    const self = claimOf('j1');
    expect(await claimOutput(store, output, self, everybody)).toBe(true);
    expect(await claimOutput(store, output, self, everybody)).toBe(false);
    expect(await holdsClaim(store, output, claimOf('j2'))).toBe(false);
    await releaseClaims(store, [output], claimOf('j2'));
    expect(await holdsClaim(store, output, self)).toBe(true);
    await releaseClaims(store, [output], self);
    expect(await holdsClaim(store, output, self)).toBe(false);
    expect(await claimOutput(store, output, claimOf('j2'), everybody)).toBe(true);
  });

  it('tells the second writer who has it', async () => {
    const output = place();
    await claimOutput(store, output, { ...claimOf('j1'), host: 'far', pid: 77 }, everybody);
    const second = claimOutput(store, output, claimOf('j2'), nobody);
    await expect(second).rejects.toMatchObject(busy);
    await expect(second).rejects.toThrow(/job j1 \(n\) of process 77 on far, since 1970/);
  });

  it('passes from an ended job to the next of the same state directory', async () => {
    const output = place();
    await claimOutput(store, output, claimOf('j1'), everybody);
    await expect(claimOutput(store, output, claimOf('j2'), everybody)).rejects.toMatchObject(busy);
    expect(await claimOutput(store, output, claimOf('j2'), nobody)).toBe(true);
    expect((await claimIn(output)).job).toBe('j2');
  });

  it('is taken from another state directory only while nobody holds that', async () => {
    const [output, theirs] = [place(), place()];
    await claimOutput(store, output, claimOf('j1', theirs), everybody);
    const lock = lockStateDirectory(theirs);
    await expect(claimOutput(store, output, claimOf('j2'), nobody)).rejects.toMatchObject(busy);
    if (!lock.busy) lock.release();
    expect(await claimOutput(store, output, claimOf('j2'), nobody)).toBe(true);
  });

  it('is taken from a state directory that was deleted, without making it again', async () => {
    const [output, theirs] = [place(), place()];
    await claimOutput(store, output, claimOf('j1', theirs), everybody);
    rmSync(theirs, { recursive: true });
    expect(await claimOutput(store, output, claimOf('j2'), nobody)).toBe(true);
    expect(await store.list(theirs)).toEqual([]);
  });

  it('is never taken from another host', async () => {
    const output = place();
    const far = { ...claimOf('j1', '/nowhere'), host: 'far' };
    await claimOutput(store, output, far, everybody);
    await expect(claimOutput(store, output, claimOf('j2'), nobody)).rejects.toMatchObject(busy);
    const sameDirectory = claimOf('j2', '/nowhere');
    await expect(claimOutput(store, output, sameDirectory, nobody)).rejects.toMatchObject(busy);
  });

  it('goes to exactly one of many who want a dead one and then live', async () => {
    const output = place();
    await claimOutput(store, output, claimOf('j0', join(place(), 'gone')), everybody);
    const locks = Array.from({ length: 6 }, () => {
      const directory = place();
      return { directory, lock: lockStateDirectory(directory) };
    });
    const results = await Promise.allSettled(
      locks.map(({ directory }, n) =>
        claimOutput(store, output, claimOf(`j${n + 1}`, directory), everybody),
      ),
    );
    for (const { lock } of locks) if (!lock.busy) lock.release();
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect((await claimIn(output)).job).toMatch(/^j[1-6]$/);
  });

  it('that cannot be read is nobody’s to take', async () => {
    const output = place();
    await store.create(claimPath(output), Buffer.from('{'));
    await expect(claimOutput(store, output, claimOf('j1'), nobody)).rejects.toMatchObject(busy);
  });

  it('is taken for all outputs of a job or for none', async () => {
    const [one, two] = [place(), place()].sort() as [string, string];
    await claimOutput(store, two, { ...claimOf('other'), host: 'far' }, everybody);
    const self = claimOf('j1');
    await expect(claimOutputs(store, [two, one], self, everybody)).rejects.toMatchObject(busy);
    expect(await holdsClaim(store, one, self)).toBe(false);
  });
});
