import { describe, expect, test } from 'vitest';
import type { SourceFacts, SourceFile } from '../../../coordinator/planner/facts.js';
import { filesAmong, rangedColumns } from '../../../coordinator/planner/ranged-files.js';
import { limits } from '../../../shared/limits.js';
import type { ColumnStatistics } from '../../../shared/parquet-statistics.js';
import { fileOf } from './sizes.js';

type Stats = ColumnStatistics | undefined;
const id = (min: bigint, max: bigint, noNulls = true): ColumnStatistics => ({
  kind: 'integer',
  min,
  max,
  ...(noNulls ? { noNulls } : {}),
});

function file(at: number, rows: readonly number[], ...stats: readonly Stats[]): SourceFile {
  return { file: fileOf(`/o/${at}.parquet`, rows), stats: new Map([['id', stats]]) };
}
const source = (...files: SourceFile[]): SourceFacts => ({
  id: 'orders',
  files,
  columns: [{ name: 'id', type: 'BIGINT' }],
  hive: [],
});

describe('files are ranged by a column', () => {
  test('when no value can be in two of them, in whatever order they are', () => {
    const files = [
      file(1, [5, 5], id(20n, 24n), id(25n, 29n)),
      file(2, [10], id(1n, 9n)),
      file(3, [10], id(10n, 19n)),
    ];
    expect(rangedColumns(source(...files), ['id', 'other'])).toEqual([
      {
        column: 'id',
        files: [
          ['20', '29'],
          ['1', '9'],
          ['10', '19'],
        ],
      },
    ]);
  });

  test('when it is one file', () => {
    const one = source(file(1, [5, 5], id(1n, 9n), id(3n, 4n)));
    expect(rangedColumns(one, ['id'])).toEqual([{ column: 'id', files: [['1', '9']] }]);
  });

  test('whatever files without rows say', () => {
    const files = [file(1, [5], id(1n, 9n)), file(2, [0], undefined), file(3, [])];
    expect(rangedColumns(source(...files), ['id'])).toEqual([
      { column: 'id', files: [['1', '9'], null, null] },
    ]);
  });
});

describe('files are not ranged by a column', () => {
  test.each<[string, SourceFile[]]>([
    ['that has one value in two', [file(1, [5], id(1n, 9n)), file(2, [5], id(9n, 12n))]],
    ['where one encloses another', [file(1, [5], id(1n, 90n)), file(2, [5], id(9n, 12n))]],
    ['that may be NULL', [file(1, [5], id(1n, 9n)), file(2, [5], id(10n, 12n, false))]],
    ['of which a row group says nothing', [file(1, [5, 5], id(1n, 9n), undefined)]],
    ['that a file lacks', [{ file: fileOf('/o/1.parquet', [5]), stats: new Map() }]],
    ['of text', [file(1, [5], { kind: 'string', min: 'a', max: 'b', noNulls: true })]],
    ['when they have no rows', [file(1, [])]],
    ['when one is too large to be a chunk', [file(1, [limits.wideFileRows + 1], id(1n, 9n))]],
  ])('%s', (_, files) => {
    expect(rangedColumns(source(...files), ['id'])).toEqual([]);
  });

  test('that comes from the path', () => {
    const ranged = source(file(1, [5], id(1n, 9n)));
    const hive = [{ name: 'id', type: 'BIGINT' }];
    expect(rangedColumns({ ...ranged, hive }, ['id'])).toEqual([]);
  });
});

test('files are among others when their ranges meet, by number and not by text', () => {
  const own = { column: 'id', files: [['1', '9'], ['10', '100'], null] } as const;
  const other = { column: 'key', files: [['-5', '0'], ['9', '9'], ['100', '900'], null] } as const;
  expect(filesAmong(own, other, [[0], [1], [2], [0, 1]])).toEqual([[1], [2], [], [1, 2]]);
});
