/**
 * The free places on workers during one call of `place`: tasks are dealt out in turn, idle slots
 * before queues, a suspect gets a worker of its own, and nobody queues where a task that came first
 * found no place. Never: knows whose tasks they are.
 */
import type { State, WorkerState } from '../core/state.js';
import type { StagePlan } from '../../shared/plan.js';
import { fits, freeSlots, isOpen } from './fit.js';

export interface Seat {
  readonly worker: WorkerState;
  /** Attempts it has, those of this round included. */
  used: number;
  /** Kept free for a suspect, or given to one. */
  reserved: boolean;
  /** A task waits for one of its slots: who comes after it may take an idle one, but not queue. */
  awaited: boolean;
}

interface Table {
  readonly seats: Seat[];
  turn: number;
}

/** Seats with an idle slot, and seats with room in their queues. */
interface Tables {
  readonly idle: Table;
  readonly ahead: Table;
  awaited: boolean;
}

export class Seats {
  private readonly all: Seat[] = [];
  /** By what a stage asks for. */
  private readonly tables = new Map<string, Tables>();
  private readonly tablesOfPlan = new Map<StagePlan, Tables>();
  private reserving = false;

  /** @param most the deepest queue any stage may have */
  constructor(state: State, most: number) {
    for (const worker of state.workers.values()) {
      if (freeSlots(worker, most) <= 0) continue;
      this.all.push({ worker, used: worker.attempts.size, reserved: false, awaited: false });
    }
  }

  /** @param ahead attempts of this stage that each slot may have queued */
  take(plan: StagePlan, ahead: number): Seat | undefined {
    const tables = this.tablesFor(plan, ahead);
    const seat = deal(tables.idle, 0) ?? (ahead > 0 ? deal(tables.ahead, ahead) : undefined);
    if (!seat && !tables.awaited) {
      tables.awaited = true;
      // Deeper queues of others would keep every slot from it for as long as they have tasks.
      for (const each of this.all) if (fits(each.worker, plan)) each.awaited = true;
    }
    return seat;
  }

  /** A worker with nothing on it, or none: then the emptiest is kept free until it has drained. */
  takeAlone(plan: StagePlan): Seat | undefined {
    let emptiest: Seat | undefined;
    for (const seat of this.all) {
      if (seat.reserved || !isOpen(seat.worker) || !fits(seat.worker, plan)) continue;
      if (!emptiest || seat.used < emptiest.used) emptiest = seat;
      if (emptiest.used === 0) break;
    }
    if (!emptiest) return undefined;
    if (emptiest.used === 0) {
      emptiest.reserved = true;
      emptiest.used = 1;
      return emptiest;
    }
    if (!this.reserving) {
      this.reserving = true;
      emptiest.reserved = true;
    }
    return undefined;
  }

  private tablesFor(plan: StagePlan, depth: number): Tables {
    const known = this.tablesOfPlan.get(plan);
    if (known) return known;
    // Seats that are full for shallow queues may have room for deeper ones.
    const key = JSON.stringify([plan.pool, plan.devices, depth]);
    let tables = this.tables.get(key);
    if (!tables) {
      const seats = this.all.filter((seat) => fits(seat.worker, plan));
      const ahead = { seats: [...seats], turn: 0 };
      tables = { idle: { seats, turn: 0 }, ahead, awaited: false };
      this.tables.set(key, tables);
    }
    this.tablesOfPlan.set(plan, tables);
    return tables;
  }
}

/** The next seat in turn with room; others leave the table. @param ahead how many a slot may have queued */
function deal(table: Table, ahead: number): Seat | undefined {
  const { seats } = table;
  while (seats.length > 0) {
    if (table.turn >= seats.length) table.turn = 0;
    const seat = seats[table.turn] as Seat;
    const isKept = seat.reserved || (seat.awaited && ahead > 0);
    if (!isKept && seat.used < seat.worker.slots * (1 + ahead)) {
      seat.used += 1;
      table.turn += 1;
      return seat;
    }
    seats[table.turn] = seats.at(-1) as Seat;
    seats.pop();
  }
  return undefined;
}
