import { defineConfig } from 'vitest/config';

// Native add-ons abort a process that ends a thread inside them, so every test file is a process.
export default defineConfig({
  test: {
    pool: 'forks',
    include: ['test/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
