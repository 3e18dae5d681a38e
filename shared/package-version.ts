/** The version of this package, as its package.json has it. */
import { readFileSync } from 'node:fs';

/** Of the package this file was installed with: two levels up when built, one in the sources. */
export function packageVersion(): string {
  for (const above of ['..', '../..']) {
    try {
      const file = new URL(`${above}/package.json`, import.meta.url);
      return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
    } catch {
      continue;
    }
  }
  return 'unknown';
}
