/** Reads Parquet with hyparquet, which shares no code with the engine that wrote it. Never on a hot path. */
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { DEFAULT_PARSERS } from 'hyparquet/src/convert.js';
import { plainOfHyparquet, timestampText, type ExpectedRows, type Plain } from './rows.js';

/** hyparquet's own parsers drop microseconds. */
const parsers = {
  ...DEFAULT_PARSERS,
  timestampFromMilliseconds: (value: bigint) => timestampText(BigInt(value) * 1000n),
  timestampFromMicroseconds: (value: bigint) => timestampText(value),
  timestampFromNanoseconds: (value: bigint) => timestampText(value / 1000n),
};

/** Rows in the plain form, decimals rounded as `roundDecimals` does. */
export async function readIndependently(file: string, expected: ExpectedRows): Promise<Plain[][]> {
  const buffer = await asyncBufferFromFile(file);
  const objects = await parquetReadObjects({ file: buffer, utf8: false, parsers });
  return objects.map((object) =>
    expected.columns.map((column) => {
      const value = plainOfHyparquet(object[column], expected.kinds[column]);
      return expected.kinds[column] === 'decimal' && typeof value === 'string'
        ? Number(value).toPrecision(12)
        : value;
    }),
  );
}
