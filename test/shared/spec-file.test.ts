import { expect, test } from 'vitest';
import { WindrowError } from '../../shared/failure.js';
import { limits } from '../../shared/limits.js';
import { parseSpecText, validateSpec } from '../../shared/spec-file.js';

const good = `apiVersion: windrow/v1
kind: Job
metadata: { name: score }
params: { day: "2026-11-20", minAmount: 10 }
run: { attempts: 4 }
sources:
  orders: { parquet: "data/{{ day }}/*.parquet" }
steps:
  - { id: recent, filter: { from: orders, where: "amount > $minAmount" } }
  - id: scored
    infer:
      from: recent
      model: churn.onnx
      inputs: { x: [age, amount] }
      outputs: { score: churn }
outputs:
  - { from: scored, parquet: out }
`;

function problemsOf(run: () => unknown): WindrowError {
  try {
    run();
  } catch (error) {
    if (error instanceof WindrowError) return error;
    throw error;
  }
  throw new Error('expected a WindrowError');
}

const refused = (text: string) =>
  problemsOf(() => parseSpecText(text, { file: 'job.yaml' })).failure;

/** The good spec with one piece replaced; the piece must be there, or the test means nothing. */
function changed(from: string, to: string): string {
  if (!good.includes(from)) throw new Error(`the spec has no '${from}'`);
  return good.replace(from, to);
}

test('a good spec comes out with its defaults filled in', () => {
  const { spec, input } = parseSpecText(good);
  expect(spec.run).toEqual({ priority: 0, weight: 1, attempts: 4 });
  expect(spec.checkpoints.keep).toBe('P7D');
  expect(spec.outputs[0]).toMatchObject({ mode: 'error', compression: 'snappy' });
  expect(spec.steps[1]).toMatchObject({ infer: { device: 'auto', onNull: 'fail' } });
  expect(input).toMatchObject({ run: { attempts: 4 } });
});

test('JSON text, tabs and all, gives the same spec as YAML', () => {
  const { spec, input } = parseSpecText(good);
  expect(parseSpecText(JSON.stringify(input, null, '\t')).spec).toEqual(spec);
});

test('of a file of the other kind only that is said, with the verb that takes it', () => {
  const schedule = `apiVersion: windrow/v1
kind: Schedule
metadata: { name: nightly }
job: job.yaml
trigger: { cronInterval: '@daily' }
`;
  const taken = problemsOf(() => parseSpecText(schedule, { file: 'nightly.yaml' }));
  expect(taken.problems).toMatchObject([
    {
      code: 'E_SPEC_INVALID',
      at: { line: 2, col: 7 },
      hint: expect.stringContaining('windrow schedule create') as unknown,
    },
  ]);
});

test('YAML is read as 1.2: yes and on are text', () => {
  const { spec } = parseSpecText(changed('minAmount: 10', 'minAmount: yes'));
  expect(spec.params['minAmount']).toBe('yes');
});

const where = 'where: "amount > $minAmount"';
const infer = 'from: recent\n      model';
/** What is wrong, the text, the code, its place, and words that the message must have. */
const table: [string, string, string, [number, number] | undefined, RegExp][] = [
  ['empty text', '', 'E_SPEC_EMPTY', undefined, /empty/],
  ['only a comment', '# nothing\n', 'E_SPEC_EMPTY', undefined, /empty/],
  ['only null', '~\n', 'E_SPEC_EMPTY', undefined, /empty/],
  ['a list', '- 1\n', 'E_SPEC_INVALID', [1, 1], /must be a mapping, not a list/],
  ['an open quote', 'a: "x\nb: 1\n', 'E_SPEC_SYNTAX', [3, 1], /quote/],
  ['two documents', 'a: 1\n---\nb: 1\n', 'E_SPEC_SYNTAX', [2, 1], /documents/],
  ['a YAML 1.1 directive', `%YAML 1.1\n---\n${good}`, 'E_SPEC_SYNTAX', undefined, /YAML 1\.1/],
  ['a tag of its own', changed('kind: Job', 'kind: !x Job'), 'E_SPEC_SYNTAX', [2, 7], /tag/],
  ['an unknown alias', 'a: *nowhere\n', 'E_SPEC_SYNTAX', [1, 4], /nowhere/],
  ['a key that is a list', '{ [a]: 1 }\n', 'E_SPEC_SYNTAX', [1, 3], /keys must be strings/],
  [
    'a doubled key',
    changed('kind: Job', 'kind: Job\nkind: Job'),
    'E_SPEC_DUPLICATE_KEY',
    [3, 1],
    /'kind' is there twice/,
  ],
  [
    'a misspelled field at the top',
    changed('\noutputs:', '\noutput:'),
    'E_SPEC_UNKNOWN_FIELD',
    [16, 1],
    /'output'.*did you mean 'outputs'/,
  ],
  [
    'a misspelled field of a step',
    changed(where, 'wher: "a > 1"'),
    'E_SPEC_UNKNOWN_FIELD',
    [9, 43],
    /'wher'.*did you mean 'where'/,
  ],
  [
    'an unknown field beside a step kind',
    changed('  - id: scored\n', '  - id: scored\n    form: orders\n'),
    'E_SPEC_UNKNOWN_FIELD',
    [11, 5],
    /unknown field 'form'/,
  ],
  [
    'a misspelled step kind',
    changed('filter:', 'filtr:'),
    'E_SPEC_UNKNOWN_FIELD',
    [9, 19],
    /unknown step kind 'filtr'.*did you mean 'filter'/,
  ],
  [
    'two kinds in one step',
    changed('filter:', 'sql: { query: "select 1" }, filter:'),
    'E_SPEC_INVALID',
    [9, 47],
    /has sql and filter/,
  ],
  [
    'a step of no kind',
    changed(`, filter: { from: orders, ${where} }`, ''),
    'E_SPEC_INVALID',
    [9, 5],
    /no kind/,
  ],
  [
    'a misspelled wide step kind',
    changed('filter:', 'agregate:'),
    'E_SPEC_UNKNOWN_FIELD',
    [9, 19],
    /did you mean 'aggregate'/,
  ],
  [
    'a misspelled check kind',
    changed(
      `filter: { from: orders, ${where} }`,
      'expect: { from: orders, checks: [{ column: a, betwen: [1, 2] }] }',
    ),
    'E_SPEC_UNKNOWN_FIELD',
    [9, 65],
    /unknown check kind 'betwen'.*'between'/,
  ],
  [
    'a key named __proto__',
    changed('minAmount: 10', '__proto__: 10'),
    'E_SPEC_INVALID',
    [4, 30],
    /__proto__/,
  ],
  [
    'a key named constructor',
    changed('minAmount: 10', 'constructor: 10'),
    'E_SPEC_INVALID',
    [4, 30],
    /constructor/,
  ],
  [
    'a step named __proto__',
    changed('id: scored', 'id: __proto__').replace('from: scored', 'from: __proto__'),
    'E_SPEC_INVALID',
    [10, 9],
    /reserved/,
  ],
  [
    'a negative number',
    changed('attempts: 4', 'attempts: -1'),
    'E_SPEC_INVALID',
    [5, 18],
    /at least 1, not -1/,
  ],
  ['NaN', changed('attempts: 4', 'weight: .nan'), 'E_SPEC_INVALID', [5, 16], /NaN/],
  ['infinity', changed('attempts: 4', 'weight: .inf'), 'E_SPEC_INVALID', [5, 16], /Infinity/],
  [
    'an integer beyond 2^53',
    changed('minAmount: 10', 'minAmount: 9007199254740993'),
    'E_SPEC_INVALID',
    [4, 41],
    /2\^53/,
  ],
  [
    'more attempts than allowed',
    changed('attempts: 4', 'attempts: 1000'),
    'E_SPEC_INVALID',
    [5, 18],
    /at most 100/,
  ],
  [
    'a number for a path',
    changed('"data/{{ day }}/*.parquet"', '3'),
    'E_SPEC_INVALID',
    [7, 22],
    /must be text or a list, not 3/,
  ],
  [
    'a missing field',
    changed('      model: churn.onnx\n', ''),
    'E_SPEC_INVALID',
    [12, 7],
    /model: is missing/,
  ],
  [
    'a misspelled mode',
    changed('parquet: out }', 'parquet: out, mode: overwite }'),
    'E_SPEC_INVALID',
    [17, 41],
    /did you mean 'overwrite'/,
  ],
  ['no time at all', changed('attempts: 4', 'timeout: PT0S'), 'E_SPEC_INVALID', [5, 17], /no time/],
  [
    'a duration that is none',
    changed('attempts: 4', 'timeout: 5m'),
    'E_SPEC_INVALID',
    [5, 17],
    /ISO 8601/,
  ],
  [
    'a duration above ten years',
    changed('attempts: 4', 'timeout: P99999999D'),
    'E_SPEC_INVALID',
    [5, 17],
    /ten years/,
  ],
  [
    'an id that begins with a digit',
    changed('id: scored', 'id: 1st'),
    'E_SPEC_INVALID',
    [10, 9],
    /not starting with a digit/,
  ],
  [
    'an id that differs in case only',
    changed('id: scored', 'id: Orders').replace('from: scored', 'from: Orders'),
    'E_SPEC_INVALID',
    [10, 9],
    /taken by source 'orders'/,
  ],
  [
    'an unknown from',
    changed(infer, 'from: recnt\n      model'),
    'E_UNKNOWN_STEP',
    [12, 13],
    /'recnt'.*did you mean 'recent'/,
  ],
  [
    'an output from nowhere',
    changed('from: scored', 'from: nothing'),
    'E_UNKNOWN_STEP',
    [17, 13],
    /no source or step 'nothing'/,
  ],
  [
    'a cycle',
    changed('from: orders', 'from: scored'),
    'E_SPEC_CYCLE',
    [9, 11],
    /recent → scored → recent/,
  ],
  [
    'a param in SQL that is not there',
    changed('$minAmount', '$minAmuont'),
    'E_UNKNOWN_PARAM',
    [9, 50],
    /steps\[0\]\.filter\.where: .*'minAmuont'.*did you mean 'minAmount'/,
  ],
  [
    'a template in a filter',
    changed('$minAmount', '{{ minAmount }}'),
    'E_TEMPLATE_IN_SQL',
    [9, 50],
    /write \$minAmount/,
  ],
  [
    'an unknown variable in a path',
    changed('{{ day }}', '{{ dya }}'),
    'E_UNKNOWN_VARIABLE',
    [7, 22],
    /'dya'.*did you mean 'day'/,
  ],
  [
    'two outputs of one name',
    `${good}  - { from: scored, parquet: other }\n`,
    'E_SPEC_INVALID',
    [18, 13],
    /named 'scored'/,
  ],
  [
    'two outputs of one path',
    `${good}  - { name: second, from: scored, parquet: ./out/ }\n`,
    'E_SPEC_INVALID',
    [18, 44],
    /writes where output 1 does/,
  ],
  [
    'dead letters among the rows of an output',
    `${good}deadLetters: { path: ./out/ }\n`,
    'E_SPEC_INVALID',
    [18, 22],
    /an output is written to .*out/,
  ],
  [
    'dead letters of a function that is not row-wise',
    changed(
      `filter: { from: orders, ${where} }`,
      'map: { from: orders, module: m.ts, columns: { a: INTEGER }, rowwise: false, onError: deadLetter }',
    ),
    'E_SPEC_INVALID',
    [9, 104],
    /row-wise/,
  ],
];

test.each(table)('%s is refused where it stands', (_what, text, code, place, words) => {
  const failure = refused(text);
  expect(failure.code).toBe(code);
  expect(failure.kind).toBe('invalidSpec');
  expect(failure.at?.file).toBe('job.yaml');
  if (place) expect([failure.at?.line, failure.at?.col]).toEqual(place);
  expect(`${failure.message}; ${failure.hint ?? ''}`).toMatch(words);
});

test.each([
  ['{ from: orders, columns: { a: "{{ day }}" } }', 'select'],
  ['{ query: "select {{ day }} from orders" }', 'sql'],
  ['{ from: orders, checks: [{ predicate: "a = {{ day }}" }] }', 'expect'],
])('a template in %s is refused', (body, kind) => {
  const text = changed(`filter: { from: orders, ${where} }`, `${kind}: ${body}`);
  expect(refused(text)).toMatchObject({ code: 'E_TEMPLATE_IN_SQL', hint: 'write $day' });
});

const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]']
  .concat(
    [...'bcdefgh'].map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefgh'[i]}`).join()}]`),
  )
  .join('\n');

test.each([
  ['an alias bomb', bomb],
  ['an alias that holds itself', 'a: &a [*a]'],
  ['text above the limit', '#'.repeat(limits.specBytes + 1)],
  ['a pit of brackets', '['.repeat(limits.specBytes)],
  ['a pit of braces, which would end the process', '{a: '.repeat(limits.specBytes / 4)],
  ['a pit of dashes', '- '.repeat(limits.specBytes / 2)],
  ['a staircase', Array.from({ length: 1400 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
  ['a million values', `[${'a,'.repeat(limits.specBytes / 2 - 1)}]`],
])('%s is too large', (_what, text) => {
  expect(refused(text).code).toBe('E_SPEC_TOO_LARGE');
});

test('all problems are reported together, in the order of the text, and counted', () => {
  const text = changed('attempts: 4', 'attempts: 0, wait: 1')
    .replace('filter:', 'filtr:')
    .replace('churn.onnx', '3');
  const error = problemsOf(() => parseSpecText(text));
  expect(error.problems.map(({ code, at }) => [code, at?.line])).toEqual([
    ['E_SPEC_INVALID', 5],
    ['E_SPEC_UNKNOWN_FIELD', 5],
    ['E_SPEC_UNKNOWN_FIELD', 9],
    ['E_SPEC_INVALID', 13],
  ]);
  expect(error.failure.message).toMatch(/and 3 more problems/);
});

test('an alias is located where it is used and means what its anchor does', () => {
  const text = changed('{ x: [age, amount] }', '{ x: &columns [age, amount], y: *columns }');
  const { spec } = parseSpecText(text);
  expect(spec.steps[1]).toMatchObject({ infer: { inputs: { y: ['age', 'amount'] } } });
});

test('the prototype of objects stays as it was', () => {
  refused(changed('minAmount: 10', '__proto__: { polluted: 1 }'));
  problemsOf(() => validateSpec(JSON.parse('{"__proto__": {"polluted": 1}}')));
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
});

test('a value from the wire has the same checks, its problems named by path', () => {
  const { input, spec } = parseSpecText(good);
  const value = JSON.parse(JSON.stringify(input)) as { steps: { filter?: object }[] };
  expect(validateSpec(value)).toEqual(spec);
  value.steps[0]!.filter = { form: 'orders', where: 'true' };
  const { failure } = problemsOf(() => validateSpec(value));
  expect(failure.code).toBe('E_SPEC_UNKNOWN_FIELD');
  expect(failure.message).toContain('steps[0].filter.form');
  expect(failure.at).toBeUndefined();
});

test('what a spec gives is what validating it again gives', () => {
  const { spec } = parseSpecText(good);
  expect(validateSpec(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
});
