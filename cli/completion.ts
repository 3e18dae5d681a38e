/** Completion scripts made from the program itself, so that they never fall behind it. Pure. */
import type { Command, Option } from 'commander';

export type Shell = 'bash' | 'zsh' | 'fish';

interface VerbWords {
  readonly name: string;
  readonly description: string;
  readonly options: readonly Option[];
  /** Verbs of its own, as `windrow schedule` has. */
  readonly verbs: readonly VerbWords[];
}

export function completionScript(program: Command, shell: Shell): string {
  const { verbs } = wordsOf(program);
  switch (shell) {
    case 'bash':
      return bash(verbs);
    case 'zsh':
      return zsh(verbs);
    case 'fish':
      return fish(verbs);
  }
}

function wordsOf(command: Command): VerbWords {
  return {
    name: command.name(),
    description: command.description(),
    options: command.options.filter((option) => !option.hidden),
    verbs: command.commands.map(wordsOf),
  };
}

const formats = 'json yaml table';

function bash(verbs: readonly VerbWords[]): string {
  const withOwn = verbs.filter((verb) => verb.verbs.length > 0);
  const own = withOwn
    .map((verb) => `      ${verb.name}) verbs="${namesOf(verb.verbs)}" ;;`)
    .join('\n');
  const cases = verbs
    .flatMap((verb) => [
      { words: verb.name, verb },
      ...verb.verbs.map((each) => ({ words: `${verb.name}\\ ${each.name}`, verb: each })),
    ])
    .map(({ words, verb }) => `    ${words}) words="${flagsOf(verb).join(' ')}" ;;`)
    .join('\n');
  return `# bash completion for windrow: source <(windrow completion bash)
_windrow() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" words="" verbs=""
  local verb="\${COMP_WORDS[1]}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    verbs="${namesOf(verbs)}"
  elif [ "$COMP_CWORD" -eq 2 ]; then
    case "$verb" in
${own}
    esac
  fi
  if [ -n "$verbs" ]; then
    COMPREPLY=($(compgen -W "$verbs" -- "$word"))
    return
  fi
  case "$before" in
    -o|--output) COMPREPLY=($(compgen -W "${formats}" -- "$word")); return ;;
    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$word")); return ;;
  esac
  case "$verb" in
    ${withOwn.map(({ name }) => name).join('|')}) verb="$verb \${COMP_WORDS[2]}" ;;
  esac
  case "$verb" in
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
  return `#compdef windrow
# zsh completion for windrow: source <(windrow completion zsh)
${verbs
  .filter((verb) => verb.verbs.length > 0)
  .map((verb) => zshFunction(`_windrow_${verb.name}`, verb.verbs))
  .join('')}${zshFunction('_windrow', verbs)}compdef _windrow windrow
`;
}

/** Completes the first word after its command with verbs, and what follows as that verb wants it. */
function zshFunction(name: string, verbs: readonly VerbWords[]): string {
  const described = verbs
    .map((verb) => `    ${quote(`${verb.name}:${verb.description.replaceAll(':', '\\:')}`)}`)
    .join('\n');
  const cases = verbs
    .map((verb) => {
      const does =
        verb.verbs.length > 0
          ? `_windrow_${verb.name}`
          : ['_arguments', ...verb.options.map(zshOption), `'*:file:_files'`].join(' ');
      return `    ${verb.name}) ${does} ;;`;
    })
    .join('\n');
  return `${name}() {
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
    fishVerb(verb, '__windrow_after'),
    ...fishOptions(verb, `__windrow_in ${verb.name}`),
    ...verb.verbs.flatMap((own) => [
      fishVerb(own, `__windrow_after ${verb.name}`),
      ...fishOptions(own, `__windrow_in ${verb.name} ${own.name}`),
    ]),
  ]);
  return `# fish completion for windrow: windrow completion fish | source
function __windrow_after
  set -l words (commandline -opc)
  test "$words[2..-1]" = "$argv"
end
function __windrow_in
  set -l words (commandline -opc)
  string match -q -- "$argv *" "$words[2..-1] "
end
${lines.join('\n')}
`;
}

function fishVerb({ name, description }: VerbWords, where: string): string {
  return `complete -c windrow -n ${quote(where)} -f -a ${name} -d ${quote(description)}`;
}

function fishOptions({ options }: VerbWords, where: string): string[] {
  return options.map(
    (option) =>
      `complete -c windrow -n ${quote(where)}` +
      (option.short === undefined ? '' : ` -s ${option.short.slice(1)}`) +
      (option.long === undefined ? '' : ` -l ${option.long.slice(2)}`) +
      (option.required ? ' -r' : '') +
      (option.long === '--output' ? ` -f -a ${quote(formats)}` : '') +
      ` -d ${quote(option.description)}`,
  );
}

function namesOf(verbs: readonly VerbWords[]): string {
  return verbs.map(({ name }) => name).join(' ');
}

function flagsOf(verb: VerbWords): string[] {
  return verb.options.flatMap((option) =>
    [option.short, option.long].filter((name) => name !== undefined),
  );
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
