/** Every pair of state and event, for each machine; the docs must say the same. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkInvariants } from '../../../coordinator/core/invariants.js';
import { jobTable, stageTable, taskTable, workerTable } from './expected.js';
import { queryTable } from './expected-query.js';
import { assetTable, webhookTable } from './expected-assets.js';
import { backfillTable, runTable, scheduleTable } from './expected-schedule.js';
import {
  assetMachine,
  backfillMachine,
  runMachine,
  scheduleMachine,
  webhookMachine,
} from './schedule-tables.js';
import {
  jobMachine,
  outcome,
  queryMachine,
  stageMachine,
  taskMachine,
  workerMachine,
  type Machine,
  type Table,
} from './tables.js';

const docs = readFileSync(new URL('../../../docs/STATE-MACHINES.md', import.meta.url), 'utf8');

function check<S extends string, E extends string>(
  name: string,
  machine: Machine<S, E>,
  table: Table<S, E>,
): void {
  const states = Object.keys(table) as S[];
  const events = Object.keys(machine.events) as E[];
  describe(`the ${name} machine`, () => {
    for (const state of states) {
      it(`reaches ${state} with all invariants intact`, () => {
        const reached = machine.reach[state]();
        checkInvariants(reached);
        expect(machine.read(reached)).toBe(state);
      });
      it.each(events)(`in state ${state}, answers %s as its table says`, (event) => {
        expect(outcome(machine, state, event)).toBe(table[state][event]);
      });
    }
    it('is documented as it is', () => {
      expect(docs).toContain(asMarkdown(states, events, table));
    });
  });
}

/** One line an event, one column a state; `·` means that nothing changes and nothing follows. */
function asMarkdown<S extends string, E extends string>(
  states: readonly S[],
  events: readonly E[],
  table: Table<S, E>,
): string {
  const lines = [
    `| event | ${states.join(' | ')} |`,
    `|---|${states.map(() => '---').join('|')}|`,
    ...events.map((event) => {
      const cells = states.map((state) => {
        const result = table[state][event];
        return result === state ? '·' : result;
      });
      return `| ${event} | ${cells.join(' | ')} |`;
    }),
  ];
  return lines.join('\n');
}

check('job', jobMachine, jobTable);
check('stage', stageMachine, stageTable);
check('query', queryMachine, queryTable);
check('task', taskMachine, taskTable);
check('worker', workerMachine, workerTable);
check('schedule', scheduleMachine, scheduleTable);
check('run', runMachine, runTable);
check('backfill', backfillMachine, backfillTable);
check('asset', assetMachine, assetTable);
check('webhook', webhookMachine, webhookTable);
