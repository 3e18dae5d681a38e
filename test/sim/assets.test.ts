/**
 * Schedules of data sets through the real core under a shell that dies anywhere: after a look, after
 * a webhook was called. Whatever happens, each change that was seen belongs to one run or still waits,
 * and of the end of each run somebody is told.
 */
import { expect, it } from 'vitest';
import type { Effect } from '../../coordinator/core/effects.js';
import { checkInvariants } from '../../coordinator/core/invariants.js';
import { reconcile } from '../../coordinator/core/reconcile.js';
import { type AssetLook, newsOf } from '../../coordinator/core/schedule-assets.js';
import { dueRuns } from '../../coordinator/core/schedule-due.js';
import type { ScheduleEvent } from '../../coordinator/core/schedule-events.js';
import { scheduleToRow } from '../../coordinator/core/schedule-snapshot.js';
import type { State } from '../../coordinator/core/state.js';
import { transition } from '../../coordinator/core/transition.js';
import { replay } from '../../coordinator/replay.js';
import { awaitedOf, assetsOf } from '../../shared/asset-condition.js';
import {
  asset,
  awaiting,
  failure,
  keyOf,
  S,
  scheduleOf,
  webhook,
} from '../coordinator/core/schedule-fixtures.js';
import { Prng } from './prng.js';

const only = process.env.WINDROW_SEED;
const seeds = only === undefined ? Array.from({ length: 40 }, (_, k) => k + 1) : [Number(only)];
const names = ['a', 'b', 'c'];
const conditions = [
  asset('a'),
  { all: [asset('a'), asset('b'), asset('c')] },
  { any: [asset('a'), asset('b'), asset('c')] },
  { all: [asset('a'), { any: [asset('b'), asset('c')] }] },
];

/** A coordinator that only knows one schedule, data sets that change by themselves, and who is told. */
class World {
  private readonly random: Prng;
  private snapshots: string[] = [];
  private journal: ScheduleEvent[] = [];
  private state: State = replay({ snapshots: [], events: [] });
  private effects: Effect[] = [];
  private looks = new Map<string, AssetLook>();
  private nowMs = 1;
  /** Versions that are there, and those that a look has made known, by name. */
  private readonly there = new Map<string, number>();
  private readonly known: string[] = [];
  /** Ids of calls that reached who is told, answered or not. */
  private readonly told = new Set<string>();
  private readonly condition;

  constructor(seed: number) {
    this.random = new Prng(seed);
    this.condition = this.random.pick(conditions)!;
  }

  play(): number {
    const { random } = this;
    const overlap = random.pick(['wait', 'skip'] as const)!;
    const tell = { ...webhook, tries: 20 };
    this.post(awaiting(this.condition, { overlap, onSuccess: tell, onFailure: tell }));
    for (let step = 0; step < 300; step += 1) this.step(0.2);
    // From here on nothing changes or dies, and everything comes to its end.
    for (let step = 0; step < 1500; step += 1) this.step(0);
    return scheduleOf(this.state).runs.size;
  }

  private step(death: number): void {
    const { random } = this;
    this.nowMs += random.below(60_000);
    const choice = random.below(4);
    if (choice === 0) this.post(...dueRuns(this.state, this.nowMs));
    else if (choice === 1) this.look(death);
    else if (choice === 2 && death > 0) this.change();
    else this.work(death);
    if (random.chance(death / 4)) this.crash();
    if (random.chance(0.02)) this.snapshot();
  }

  private change(): void {
    const name = this.random.pick(names)!;
    this.there.set(name, (this.there.get(name) ?? 0) + 1);
  }

  private look(death: number): void {
    for (const each of assetsOf(this.condition)) {
      const there = this.there.get(each.name);
      const look: AssetLook =
        there === undefined ? {} : { version: String(there), facts: { files: there } };
      const before = this.looks.get(each.name);
      const news = newsOf(scheduleOf(this.state), each, look, before, this.nowMs);
      this.looks.set(each.name, look);
      if (!news) continue;
      if (this.random.chance(death)) return this.crash();
      if (news.type === 'asset.seen') this.known.push(`${each.name} ${String(there)}`);
      this.post(news);
    }
  }

  /** Does one effect, or dies before anybody hears how it went. */
  private work(death: number): void {
    const effect = this.effects.shift();
    if (effect?.type === 'callWebhook') {
      const call = scheduleOf(this.state).calls.get(effect.callId)!;
      const reached = death === 0 || this.random.chance(0.5);
      if (reached) this.told.add(call.id);
      if (this.random.chance(death)) return this.crash();
      const about = { scheduleId: S, callId: call.id, try: call.tries + 1, nowMs: this.nowMs };
      this.post({ type: 'webhook.tried', ...about, ...(reached ? {} : { failure }) });
    } else if (effect?.type === 'startRun') {
      const run = scheduleOf(this.state).runs.get(effect.runId)!;
      if (this.random.chance(death)) return this.crash();
      const outcome = this.random.chance(0.3) ? 'failed' : 'succeeded';
      const about = { scheduleId: S, runId: run.id, try: run.tries, nowMs: this.nowMs };
      this.post({ type: 'run.ended', ...about, outcome });
    }
  }

  private post(...events: ScheduleEvent[]): void {
    for (const event of events) {
      this.journal.push(event);
      this.effects.push(...transition(this.state, event));
      checkInvariants(this.state);
    }
  }

  private crash(): void {
    const before = scheduleToRow(scheduleOf(this.state));
    this.state = replay({ snapshots: this.snapshots, events: this.journal });
    expect(scheduleToRow(scheduleOf(this.state))).toBe(before);
    this.looks = new Map();
    this.effects = reconcile(this.state);
  }

  private snapshot(): void {
    this.snapshots = [scheduleToRow(scheduleOf(this.state))];
    this.journal = [];
  }

  /** What must hold now that all is over. */
  check(): void {
    const { runs, assets, calls } = scheduleOf(this.state);
    const all = [...[...runs.values()].flatMap(({ changes = [] }) => changes), ...assets!.changes];
    expect(all.map(({ name, version }) => `${name} ${version}`)).toEqual(this.known);
    const waiting = assetsOf(this.condition).map(({ name }) => name);
    for (const name of waiting) {
      const there = this.there.get(name);
      expect(assets!.seen[keyOf(name)]?.version).toBe(there === undefined ? undefined : `${there}`);
    }
    const left = new Set(assets!.changes.map(({ key }) => key));
    expect(left.size === 0 || awaitedOf(this.condition, left) !== undefined).toBe(true);
    for (const run of runs.values()) {
      const made = new Set(run.changes?.map(({ key }) => key));
      expect(awaitedOf(this.condition, made)).toBeUndefined();
      expect(run.endedMs).toBeDefined();
    }
    expect([...calls]).toEqual([]);
    const tried = [...runs.values()].filter(({ phase }) => phase.kind !== 'skipped');
    expect(tried.map(({ webhook: end }) => end?.state)).toEqual(tried.map(() => 'delivered'));
    expect(this.told.size).toBe(tried.length);
  }
}

it(`each change belongs to one run, and each end is told, in ${seeds.length} random lives`, () => {
  let runs = 0;
  for (const seed of seeds) {
    const world = new World(seed);
    try {
      runs += world.play();
      world.check();
    } catch (error) {
      throw new Error(`seed ${seed} failed; replay: WINDROW_SEED=${seed}`, { cause: error });
    }
  }
  expect(runs).toBeGreaterThan(seeds.length * 5);
});
