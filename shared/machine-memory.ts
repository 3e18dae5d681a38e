/** How much memory there is for this process and those it starts. Never: how much of it is free. */
import { totalmem } from 'node:os';

/** The machine's memory, or what the control group (a container, for one) has of it; in bytes. */
export function machineMemoryBytes(
  machine = totalmem(),
  // 0, nothing or more than there is: no limit.
  constrained = process.constrainedMemory() as number | undefined,
): number {
  return constrained ? Math.min(machine, constrained) : machine;
}
