/** The 22 queries of TPC-H with the specification's validation parameters. Never runs them. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export const queryNumbers: readonly number[] = Array.from({ length: 22 }, (_, k) => k + 1);

export const queryName = (query: number): string => `q${String(query).padStart(2, '0')}`;

/** The files are for scale 1; the one parameter that depends on it is the fraction of query 11. */
export function queryText(query: number, scale: number): string {
  const file = path.join(import.meta.dirname, 'queries', `${queryName(query)}.sql`);
  const text = readFileSync(file, 'utf8').trim();
  if (query !== 11) return text;
  // As few digits as will do: each takes one from the 38 that the product has.
  const fraction = (0.0001 / scale).toFixed(12).replace(/0+$/, '');
  return text.replace('0.0001', fraction);
}
