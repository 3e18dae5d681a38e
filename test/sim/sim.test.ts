/** Seeded schedules through the real core: invariants after each event, promises at each end. */
import { expect, it } from 'vitest';
import { Cluster } from './cluster.js';

const only = process.env.WINDROW_SEED;
const first = only === undefined ? 1 : Number(only);
const count = only === undefined ? Number(process.env.WINDROW_SEEDS ?? 10_000) : 1;

it(`every job ends, with each chunk done exactly once, in ${count} random schedules`, () => {
  let steps = 0;
  for (let seed = first; seed < first + count; seed += 1) {
    const cluster = new Cluster(seed);
    try {
      cluster.play();
    } catch (error) {
      throw new Error(
        `seed ${seed} failed at step ${cluster.steps}; replay: WINDROW_SEED=${seed}`,
        {
          cause: error,
        },
      );
    }
    steps += cluster.steps;
  }
  expect(steps).toBeGreaterThan(count);
}, 600_000);
