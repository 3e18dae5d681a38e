/** Completion scripts made from the program itself, so that they never fall behind it. Pure. */
import type { Command, Option } from 'commander';

export type Shell = 'bash' | 'zsh' | 'fish';

interface VerbWords {
  readonly name: string;
  readonly description: string;
  readonly options: readonly Option[];
}

export function completionScript(program: Command, shell: Shell): string {
  const verbs = program.commands.map((command) => ({
    name: command.name(),
    description: command.description(),
    options: [...command.options].filter((option) => !option.hidden),
  }));
  switch (shell) {
    case 'bash':
      return bash(verbs);
    case 'zsh':
      return zsh(verbs);
    case 'fish':
      return fish(verbs);
  }
}

const formats = 'json yaml table';

function bash(verbs: readonly VerbWords[]): string {
  const cases = verbs
    .map((verb) => `    ${verb.name}) words="${flagsOf(verb).join(' ')}" ;;`)
    .join('\n');
  return `# bash completion for windrow: source <(windrow completion bash)
_windrow() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${verbs.map((verb) => verb.name).join(' ')}" -- "$word"))
    return
  fi
  case "$before" in
    -o|--output) COMPREPLY=($(compgen -W "${formats}" -- "$word")); return ;;
    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$word")); return ;;
  esac
  case "\${COMP_WORDS[1]}" in
${cases}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _windrow windrow
`;
}

function zsh(verbs: readonly VerbWords[]): string {
  const described = verbs
    .map((verb) => `    ${quote(`${verb.name}:${verb.description.replaceAll(':', '\\:')}`)}`)
    .join('\n');
  const cases = verbs
    .map(
      (verb) =>
        `    ${verb.name}) _arguments ${verb.options.map(zshOption).join(' ')} '*:file:_files' ;;`,
    )
    .join('\n');
  return `#compdef windrow
# zsh completion for windrow: source <(windrow completion zsh)
_windrow() {
  local -a verbs
  verbs=(
${described}
  )
  if (( CURRENT == 2 )); then
    _describe 'verb' verbs
    return
  fi
  local verb="\${words[2]}"
  shift words
  (( CURRENT-- ))
  case "$verb" in
${cases}
  esac
}
compdef _windrow windrow
`;
}

function zshOption(option: Option): string {
  const described = option.description.replace(/[[\]:]/g, ' ');
  const value = option.required
    ? option.long === '--output'
      ? `:format:(${formats})`
      : ':value:_files'
    : '';
  return [option.short, option.long]
    .filter((name) => name !== undefined)
    .map((name) => quote(`${name}[${described}]${value}`))
    .join(' ');
}

function fish(verbs: readonly VerbWords[]): string {
  const lines = verbs.flatMap((verb) => [
    `complete -c windrow -n __fish_use_subcommand -f -a ${verb.name} -d ${quote(verb.description)}`,
    ...verb.options.map(
      (option) =>
        `complete -c windrow -n ${quote(`__fish_seen_subcommand_from ${verb.name}`)}` +
        (option.short === undefined ? '' : ` -s ${option.short.slice(1)}`) +
        (option.long === undefined ? '' : ` -l ${option.long.slice(2)}`) +
        (option.required ? ' -r' : '') +
        (option.long === '--output' ? ` -f -a ${quote(formats)}` : '') +
        ` -d ${quote(option.description)}`,
    ),
  ]);
  return `# fish completion for windrow: windrow completion fish | source\n${lines.join('\n')}\n`;
}

function flagsOf(verb: VerbWords): string[] {
  return verb.options.flatMap((option) =>
    [option.short, option.long].filter((name) => name !== undefined),
  );
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
