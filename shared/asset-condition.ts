/**
 * Data sets that a schedule waits for, and conditions of them: which change is needed for a run, and
 * what a run is told of those it was made for. Never: looks at data, decides when a run is made.
 */
import type { AssetSpec, ScheduleSpec } from './schedule-spec.js';

/** `output`: what a job publishes there. `files`: a file, a directory, or with `*` at its end a prefix. */
export interface Asset {
  readonly name: string;
  readonly kind: 'output' | 'files';
  /** Absolute once a client has loaded it. */
  readonly path: string;
}

export type AssetCondition =
  | { readonly asset: Asset }
  | { readonly all: readonly AssetCondition[] }
  | { readonly any: readonly AssetCondition[] };

export interface AssetTrigger {
  readonly condition: AssetCondition;
  readonly checkEveryMs: number;
}

/** One change of one asset, as it was seen. */
export interface AssetChange {
  readonly name: string;
  readonly key: string;
  readonly path: string;
  /** SHA-256 (hex): of an output its manifest's hash, of files one over names, sizes and times. */
  readonly version: string;
  /** When it was seen, ms since 1970. */
  readonly atMs: number;
  /** Of an output `job` and `rows`; of both `files` and `bytes`. */
  readonly facts: AssetFacts;
}
export type AssetFacts = Readonly<Record<string, string | number>>;

/** Changes by the name of their asset, oldest first: Airflow's `triggering_asset_events`. */
export type AssetEvents = Readonly<Record<string, readonly AssetEvent[]>>;
export interface AssetEvent {
  readonly uri: string;
  /** ISO 8601 in UTC. */
  readonly timestamp: string;
  readonly extra: AssetFacts;
}

/** The condition that a valid spec means; an asset without a name is called by its path. */
export function conditionOf(spec: AssetSpec): AssetCondition {
  if (spec.all) return { all: spec.all.map(conditionOf) };
  if (spec.any) return { any: spec.any.map(conditionOf) };
  const path = spec.output ?? spec.files ?? '';
  const kind = spec.output === undefined ? 'files' : 'output';
  return { asset: { name: spec.name ?? path, kind, path } };
}

/** A copy of a schedule's spec with the path of each data set replaced by what `change` makes of it. */
export function mapAssetPaths(
  spec: ScheduleSpec,
  change: (path: string, field: Asset['kind']) => string,
): ScheduleSpec {
  const mapped = (asset: AssetSpec): AssetSpec => ({
    ...asset,
    ...(asset.output === undefined ? {} : { output: change(asset.output, 'output') }),
    ...(asset.files === undefined ? {} : { files: change(asset.files, 'files') }),
    ...(asset.all ? { all: asset.all.map(mapped) } : {}),
    ...(asset.any ? { any: asset.any.map(mapped) } : {}),
  });
  const { asset, assetOrTime } = spec.trigger;
  const trigger = {
    ...spec.trigger,
    ...(asset ? { asset: mapped(asset) } : {}),
    ...(assetOrTime ? { assetOrTime: { ...assetOrTime, asset: mapped(assetOrTime.asset) } } : {}),
  };
  return { ...spec, trigger };
}

/** Every asset once. */
export function assetsOf(condition: AssetCondition): Asset[] {
  const found = new Map<string, Asset>();
  const visit = (each: AssetCondition): void => {
    if ('asset' in each) found.set(assetKey(each.asset), each.asset);
    else for (const part of partsOf(each)) visit(part);
  };
  visit(condition);
  return [...found.values()];
}

/** What tells an asset from another, whatever it is called. */
export function assetKey({ kind, path }: Pick<Asset, 'kind' | 'path'>): string {
  return `${kind}:${path}`;
}

/**
 * What is still needed, given the assets that have changed; undefined: nothing, it is met.
 * @param changed by key
 */
export function awaitedOf(
  condition: AssetCondition,
  changed: ReadonlySet<string>,
): AssetCondition | undefined {
  if ('asset' in condition) return changed.has(assetKey(condition.asset)) ? undefined : condition;
  const awaited = partsOf(condition).map((part) => awaitedOf(part, changed));
  const left = awaited.filter((part) => part !== undefined);
  if ('any' in condition) return left.length < awaited.length ? undefined : { any: left };
  return left.length === 0 ? undefined : { all: left };
}

/** `orders and (users or prices)` */
export function conditionText(condition: AssetCondition): string {
  if ('asset' in condition) return condition.asset.name;
  const parts = partsOf(condition);
  const word = 'all' in condition ? ' and ' : ' or ';
  return parts
    .map((part) =>
      'asset' in part || parts.length === 1 ? conditionText(part) : `(${conditionText(part)})`,
    )
    .join(word);
}

export function assetEventsOf(changes: readonly AssetChange[]): AssetEvents {
  const events = new Map<string, AssetEvent[]>();
  for (const { name, path, version, atMs, facts } of changes) {
    const timestamp = new Date(atMs).toISOString();
    const event = { uri: path, timestamp, extra: { version, ...facts } };
    events.set(name, [...(events.get(name) ?? []), event]);
  }
  return Object.fromEntries(events);
}

function partsOf(
  condition: Exclude<AssetCondition, { readonly asset: Asset }>,
): readonly AssetCondition[] {
  return 'all' in condition ? condition.all : condition.any;
}
