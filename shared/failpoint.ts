/**
 * Named places where a test can kill this process: `WINDROW_FAILPOINT=name[:n]` ends it by SIGKILL
 * at the n-th hit (from 1). Never: any effect when that variable is unset.
 */
const wanted = parse(process.env['WINDROW_FAILPOINT']);
let hitsLeft = wanted?.hit ?? 0;

function parse(text: string | undefined): { name: string; hit: number } | undefined {
  if (text === undefined || text === '') return undefined;
  const [name = '', hit = '1'] = text.split(':');
  return { name, hit: Number(hit) };
}

/** Names are `area.write` plus `.before` or `.after`, such as `publish.rename.before`. */
export function failpoint(name: string): void {
  if (wanted?.name !== name) return;
  hitsLeft -= 1;
  if (hitsLeft === 0) process.kill(process.pid, 'SIGKILL');
}
