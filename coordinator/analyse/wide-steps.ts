/**
 * Wide steps as queries: each kind says in SQL what it means. Never: binds what it wrote, or
 * decides how it is divided among workers.
 */
import { parseByteSize } from '../../shared/byte-size.js';
import type { StepSpec } from '../../shared/job-spec.js';
import type { RowLayout } from '../../shared/plan.js';
import { quoteName } from '../../shared/sql-text.js';
import type { StepOf } from '../../shared/step-spec.js';
import { aggregateQuery } from './aggregates.js';
import type { BindContext, Relation } from './bind.js';
import { findColumn } from './expressions.js';
import { Fragments } from './fragments.js';
import { joinQuery } from './joins.js';
import { unionQuery } from './unions.js';
import type { QueryText, WideQuery } from './wide.js';
import { windowQuery } from './windows.js';

/** @param reads what the step reads, in the order of `inputsOf` */
export async function wideStepQuery(
  step: StepSpec,
  reads: readonly Relation[],
  context: BindContext,
): Promise<WideQuery | undefined> {
  const fragments = new Fragments(step.id, reads, context);
  const text = await queryText(step, reads, fragments, context);
  if (!text) return undefined;
  const { usesClock } = fragments;
  const deterministic = fragments.deterministic && text.deterministic !== false;
  return { ...text, id: step.id, reads, deterministic, usesClock };
}

async function queryText(
  step: StepSpec,
  reads: readonly Relation[],
  fragments: Fragments,
  context: BindContext,
): Promise<QueryText | undefined> {
  const from = reads[0]!;
  if ('join' in step) return joinQuery(step.join, [from, reads[1]!], fragments);
  if ('union' in step) return unionQuery(step, reads);
  if ('aggregate' in step) return aggregateQuery(step.aggregate, from, fragments);
  if ('window' in step) return windowQuery(step.window, from, fragments, context);
  if ('distinct' in step) return distinctQuery(step.distinct, from, fragments);
  if ('sort' in step) {
    return { sql: `${all(from)} order by ${await fragments.orders(step.sort.by, 'by')}` };
  }
  if ('limit' in step) return limitQuery(step.limit, from, fragments);
  if ('sample' in step) return sampleQuery(step.sample, from, context.nowMs);
  if ('repartition' in step) return repartitionQuery(step, from);
  return undefined;
}

function all(from: Relation): string {
  return `select * from ${quoteName(from.id)}`;
}

async function distinctQuery(
  { keys, order }: StepOf<'distinct'>['distinct'],
  from: Relation,
  fragments: Fragments,
): Promise<QueryText> {
  if (keys === undefined) return { sql: `select distinct * from ${quoteName(from.id)}` };
  const at = { step: fragments.step };
  const columns = keys.map((key) => quoteName(findColumn(key, from.columns, at).name));
  const within = `partition by ${columns.join(', ')} order by ${await fragments.orders(order!, 'order')}`;
  return { sql: `${all(from)} qualify row_number() over (${within}) = 1` };
}

async function limitQuery(
  { rows, offset, order }: StepOf<'limit'>['limit'],
  from: Relation,
  fragments: Fragments,
): Promise<QueryText> {
  const sorted = order ? ` order by ${await fragments.orders(order, 'order')}` : '';
  const skipped = offset === undefined ? '' : ` offset ${offset}`;
  return {
    sql: `${all(from)}${sorted} limit ${rows}${skipped}`,
    deterministic: order !== undefined,
  };
}

/** Rows are chosen by what is in them, so that whoever chooses takes the same. */
function sampleQuery(
  { fraction, rows, seed }: StepOf<'sample'>['sample'],
  from: Relation,
  nowMs: number,
): QueryText {
  const columns = from.columns.map((column) => quoteName(column.name));
  const hash = `hash(${[...columns, `${seed ?? nowMs}::bigint`].join(', ')})`;
  const chosen =
    fraction === undefined
      ? `order by ${hash} limit ${rows}`
      : `where ${hash} <= ${share(fraction)}`;
  return { sql: `${all(from)} ${chosen}`, deterministic: seed !== undefined };
}

/** The part of all 64-bit numbers that lie at or below it is `fraction`. */
function share(fraction: number): string {
  const scale = 2 ** 53;
  const highest = (BigInt(Math.round(fraction * scale)) << 11n) - 1n;
  return `${highest < 0n ? 0n : highest}::ubigint`;
}

function repartitionQuery({ id, repartition }: StepOf<'repartition'>, from: Relation): QueryText {
  const { partitions, keys, targetFileSize } = repartition;
  const layout: RowLayout = {
    ...(partitions === undefined ? {} : { partitions }),
    ...(keys === undefined
      ? {}
      : { keys: keys.map((key) => findColumn(key, from.columns, { step: id }).name) }),
    ...(targetFileSize === undefined ? {} : { targetBytes: parseByteSize(targetFileSize) }),
  };
  return { sql: all(from), layout };
}
