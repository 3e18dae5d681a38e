/** Appends one event at a time for ever and prints the number of each that is durable. */
import { openJournal } from '../../../coordinator/journal/sqlite-journal.js';
import { jobId } from '../../../shared/ids.js';

async function main(): Promise<void> {
  const journal = openJournal(process.argv[2] ?? '');
  const epoch = await journal.acquire();
  for (let n = 1; ; n += 1) {
    await journal.append(epoch, [
      { type: 'job.cancel', jobId: jobId('j'), reason: 'user', nowMs: n },
      { type: 'job.cancel', jobId: jobId('k'), reason: 'user', nowMs: n },
    ]);
    process.stdout.write(`${n}\n`);
  }
}

void main();
