/** Completion scripts, run by a real shell. */
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { completionScript } from '../../cli/completion.js';
import { buildProgram } from '../../cli/program.js';

const program = buildProgram(() => undefined);

/** What bash would offer for a line that ends in the word being typed. */
function offered(line: string): string[] {
  const words = line.split(' ');
  const script = `${completionScript(program, 'bash')}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${String(words.length - 1)}
_windrow
printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script], { cwd: '/' }).toString().trim().split('\n');
}

describe('completion', () => {
  test('of bash offers verbs, flags of the verb, and formats', () => {
    expect(offered('windrow re')).toEqual(['retry', 'resubmit']);
    expect(offered('windrow run --wo')).toEqual(['--workers']);
    expect(offered('windrow list --wo')).toEqual(['']);
    expect(offered('windrow get j1 -o ')).toEqual(['json', 'yaml', 'table']);
    expect(offered('windrow completion z')).toEqual(['zsh']);
  });

  test('of bash offers the verbs of a verb, and the flags of each', () => {
    expect(offered('windrow schedule p')).toEqual(['pause']);
    expect(offered('windrow backfill ')).toEqual(['create', 'list', 'get', 'cancel']);
    expect(offered('windrow schedule next --co')).toEqual(['--connect', '--count']);
    expect(offered('windrow backfill create n --rev')).toEqual(['--reverse']);
    expect(offered('windrow schedule list --st')).toEqual(['--state']);
    expect(offered('windrow list --st')).toEqual(['--state', '--status']);
    expect(offered('windrow backfill get b1 -o y')).toEqual(['yaml']);
  });

  test('of bash offers files where a spec is wanted', () => {
    expect(offered('windrow run et')).toContain('etc');
  });

  test('knows every verb and every flag in every shell', () => {
    for (const shell of ['bash', 'zsh', 'fish'] as const) {
      const script = completionScript(program, shell);
      for (const command of program.commands.flatMap((each) => [each, ...each.commands])) {
        expect(script).toContain(command.name());
        for (const option of command.options) expect(script).toContain(option.long!.slice(2));
      }
    }
  });

  test('quotes what descriptions contain, so that a shell can parse it', () => {
    for (const shell of ['bash', 'zsh', 'fish'] as const) {
      // Fish's functions aside, all of them quote alike.
      const script = completionScript(program, shell).replace(/^function __[^]*?^end$/gm, '');
      expect(() => execFileSync('bash', ['-n', '-c', script]), shell).not.toThrow();
    }
    expect(completionScript(program, 'fish')).toContain("a job'\\''s events");
  });
});
