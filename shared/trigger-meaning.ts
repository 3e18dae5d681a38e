/**
 * What is wrong with the parts of a well-shaped trigger that name data sets. Never: looks at them.
 */
import { assetKey, type Asset } from './asset-condition.js';
import { assetsMax, type AssetSpec } from './schedule-spec.js';
import { hasTemplate } from './spec-paths.js';
import type { SpecPath, SpecProblems } from './spec-problems.js';

const kinds = ['output', 'files', 'all', 'any'] as const;

/** Notes E_SPEC_INVALID for what is no condition, and for two data sets of one name. */
export function checkAssets(spec: AssetSpec, at: SpecPath, problems: SpecProblems): void {
  const named = new Map<string, string>();
  checkPart(spec, at);
  if (named.size > assetsMax) {
    problems.add('E_SPEC_INVALID', at, `there are over ${assetsMax} data sets`, {
      hint: 'make it several schedules, or name a directory that holds them',
    });
  }

  function checkPart(part: AssetSpec, path: SpecPath): void {
    const [kind, second] = kinds.filter((each) => part[each] !== undefined);
    if (kind === undefined || second !== undefined) {
      const what =
        second === undefined ? 'names no data set' : `there is ${kind ?? ''} already, beside it`;
      const where = second === undefined ? path : [...path, second];
      problems.add('E_SPEC_INVALID', where, what, {
        hint: `give it one of ${kinds.join(', ')}`,
        what: second === undefined ? 'value' : 'key',
      });
      return;
    }
    if (kind === 'all' || kind === 'any') {
      if (part.name !== undefined) {
        problems.add('E_SPEC_INVALID', [...path, 'name'], 'only a data set has a name', {
          hint: `name those of ${kind}`,
          what: 'key',
        });
      }
      part[kind]?.forEach((each, index) => checkPart(each, [...path, kind, index]));
      return;
    }
    const text = part[kind] ?? '';
    checkPath(kind, text, [...path, kind]);
    const key = assetKey({ kind, path: text });
    const name = part.name ?? text;
    const known = named.get(name);
    if (known !== undefined && known !== key) {
      const where = [...path, part.name === undefined ? kind : 'name'];
      problems.add('E_SPEC_INVALID', where, `another data set is called '${name}'`, {
        hint: 'give each a name of its own',
      });
    }
    named.set(name, key);
  }

  function checkPath(kind: Asset['kind'], text: string, path: SpecPath): void {
    if (hasTemplate(text)) {
      problems.add('E_SPEC_INVALID', path, 'there is no run yet whose variables could stand here', {
        hint: 'name the directory above',
      });
    }
    const star = text.indexOf('*');
    if (star < 0 || (kind === 'files' && star === text.length - 1)) return;
    problems.add('E_SPEC_INVALID', path, 'a data set is no glob', {
      hint: 'files may end in one *, for all whose path begins so',
    });
  }
}
