import { expect, test } from 'vitest';
import {
  shortfalls,
  sideBySide,
  storedOutcomes,
  tally,
  type Outcome,
} from '../../../bench/peers/tpch-tally.js';
import { table } from '../../../bench/report.js';

const done = (ms: number): Outcome => ({ done: true, ms, cpuMs: 2 * ms });
const failed = (why: string): Outcome => ({ done: false, why });

const windrow = new Map([
  [1, done(1000)],
  [2, done(2000)],
  [3, failed('wrong: 1 rows instead of 2')],
  [4, done(500)],
]);
const peer = {
  title: 'Peer 1.0',
  startupMs: 3000,
  peakBytes: 5e6,
  outcomes: new Map([
    [1, done(1500)],
    [2, done(1999)],
    [3, done(10)],
    [4, failed('out of memory')],
  ]),
};

test('only queries that both did are counted and summed', () => {
  expect(tally([1, 2, 3, 4], windrow, [peer])).toEqual([
    {
      peer: 'Peer 1.0',
      done: '3 of 4',
      'Windrow is faster on': 1,
      sum: '3.50',
      'Windrow on the same': '3.00',
      'CPU seconds': '7.00',
      'of Windrow': '6.00',
      'start-up': '3.00',
      'largest resident set': '5 MB',
    },
  ]);
});

test('a query that was not done has no seconds, and why is told', () => {
  expect(sideBySide([3, 4], windrow, [peer])).toEqual([
    { query: 'q03', Windrow: 'not done', 'Peer 1.0': '0.01' },
    { query: 'q04', Windrow: '0.50', 'Peer 1.0': 'not done' },
  ]);
  expect(shortfalls([1, 4], [peer])).toEqual(['Peer 1.0 did not do q04: out of memory']);
});

test('what a section of the results says is read back, and of no other section', () => {
  const section = (name: string, windrowSeconds: string): string => {
    const cells = { duckdb: '0.10', 'cpu of workers': '1.40', 'of coordinator': '0.30' };
    const rows = [
      { query: 'q01', windrow: windrowSeconds, ...cells, answer: 'equal' },
      { query: 'q12', windrow: '1.00', ...cells, answer: '3 rows instead of 4' },
    ];
    return `## ${name}\n\nA machine.\n\n${table(rows)}\n\nSum.`;
  };
  const text = ['# Results', section('tpch sf1', '2.51'), section('tpch sf10', '9.00')].join(
    '\n\n',
  );
  expect(storedOutcomes(text, 'tpch sf1')).toEqual(
    new Map([
      [1, { done: true, ms: 2510, cpuMs: 1700 }],
      [12, { done: false, why: 'wrong: 3 rows instead of 4' }],
    ]),
  );
  expect(() => storedOutcomes(text, 'tpch sf100')).toThrow('no section "tpch sf100"');
});
