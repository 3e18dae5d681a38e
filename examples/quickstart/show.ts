/**
 * Last half of the quickstart: compares predictions with a session of its own, balances the books, and
 * prints the head of the result. Ends with 1 when something is wrong.
 */
import path from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { quickstartDirectory } from './data.js';
import { features } from './features.js';

const sampleRows = 4096;
const tolerance = 1e-5;

const orders = path.join(quickstartDirectory, 'data/orders/*/*/*.parquet');
const scored = path.join(quickstartDirectory, 'out/scored/**/*.parquet');
const instance = await DuckDBInstance.create();
const connection = await instance.connect();

async function query(sql: string): Promise<unknown[][]> {
  return (await connection.runAndReadAll(sql)).getRowsJson();
}

const columns = features.map((feature) => `(${feature})::float`).join(', ');
const sample = await connection.runAndReadAll(
  `select ${columns}, churn::double from read_parquet('${scored}')
   order by hash(order_id) limit ${sampleRows}`,
);
const rows = sample.getRows() as number[][];
const x = Float32Array.from(rows.flatMap((row) => row.slice(0, features.length)));
const session = await InferenceSession.create(path.join(quickstartDirectory, 'models/churn.onnx'), {
  intraOpNumThreads: 1,
});
const answer = await session.run({ x: new Tensor('float32', x, [rows.length, features.length]) });
const expected = answer['score']!.data as Float32Array;
const worst = Math.max(...rows.map((row, k) => Math.abs(row[features.length]! - expected[k]!)));
const agrees = rows.length > 0 && worst <= tolerance;

const [[rowsIn] = []] = await query(`select count(*) from read_parquet('${orders}')`);
const [[rowsOut, distinct] = []] = await query(
  `select count(*), count(distinct order_id) from read_parquet('${scored}')`,
);
const [[worthy] = []] = await query(
  `select count(*) from read_parquet('${orders}') where amount >= 5`,
);
const balanced = rowsOut === worthy && rowsOut === distinct;

console.log(
  `\n${rowsIn} orders in, ${rowsOut} scored, ${Number(rowsIn) - Number(rowsOut)} filtered`,
);
console.log(
  `every order that should be there is there once: ${balanced ? 'yes' : `NO (${worthy} should be)`}`,
);
console.log(
  `${rows.length} predictions against a session of our own: worst difference ${worst.toExponential(1)}`,
);
console.log('\nthe orders of those most likely to leave:\n');
const head = await connection.runAndReadAll(
  `select order_id, country, day::varchar as day, amount, visits, days_since_last as idle, round(churn::double, 4) as chance
   from read_parquet('${scored}') order by churn desc, order_id limit 8`,
);
console.table(head.getRowObjectsJson());
connection.closeSync();
instance.closeSync();
if (!agrees || !balanced) process.exit(1);
