/** An `aggregate` step as a query. */
import type { StepOf } from '../../shared/step-spec.js';
import { quoteName } from '../../shared/sql-text.js';
import { refuseDuplicates, type Relation } from './bind.js';
import { findColumn } from './expressions.js';
import { ofGroup, ofRow, type Fragments } from './fragments.js';
import type { QueryText } from './wide.js';

type AggregateSpec = StepOf<'aggregate'>['aggregate'];

/** @throws WindrowError E_UNKNOWN_COLUMN, E_DUPLICATE_COLUMN */
export async function aggregateQuery(
  { by = [], measures, sets, having }: AggregateSpec,
  from: Relation,
  fragments: Fragments,
): Promise<QueryText> {
  const { step } = fragments;
  const groups: { name: string; text?: string }[] = by.flatMap((entry) =>
    typeof entry === 'string'
      ? [{ name: findColumn(entry, from.columns, { step }).name }]
      : Object.entries(entry).map(([name, text]) => ({ name, text })),
  );
  refuseDuplicates([...groups.map(({ name }) => name), ...Object.keys(measures)], step);
  const made = groups.flatMap(({ name, text }) =>
    text === undefined ? [] : [{ text, at: { step, column: name } }],
  );
  const madeTexts = await fragments.expressions(made, ofRow);
  const groupTexts = groups.map(({ name, text }) =>
    text === undefined ? quoteName(name) : madeTexts.shift()!,
  );
  const measured = Object.entries(measures).map(([name, text]) => ({
    text,
    at: { step, column: name },
  }));
  const measureTexts = await fragments.expressions(measured, ofGroup);
  const items = [
    ...groupTexts.map((text, index) => `${text} as ${quoteName(groups[index]!.name)}`),
    ...measureTexts.map((text, index) => `${text} as ${quoteName(measured[index]!.at.column)}`),
  ];
  const table = `from ${quoteName(from.id)}`;
  const grouped = groups.length === 0 ? '' : ` group by ${groupBy(groups, sets)}`;
  const condition = having === undefined ? undefined : await fragments.expression(having, ofGroup);
  const kept = condition === undefined ? '' : ` having ${condition}`;
  const places = [
    ...groups.map(({ name }) => ({ step, column: name })),
    ...measured.map(({ at }) => at),
  ];
  return {
    sql: `select ${items.join(', ')} ${table}${grouped}${kept}`,
    // In the SELECT list it may name measures, too.
    ...(condition === undefined
      ? {}
      : {
          conditions: [
            { sql: `select ${items.join(', ')}, ${condition} ${table}${grouped}`, at: { step } },
          ],
        }),
    // Measures may build on what stands before them, but groups stand alone.
    parts: items.map((item, index) => {
      const some = index < groups.length ? item : items.slice(0, index + 1).join(', ');
      return {
        sql: `select ${some} ${table}${index < groups.length ? '' : grouped}`,
        at: places[index]!,
      };
    }),
  };
}

/** By position in the SELECT list: a name could also mean a column that it hides. */
function groupBy(
  groups: readonly { readonly name: string }[],
  sets: AggregateSpec['sets'],
): string {
  const all = groups.map((_, index) => index + 1).join(', ');
  if (sets === undefined) return all;
  if (typeof sets === 'string') return `${sets} (${all})`;
  const positions = new Map(groups.map(({ name }, index) => [name.toLowerCase(), index + 1]));
  const lists = sets.map(
    (set) => `(${set.map((name) => positions.get(name.toLowerCase())!).join(', ')})`,
  );
  return `grouping sets (${lists.join(', ')})`;
}
