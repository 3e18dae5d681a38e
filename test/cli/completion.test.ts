/** Completion scripts, run by a real shell. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
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

const directory = mkdtempSync(join(tmpdir(), 'windrow-completion-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Of a shell that is installed, or has to be: the completion script as a file. */
function scriptOf(shell: 'zsh' | 'fish'): string {
  const file = join(directory, shell);
  writeFileSync(file, completionScript(program, shell));
  return file;
}

function isInstalled(shell: string): boolean {
  if (process.env['WINDROW_REQUIRE_SHELLS']) return true;
  try {
    execFileSync(shell, ['-c', 'true']);
    return true;
  } catch {
    return false;
  }
}

/** What a zsh in a terminal shows after TAB, TAB; it ends once all of these words are there. */
function shownByZsh(line: string, words: readonly string[]): string {
  const script = `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PROMPT= ; autoload -Uz compinit; compinit -D -u; source $1; print READ''Y"
zpty -r -m shell shown '*READY*' > /dev/null
zpty -w -n shell "$2"$'\\t\\t'
all=
for word in "\${(@)argv[3,-1]}"; do
  [[ $all == *$word* ]] || { zpty -r -m shell shown "*$word*" > /dev/null; all+=$shown }
done
print -r -- $all`;
  const args = ['-f', '-c', script, 'zsh', scriptOf('zsh'), line, ...words];
  return execFileSync('zsh', args, { cwd: '/', timeout: 60_000 }).toString();
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

  // Where a shell is not installed, its tests are not there; with WINDROW_REQUIRE_SHELLS=1 they fail.
  if (isInstalled('fish')) {
    test.each([
      ['windrow re', ['resubmit', 'retry']],
      ['windrow schedule p', ['pause']],
      ['windrow run --wo', ['--workers']],
      ['windrow schedule list --st', ['--state']],
      ['windrow get j1 -o ', ['json', 'table', 'yaml']],
    ])('of fish offers what "%s" may go on with', (line, words) => {
      const ask = `source ${scriptOf('fish')}; complete -C '${line}'`;
      const lines = execFileSync('fish', ['--no-config', '-c', ask], { cwd: '/' }).toString();
      const offers = lines.trim().split('\n');
      expect(offers.map((offer) => offer.split('\t')[0])).toEqual(words);
    });
  }

  if (isInstalled('zsh')) {
    test.each([
      ['windrow re', ['resubmit', 'retry']],
      ['windrow schedule p', ['schedule pause']],
      ['windrow run --wo', ['run --workers']],
      ['windrow get j1 -o ', ['json', 'table', 'yaml']],
    ])('of zsh offers what "%s" may go on with', (line, words) => {
      const shown = shownByZsh(line, words);
      for (const word of words) expect(shown).toContain(word);
    });
  }

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
