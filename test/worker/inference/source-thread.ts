/** Worker threads that run a TypeScript source of this checkout: each needs the loader anew. */
export function sourceThread(entry: URL): URL {
  const loader = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const code = `import { register } from ${loader};
register();
await import(${JSON.stringify(entry.href)});`;
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`);
}

export const deviceLoop = sourceThread(
  new URL('../../../worker/inference/device-loop.ts', import.meta.url),
);
