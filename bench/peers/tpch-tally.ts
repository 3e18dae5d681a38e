/** Puts the seconds of Windrow and of its peers side by side and counts who was faster. Never measures. */
import { megabytes, seconds, type Row } from '../report.js';
import { queryName } from '../tpch/queries.js';

/** A query is done when its answer came and was right; otherwise it has no time, but a reason. */
export type Outcome =
  | { readonly done: true; readonly ms: number; readonly cpuMs: number }
  | { readonly done: false; readonly why: string };
/** By the number of the query. */
export type Outcomes = ReadonlyMap<number, Outcome>;

export interface PeerRun {
  /** Name and version. */
  readonly title: string;
  readonly startupMs: number;
  readonly peakBytes: number;
  readonly outcomes: Outcomes;
}

/** What `bench/tpch/run.ts` found at last, read back from the section it wrote; throws when there is none. */
export function storedOutcomes(results: string, section: string): Outcomes {
  const body = results
    .split(/^(?=## )/m)
    .find((part) => part.slice(0, part.indexOf('\n')) === `## ${section}`);
  if (body === undefined) throw new Error(`no section "${section}": run npm run bench:tpch first`);
  const [columns = [], , ...lines] = body
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const cell = (cells: readonly string[], column: string): string =>
    cells[columns.indexOf(column)] ?? '';
  const ms = (cells: readonly string[], column: string): number =>
    Number(cell(cells, column)) * 1000;
  return new Map(
    lines.map((cells) => [
      Number(cell(cells, 'query').slice(1)),
      cell(cells, 'answer') === 'equal'
        ? {
            done: true,
            ms: ms(cells, 'windrow'),
            cpuMs: ms(cells, 'cpu of workers') + ms(cells, 'of coordinator'),
          }
        : { done: false, why: `wrong: ${cell(cells, 'answer')}` },
    ]),
  );
}

/** A row a query, a column an engine. */
export function sideBySide(
  numbers: readonly number[],
  windrow: Outcomes,
  peers: readonly PeerRun[],
): Row[] {
  const engines: [string, Outcomes][] = [
    ['Windrow', windrow],
    ...peers.map(({ title, outcomes }): [string, Outcomes] => [title, outcomes]),
  ];
  return numbers.map((number) => ({
    query: queryName(number),
    ...Object.fromEntries(engines.map(([name, outcomes]) => [name, cell(outcomes.get(number))])),
  }));
}

function cell(outcome: Outcome | undefined): string {
  return outcome?.done ? seconds(outcome.ms) : 'not done';
}

/** A row a peer. Only queries that both did are counted and summed. */
export function tally(
  numbers: readonly number[],
  windrow: Outcomes,
  peers: readonly PeerRun[],
): Row[] {
  return peers.map(({ title, startupMs, peakBytes, outcomes }) => {
    const both = numbers.flatMap((number) => {
      const [ours, theirs] = [windrow.get(number), outcomes.get(number)];
      return ours?.done && theirs?.done ? [{ ours, theirs }] : [];
    });
    const sum = (of: (each: (typeof both)[number]) => number): number =>
      both.reduce((total, each) => total + of(each), 0);
    const done = numbers.filter((number) => outcomes.get(number)?.done).length;
    return {
      peer: title,
      done: `${done} of ${numbers.length}`,
      'Windrow is faster on': both.filter(({ ours, theirs }) => ours.ms < theirs.ms).length,
      sum: seconds(sum(({ theirs }) => theirs.ms)),
      'Windrow on the same': seconds(sum(({ ours }) => ours.ms)),
      'CPU seconds': seconds(sum(({ theirs }) => theirs.cpuMs)),
      'of Windrow': seconds(sum(({ ours }) => ours.cpuMs)),
      'start-up': seconds(startupMs),
      'largest resident set': megabytes(peakBytes),
    };
  });
}

/** A line for each query that a peer did not do. */
export function shortfalls(numbers: readonly number[], peers: readonly PeerRun[]): string[] {
  return peers.flatMap(({ title, outcomes }) =>
    numbers.flatMap((number) => {
      const outcome = outcomes.get(number);
      if (outcome?.done) return [];
      return [`${title} did not do ${queryName(number)}: ${outcome?.why ?? 'not asked'}`];
    }),
  );
}
