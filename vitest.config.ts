import { defineConfig } from 'vitest/config';

// Native add-ons abort a process that ends a thread inside them, so test files run in processes. A process runs one
// file after the other: most need less time than a process and what all of them import. Much of what the slow ones do
// is wait, so there are more of them than cores.
export default defineConfig({
  test: {
    pool: 'forks',
    isolate: false,
    maxWorkers: 4,
    include: ['test/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
