/**
 * The eight tables of TPC-H as SQL over `range()`: every value is a function of the seed and the row's number, so any
 * part of a table can be made alone. Follows section 4.2.3 of the specification; the random stream is our own.
 * Never touches a file.
 */
import {
  colours,
  containerWords,
  instructions,
  modes,
  nations,
  passageLength,
  passages,
  priorities,
  regions,
  segments,
  textPool,
  typeWords,
} from './words.js';

export const tables = [
  'lineitem',
  'orders',
  'partsupp',
  'part',
  'customer',
  'supplier',
  'nation',
  'region',
] as const;
export type Table = (typeof tables)[number];

const seed = 20_261_122;
const longestComment = 198;

/** Rows that a table is numbered by, and files: those of lineitem are orders, those of partsupp are parts. */
export function sizeOf(table: Table, scale: number): { rows: number; files: number } {
  const of = (perScale: number, files: number): { rows: number; files: number } => ({
    rows: Math.round(perScale * scale),
    files: Math.ceil(files * Math.max(1, scale)),
  });
  switch (table) {
    case 'lineitem':
    case 'orders':
      return of(1_500_000, 8);
    case 'partsupp':
    case 'part':
      return of(200_000, 1);
    case 'customer':
      return of(150_000, 1);
    case 'supplier':
      return { ...of(10_000, 1), files: 1 };
    case 'nation':
      return { rows: nations.length, files: 1 };
    case 'region':
      return { rows: regions.length, files: 1 };
  }
}

/** What a connection has to run before any of the tables' queries. */
export function preparation(): string[] {
  const texts = textPool(seed).map((text) => `'${text}'`);
  return [
    `set variable pool = [${texts.join(', ')}]`,
    // Salts of a single hash correlate; a hash of the hash does not.
    `create macro pick(id, what, n) as (hash(hash(id, what, ${seed})) % n::ubigint)::bigint`,
    `create macro number(id, what, low, high) as low + pick(id, what, high - low + 1)`,
    `create macro word(id, what, words) as words[1 + pick(id, what, len(words))]`,
    `create macro cents(amount) as (amount::decimal(15, 0) * 0.01)::decimal(15, 2)`,
    `create macro text(id, what, low, high) as
      substr(getvariable('pool')[1 + pick(id, what || ' passage', ${passages})],
        1 + pick(id, what || ' start', ${passageLength - longestComment}),
        number(id, what || ' length', low, high))`,
    `create macro address(id, what) as
      left(to_base64(unhex(sha256(${seed} || what || id))), number(id, what, 10, 40)::integer)`,
    `create macro phone(id, what, nation) as (nation + 10) || '-' || number(id, what || ' 1', 100, 999) || '-' ||
      number(id, what || ' 2', 100, 999) || '-' || number(id, what || ' 3', 1000, 9999)`,
    `create macro numbered(prefix, i) as prefix || '#' || lpad(i::varchar, 9, '0')`,
    `create macro retail_cents(part) as 90000 + (part // 10) % 20001 + 100 * (part % 1000)`,
    `create macro supplier_of(part, k, suppliers) as
      (part + k * (suppliers // 4 + (part - 1) // suppliers)) % suppliers + 1`,
  ];
}

const listOf = (words: readonly string[]): string =>
  `[${words.map((word) => `'${word}'`).join(', ')}]`;

/** The rows of one file: numbers `from` (inclusive) to `to` (exclusive), counted from 0. */
export function rowsSql(table: Table, scale: number, from: number, to: number): string {
  const count = (of: Table): number => sizeOf(of, scale).rows;
  const numbers = `range(${from + 1}, ${to + 1}) as t(i)`;
  switch (table) {
    case 'region':
      return `select (i - 1)::integer as r_regionkey, ${listOf(regions)}[i] as r_name,
          text(i, 'region', 31, 115) as r_comment
        from ${numbers}`;
    case 'nation':
      return `select (i - 1)::integer as n_nationkey, ${listOf(nations.map(([name]) => name))}[i] as n_name,
          [${nations.map(([, region]) => region).join(', ')}][i]::integer as n_regionkey,
          text(i, 'nation', 31, 114) as n_comment
        from ${numbers}`;
    case 'supplier':
      return supplierSql(numbers);
    case 'customer':
      return `select i as c_custkey, numbered('Customer', i) as c_name, address(i, 'customer') as c_address,
          nation::integer as c_nationkey, phone(i, 'customer', nation) as c_phone,
          cents(number(i, 'customer balance', -99999, 999999)) as c_acctbal,
          word(i, 'segment', ${listOf(segments)}) as c_mktsegment, text(i, 'customer', 29, 116) as c_comment
        from (select i, pick(i, 'customer nation', 25) as nation from ${numbers})`;
    case 'part':
      return partSql(numbers);
    case 'partsupp':
      return `select part as ps_partkey, supplier_of(part, k, ${count('supplier')}) as ps_suppkey,
          number(id, 'available', 1, 9999) as ps_availqty,
          cents(number(id, 'supply cost', 100, 100000)) as ps_supplycost,
          text(id, 'partsupp', 49, ${longestComment}) as ps_comment
        from (select part, k, part * 4 + k as id
          from (select i as part, unnest(range(4)) as k from ${numbers}))`;
    case 'orders':
      return ordersSql(linesSql(numbers, count('part'), count('supplier')), {
        customers: count('customer'),
        clerks: Math.max(1, Math.round(1000 * scale)),
      });
    case 'lineitem':
      return `select order_key as l_orderkey, part as l_partkey, supplier as l_suppkey, line as l_linenumber,
          quantity::decimal(15, 2) as l_quantity, cents(price) as l_extendedprice,
          cents(discount) as l_discount, cents(tax) as l_tax,
          case when received > date '1995-06-17' then 'N' when pick(id, 'returned', 2) = 0 then 'R' else 'A' end
            as l_returnflag,
          status as l_linestatus, shipped as l_shipdate, committed as l_commitdate, received as l_receiptdate,
          word(id, 'instruction', ${listOf(instructions)}) as l_shipinstruct,
          word(id, 'mode', ${listOf(modes)}) as l_shipmode, text(id, 'lineitem', 10, 43) as l_comment
        from (${linesSql(numbers, count('part'), count('supplier'))})`;
  }
}

/** Of every 2,000 suppliers one has complaints in its comment and one is recommended. */
function supplierSql(numbers: string): string {
  return `
    select i as s_suppkey, numbered('Supplier', i) as s_name, address(i, 'supplier') as s_address,
      nation::integer as s_nationkey, phone(i, 'supplier', nation) as s_phone,
      cents(number(i, 'supplier balance', -99999, 999999)) as s_acctbal,
      case (i - pick(i // 2000, 'remarkable', 1000)) % 2000
        when 0 then left(comment, 10) || 'Customer ' || comment[11:30] || 'Complaints' || comment[31:60]
        when 1000 then left(comment, 10) || 'Customer ' || comment[11:30] || 'Recommends' || comment[31:60]
        else comment end as s_comment
    from (select i, pick(i, 'supplier nation', 25) as nation, text(i, 'supplier', 25, 100) as comment from ${numbers})`;
}

/** Five colours out of a turned circle of them, one from each fifth: never the same twice, each equally often anywhere. */
function partSql(numbers: string): string {
  // In steps of 35, which has no divisor in common with 92, so that neighbours in the alphabet are not neighbours here.
  const circle = colours.map((_, k) => colours[(k * 35) % colours.length] ?? '');
  const fifth = Math.floor(colours.length / 5);
  const names = Array.from(
    { length: 5 },
    (_, k) =>
      `${listOf(circle)}[1 + (turn + ${k * fifth} + pick(i, 'colour ${k}', ${fifth})) % ${colours.length}]`,
  );
  const oneOfEach = (what: string, lists: readonly (readonly string[])[]): string =>
    lists.map((words, k) => `word(i, '${what} ${k}', ${listOf(words)})`).join(` || ' ' || `);
  return `
    select i as p_partkey, ${names.join(` || ' ' || `)} as p_name, 'Manufacturer#' || manufacturer as p_mfgr,
      'Brand#' || manufacturer || number(i, 'brand', 1, 5) as p_brand,
      ${oneOfEach('type', typeWords)} as p_type, number(i, 'size', 1, 50)::integer as p_size,
      ${oneOfEach('container', containerWords)} as p_container, cents(retail_cents(i)) as p_retailprice,
      text(i, 'part', 5, 22) as p_comment
    from (select i, pick(i, 'turn', ${colours.length}) as turn, number(i, 'manufacturer', 1, 5) as manufacturer
      from ${numbers})`;
}

/** What orders and their lines are both computed from: one row a line, in the order of the keys; money in cents. */
function linesSql(numbers: string, parts: number, suppliers: number): string {
  return `
    select *, quantity * retail_cents(part) as price, supplier_of(part, offered, ${suppliers}) as supplier,
      (shipped + number(id, 'received', 1, 30)::integer)::date as received,
      case when shipped > date '1995-06-17' then 'O' else 'F' end as status
    from (
      select *, number(id, 'part', 1, ${parts}) as part, pick(id, 'supplier', 4) as offered,
        number(id, 'quantity', 1, 50) as quantity, pick(id, 'discount', 11) as discount, pick(id, 'tax', 9) as tax,
        ordered + number(id, 'shipped', 1, 121)::integer as shipped,
        ordered + number(id, 'committed', 30, 90)::integer as committed
      from (
        select i, order_key, ordered, line, order_key * 8 + line as id
        from (
          -- Of every 32 keys only eight are in use.
          select i, (i // 8) * 32 + i % 8 as order_key, date '1992-01-01' + pick(i, 'ordered', 2406)::integer as ordered,
            unnest(range(1, 2 + pick(i, 'lines', 7))) as line
          from ${numbers})))`;
}

/** A third of the customers, those whose key divides by three, orders nothing. */
function ordersSql(lines: string, counts: { customers: number; clerks: number }): string {
  const buying = counts.customers - Math.floor(counts.customers / 3);
  return `
    select order_key as o_orderkey, 3 * (buyer // 2) + buyer % 2 + 1 as o_custkey,
      case when first_status = last_status then first_status else 'P' end as o_orderstatus,
      cents(total) as o_totalprice, ordered as o_orderdate,
      word(i, 'priority', ${listOf(priorities)}) as o_orderpriority,
      numbered('Clerk', number(i, 'clerk', 1, ${counts.clerks})) as o_clerk, 0::integer as o_shippriority,
      text(i, 'orders', 19, 78) as o_comment
    from (
      select i, order_key, ordered, pick(i, 'buyer', ${buying}) as buyer,
        min(status) as first_status, max(status) as last_status,
        (sum(price * (100 - discount) * (100 + tax))::bigint + 5000) // 10000 as total
      from (${lines}) group by i, order_key, ordered)
    order by o_orderkey`;
}
