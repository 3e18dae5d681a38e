/** There is always an answer, and it is the right one. */
import { expect, it } from 'vitest';
import type { Event } from '../../../coordinator/core/events.js';
import { whyJob } from '../../../coordinator/scheduling/why.js';
import {
  after,
  chunkDone,
  committed,
  ended,
  failure,
  frozen,
  hello,
  J,
  jobOf,
  ref,
  started,
  submitted,
} from '../core/fixtures.js';

const cancel: Event = { type: 'job.cancel', jobId: J, reason: 'user', nowMs: 4 };
const broken: Event = { type: 'job.failed', jobId: J, failure: failure('badData'), nowMs: 4 };
const gone = { type: 'worker.disconnected', workerId: 'w1', incarnation: 'i1', nowMs: 1 } as Event;
const crash = {
  type: 'worker.exited',
  workerId: 'w1',
  incarnation: 'i1',
  crashed: true,
  nowMs: 1,
} as Event;
const single = submitted({ stages: [{ rows: [10] }] });
const finished = [single, started(ref(0)), chunkDone(ref(0), 0), ended(ref(0))];
const io = ended(ref(0), { failure: failure('io', 'E_IO_EIO'), nowMs: 0 });
const elsewhere = [
  submitted({ id: 'other', stages: [{ rows: 9 }] }),
  hello(),
  started(ref(0, 1, undefined, 'other' as never)),
];

it.each<[string, readonly Event[], string, RegExp]>([
  ['no worker', [single], 'noWorker', /no worker is connected/],
  ['a worker that is away', [single, hello(), gone], 'noWorker', /1 disconnected/],
  ['no pool', [single, hello({ pools: ['gpu'] })], 'noPool', /serves pool cpu/],
  [
    'no device',
    [submitted({ stages: [{ devices: ['cuda'] }] }), hello()],
    'noDevice',
    /has device cuda/,
  ],
  ['busy slots', [...elsewhere, single], 'busy', /only slot is busy with name-other \(other\)/],
  ['a wait', [single, hello(), started(ref(0)), io], 'backoff', /until 1970.* after E_IO_EIO/],
  ['work', [single, hello(), started(ref(0))], 'running', /1 attempt on w1/],
  ['a free slot', [single, hello()], 'placing', /placed next/],
  [
    'an earlier stage',
    [submitted({ stages: [{ rows: [10] }, { id: 's1', over: 's0' }] }), ...finished.slice(1)],
    'sizing',
    /stage s1/,
  ],
  [
    'a suspect',
    [single, hello(), started(ref(0)), crash, ...elsewhere],
    'suspect',
    /waits to run alone/,
  ],
  ['an end to come', [single, hello(), started(ref(0)), cancel], 'stopping', /1 attempt still/],
  ['the books', finished, 'committing', /checking its books/],
  ['the publication', [...finished, frozen()], 'committing', /publishing/],
  ['success', [...finished, frozen(), committed()], 'ended', /succeeded/],
  ['failure', [single, broken], 'ended', /E_TEST_BADDATA: made by a test/],
  ['the user', [single, cancel], 'ended', /cancelled/],
])('a job that waits for %s says so', (_, events, reason, answer) => {
  const state = after(...events);
  const why = whyJob(state, jobOf(state), 1);
  expect(why.detail.reason).toBe(reason);
  expect(why.answer).toMatch(answer);
});
