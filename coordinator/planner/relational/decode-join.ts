/**
 * Joins of the plan. A duplicate-eliminating join (how DuckDB decorrelates a subquery) becomes a
 * shared result: the outer rows, joined with a subquery that starts from their distinct keys.
 */
import { comparisons, conjunctsOf, decodeExpression, expressionsOf } from './decode-expression.js';
import {
  asColumns,
  columnsIn,
  onlyKnown,
  operatorName,
  type Decoded,
  type DecodeState,
} from './decode-state.js';
import { flagOf, objectsOf, textOf, unsupported, type PlanObject } from './plan-json.js';
import { combine } from './expression.js';
import { directJoin } from './direct-join.js';
import { onePartner } from './unique.js';
import type { Asof, Expression, Join, JoinKind, Shared } from './relation.js';

type DecodeChild = (tree: PlanObject) => Decoded;

const members = [
  'join_type',
  'mark_index',
  'mark_types',
  'conditions',
  'condition',
  'duplicate_eliminated_columns',
  'delim_flipped',
  'predicate',
];

const kinds: Readonly<Record<string, JoinKind>> = {
  INNER: 'inner',
  LEFT: 'left',
  RIGHT: 'right',
  OUTER: 'full',
  FULL: 'full',
  SEMI: 'semi',
  ANTI: 'anti',
  RIGHT_SEMI: 'semi',
  RIGHT_ANTI: 'anti',
  MARK: 'mark',
  SINGLE: 'single',
};

/**
 * Not RIGHT and FULL: where no row is on the left, as in some partition there may not be, DuckDB 1.5
 * runs for ever with one thread. Nor further conditions: what they read it may have left out already.
 */
const asofKinds: Readonly<Record<string, Asof>> = {
  INNER: 'asof',
  LEFT: 'asof left',
};

/** @throws UnsupportedPlan */
export function decodeJoin(tree: PlanObject, decode: DecodeChild, state: DecodeState): Decoded {
  const [left, right] = childrenOf(tree);
  if (tree['type'] === 'LOGICAL_CROSS_PRODUCT') {
    onlyKnown(tree, []);
    return joined(tree, 'cross', decode(left), decode(right), state);
  }
  const asof = tree['type'] === 'LOGICAL_ASOF_JOIN';
  onlyKnown(tree, asof ? members.filter((name) => name !== 'predicate') : members);
  const kind = (asof ? asofKinds : kinds)[textOf(tree['join_type'], 'join')];
  if (kind === undefined) {
    return unsupported(`${operatorName(tree)} ${String(tree['join_type']).toLowerCase()}`);
  }
  if (tree['type'] !== 'LOGICAL_DELIM_JOIN') {
    return joined(tree, kind, decode(left), decode(right), state);
  }
  const flipped = flagOf(tree['delim_flipped'], 'join');
  return delimJoin(tree, kind, flipped ? [right, left] : [left, right], flipped, decode, state);
}

function delimJoin(
  tree: PlanObject,
  kind: JoinKind,
  [outerTree, innerTree]: readonly [PlanObject, PlanObject],
  flipped: boolean,
  decode: DecodeChild,
  state: DecodeState,
): Decoded {
  const outer = decode(outerTree);
  const wanted = expressionsOf(tree['duplicate_eliminated_columns'], state.scope(outer.slots));
  const keyed = asColumns(outer.relation, wanted, (index) => `key${index}`, state);
  const rows = state.share(outer.slots);
  const keys = { id: rows.id, slots: keyed.columns, used: false };
  state.outer.push(keys);
  const inner = decode(innerTree);
  state.outer.pop();
  // The optimiser may have removed every use of the keys: then it is a join as any other.
  const side = keys.used ? state.refer(rows) : outer;
  const body = flipped
    ? joined(tree, kind, inner, side, state)
    : joined(tree, kind, side, inner, state);
  if (!keys.used) return body;
  const relation: Shared = {
    kind: 'shared',
    id: rows.id,
    definition: keyed.relation,
    body: body.relation,
    columns: body.relation.columns,
  };
  return { relation: directJoin(relation) ?? relation, slots: body.slots };
}

/** The outer rows' keys, each once. */
export function delimGet(tree: PlanObject, state: DecodeState): Decoded {
  onlyKnown(tree, ['table_index', 'chunk_types']);
  const keys = state.outer.at(-1) ?? unsupported('outer keys outside a subquery');
  const { relation: input, slots } = state.refer(keys);
  state.bind(tree['table_index'], slots);
  return { relation: { kind: 'distinct', input, keys: [], columns: input.columns }, slots };
}

function joined(
  tree: PlanObject,
  kind: JoinKind,
  first: Decoded,
  second: Decoded,
  state: DecodeState,
): Decoded {
  const conditions = conditionsOf(tree, first, second, state);
  const swapped = String(tree['join_type']).startsWith('RIGHT_');
  const [left, right] = swapped ? [second, first] : [first, second];
  const equalities = swapped
    ? conditions.equalities.map((each) => ({ ...each, left: each.right, right: each.left }))
    : conditions.equalities;
  const base = { kind: 'join' as const, join: kind, left: left.relation, right: right.relation };
  if (kind === 'mark') return marked(base, left, { ...conditions, equalities }, state);
  const slots = kind === 'semi' || kind === 'anti' ? left.slots : [...left.slots, ...right.slots];
  const relation: Join = {
    ...base,
    // A subquery that is grouped by what it is compared with needs no watch over second rows.
    join: kind === 'single' && onePartner(right.relation, equalities) ? 'left' : kind,
    equalities,
    residual: conditions.residual.map(({ whole }) => whole),
    columns: columnsIn(slots),
  };
  return { relation, slots };
}

interface Conditions {
  readonly equalities: Join['equalities'];
  /** With both sides, where it is a comparison of one side with the other. */
  readonly residual: readonly {
    readonly whole: Expression;
    readonly sides?: {
      readonly left: Expression;
      readonly word: string;
      readonly right: Expression;
    };
  }[];
}

function marked(
  base: Pick<Join, 'kind' | 'join' | 'left' | 'right'>,
  left: Decoded,
  conditions: Conditions,
  state: DecodeState,
): Decoded {
  const column = state.column('mark', 'BOOLEAN');
  const safe = conditions.equalities.filter(({ nullSafe }) => nullSafe);
  const open = [
    ...conditions.equalities
      .filter(({ nullSafe }) => !nullSafe)
      .map((each) => ({ left: each.left, word: '=', right: each.right })),
    ...conditions.residual.map(({ sides }) => sides ?? unsupported('a mark join of this kind')),
  ];
  const [first, ...others] = open;
  // Of rows only `=` compares column by column.
  if (others.length > 0 && (safe.length > 0 || open.some(({ word }) => word !== '='))) {
    return unsupported('a mark join with several comparisons');
  }
  const slots = [...left.slots, column];
  const relation: Join = {
    ...base,
    equalities: safe,
    residual: [],
    mark: {
      column,
      ...(first
        ? {
            test: {
              left: first.left,
              operator: anyOperator(first.word),
              right: first.right,
              ...(others.length > 0
                ? { and: others.map((each) => ({ left: each.left, right: each.right })) }
                : {}),
            },
          }
        : {}),
    },
    columns: columnsIn(slots),
  };
  return { relation, slots };
}

function anyOperator(word: string): NonNullable<NonNullable<Join['mark']>['test']>['operator'] {
  switch (word) {
    case '=':
    case '<>':
    case '<':
    case '>':
    case '<=':
    case '>=':
      return word;
    default:
      return unsupported(`a mark join on ${word}`);
  }
}

function conditionsOf(
  tree: PlanObject,
  left: Decoded,
  right: Decoded,
  state: DecodeState,
): Conditions {
  const equalities: Join['equalities'][number][] = [];
  const residual: Conditions['residual'][number][] = [];
  const compare = (a: Expression, comparison: unknown, b: Expression) => {
    const word = comparisons[String(comparison)];
    if (word === undefined) return unsupported(`comparison ${String(comparison)}`);
    if (word === '=' || word === 'is not distinct from') {
      equalities.push({ left: a, right: b, nullSafe: word !== '=' });
    } else {
      const whole = combine(`(${a.sql} ${word} ${b.sql})`, 'BOOLEAN', [a, b]);
      residual.push({ whole, sides: { left: a, word, right: b } });
    }
  };
  for (const condition of objectsOf(tree['conditions'], 'join')) {
    onlyKnown(condition, ['left', 'right', 'comparison']);
    compare(
      decodeExpression(condition['left'], state.scope(left.slots)),
      condition['comparison'],
      decodeExpression(condition['right'], state.scope(right.slots)),
    );
  }
  const both = state.scope(left.slots, right.slots);
  const more = [tree['condition'], tree['predicate']].filter((each) => each !== undefined);
  for (const part of more.flatMap((each) => (each === null ? [] : conjunctsOf(each)))) {
    const whole = decodeExpression(part, both);
    const sides = equalSides(part, left, right, both);
    if (sides) compare(sides[0], part['type'], sides[1]);
    else residual.push({ whole });
  }
  return { equalities, residual };
}

/** The sides of `a = b` where one reads only the left and the other only the right. */
function equalSides(
  part: PlanObject,
  left: Decoded,
  right: Decoded,
  both: ReturnType<DecodeState['scope']>,
): readonly [Expression, Expression] | undefined {
  if (part['type'] !== 'COMPARE_EQUAL' && part['type'] !== 'COMPARE_NOT_DISTINCT_FROM') return;
  const a = decodeExpression(part['left'], both);
  const b = decodeExpression(part['right'], both);
  if (a.volatile || b.volatile) return;
  if (within(a, left) && within(b, right)) return [a, b];
  return within(b, left) && within(a, right) ? [b, a] : undefined;
}

function within(expression: Expression, side: Decoded): boolean {
  const ids = new Set(side.relation.columns.map(({ id }) => id));
  return expression.reads.length > 0 && expression.reads.every((id) => ids.has(id));
}

function childrenOf(tree: PlanObject): readonly [PlanObject, PlanObject] {
  const [left, right, ...others] = objectsOf(tree['children'], 'join');
  return left && right && others.length === 0
    ? [left, right]
    : unsupported(`${operatorName(tree)} without two sides`);
}
