import { mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../../shared/chunk-identity.js';
import type { Failure, WindrowError } from '../../../shared/failure.js';
import type { ChunkFile } from '../../../shared/plan.js';
import { verifyInputs } from '../../../worker/attempt/inputs.js';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-inputs-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function file(name: string, content = `rows of ${name}`): ChunkFile {
  const path = join(directory, name);
  writeFileSync(path, content);
  return { path, rows: 1, bytes: content.length, sha256: sha256Hex(content), partition: [] };
}

/** What is wrong with these; nothing looks at `later` unless something is wrong before. */
async function failureOf(now: ChunkFile[], later: ChunkFile[] = []): Promise<Failure | undefined> {
  try {
    await verifyInputs(
      now,
      () => later,
      () => undefined,
    );
    return undefined;
  } catch (error) {
    return (error as WindrowError).failure;
  }
}

describe('chunk files that are about to be rewritten', () => {
  it('are read when they are what they were, however large or small', async () => {
    const large = file('large', 'x'.repeat(3 * 1024 * 1024 + 1));
    expect(await failureOf([file('a'), file('none', ''), large])).toBeUndefined();
  });

  it('are named when they are gone, cut short or changed, all of them at once', async () => {
    const [gone, short, wrong, right, laterGone] = ['g', 's', 'w', 'r', 'l'].map((name) =>
      file(name),
    );
    rmSync(gone!.path);
    truncateSync(short!.path, 3);
    writeFileSync(wrong!.path, 'rows of W');
    rmSync(laterGone!.path);
    expect(await failureOf([right!, gone!, short!, wrong!], [right!, laterGone!])).toMatchObject({
      kind: 'fetchFailed',
      code: 'E_CHUNK_LOST',
      message: 'a finished chunk is gone, and so are 3 more',
      at: { file: gone!.path },
      lost: [gone!.path, short!.path, wrong!.path, laterGone!.path],
    });
  });

  it('say what is wrong with them', async () => {
    const [short, wrong] = [file('short'), file('wrong')];
    truncateSync(short.path, 3);
    writeFileSync(wrong.path, 'rows of WRONG');
    expect((await failureOf([short]))?.message).toBe('a finished chunk has 3 of its 13 bytes');
    expect((await failureOf([wrong]))?.message).toBe('a finished chunk has another checksum');
  });

  it('that cannot be read for another reason are not taken for lost', async () => {
    const folder = { ...file('folder.tmp'), path: join(directory, 'folder') };
    mkdirSync(folder.path);
    const bytes = statSync(folder.path).size;
    await expect(
      verifyInputs(
        [{ ...folder, bytes }],
        () => [],
        () => undefined,
      ),
    ).rejects.toMatchObject({ code: 'EISDIR' });
  });
});
