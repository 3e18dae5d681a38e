/** Prints values as a table, JSON or YAML. Pure but for the lazy YAML import; never writes itself. */

export type OutputFormat = 'table' | 'json' | 'yaml';
export const outputFormats = ['json', 'yaml', 'table'] as const;

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => unknown;
  readonly align?: 'left' | 'right';
  /** Left out where the terminal is too narrow; the rightmost goes first. */
  readonly spare?: boolean;
}

const gap = '  ';
/** A last column is never wrapped narrower than this. */
const wrapWidthMin = 20;

/**
 * Columns are as wide as their widest cell, but no wider than `cellWidth`. A table wider than `width`
 * first loses its spare columns, then its last one is wrapped.
 */
export function formatTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  cellWidth = 60,
  width = Infinity,
): string {
  const cells = columns.map((column) => {
    const texts = rows.map((row) => clip(cellText(column.value(row)), cellWidth));
    const all = [column.title, ...texts];
    return { column, all, width: Math.max(...all.map((text) => displayWidth(text))) };
  });
  const total = (): number =>
    cells.reduce((sum, cell) => sum + cell.width, gap.length * (cells.length - 1));
  for (let at = cells.length - 1; at >= 0 && total() > width; at -= 1) {
    if (cells[at]!.column.spare) cells.splice(at, 1);
  }
  const last = cells[cells.length - 1]!;
  const before = total() - last.width;
  const room = total() > width ? Math.max(wrapWidthMin, width - before) : Infinity;
  const lines: string[] = [];
  for (let row = 0; row <= rows.length; row += 1) {
    const texts = cells.map((cell) =>
      cell === last ? '' : pad(cell.all[row]!, cell.width, cell.column.align ?? 'left'),
    );
    const [first = '', ...more] = wrap(last.all[row]!, room);
    const end = room === Infinity ? pad(first, last.width, last.column.align ?? 'left') : first;
    lines.push([...texts.slice(0, -1), end].join(gap).trimEnd());
    for (const text of more) lines.push(' '.repeat(before) + text);
  }
  return lines.join('\n');
}

/** Lines no wider than `width`, broken at spaces where there are any. */
function wrap(text: string, width: number): string[] {
  if (displayWidth(text) <= width) return [text];
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (displayWidth(longer) <= width) {
      line = longer;
      continue;
    }
    if (line !== '') lines.push(line);
    line = word;
    while (displayWidth(line) > width) {
      let cut = '';
      for (const character of line) {
        if (displayWidth(cut + character) > width) break;
        cut += character;
      }
      lines.push(cut);
      line = line.slice(cut.length);
    }
  }
  return [...lines, line];
}

/** Two columns of names and values, for one thing. */
export function formatFields(fields: readonly (readonly [string, unknown])[]): string {
  const known = fields.filter(([, value]) => value !== undefined && value !== '');
  const width = Math.max(0, ...known.map(([name]) => displayWidth(name) + 1));
  return known
    .map(([name, value]) => `${pad(`${name}:`, width, 'left')}  ${cellText(value)}`.trimEnd())
    .join('\n');
}

/** JSON with bigints as numbers where exact, else as text. */
export function formatJson(value: unknown, indent = 2): string {
  return JSON.stringify(value, plainValue, indent);
}

/** `table` is made by the caller, since only it knows what matters to people. */
export async function formatValue(
  value: unknown,
  format: OutputFormat,
  table: () => string,
): Promise<string> {
  if (format === 'json') return formatJson(value);
  if (format === 'table') return table();
  const { yamlText } = await import('./yaml-text.js');
  return yamlText(JSON.parse(formatJson(value)));
}

export function cellText(value: unknown): string {
  if (value === undefined || value === null) return '';
  // Control characters from data or logs must not drive the terminal.
  if (typeof value === 'string') return visible(value);
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') {
    return String(value);
  }
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) {
    return visible(value.join(','));
  }
  return visible(formatJson(value, 0));
}

/** Replaces control characters, so that text from elsewhere stays text. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) =>
    character === '\n' ? '⏎' : character === '\t' ? ' ' : '�',
  );
}

/** Terminal columns of a text: wide East Asian characters and emoji take two, marks none. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mark}|\u200d|\ufe0f/u.test(character)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}

function clip(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = '';
  let used = 1;
  for (const character of text) {
    used += displayWidth(character);
    if (used > width) break;
    kept += character;
  }
  return `${kept}…`;
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return align === 'left' ? text + space : space + text;
}

function plainValue(_key: string, value: unknown): unknown {
  if (typeof value !== 'bigint') return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}
