/** Follows a job to its end, every event told once, whoever works on it. Never: says how it looks. */
import type { EventView, JobView } from '../shared/views.js';
import type { Client } from './types.js';

/** How far a job was followed, so that whoever follows it next tells no event twice. */
export interface Followed {
  jobId?: string;
  lastSeq: number;
}

export interface Listener {
  accepted(view: JobView): void;
  event(event: EventView): void;
}

/** Resolves with the ended job. @throws the signal's reason when it is aborted */
export async function followJob(
  client: Client,
  jobId: string,
  listener: Listener,
  signal: AbortSignal,
  followed: Followed = { lastSeq: 0 },
): Promise<JobView> {
  if (followed.jobId !== jobId) Object.assign(followed, { jobId, lastSeq: 0 });
  listener.accepted(await client.get(jobId));
  const afterSeq = followed.lastSeq;
  for await (const event of client.events(jobId, { follow: true, signal, afterSeq })) {
    followed.lastSeq = Math.max(followed.lastSeq, event.seq);
    listener.event(event);
  }
  signal.throwIfAborted();
  // The stream may end a moment before the job is put away; `wait` answers at once if it has ended.
  return client.wait(jobId, { signal });
}
