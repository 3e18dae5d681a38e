/** The oldest Node that Windrow runs on. Imports nothing, so that any Node can read it. */

export const oldestNode = '20.19.0';

export function nodeIsTooOld(version: string): boolean {
  const have = version.split('.').map(Number);
  const need = oldestNode.split('.').map(Number);
  for (let index = 0; index < need.length; index++) {
    const [left, right] = [have[index] ?? 0, need[index] ?? 0];
    if (left !== right) return left < right;
  }
  return false;
}
