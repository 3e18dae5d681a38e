import { expect, test } from 'vitest';
import { comparable } from '../../../coordinator/analyse/type-families.js';

test.each([
  ['INTEGER', 'BIGINT'],
  ['UTINYINT', 'DOUBLE'],
  ['DECIMAL(10,2)', 'HUGEINT'],
  ['VARCHAR', "ENUM('a', 'b')"],
  ['DATE', 'TIMESTAMP_NS'],
  ['INTEGER[]', 'BIGINT[]'],
  ['FLOAT[3]', 'DOUBLE[]'],
  ['STRUCT(a INTEGER)', 'STRUCT(a INTEGER)'],
])('%s meets %s', (left, right) => {
  expect(comparable(left, right)).toBe(true);
  expect(comparable(right, left)).toBe(true);
});

test.each([
  ['INTEGER', 'VARCHAR'],
  ['BOOLEAN', 'INTEGER'],
  ['DATE', 'VARCHAR'],
  ['TIMESTAMP', 'TIMESTAMP WITH TIME ZONE'],
  ['DATE', 'TIME'],
  ['UUID', 'VARCHAR'],
  ['INTEGER[]', 'VARCHAR[]'],
  ['INTEGER[]', 'INTEGER'],
  ['STRUCT(a INTEGER)', 'STRUCT(a BIGINT)'],
])('%s does not meet %s', (left, right) => {
  expect(comparable(left, right)).toBe(false);
  expect(comparable(right, left)).toBe(false);
});
