/**
 * The data sets that a schedule waits for: what was seen of them, which changes no run was made for
 * yet, and when those suffice. Never: looks at data; what is seen comes in as events.
 */
import {
  assetKey,
  assetsOf,
  awaitedOf,
  conditionText,
  type Asset,
  type AssetChange,
  type AssetFacts,
} from '../../shared/asset-condition.js';
import type { DataInterval } from '../../shared/calendar/intervals.js';
import type { Failure } from '../../shared/failure.js';
import type { AssetView } from '../../shared/schedule-views.js';
import type { AssetSeen, AssetUnseen, ScheduleDefined } from './schedule-events.js';
import type { AssetSight, ScheduleState } from './schedule-state.js';

/** Changes that are kept for one run: of more, the oldest whose asset has changed again are not told. */
const changesMost = 100;

/** What a look at a data set found. */
export type AssetLook =
  | { readonly failure: Failure }
  /** Nothing is there. */
  | { readonly version?: undefined }
  | { readonly version: string; readonly facts: AssetFacts };

/** Files that were there and are not: their going is a change as well. */
const gone = { version: 'none', facts: { files: 0, bytes: 0 } };

/** Goes on from what was seen of data sets that stay; of others, what is there now is no change. */
export function assetsDefined(schedule: ScheduleState, { seen = {} }: ScheduleDefined): void {
  const before = schedule.assets;
  const assets = assetsIn(schedule);
  if (assets.length === 0) {
    delete schedule.assets;
    return;
  }
  const sights = assets.map((asset): [string, AssetSight] => {
    const key = assetKey(asset);
    const version = seen[key];
    return [key, before?.seen[key] ?? (version === undefined ? {} : { version })];
  });
  const kept = Object.fromEntries(sights);
  schedule.assets = {
    seen: kept,
    changes: (before?.changes ?? []).filter(({ key }) => kept[key]),
  };
}

export function assetSeen(schedule: ScheduleState, { key, news, nowMs }: AssetSeen): void {
  const { assets } = schedule;
  const sight = assets?.seen[key];
  const asset = assetsIn(schedule).find((each) => assetKey(each) === key);
  // No longer waited for.
  if (!assets || !sight || !asset) return;
  delete sight.failure;
  if (!news || news.version === sight.version) return;
  const { version, facts } = news;
  sight.version = version;
  const { name, path } = asset;
  assets.changes.push({ name, key, path, version, atMs: nowMs, facts });
  if (assets.changes.length > changesMost) dropOldest(assets.changes);
}

export function assetUnseen({ assets }: ScheduleState, { key, failure }: AssetUnseen): void {
  const sight = assets?.seen[key];
  if (sight) sight.failure = failure;
}

/** There are fewer data sets than changes: one of them has changed twice. */
function dropOldest(changes: AssetChange[]): void {
  const oldest = changes.findIndex(({ key }, at) =>
    changes.some((other, later) => later > at && other.key === key),
  );
  changes.splice(oldest, 1);
}

/** The moment of the run that changes suffice for: that of the latest, and after the run before. */
export function assetInterval(schedule: ScheduleState): DataInterval | undefined {
  const { assets, definition } = schedule;
  if (!assets || !definition.assets || assets.changes.length === 0) return undefined;
  if (awaitedOf(definition.assets.condition, changedOf(schedule))) return undefined;
  const seenMs = Math.max(...assets.changes.map(({ atMs }) => atMs));
  const atMs = Math.max(seenMs, (schedule.lastAssetMs ?? -Infinity) + 1);
  return { startMs: atMs, endMs: atMs };
}

/**
 * Takes the changes for the run of a moment, all there are: each makes one run. Undefined where that
 * moment is not the one that they suffice for: whoever asked did not know of the latest.
 */
export function takeChanges(
  schedule: ScheduleState,
  { endMs }: DataInterval,
): readonly AssetChange[] | undefined {
  const { assets } = schedule;
  if (!assets || assetInterval(schedule)?.endMs !== endMs) return undefined;
  const { changes } = assets;
  assets.changes = [];
  schedule.lastAssetMs = endMs;
  return changes;
}

/**
 * What a look says that is not known; undefined: nothing.
 * @param before what the look before found: files count once two looks have found the same, since
 *   who writes them may still be at it; an output's manifest appears when all is there
 */
export function newsOf(
  schedule: ScheduleState,
  asset: Asset,
  look: AssetLook,
  before: AssetLook | undefined,
  nowMs: number,
): AssetSeen | AssetUnseen | undefined {
  const key = assetKey(asset);
  const sight = schedule.assets?.seen[key];
  if (!sight) return undefined;
  const about = { scheduleId: schedule.id, key, nowMs };
  if ('failure' in look) {
    const { code, message } = look.failure;
    if (sight.failure?.code === code && sight.failure.message === message) return undefined;
    return { type: 'asset.unseen', ...about, failure: look.failure };
  }
  const isOutput = asset.kind === 'output';
  const settled = isOutput || (before && !('failure' in before) && before.version === look.version);
  // An output that was removed has not been published anew.
  const wentAway = !isOutput && sight.version !== undefined && look.version === undefined;
  const news = wentAway ? gone : look;
  if (news.version !== undefined && news.version !== sight.version && settled) {
    const { version, facts } = news;
    return { type: 'asset.seen', ...about, news: { version, facts } };
  }
  return sight.failure ? { type: 'asset.seen', ...about } : undefined;
}

export function assetViews(schedule: ScheduleState): AssetView[] {
  const changed = changedOf(schedule);
  return assetsIn(schedule).map((asset) => {
    const key = assetKey(asset);
    return { ...asset, changed: changed.has(key), ...schedule.assets?.seen[key] };
  });
}

/** Changes that the next run needs, in words; undefined where it needs none. */
export function awaitedText(schedule: ScheduleState): string | undefined {
  const condition = schedule.definition.assets?.condition;
  const awaited = condition && awaitedOf(condition, changedOf(schedule));
  return awaited && conditionText(awaited);
}

function assetsIn({ definition }: ScheduleState): Asset[] {
  return definition.assets ? assetsOf(definition.assets.condition) : [];
}

function changedOf({ assets }: ScheduleState): Set<string> {
  return new Set(assets?.changes.map(({ key }) => key));
}
