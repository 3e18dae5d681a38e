/** Tables, JSON and YAML of the same values. */
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import {
  displayWidth,
  formatFields,
  formatJson,
  formatTable,
  formatValue,
} from '../../cli/table.js';

describe('tables', () => {
  const columns = [
    { title: 'NAME', value: (row: { name: string; rows: number }) => row.name },
    { title: 'ROWS', value: (row: { rows: number }) => row.rows, align: 'right' as const },
  ];

  test('align their columns, numbers to the right', () => {
    const rows = [
      { name: 'orders', rows: 5 },
      { name: 'a', rows: 12345 },
    ];
    expect(formatTable(rows, columns).split('\n')).toEqual([
      'NAME     ROWS',
      'orders      5',
      'a       12345',
    ]);
  });

  test('keep aligned with wide characters and combining marks', () => {
    const rows = ['日本', 'e\u0301te\u0301', '🚀'].map((name) => ({ name, rows: 1 }));
    const ends = formatTable(rows, columns).split('\n').map(displayWidth);
    expect(new Set(ends).size).toBe(1);
  });

  test('cut long cells, and keep control characters from the terminal', () => {
    const rows = [{ name: `\u001b[31m${'x'.repeat(100)}`, rows: 1 }];
    const line = formatTable(rows, columns, 20).split('\n')[1]!;
    expect(line).not.toContain('\u001b');
    expect(displayWidth(line)).toBeLessThanOrEqual(26);
    expect(line).toContain('…');
  });

  test('show only their titles when there are no rows', () => {
    expect(formatTable([], columns)).toBe('NAME  ROWS');
  });

  test('of fields leave out what is not known', () => {
    expect(
      formatFields([
        ['job', 'j1'],
        ['ended', undefined],
        ['warnings', ''],
      ]),
    ).toBe('job:  j1');
  });
});

describe('JSON and YAML', () => {
  const value = { n: 12n, big: 9007199254740993n, text: 'on', list: [1, null] };

  test('write big integers without losing digits', () => {
    expect(JSON.parse(formatJson(value))).toEqual({
      n: 12,
      big: '9007199254740993',
      text: 'on',
      list: [1, null],
    });
  });

  test('say the same thing', async () => {
    const yaml = await formatValue(value, 'yaml', () => '');
    expect(parse(yaml)).toEqual(JSON.parse(await formatValue(value, 'json', () => '')));
  });
});
