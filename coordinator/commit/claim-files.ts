/**
 * Takes, takes over and gives back the claims of outputs. Two that would take over the same dead
 * claim exclude each other by a lock on this host. Never: judges an owner; claims.ts does.
 */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256Hex } from '../../shared/chunk-identity.js';
import { failpoint } from '../../shared/failpoint.js';
import { WindrowError, fail } from '../../shared/failure.js';
import type { ObjectStore } from '../../shared/storage/object-store.js';
import { claimPath } from '../../shared/storage/paths.js';
import { holdLock, isLocked, stateLockPath } from '../journal/state-lock.js';
import { decideClaim, isHeldBy, parseClaim, type Claim, type OwnerFacts } from './claims.js';
import { Turns } from './turns.js';

/** How often a claim may change under our eyes before we give up. */
const attemptsMax = 10;
const turns = new Turns();

/** Whether a job of our own state directory is under way. */
export type IsLive = (job: string) => boolean;

/**
 * Claims all outputs for one job, or none of them.
 * @throws WindrowError E_OUTPUT_BUSY
 */
export async function claimOutputs(
  store: ObjectStore,
  outputs: readonly string[],
  self: Claim,
  isLive: IsLive,
): Promise<void> {
  const taken: string[] = [];
  try {
    // In one order everywhere, so that two jobs with the same outputs cannot each hold half.
    for (const output of [...outputs].sort()) {
      if (await claimOutput(store, output, self, isLive)) taken.push(output);
    }
  } catch (error) {
    await releaseClaims(store, taken, self);
    throw error;
  }
}

/** Gives back what this job holds; what others hold stays. */
export async function releaseClaims(
  store: ObjectStore,
  outputs: readonly string[],
  self: Pick<Claim, 'job' | 'stateDirectory'>,
): Promise<void> {
  for (const output of outputs) {
    await turns.run(async () => {
      if (!(await holdsClaim(store, output, self))) return;
      failpoint('claim.release.before');
      await store.delete(claimPath(output));
      failpoint('claim.release.after');
    });
  }
}

export async function holdsClaim(
  store: ObjectStore,
  output: string,
  self: Pick<Claim, 'job' | 'stateDirectory'>,
): Promise<boolean> {
  const found = await readClaim(store, output);
  return found !== undefined && found.claim !== 'unreadable' && isHeldBy(found.claim, self);
}

/** True when the claim is new, false when the job held it already. */
export function claimOutput(
  store: ObjectStore,
  output: string,
  self: Claim,
  isLive: IsLive,
): Promise<boolean> {
  return turns.run(async () => {
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const found = await readClaim(store, output);
      const facts = ownerFacts(found?.claim, self, isLive);
      const decision = decideClaim(output, self, found?.claim, facts);
      switch (decision.do) {
        case 'keep':
          return false;
        case 'refuse':
          throw new WindrowError(decision.failure);
        case 'create':
          failpoint('claim.create.before');
          if (await store.create(claimPath(output), claimBytes(self))) {
            failpoint('claim.create.after');
            return true;
          }
          break;
        case 'takeOver':
          if (found && (await takeOver(store, output, self, found))) return true;
          break;
      }
    }
    return fail('io', 'E_OUTPUT_BUSY', `the claim of ${output} keeps changing`, {
      at: { file: output },
      hint: 'several jobs want to write there; run one at a time',
    });
  });
}

interface FoundClaim {
  readonly text: string;
  readonly claim: Claim | 'unreadable';
}

async function readClaim(store: ObjectStore, output: string): Promise<FoundClaim | undefined> {
  const text = (await store.get(claimPath(output)))?.toString('utf8');
  return text === undefined ? undefined : { text, claim: parseClaim(text) };
}

function ownerFacts(
  found: Claim | 'unreadable' | undefined,
  self: Claim,
  isLive: IsLive,
): OwnerFacts {
  if (found === undefined || found === 'unreadable' || found.host !== self.host) {
    return { endedHere: false, directoryFree: undefined };
  }
  if (found.stateDirectory === self.stateDirectory) {
    return { endedHere: !isLive(found.job), directoryFree: undefined };
  }
  return { endedHere: false, directoryFree: !isLocked(found.stateDirectory) };
}

/** Replaces a dead owner's claim while nobody can revive that owner or take it over beside us. */
async function takeOver(
  store: ObjectStore,
  output: string,
  self: Claim,
  found: FoundClaim,
): Promise<boolean> {
  const ours = found.claim !== 'unreadable' && found.claim.stateDirectory === self.stateDirectory;
  const lock = ours ? undefined : holdLock(lockPathFor(output, found.claim));
  if (!ours && !lock) return false;
  try {
    if ((await readClaim(store, output))?.text !== found.text) return false;
    failpoint('claim.takeOver.before');
    await store.replace(claimPath(output), claimBytes(self));
    failpoint('claim.takeOver.after');
    return true;
  } finally {
    lock?.release();
  }
}

/** A state directory that was deleted cannot come back to life; then any agreed file will do. */
function lockPathFor(output: string, claim: Claim | 'unreadable'): string {
  if (claim !== 'unreadable' && existsSync(claim.stateDirectory)) {
    return stateLockPath(claim.stateDirectory);
  }
  return join(tmpdir(), `windrow-claim-${sha256Hex(output).slice(0, 16)}.lock`);
}

function claimBytes(claim: Claim): Buffer {
  return Buffer.from(`${JSON.stringify(claim, null, 1)}\n`, 'utf8');
}
