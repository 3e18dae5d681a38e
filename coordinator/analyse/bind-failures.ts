/**
 * What DuckDB's binder says, as a failure with a code and a hint of ours. Never: classifies anything
 * but messages of the binder, whose words are those of the version that is pinned.
 */
import { fail, WindrowError, type FailureLocation } from '../../shared/failure.js';
import { nameHint } from '../../shared/spec-problems.js';
import { messageOf } from './bind-database.js';

export interface Known {
  /** Names that the SQL could have meant. */
  readonly columns?: readonly string[];
  readonly tables?: readonly string[];
}

interface Form {
  readonly pattern: RegExp;
  readonly code: string;
  readonly message: (match: RegExpExecArray) => string;
  readonly hint: (match: RegExpExecArray, known: Known) => string;
}

const forms: readonly Form[] = [
  {
    pattern: /^Referenced column "?(.+?)"? (?:was )?not found/,
    code: 'E_UNKNOWN_COLUMN',
    message: ([, column]) => `there is no column '${column}'`,
    hint: ([, column], { columns }) => columnHint(column!, columns),
  },
  {
    pattern: /^Table "(.+?)" does not have a column named "(.+?)"/,
    code: 'E_UNKNOWN_COLUMN',
    message: ([, table, column]) => `${table} has no column '${column}'`,
    hint: ([, , column], { columns }) => columnHint(column!, columns),
  },
  {
    pattern: /^Column "(.+?)" in \w+ list not found/,
    code: 'E_UNKNOWN_COLUMN',
    message: ([, column]) => `there is no column '${column}'`,
    hint: ([, column], { columns }) => columnHint(column!, columns),
  },
  {
    pattern: /^Referenced table "(.+?)" not found/,
    code: 'E_UNKNOWN_STEP',
    message: ([, table]) => `nothing that is read here is called '${table}'`,
    hint: ([, table], { tables }) => nameHint(table!, tables ?? []) ?? 'name it in FROM',
  },
  {
    pattern: /^Ambiguous reference to column name "(.+?)" \(use: (.+)\)/,
    code: 'E_AMBIGUOUS_COLUMN',
    message: ([, column]) => `several of what is read here have a column '${column}'`,
    hint: ([, , choices]) => `write ${choices!.replaceAll('"', '')}`,
  },
  {
    pattern: /^Cannot (?:compare|mix) values of type.*/,
    code: 'E_TYPE_MISMATCH',
    message: ([whole]) => whole,
    hint: () => 'cast one side to the type of the other',
  },
  {
    pattern: /^.* where .* is needed, and cannot be cast to it$/,
    code: 'E_TYPE_MISMATCH',
    message: ([whole]) => whole,
    hint: () => 'compare, unite or cast values of types that fit; unnest takes a list apart',
  },
  {
    pattern: /^Could not find key "(.+?)" in struct Candidate Entries: (.+)$/,
    code: 'E_UNKNOWN_COLUMN',
    message: ([, field]) => `the struct has no field '${field}'`,
    hint: ([, , fields]) => `write one of ${fields!.replaceAll('"', '')}`,
  },
  {
    pattern: /^Set operations can only apply to expressions with the same number/,
    code: 'E_TYPE_MISMATCH',
    message: () => 'the sides of a set operation have different numbers of columns',
    hint: () => 'select the same columns on both sides, or unite them BY NAME',
  },
  {
    pattern: /^column "?(.+?)"? must appear in the GROUP BY clause/,
    code: 'E_SQL_BIND',
    message: ([, column]) => `column '${column}' is not one of the groups, and no aggregate`,
    hint: ([, column]) =>
      `group by it too, or take one of its values: min(${column}), any_value(${column})`,
  },
  {
    pattern: /^(?:WHERE|JOIN) clause cannot contain (aggregates|window functions)/,
    code: 'E_SQL_BIND',
    message: ([, what]) => `a condition on rows cannot contain ${what}`,
    hint: ([, what]) =>
      what === 'aggregates' ? 'filter groups with HAVING' : 'filter by them with QUALIFY',
  },
  {
    pattern: /^aggregate function calls cannot be nested/,
    code: 'E_SQL_BIND',
    message: ([whole]) => whole,
    hint: () => 'compute the inner one in a step before, or in a query in FROM',
  },
  {
    pattern: /^No function matches the given name and argument types '(.+?)'/,
    code: 'E_SQL_BIND',
    message: ([whole]) => whole,
    hint: () => 'cast what it is given to a type that it takes',
  },
  {
    pattern: /^Scalar Function with name (\w+) does not exist/,
    code: 'E_SQL_BIND',
    message: ([, name]) => `there is no function ${name}()`,
    hint: () => 'see the functions of DuckDB; window functions need OVER',
  },
];

function columnHint(name: string, columns: readonly string[] | undefined): string {
  return nameHint(name, columns ?? []) ?? 'name a column of what is read';
}

/** @throws WindrowError E_SQL_BIND with DuckDB's message, or a code that says more */
export function bindFailure(error: unknown, at: FailureLocation, known: Known = {}): never {
  if (error instanceof WindrowError) throw error;
  const text = messageOf(error);
  for (const { pattern, code, message, hint } of forms) {
    const match = pattern.exec(text);
    if (!match) continue;
    fail('invalidSpec', code, message(match), { at, hint: hint(match, known), cause: error });
  }
  fail('invalidSpec', 'E_SQL_BIND', text, {
    at,
    hint: 'check the types of the columns it reads',
    cause: error,
  });
}
