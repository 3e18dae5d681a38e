/**
 * Who may write an output: the claim that lies in it, and what to do about one that is there
 * already. Pure. Never: a claim taken from an owner that may still live.
 */
import type { Failure } from '../../shared/failure.js';

/** `_windrow/claim.json`, from a job's start until it ends. */
export interface Claim {
  readonly job: string;
  /** The job's name, for people. */
  readonly name: string;
  /** Absolute; its lock shows whether the owner lives. */
  readonly stateDirectory: string;
  readonly host: string;
  readonly pid: number;
  readonly sinceMs: number;
}

/** What can be found out about the owner of a claim that is not ours. */
export interface OwnerFacts {
  /** The owner's state directory is ours, and its job is not under way here any more. */
  readonly endedHere: boolean;
  /** On this host: whether nobody holds the owner's state directory; undefined: cannot be known. */
  readonly directoryFree: boolean | undefined;
}

export type ClaimDecision =
  | { readonly do: 'create' }
  | { readonly do: 'keep' }
  | { readonly do: 'takeOver' }
  | { readonly do: 'refuse'; readonly failure: Failure };

export function isHeldBy(claim: Claim | undefined, self: Pick<Claim, 'job' | 'stateDirectory'>) {
  return claim?.job === self.job && claim.stateDirectory === self.stateDirectory;
}

/** @param found `unreadable`: something lies there that is not a claim */
export function decideClaim(
  output: string,
  self: Claim,
  found: Claim | 'unreadable' | undefined,
  owner: OwnerFacts,
): ClaimDecision {
  if (found === undefined) return { do: 'create' };
  if (found === 'unreadable') return { do: 'refuse', failure: busy(output, undefined) };
  if (isHeldBy(found, self)) return { do: 'keep' };
  const dead =
    found.stateDirectory === self.stateDirectory && found.host === self.host
      ? owner.endedHere
      : found.host === self.host && owner.directoryFree === true;
  return dead ? { do: 'takeOver' } : { do: 'refuse', failure: busy(output, found) };
}

function busy(output: string, owner: Claim | undefined): Failure {
  const who = owner
    ? `job ${owner.job} (${owner.name}) of process ${owner.pid} on ${owner.host}, ` +
      `since ${new Date(owner.sinceMs).toISOString()}, state in ${owner.stateDirectory}`
    : 'a claim that cannot be read';
  return {
    kind: 'invalidSpec',
    code: 'E_OUTPUT_BUSY',
    message: `${output} is being written by ${who}`,
    at: { file: output },
    hint: 'wait for that job or cancel it; if it is gone for good, delete _windrow/claim.json there',
  };
}

export function parseClaim(text: string): Claim | 'unreadable' {
  try {
    const value = JSON.parse(text) as Partial<Claim> | null;
    const whole =
      typeof value?.job === 'string' &&
      typeof value.name === 'string' &&
      typeof value.stateDirectory === 'string' &&
      typeof value.host === 'string' &&
      typeof value.pid === 'number' &&
      typeof value.sinceMs === 'number';
    return whole ? (value as Claim) : 'unreadable';
  } catch {
    return 'unreadable';
  }
}
