/** Several callers' tensors as one run, and its results cut apart again. Never: runs anything. */
import { allocate, copyData, product, sliceData } from './host-tensor.js';
import type { HostTensor, Tensors } from './host-tensor.js';

/** Runs with equal keys can be joined: same model, same tensors but for the number of rows. */
export function joinKey(request: { readonly model: string; readonly feeds: Tensors }): string {
  const shapes = Object.entries(request.feeds).map(([name, { type, dims }]) => [
    name,
    type,
    ...dims.slice(1),
  ]);
  return JSON.stringify([request.model, shapes]);
}

export function joinFeeds(feeds: readonly Tensors[]): Tensors {
  const first = feeds[0]!;
  const joined: Record<string, HostTensor> = {};
  for (const name of Object.keys(first)) {
    const parts = feeds.map((one) => one[name]!);
    const { type, dims } = first[name]!;
    const rest = dims.slice(1);
    const rows = parts.reduce((sum, part) => sum + part.dims[0]!, 0);
    const data = allocate(type, rows * product(rest));
    let at = 0;
    for (const part of parts) {
      copyData(data, part.data, at);
      at += part.data.length;
    }
    joined[name] = { type, dims: [rows, ...rest], data };
  }
  return joined;
}

/** One caller's share each; undefined when an output does not have the rows first. */
export function splitResults(results: Tensors, rows: readonly number[]): Tensors[] | undefined {
  const total = rows.reduce((sum, count) => sum + count, 0);
  const tensors = Object.entries(results);
  if (tensors.some(([, { dims }]) => dims[0] !== total)) return undefined;
  let from = 0;
  return rows.map((count) => {
    const share: Record<string, HostTensor> = {};
    for (const [name, { type, dims, data }] of tensors) {
      const width = product(dims.slice(1));
      // A copy: a view would take the whole batch along when it crosses to the caller.
      const part = sliceData(data, from * width, (from + count) * width).slice();
      share[name] = { type, dims: [count, ...dims.slice(1)], data: part };
    }
    from += count;
    return share;
  });
}
