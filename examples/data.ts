/** Makes the tiny data and the model that the examples read: `npx tsx examples/data.ts`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { mlpModel } from '../shared/onnx-model.js';

const directory = path.resolve(import.meta.dirname, '../.quickstart/examples');
mkdirSync(directory, { recursive: true });

const instance = await DuckDBInstance.create();
const connection = await instance.connect();
const write = async (name: string, query: string): Promise<void> => {
  await connection.run(
    `copy (${query}) to '${path.join(directory, name)}.parquet' (format parquet)`,
  );
};

await write(
  'people',
  `select * from (values
     (1, 'Ada', 'GB', 36, 120.50), (2, 'Blaise', 'FR', 39, 8.00), (3, 'Carl', 'DE', 77, 64.25),
     (4, 'Daniel', 'CH', 82, 310.10), (5, 'Emmy', 'DE', 53, 0.99), (6, 'Felix', 'DE', 27, 45.00),
     (7, 'Grace', 'US', 85, 77.70), (8, 'Hypatia', 'EG', null, 5.55), (9, 'Isaac', 'GB', 84, 99.90),
     (10, 'Joan', 'FR', 41, 12.34)
   ) as people(id, name, country, age, spent)`,
);

// One measurement in fifty has a value that no sensor can give, and one in forty has none.
await write(
  'readings',
  `select i as reading, 'sensor-' || (i % 7) as sensor,
          timestamp '2026-11-21 00:00:00' + to_seconds(i * 30) as taken,
          case when i % 40 = 3 then null when i % 50 = 7 then -999.0
               else 15 + 10 * sin(i / 50.0) + (hash(i) % 100) / 50.0 end as celsius,
          40 + (hash(i, 1) % 300) / 10.0 as humidity
   from range(2000) as t(i)`,
);

await write(
  'sensors',
  `select * from (values
     ('sensor-0', 'cellar', 2.0), ('sensor-1', 'cellar', 2.0), ('sensor-2', 'attic', 8.0),
     ('sensor-3', 'attic', 8.0), ('sensor-4', 'kitchen', 3.0), ('sensor-9', 'garage', 1.0)
   ) as sensors(sensor, room, height)`,
);

// A week of visits, one every quarter of an hour.
await write(
  'visits',
  `select timestamptz '2026-11-09 00:00:00+00' + to_minutes(i * 15) as seen,
          ['cellar', 'attic', 'kitchen'][1 + (hash(i) % 3)::integer] as room, (1 + hash(i, 1) % 5)::integer as people
   from range(7 * 24 * 4) as t(i)`,
);

// The chance of condensation: warm and humid, more likely.
writeFileSync(
  path.join(directory, 'condensation.onnx'),
  mlpModel(
    [
      {
        weights: Float32Array.of(0.15, 0.1),
        bias: Float32Array.of(-8.5),
        activation: 'sigmoid',
      },
    ],
    { input: 'x', output: 'probability' },
  ),
);

connection.closeSync();
instance.closeSync();
