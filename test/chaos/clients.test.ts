/** kill -9 of a coordinator under a client that watches, waits and asks: it notices nothing but time. */
import { afterAll, expect, it } from 'vitest';
import { connect, loadJob } from '../../client/index.js';
import type { EventView } from '../../client/index.js';
import { type Started, Workplace } from '../e2e/workplace.js';

const rows = 40_960;
const place = new Workplace();
afterAll(() => place.close());

/** A job whose chunks, all but the first, are held until the gate is there. */
function gatedJob(): string {
  place.write(
    'gate.js',
    `import { existsSync } from 'node:fs';
export async function batch(rows) {
  while (rows.getChild('i').get(0) > 0n && !existsSync(${JSON.stringify(place.path('go'))})) {
    await new Promise((go) => setTimeout(go, 20));
  }
  console.log('chunk at ' + rows.getChild('i').get(0));
  return { label: Array(rows.numRows).fill('seen') };
}
`,
  );
  return place.write(
    'job.yaml',
    `apiVersion: windrow/v1
kind: Job
metadata: { name: watched }
sources:
  numbers: { parquet: data/*.parquet }
steps:
  - { id: held, map: { from: numbers, module: gate.js, rowwise: true, reads: [i], columns: { label: VARCHAR } } }
outputs:
  - { from: held, parquet: out }
`,
  );
}

async function startCoordinator(): Promise<Started> {
  const flags = ['--state', 'state', '--allow-root', '.', '--allow-code'];
  const started = place.start(['coordinator', '--listen', '127.0.0.1:0', ...flags]);
  await started.says(/coordinator ready on/);
  return started;
}

it('events, logs and wait go on, and a call in between is answered', async () => {
  await place.numbers(rows);
  const job = await loadJob(gatedJob());
  const first = await startCoordinator();
  const endpoint = `unix:${place.path('state', 'windrow.sock')}`;
  place.start(['worker', '--coordinator', endpoint, '--slots', '1']);
  const outages: boolean[] = [];
  const onOutage = (reason?: string): void => void outages.push(reason !== undefined);
  const client = connect(endpoint, { retryMs: 30_000, onOutage });
  try {
    const { jobId } = await client.submit(job, { requestId: 'the-one' });
    const waited = client.wait(jobId);
    const heard: string[] = [];
    let heardFirst = (): void => undefined;
    const heardSome = new Promise<void>((resolve) => (heardFirst = resolve));
    const followed = (async () => {
      for await (const { text } of client.logs(jobId, { follow: true })) {
        heard.push(text);
        heardFirst();
      }
    })();
    const seen: EventView[] = [];
    let again: Promise<unknown> | undefined;
    for await (const event of client.events(jobId)) {
      seen.push(event);
      if (again || event.event !== 'progress' || Number(event['rowsDone']) === 0) continue;
      await heardSome;
      first.child.kill('SIGKILL');
      await first.ended;
      const asked = client.submit(job, { requestId: 'the-one' });
      again = startCoordinator().then(() => asked);
      expect(await again).toEqual({ jobId, existing: true });
      place.write('go', '');
    }
    expect(again).toBeDefined();
    expect(await waited).toMatchObject({ job: jobId, state: 'succeeded', rows: { out: rows } });

    expect([outages.at(0), outages.includes(false)]).toEqual([true, true]);

    const told: EventView[] = [];
    for await (const event of client.events(jobId, { follow: false })) told.push(event);
    const numbered = seen.filter(({ seq }) => seq > 0);
    expect(numbered).toEqual(told);
    expect(told.map(({ seq }) => seq)).toEqual(told.map((_, index) => index + 1));
    expect(told.at(-1)).toMatchObject({ event: 'result' });

    await followed;
    expect(new Set(heard).size).toBe(heard.length);
    expect(heard.at(0)).toMatch(/ chunk at 0$/);
    expect(heard.length).toBeGreaterThan(1);
    const kept: string[] = [];
    for await (const { text } of client.logs(jobId)) kept.push(text);
    // What the coordinator said last before it was killed it may not have written.
    expect(heard.filter((line) => kept.includes(line))).toEqual(kept);
  } finally {
    client.close();
  }
});
