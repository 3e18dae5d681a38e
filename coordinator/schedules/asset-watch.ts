/**
 * Looks at the data sets that schedules wait for, each schedule's as often as it says, and tells the
 * loop what is new. Never: decides whether a run is made; the core does, of what it was told.
 */
import { assetKey, assetsOf } from '../../shared/asset-condition.js';
import { WindrowError } from '../../shared/failure.js';
import type { ScheduleId } from '../../shared/ids.js';
import type { Event } from '../core/events.js';
import { newsOf, type AssetLook } from '../core/schedule-assets.js';
import type { ScheduleDefinition } from '../core/schedule-events.js';
import type { ScheduleState } from '../core/schedule-state.js';
import type { State } from '../core/state.js';
import { AssetLooks, type AssetLooksDependencies } from './asset-looks.js';

export interface AssetWatchDependencies extends AssetLooksDependencies {
  readonly state: State;
  readonly post: (...events: Event[]) => Promise<void>;
  readonly nowMs: () => number;
  readonly fatal: (error: unknown) => void;
}

/** What is kept of a schedule between two looks. */
interface Watch {
  /** Undefined while it is being looked at. */
  nextMs: number | undefined;
  /** What the last look found, by key. */
  before: Map<string, AssetLook>;
}

const tickMs = 200;
/** Schedules that are looked at together: a disk that is slow must not stop the others. */
const atOnce = 2;

export class AssetWatch {
  private readonly looks: AssetLooks;
  private readonly watches = new Map<ScheduleId, Watch>();
  private timer: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(private readonly deps: AssetWatchDependencies) {
    this.looks = new AssetLooks(deps);
  }

  start(): void {
    this.timer = setInterval(() => {
      this.tick().catch(this.deps.fatal);
    }, tickMs);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.closed = true;
  }

  /** Resolves when what is due to be looked at was, and what is new is durable. */
  async tick(): Promise<void> {
    const { state, nowMs } = this.deps;
    const live = [...state.schedules.values()].filter(
      ({ deleted, paused, assets }) => assets && !deleted && !paused,
    );
    this.forgetAllBut(live);
    const nextOf = ({ id }: ScheduleState): number => this.watchOf(id).nextMs ?? Infinity;
    // Who has waited longest comes first, so that everybody's turn comes.
    const due = live
      .filter((schedule) => nextOf(schedule) <= nowMs())
      .sort((a, b) => nextOf(a) - nextOf(b) || (a.id < b.id ? -1 : 1));
    const free =
      atOnce - [...this.watches.values()].filter(({ nextMs }) => nextMs === undefined).length;
    await Promise.all(due.slice(0, Math.max(free, 0)).map((schedule) => this.look(schedule)));
  }

  /**
   * Versions by key of what is there now, for a schedule that is being made.
   * @throws WindrowError where one cannot be looked at: E_URI_DENIED, E_TOO_MANY_FILES, E_IO_…
   */
  async versions({ assets }: ScheduleDefinition): Promise<Record<string, string>> {
    const seen: Record<string, string> = {};
    for (const asset of assets ? assetsOf(assets.condition) : []) {
      const look = await this.looks.at(asset);
      if ('failure' in look) throw new WindrowError(look.failure);
      if (look.version !== undefined) seen[assetKey(asset)] = look.version;
    }
    return seen;
  }

  private async look(schedule: ScheduleState): Promise<void> {
    const { post, nowMs } = this.deps;
    const { assets } = schedule.definition;
    const watch = this.watchOf(schedule.id);
    if (!assets) return;
    watch.nextMs = undefined;
    const found = new Map<string, AssetLook>();
    for (const asset of assetsOf(assets.condition)) {
      const key = assetKey(asset);
      const look = await this.looks.at(asset);
      // Another look may have begun since: what this one found is old.
      if (this.closed || this.watches.get(schedule.id) !== watch) return;
      found.set(key, look);
      const news = newsOf(schedule, asset, look, watch.before.get(key), nowMs());
      if (news) await post(news);
    }
    watch.before = found;
    watch.nextMs = nowMs() + assets.checkEveryMs;
  }

  private watchOf(id: ScheduleId): Watch {
    let watch = this.watches.get(id);
    if (!watch) {
      watch = { nextMs: -Infinity, before: new Map() };
      this.watches.set(id, watch);
    }
    return watch;
  }

  private forgetAllBut(live: readonly ScheduleState[]): void {
    const ids = new Set(live.map(({ id }) => id));
    for (const id of this.watches.keys()) if (!ids.has(id)) this.watches.delete(id);
    this.looks.keep(new Set(live.flatMap(({ assets }) => Object.keys(assets?.seen ?? {}))));
  }
}
