/** Arguments that DuckDB takes out of a call when it binds it: brought back, or missed. */
import { constantTexts } from './decode-constant.js';
import { combine } from './expression.js';
import {
  digitsOf,
  flagOf,
  isObject,
  listOf,
  objectOf,
  textOf,
  unsupported,
  type PlanObject,
} from './plan-json.js';
import type { Expression, SortKey } from './relation.js';
import { quoteText } from '../../../shared/sql-text.js';

/** Arguments that binding took out of the call are in data that is not serialised. */
export function refuseErased(name: string, tree: PlanObject): void {
  const original = listOf(tree['original_arguments'], name);
  if (original.length > listOf(tree['arguments'], name).length) {
    unsupported(`function ${name} with an argument that binding folds away`);
  }
}

/**
 * Arguments of an aggregate that binding folded into private data, back in their place.
 * @throws UnsupportedPlan
 */
export function folded(
  name: string,
  tree: PlanObject,
  given: readonly Expression[],
): { args: readonly Expression[]; order: readonly SortKey[] } {
  if (!flagOf(tree['has_serialize'], name)) {
    refuseErased(name, tree);
    return { args: given, order: [] };
  }
  const data = objectOf(tree['function_data'], name);
  const [first] = given;
  if (first === undefined) return unsupported(`aggregate ${name} with private data`);
  switch (name) {
    case 'string_agg':
    case 'group_concat':
    case 'listagg': {
      const separator = `cast(${quoteText(textOf(data['separator'], name))} as VARCHAR)`;
      return { args: [first, combine(separator, 'VARCHAR', [])], order: [] };
    }
    case 'quantile':
    case 'quantile_cont':
    case 'quantile_disc': {
      const quantiles = constantTexts(data['quantiles'], name).map(({ sql }) => sql);
      const args = [first, fractions(name, tree, quantiles)];
      const descending = flagOf(data['desc'], name);
      return {
        args,
        order: descending ? [{ expression: first, descending, nullsFirst: false }] : [],
      };
    }
    case 'approx_quantile': {
      const quantiles = listOf(data['quantiles'], name).map(
        (value) => `cast('${digitsOf(value, name)}' as FLOAT)`,
      );
      return { args: [first, fractions(name, tree, quantiles)], order: [] };
    }
    // What they keep aside follows from the types of their arguments alone.
    case 'sum':
    case 'avg':
    case 'median':
    case 'mad':
    case 'count':
    case 'min':
    case 'max':
      refuseErased(name, tree);
      return { args: given, order: [] };
    default:
      return unsupported(`aggregate ${name} with private data`);
  }
}

/** One fraction or a list of them, as the call had it: its result is a list only for a list. */
function fractions(name: string, tree: PlanObject, quantiles: readonly string[]): Expression {
  const asked = listOf(tree['original_arguments'], name)[1];
  const list = isObject(asked) && (asked['id'] === 'LIST' || asked['id'] === 'ARRAY');
  const [only] = quantiles;
  if (list) return combine(`[${quantiles.join(', ')}]`, 'LIST', []);
  return only !== undefined && quantiles.length === 1
    ? combine(only, 'DOUBLE', [])
    : unsupported(`aggregate ${name} with ${quantiles.length} fractions`);
}
