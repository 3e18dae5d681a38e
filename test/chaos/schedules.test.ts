/** kill -9 of a coordinator that fires schedules, at its writes: every run has one job, and ends. */
import { afterEach, expect, it } from 'vitest';
import { connect } from '../../client/client.js';
import { loadSchedule } from '../../client/load-schedule.js';
import type { Client } from '../../client/types.js';
import type { RunView } from '../../shared/schedule-views.js';
import { dayJob } from '../e2e/scheduled.js';
import { type Started, Workplace } from '../e2e/workplace.js';

let place: Workplace;
let client: Client | undefined;
afterEach(async () => {
  client?.close();
  await place.close();
});

const schedule = `apiVersion: windrow/v1
kind: Schedule
metadata: { name: daily }
job: job.yaml
trigger: { cronInterval: '@daily', startDate: '2026-01-01', endDate: '2026-01-03', catchup: true }
maxActiveRuns: 2
`;
const range = { from: new Date('2026-01-04'), to: new Date('2026-01-05') };

async function live(failpoint: string): Promise<{ server: Started; client: Client }> {
  const server = place.start(['dev', '--listen', '127.0.0.1:0', '--workers', '1'], {
    WINDROW_FAILPOINT: failpoint,
  });
  const [, address] = await server.says(/ready on (\S+:\d+)/);
  client?.close();
  client = connect(address!, { reconnectMs: 100 });
  return { server, client };
}

/** Says again what a coordinator may have died before hearing, then waits for all that follows. */
async function untilAllRan({ schedules }: Client): Promise<readonly RunView[]> {
  await schedules.create(await loadSchedule(place.path('daily.yaml')));
  await schedules.backfill('daily', { ...range, requestId: 'once' });
  for (;;) {
    const { runs } = await schedules.get('daily');
    if (runs.length === 5 && runs.every(({ endedAt }) => endedAt !== undefined)) return runs;
    await new Promise((go) => setTimeout(go, 50));
  }
}

it.each(['after:1', 'before:3', 'after:3', 'after:6'])(
  'at journal.commit.%s: each interval has one run, and each run one job',
  async (point) => {
    place = new Workplace();
    await place.sql(`copy (
      select timestamp '2026-01-01' + to_hours(8 * i) as seen, i as n from range(90) t(i)
    ) to '${place.path('rows.parquet')}' (format parquet)`);
    place.write('job.yaml', dayJob());
    place.write('daily.yaml', schedule);

    const [side, hit] = point.split(':') as [string, string];
    const first = await live(`journal.commit.${side}:${hit}`);
    const died = await Promise.race([
      first.server.ended.then(() => true),
      untilAllRan(first.client).then(
        () => false,
        () => true,
      ),
    ]);
    expect(died).toBe(true);
    await first.server.ended;
    expect(first.server.child.signalCode).toBe('SIGKILL');

    const second = await live('');
    const runs = await untilAllRan(second.client);
    expect(runs.map(({ state, tries }) => `${state} ${tries}`)).toEqual(
      Array(5).fill('succeeded 1'),
    );
    const jobs = await second.client.list();
    expect(jobs.map(({ name }) => name).sort()).toEqual(runs.map(({ run }) => run).sort());
    const rows = await place.sql(
      `select count(*)::int as n from '${place.path('out/*/*.parquet')}'`,
    );
    expect(rows).toEqual([{ n: 15 }]);
  },
  60_000,
);
