/**
 * Makes a schedule on a running coordinator and lets it make up for two days:
 * `windrow dev`, then `npx tsx examples/client/schedule.ts 127.0.0.1:7433`.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { connect, loadSchedule } from 'windrow';

const client = connect(process.argv[2] ?? '127.0.0.1:7433');
try {
  const { schedules } = client;
  const { schedule } = await schedules.create(await loadSchedule('examples/nightly.yaml'));
  const range = { from: new Date('2026-11-10'), to: new Date('2026-11-11') };
  const { backfill } = await schedules.backfill(schedule, range);
  for (;;) {
    const { state, runs } = await schedules.getBackfill(backfill);
    console.log(`${backfill} ${state}: ${runs.succeeded + runs.passed} of ${runs.total} runs done`);
    if (state !== 'running') break;
    await pause(200);
  }
  const { next } = await schedules.get(schedule);
  console.log(`next run: ${next?.runAt ?? 'none'}`);
} finally {
  client.close();
}
