/** Runs a job on this machine and gets its rows, no coordinator needed: `npx tsx examples/client/embedded.ts`. */
import { job, parquet, runEmbedded, WindrowError } from 'windrow';

const spending = await job('spending')
  .source('people', parquet('../.quickstart/examples/people.parquet'))
  .aggregate('byCountry', {
    from: 'people',
    by: ['country'],
    measures: { people: 'count(*)', spent: 'sum(spent)' },
  })
  .output({ from: 'byCountry', parquet: '../.quickstart/examples/out/spending', mode: 'overwrite' })
  .load('examples');

try {
  const done = await runEmbedded(spending, {
    workers: 1,
    onEvent: ({ event }) => console.log(event),
    collect: ['byCountry'],
  });
  console.log(`${done.rows.in} rows in ${done.outputs[0]?.manifestHash ?? ''}`);
  for (const batch of done.batches['byCountry'] ?? []) {
    for (const row of batch) console.log(`${row?.['country']}: ${row?.['people']}`);
  }
} catch (error) {
  // Every failure has a code, a place and what to do about it.
  if (error instanceof WindrowError) console.error(error.failure);
  throw error;
}
