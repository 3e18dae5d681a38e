/** Runs an action over items, so many at once; the first error stops the rest from starting. */
export async function forEachBounded<T>(
  items: readonly T[],
  atOnce: number,
  action: (item: T, at: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const lane = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const at = next;
      next += 1;
      try {
        await action(items[at] as T, at);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const lanes = await Promise.allSettled(
    Array.from({ length: Math.min(atOnce, items.length) }, lane),
  );
  for (const ended of lanes) if (ended.status === 'rejected') throw ended.reason;
}
