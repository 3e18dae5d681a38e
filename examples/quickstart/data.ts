/**
 * Makes the quickstart's data: about two million orders, hive-partitioned by day and country, and a
 * labelled history to train on. Every value is a hash of its row number, so all runs make equal rows.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';

export const quickstartDirectory = path.resolve(import.meta.dirname, '../../.quickstart');

const days = ['14', '15', '16', '17', '18', '19', '20', '21'].map((day) => `2026-11-${day}`);
/** Rows of one day, in thousands: people of larger countries order more. */
const countries = { DE: 90, FR: 70, NO: 30, SE: 60 };
const historyRows = 30_000;

/** A random number that depends on the row `i` and on what it is for. DuckDB's hashes of (i, 'a') and
 * (i, 'b') are correlated; hashed once more, they are not. */
const pick = (what: string, row = 'i'): string => `hash(hash(${row}, '${what}'))`;
/** A double in [0, 1). */
const uniform = (what: string, row?: string): string =>
  `(${pick(what, row)} >> 11) / 9007199254740992.0`;
/** Roughly normal, mean 0, deviation 1: the sum of four uniforms, scaled. */
const normal = (what: string): string =>
  `((${[1, 2, 3, 4].map((part) => uniform(`${what}${part}`)).join(' + ')}) - 2) * 1.732`;

/** Orders of rows [from, to), all columns but those that the path holds. */
function ordersSql(day: string, from: number, to: number): string {
  return `
    select
      i::bigint as order_id,
      (${pick('user')} % 400000)::integer as user_id,
      timestamp '${day} 00:00:00' + to_microseconds((${uniform('time')} * 86400e6)::bigint) as ordered_at,
      round(exp(3.4 + 0.9 * ${normal('amount')}), 2)::decimal(12, 2) as amount,
      case when ${uniform('noAge')} < 0.06 then null
           else least(90, greatest(18, 41 + 14 * ${normal('age')}))::integer end as age,
      (1 + 30 * pow(${uniform('visits')}, 2))::integer as visits,
      (180 * pow(${uniform('gap')}, 3))::integer as days_since_last,
      (5 * pow(${uniform('tickets')}, 4))::smallint as tickets,
      ${uniform('member')} < 0.35 as is_member,
      case when ${uniform('coupon')} < 0.8 then null
           else 'SAVE' || (5 * (1 + ${pick('rate')} % 5)) end as coupon,
      ['web', 'app', 'store', 'phone'][(1 + ${pick('channel')} % 4)::integer] as channel,
      list_transform(range((1 + ${pick('items')} % 5)::bigint),
                     lambda item: (hash(hash(i, item)) % 5000)::integer) as skus
    from range(${from}, ${to}) as rows(i)`;
}

/** What the model has to find out: the habits behind leaving, with some chance in it. */
const churnLogit = `
  -1.2 + 0.022 * days_since_last - 0.09 * visits + 0.55 * tickets
  - 0.9 * is_member::integer - 0.015 * (coalesce(age, 41) - 41) - 0.004 * amount::double`;

async function copyTo(connection: DuckDBConnection, query: string, file: string): Promise<void> {
  mkdirSync(path.dirname(file), { recursive: true });
  await connection.run(`copy (${query}) to '${file}.part' (format parquet, compression snappy)`);
  renameSync(`${file}.part`, file);
}

/** Makes what is missing. Returns the number of orders. */
export async function makeData(directory = quickstartDirectory): Promise<number> {
  const data = path.join(directory, 'data');
  const jobs: { file: string; query: string }[] = [];
  let row = 0;
  for (const day of days) {
    for (const [country, thousands] of Object.entries(countries)) {
      const file = path.join(data, 'orders', `day=${day}`, `country=${country}`, 'part-0.parquet');
      jobs.push({ file, query: ordersSql(day, row, row + thousands * 1000) });
      row += thousands * 1000;
    }
  }
  const first = 1_000_000_000;
  const history = `with past as (${ordersSql('2026-10-01', first, first + historyRows)})
    select *, ${uniform('left', 'order_id')} < 1 / (1 + exp(-(${churnLogit}))) as churned
    from past`;
  jobs.push({ file: path.join(data, 'history.parquet'), query: history });

  const missing = jobs.filter(({ file }) => !existsSync(file));
  const instance = await DuckDBInstance.create();
  const lanes = [0, 1].map(async () => {
    const connection = await instance.connect();
    for (let job = missing.shift(); job; job = missing.shift()) {
      rmSync(`${job.file}.part`, { force: true });
      await copyTo(connection, job.query, job.file);
    }
    connection.closeSync();
  });
  await Promise.all(lanes);
  instance.closeSync();
  return row;
}
