/** What is asked of the rows of `wide-rows.ts`, and the same rows by arithmetic, without joining or sorting. SQL only. */
import { groupRows, payloadOf, rowOf, rowsSql } from './wide-rows.js';

export interface Operator {
  /** Over the table `wide`. */
  readonly sql: string;
  /** The same rows, from their numbers alone. */
  readonly expected: string;
  readonly columns: readonly string[];
  /** The column by which the rows come in order, where that was asked. */
  readonly orderedBy?: string;
}

/** Rows whose `k` lie among so many make one partition of a window. */
const windowRows = 1000;

/** Each computes its hash from what it has brought together: no payload can be left out on the way. */
export const operators: Readonly<Record<string, (rows: number) => Operator>> = {
  /** Half of the rows with half of the rows. */
  join: (rows) => ({
    sql: `select a.i as i, b.i as j, hash(a.p, b.p) as h from wide a join wide b on a.i = b.k
      where a.i % 2 = 0 and b.k % 2 = 0`,
    expected: `select i, j, hash(${payloadOf('i')}, ${payloadOf('j')}) as h
      from (select i, ${rowOf('i', rows)} as j from range(0, ${rows}, 2) t(i))`,
    columns: ['i', 'j', 'h'],
  }),

  aggregate: (rows) => {
    const members = Array.from({ length: groupRows }, (_, k) =>
      rowOf(`g * ${groupRows} + ${k}`, rows),
    );
    return {
      sql: `select k // ${groupRows} as g, count(*) as n, sum(i)::bigint as s, hash(min(p)) as h from wide group by 1`,
      expected: `select g, ${groupRows}::bigint as n, (${members.join(' + ')})::bigint as s,
          hash(least(${members.map(payloadOf).join(', ')})) as h
        from range(${rows / groupRows}) t(g)`,
      columns: ['g', 'n', 's', 'h'],
    };
  },

  sort: (rows) => ({
    sql: 'select i, k, p from wide order by k',
    expected: rowsSql(rows),
    columns: ['i', 'k', 'p'],
    orderedBy: 'k',
  }),

  /** In partitions that many slots can share. */
  window: (rows) => windowOf(rows, `partition by k // ${windowRows} order by k`, windowRows),

  /** One partition of all rows, which one slot has to hold. */
  'window-all': (rows) => windowOf(rows, 'order by k', rows),
};

function windowOf(rows: number, over: string, partitionRows: number): Operator {
  const before = payloadOf(rowOf('(k - 1)', rows));
  return {
    sql: `select i, row_number() over (${over}) as n, hash(p, lag(p) over (${over})) as h from wide`,
    expected: `select i, k % ${partitionRows} + 1 as n,
        hash(${payloadOf('i')}, case when k % ${partitionRows} > 0 then ${before} end) as h
      from (select k, ${rowOf('k', rows)} as i from range(${rows}) t(k))`,
    columns: ['i', 'n', 'h'],
  };
}
