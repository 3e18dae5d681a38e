/**
 * Binds a `map` step: its columns and types, and which function of the bundle it calls. Never: runs
 * the bundle; its exports are read from the list that the bundler wrote at its end.
 */
import { fail } from '../../shared/failure.js';
import type { StepSpec } from '../../shared/job-spec.js';
import type { ColumnDef } from '../../shared/plan.js';
import { nameHint } from '../../shared/spec-problems.js';
import { blobRef, type BoundStep, type JobFile, type MapOperator } from '../planner/facts.js';
import { refuseDuplicates, type Relation } from './bind.js';
import { messageOf, type BindDatabase } from './bind-database.js';
import { findColumn } from './expressions.js';

type MapStepSpec = Extract<StepSpec, { map: unknown }>;

export async function bindMap(
  step: MapStepSpec,
  relation: Relation,
  bundle: { file: JobFile; text: string },
  database: BindDatabase,
): Promise<BoundStep> {
  const { id, map } = step;
  const at = { step: id };
  const exported = chooseExport(map.export, bundle.text, id);
  const style = /^row([A-Z_]|$)/.test(exported) ? 'row' : 'batch';
  const rowwise = map.rowwise ?? style === 'row';
  const onError = map.onError ?? 'fail';
  if (onError === 'deadLetter' && !rowwise) {
    fail('invalidSpec', 'E_SPEC_INVALID', 'onError: deadLetter needs a row-wise function', {
      at,
      hint: 'write rowwise: true if each input row gives one output row, or onError: fail',
    });
  }
  const made = await columnTypes(map.columns, id, database);
  refuseDuplicates(
    made.map((column) => column.name),
    id,
  );
  const reads = map.reads?.map((name) => findColumn(name, relation.columns, at));
  const operator: MapOperator = {
    kind: 'map',
    step: {
      kind: 'map',
      id,
      bundle: blobRef(bundle.file),
      export: exported,
      style,
      rowwise,
      reads: reads ?? relation.columns,
      columns: made,
      onError,
    },
    columns: rowwise ? withColumns(relation.columns, made) : made,
    reads: (reads ?? relation.columns).map((column) => column.name),
    deterministic: map.deterministic ?? true,
  };
  return { id, from: relation.id, operators: [operator], columns: operator.columns };
}

/** A column that is there already is replaced in its place; others come after. */
function withColumns(before: readonly ColumnDef[], made: readonly ColumnDef[]): ColumnDef[] {
  const left = new Map(made.map((column) => [column.name.toLowerCase(), column]));
  const kept = before.map((column) => {
    const replacement = left.get(column.name.toLowerCase());
    left.delete(column.name.toLowerCase());
    return replacement ? { name: column.name, type: replacement.type } : column;
  });
  return [...kept, ...left.values()];
}

async function columnTypes(
  columns: Readonly<Record<string, string>>,
  step: string,
  database: BindDatabase,
): Promise<ColumnDef[]> {
  const made: ColumnDef[] = [];
  for (const [name, type] of Object.entries(columns)) {
    const at = { step, column: name };
    if (/[;]|--|\/\*/.test(type)) {
      fail('invalidSpec', 'E_SQL_BIND', `'${type}' is not a type`, { at, hint: typeHint });
    }
    try {
      const parsed = await database.describe(`select cast(null as ${type}) as x`);
      made.push({ name, type: parsed[0]!.type });
    } catch (error) {
      fail('invalidSpec', 'E_SQL_BIND', `'${type}': ${messageOf(error)}`, { at, hint: typeHint });
    }
  }
  return made;
}

const typeHint = 'name a DuckDB type such as BIGINT, DOUBLE, VARCHAR or VARCHAR[]';

function chooseExport(wanted: string | undefined, bundle: string, step: string): string {
  const names = exportsOf(bundle);
  if (wanted !== undefined) {
    if (names.includes(wanted)) return wanted;
    fail('invalidSpec', 'E_MAP_EXPORT', `the module exports no '${wanted}'`, {
      at: { step },
      hint: nameHint(wanted, names) ?? 'export the function from the module',
    });
  }
  const usual = ['batch', 'row'].find((name) => names.includes(name));
  if (usual !== undefined) return usual;
  return fail('invalidSpec', 'E_MAP_EXPORT', `the module exports neither 'batch' nor 'row'`, {
    at: { step },
    hint: names.length > 0 ? `write export: ${names[0]}` : 'export a function from the module',
  });
}

/** Names that a bundle exports: `export { a, b as c };` as the bundler writes, or in the open. */
export function exportsOf(bundle: string): string[] {
  const names: string[] = [];
  for (const match of bundle.matchAll(/^export\s*\{([^}]*)\}/gm)) {
    for (const item of match[1]!.split(',')) {
      const name = /(?:\bas\s+)?([\w$]+)\s*$/.exec(item.trim())?.[1];
      if (name !== undefined) names.push(name);
    }
  }
  const open = /^export\s+(?:async\s+)?(?:function\*?|const|let|var|class)\s+([\w$]+)/gm;
  for (const match of bundle.matchAll(open)) names.push(match[1]!);
  return [...new Set(names)];
}
