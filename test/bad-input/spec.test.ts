/** Specs that are wrong in themselves: refused with code, place and nearest name, before any work. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { expectRefused, Place, type Refusal } from './place.js';

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(() => place.close());

const head = `apiVersion: windrow/v1
kind: Job
metadata: { name: bad }
sources: { orders: { parquet: ../data.parquet } }
`;
const tail = 'outputs:\n  - { from: orders, parquet: out }\n';

interface TextCase extends Refusal {
  readonly name: string;
  readonly text: () => string;
}

const texts: TextCase[] = [
  { name: 'an empty spec', text: () => '', code: 'E_SPEC_EMPTY', says: [/job\.yaml/, /hint: /] },
  {
    name: 'a spec of nothing but comments',
    text: () => '# to be written\n\n',
    code: 'E_SPEC_EMPTY',
    says: [/apiVersion/],
  },
  {
    name: 'a spec above 1 MiB',
    text: () => `${head}${tail}# ${'x'.repeat(1024 * 1024)}\n`,
    code: 'E_SPEC_TOO_LARGE',
    says: ['1048576 bytes', /hint: /],
  },
  {
    name: 'an alias bomb',
    text: () => {
      const levels = Array.from({ length: 12 }, (_, k) => {
        const items = k === 0 ? 'x' : `*a${k - 1}`;
        return `  p${k}: &a${k} [${Array(9).fill(items).join(', ')}]`;
      });
      return `${head}params:\n${levels.join('\n')}\n${tail}`;
    },
    code: 'E_SPEC_TOO_LARGE',
    says: [/50000 values/, /aliases/],
  },
  {
    name: 'nesting without end',
    text: () => `${head}params: ${'['.repeat(5000)}${']'.repeat(5000)}\n${tail}`,
    code: 'E_SPEC_TOO_LARGE',
    says: [/64 levels/],
  },
  {
    name: 'an unknown field',
    text: () => `${head}stpes: []\n${tail}`,
    code: 'E_SPEC_UNKNOWN_FIELD',
    says: [/job\.yaml:5:1/, /'stpes'/, /steps/],
  },
  {
    name: 'an unknown field deep inside',
    text: () =>
      `${head}steps:\n  - id: a\n    filter:\n      form: orders\n      where: 'true'\n${tail}`,
    code: 'E_SPEC_UNKNOWN_FIELD',
    says: [/job\.yaml:8:7/, /'form'/, /from/],
  },
  {
    name: 'a key twice',
    text: () => `${head}kind: Job\n${tail}`,
    code: 'E_SPEC_DUPLICATE_KEY',
    says: [/job\.yaml:5:1/],
  },
  {
    name: 'a key that reaches for the prototype',
    text: () => `${head}params: { __proto__: { polluted: 1 } }\n${tail}`,
    code: 'E_SPEC_INVALID',
    says: [/__proto__/, /job\.yaml:5:/],
  },
  {
    name: 'text that is not YAML',
    text: () => `${head}steps: [\n${tail}`,
    code: 'E_SPEC_SYNTAX',
    says: [/job\.yaml:\d+:\d+/],
  },
  {
    name: 'a negative number',
    text: () => `${head}run: { attempts: -1 }\n${tail}`,
    code: 'E_SPEC_INVALID',
    says: [/job\.yaml:5:/, /attempts/],
  },
  {
    name: 'not a number',
    text: () => `${head}params: { limit: .nan }\n${tail}`,
    code: 'E_SPEC_INVALID',
    says: [/job\.yaml:5:/, /limit|nan/i],
  },
  {
    name: 'an endless number',
    text: () => `${head}run: { weight: .inf }\n${tail}`,
    code: 'E_SPEC_INVALID',
    says: [/job\.yaml:5:/, /weight/],
  },
  {
    name: 'a huge number',
    text: () => `${head}run: { priority: 1e300 }\n${tail}`,
    code: 'E_SPEC_INVALID',
    says: [/job\.yaml:5:/, /priority/],
  },
  {
    name: 'a whole number beyond what is exact',
    text: () => `${head}params: { id: 9007199254740993 }\n${tail}`,
    code: 'E_SPEC_INVALID',
    says: [/job\.yaml:5:/, /2\^53/, /quoted text/],
  },
  {
    name: 'a template in SQL',
    text: () =>
      `${head}params: { day: x }\nsteps:\n  - { id: a, filter: { from: orders, where: "name = '{{ day }}'" } }\noutputs:\n  - { from: a, parquet: out }\n`,
    code: 'E_TEMPLATE_IN_SQL',
    says: [/job\.yaml:7:/, /\$day|\$name/],
  },
  {
    name: 'a variable that is not there',
    text: () =>
      `${head}outputs:\n  - { from: orders, parquet: 'out/{{ dya }}' }\nparams: { day: x }\n`,
    code: 'E_UNKNOWN_VARIABLE',
    says: [/job\.yaml:6:/, /day/],
  },
  {
    name: 'a NUL in a path',
    text: () => `${head}outputs:\n  - { from: orders, parquet: "out\\0side" }\n`,
    code: 'E_SPEC_INVALID',
    says: [/NUL/, /job\.yaml:6:/],
  },
  {
    name: 'steps in a circle',
    text: () =>
      `${head}steps:\n  - { id: a, filter: { from: b, where: 'true' } }\n  - { id: b, filter: { from: a, where: 'true' } }\noutputs:\n  - { from: a, parquet: out }\n`,
    code: 'E_SPEC_CYCLE',
    says: [/a → b → a|b → a → b/],
  },
];

describe('a spec is refused with its place', () => {
  it.concurrent.each(texts)('$name', async ({ name, text, code, says }) => {
    const spec = place.write(`${name.replaceAll(' ', '-')}/job.yaml`, text());
    await expectRefused(place, spec, { code, says });
  });
});

describe('--set is refused', () => {
  it.concurrent.each([
    { set: 'amuont=3', code: 'E_UNKNOWN_PARAM', says: [/amount/] },
    { set: 'amount', code: 'E_PARAM_INVALID', says: [/name=value/] },
    { set: 'amount=three', code: 'E_PARAM_INVALID', says: [/amount/] },
  ])('--set $set', async ({ set, code, says }) => {
    const spec = place.spec(`set ${set}`, { params: { amount: 1 } });
    await expectRefused(place, spec, { code, says }, ['--set', set]);
  });
});
