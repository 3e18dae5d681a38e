import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openJournal } from '../../coordinator/journal/sqlite-journal.js';
import { journalContract } from './journal.js';

journalContract('the SQLite journal', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'windrow-journal-'));
  const journal = openJournal(directory);
  return {
    journal,
    reopen: async () => {
      await journal.close();
      return openJournal(directory);
    },
  };
});
