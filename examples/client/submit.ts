/**
 * Hands a job over to a running coordinator, follows it, and reads its rows in Arrow batches:
 * `windrow dev`, then `npx tsx examples/client/submit.ts 127.0.0.1:7433`.
 */
import { connect, job, parquet } from 'windrow';

const client = connect(process.argv[2] ?? '127.0.0.1:7433');
try {
  const hello = await job('hello-client')
    .params({ minAge: 36 })
    .source('people', parquet('../.quickstart/examples/people.parquet'))
    .filter('grown', { from: 'people', where: 'age >= $minAge' })
    .select('greeted', { from: 'grown', columns: { '*': true, greeting: "'hello ' || name" } })
    .output({ from: 'greeted', parquet: '../.quickstart/examples/out/client', mode: 'overwrite' })
    .load('examples');
  const { jobId } = await client.submit(hello);
  // Goes on where it was if the coordinator is started anew meanwhile.
  for await (const { event } of client.events(jobId)) console.log(event);
  const { state, rows } = await client.wait(jobId);
  console.log(`${state}: ${rows.out} of ${rows.in} rows`);
  for await (const batch of client.result(jobId, 'greeted')) {
    for (const row of batch) console.log(row?.toJSON()['greeting']);
  }
} finally {
  client.close();
}
