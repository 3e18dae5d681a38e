/**
 * Which of a model's columns need not be computed by DuckDB: those that the select before it makes of
 * others by arithmetic on doubles, where that leaves far fewer values to hand over. Reads DuckDB's own
 * parse tree. Never computes; what it does not know stays with DuckDB.
 */
import type {
  ColumnDef,
  InferStep,
  SelectStep,
  StageProgram,
  TensorInput,
} from '../../shared/plan.js';
import { quoteName, quoteText } from '../../shared/sql-text.js';
import { type Operator, operators, type Term } from '../inference/arithmetic.js';
import type { ComputedInput } from '../inference/computed-columns.js';
import { isPacked } from '../inference/tensors.js';
import type { Kernel } from '../kernel/duckdb.js';
import { stringifyExact } from './row-query.js';
import { selectTrees, type Statement, type Tree } from './select-trees.js';

export interface ComputedInputs {
  /** Columns that the select has to make besides its own. */
  readonly added: readonly { readonly name: string; readonly expr: string }[];
  /** For each input of the step; undefined: as it is. */
  readonly inputs: readonly (ComputedInput | undefined)[];
}

/** Handing over a value costs about as much as computing one: less than half of them pay. */
const columnsPerLeaf = 2;

/** What every value of is a double, and a float by one rounding. */
const exactTypes = /^(DOUBLE|FLOAT|BOOLEAN|U?(TINYINT|SMALLINT|INTEGER))$/;
const numericTypes = /^(DOUBLE|FLOAT|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL(\(.*\))?)$/;

const decimalText = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i;

/** @param scan what the select reads from */
export async function computedInputs(
  kernel: Kernel,
  scan: StageProgram['scan'],
  select: SelectStep,
  infer: InferStep,
): Promise<ComputedInputs | undefined> {
  const eligible = (input: TensorInput): boolean => isPacked(input) && input.type === 'float32';
  if (!infer.inputs.some(eligible)) return undefined;
  const statement = await selectTrees(kernel, select);
  if (!statement) return undefined;
  const list = statement.statements[0].node.select_list;
  const trees = new Map(select.columns.map(({ name }, at) => [name.toLowerCase(), list[at]!]));
  const leaves = new Leaves([...scan.columns, ...scan.hive]);
  const inputs = infer.inputs.map((input) =>
    eligible(input) ? leaves.computed(input, trees) : undefined,
  );
  if (inputs.every((input) => input === undefined)) return undefined;
  return { added: await leaves.expressions(kernel, statement), inputs };
}

/** A statement of one expression as SQL. */
function deserialized(statement: Statement, tree: Tree): string {
  const [only] = statement.statements;
  const alone = { ...only, node: { ...only.node, select_list: [tree] } };
  return `json_deserialize_sql(${quoteText(stringifyExact({ ...statement, statements: [alone] }))})`;
}

type Kind = 'DOUBLE' | 'number' | undefined;

/** The values that several columns are computed from, each one once. */
class Leaves {
  private readonly types: ReadonlyMap<string, string>;
  /** By their trees: the expressions below the select. */
  private readonly below = new Map<string, { readonly name: string; readonly tree: Tree }>();
  /** Of the input at hand. */
  private own: string[] = [];

  constructor(columns: readonly ColumnDef[]) {
    this.types = new Map(columns.map(({ name, type }) => [name.toLowerCase(), type]));
  }

  /** The terms of an input and what they are computed from; undefined where it stays as it is. */
  computed(input: TensorInput, trees: ReadonlyMap<string, Tree>): ComputedInput | undefined {
    this.own = [];
    const terms: Term[] = [];
    for (const column of input.columns) {
      const term = this.termOf(column, trees.get(column.name.toLowerCase()));
      if (!term) return undefined;
      terms.push(term);
    }
    const pays = this.own.length * columnsPerLeaf <= terms.length;
    return pays ? { leaves: this.own, terms } : undefined;
  }

  /** Undefined where the column can neither be computed nor handed over as a double. */
  private termOf({ name, type }: ColumnDef, tree: Tree | undefined): Term | undefined {
    const cast = tree?.class === 'CAST' && tree.try_cast === false ? tree : undefined;
    const value = cast?.cast_type?.id === 'FLOAT' ? cast.child : tree;
    if (value && this.isArithmetic(value)) return this.operand(value);
    return exactTypes.test(type) ? this.leaf(quoteName(name)) : undefined;
  }

  async expressions(kernel: Kernel, statement: Statement): Promise<ComputedInputs['added']> {
    const wanted = [...this.below.values()];
    if (wanted.length === 0) return [];
    const texts = wanted.map(({ tree }) => deserialized(statement, tree));
    const [row] = await kernel.rows(
      `select ${texts.map((text, at) => `${text} as t${at}`).join(', ')}`,
    );
    return wanted.map(({ name }, at) => ({
      name,
      expr: `CAST(${String(row?.[`t${at}`]).replace(/^SELECT /, '')} AS DOUBLE)`,
    }));
  }

  private operand(tree: Tree): Term | undefined {
    if (this.isArithmetic(tree)) {
      const [left, right] = tree.children!;
      const of = [this.operand(left!), right && this.operand(right)] as const;
      const operator = tree.function_name as Operator;
      if (of[0] && of[1]) return { kind: 'apply', operator, of: [of[0], of[1]] };
      return undefined;
    }
    const value = constant(tree);
    if (value !== undefined) return { kind: 'constant', value };
    const key = stringifyExact(withoutPlaces(tree));
    const known = this.below.get(key) ?? { name: `__windrow_leaf_${this.below.size}`, tree };
    this.below.set(key, known);
    return this.leaf(quoteName(known.name));
  }

  private leaf(expression: string): Term {
    const sql = `CAST(${expression} AS DOUBLE)`;
    if (!this.own.includes(sql)) this.own.push(sql);
    return { kind: 'leaf', leaf: this.own.indexOf(sql) };
  }

  /** On two numbers of which one is a double, so that DuckDB makes a double of the other, too. */
  private isArithmetic(tree: Tree): boolean {
    if (!isOperator(tree) || !(operators as readonly string[]).includes(tree.function_name!)) {
      return false;
    }
    return this.kindOf(tree) === 'DOUBLE';
  }

  /** What is known of the type of an expression without side effects; undefined: nothing. */
  private kindOf(tree: Tree): Kind {
    switch (tree.class) {
      case 'COLUMN_REF': {
        const [name, ...more] = tree.column_names!;
        return more.length === 0 ? kindOfType(this.types.get(name!.toLowerCase())) : undefined;
      }
      case 'CONSTANT':
        return tree.value!.is_null ? undefined : kindOfType(tree.value!.type.id);
      case 'CAST':
        if (constant(tree) !== undefined) return 'DOUBLE';
        if (tree.try_cast !== false || this.kindOf(tree.child!) === undefined) return undefined;
        return kindOfType(tree.cast_type!.id);
      case 'FUNCTION': {
        if (!isOperator(tree)) return undefined;
        const kinds = tree.children!.map((child) => this.kindOf(child));
        if (kinds.includes(undefined)) return undefined;
        return kinds.includes('DOUBLE') ? 'DOUBLE' : 'number';
      }
      default:
        return undefined;
    }
  }
}

function kindOfType(type: string | undefined): Kind {
  if (type === 'DOUBLE') return 'DOUBLE';
  return type !== undefined && numericTypes.test(type) ? 'number' : undefined;
}

function isOperator({ class: kind, function_name: name, ...tree }: Tree): boolean {
  return (
    kind === 'FUNCTION' &&
    tree.is_operator === true &&
    tree.schema === '' &&
    tree.children?.length === 2 &&
    ['+', '-', '*', '/', '%'].includes(name ?? '')
  );
}

/**
 * As a double; undefined for what is none, and for what would be rounded twice. The planner writes
 * doubles as casts of their text, which both sides round to the nearest.
 */
function constant({ class: kind, value, child, cast_type: cast }: Tree): number | undefined {
  if (kind === 'CAST') {
    const text = cast?.id === 'DOUBLE' && child?.class === 'CONSTANT' && child.value?.value;
    if (typeof text !== 'string' || !decimalText.test(text)) return undefined;
    return Number.isFinite(Number(text)) ? Number(text) : undefined;
  }
  if (kind !== 'CONSTANT' || typeof value?.value !== 'number') return undefined;
  const scale = value.type.id === 'DECIMAL' ? (value.type.type_info?.scale ?? 0) : 0;
  return scale === 0 ? value.value : value.value / Number(`1e${scale}`);
}

/** Equal for equal expressions, wherever they stand. */
function withoutPlaces(tree: unknown): unknown {
  if (Array.isArray(tree)) return tree.map(withoutPlaces);
  if (typeof tree !== 'object' || tree === null) return tree;
  const entries = Object.entries(tree).filter(([key]) => key !== 'query_location');
  return Object.fromEntries(entries.map(([key, value]) => [key, withoutPlaces(value)]));
}
