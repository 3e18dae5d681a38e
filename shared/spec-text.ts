/**
 * Spec text (YAML 1.2 core, of which JSON is a part) to plain values that know their place in the
 * text. Never: what the values mean; never an object whose prototype the text could reach.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  parseDocument,
  type Node,
} from 'yaml';
import { fail } from './failure.js';
import { limits } from './limits.js';
import { SpecProblems, shorten, type Locate, type SpecPath } from './spec-problems.js';

export interface SpecText {
  readonly value: unknown;
  readonly locate: Locate;
}

interface Offsets {
  readonly key: number;
  readonly value: number;
}

const depthMax = 64;
/** A value takes up to six tokens: its own, key, colon, white space and line end. */
const tokensMax = 6 * limits.specNodes;
const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * @throws WindrowError E_SPEC_TOO_LARGE, E_SPEC_EMPTY, E_SPEC_SYNTAX, E_SPEC_DUPLICATE_KEY
 */
export function readSpecText(text: string, file?: string): SpecText {
  const at = file === undefined ? {} : { at: { file } };
  const bytes = Buffer.byteLength(text);
  if (bytes > limits.specBytes) {
    fail('invalidSpec', 'E_SPEC_TOO_LARGE', `the spec has more than ${limits.specBytes} bytes`, {
      ...at,
      hint: 'move large lists into files that the spec names by glob',
    });
  }
  checkTokens(text, file);
  const lines = new LineCounter();
  const document = parse(text, lines, file);
  const problems = new SpecProblems(file);
  const place = (offset: number) => lines.linePos(offset);
  for (const error of [...document.errors, ...document.warnings]) {
    if (error.code === 'RESOURCE_EXHAUSTION') failDepth(file);
    const { line, col } = place(error.pos[0]);
    problems.found.push({
      kind: 'invalidSpec',
      code: 'E_SPEC_SYNTAX',
      message: lowerFirst(shorten(error.message, 300)),
      at: { ...(file === undefined ? {} : { file }), line, col },
    });
  }
  if (document.directives.yaml.version !== '1.2') {
    problems.add('E_SPEC_SYNTAX', [], `YAML ${document.directives.yaml.version} is not read`, {
      hint: 'remove the %YAML line: specs are YAML 1.2',
    });
  }
  problems.throwIfAny();
  const contents = document.contents;
  if (contents === null || (isScalar(contents) && contents.value === null)) {
    fail('invalidSpec', 'E_SPEC_EMPTY', 'the spec is empty', {
      ...at,
      hint: 'start with apiVersion: windrow/v1 and kind: Job',
    });
  }
  const converter = new Converter(place, file);
  const value = converter.convert(contents);
  converter.problems.throwIfAny();
  return {
    value,
    locate: (path, what) => {
      const offset = converter.offsetAt(value, path, what) ?? contents.range?.[0];
      return offset === undefined ? undefined : place(offset);
    },
  };
}

function parse(text: string, lineCounter: LineCounter, file?: string) {
  try {
    return parseDocument(text, {
      version: '1.2',
      schema: 'core',
      lineCounter,
      stringKeys: true,
      // Compares every pair of keys; the converter finds duplicates in one pass instead.
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'error',
    });
  } catch (error) {
    // The parser recurses once a level, and says so only by running out of stack.
    if (error instanceof RangeError) failDepth(file);
    fail('invalidSpec', 'E_SPEC_SYNTAX', error instanceof Error ? error.message : String(error), {
      ...(file === undefined ? {} : { at: { file } }),
    });
  }
}

function failCount(file?: string): never {
  fail('invalidSpec', 'E_SPEC_TOO_LARGE', `the spec has more than ${limits.specNodes} values`, {
    ...(file === undefined ? {} : { at: { file } }),
    hint: 'use fewer aliases, and globs instead of long lists',
  });
}

function failDepth(file?: string): never {
  fail('invalidSpec', 'E_SPEC_TOO_LARGE', `the spec is nested deeper than ${depthMax} levels`, {
    ...(file === undefined ? {} : { at: { file } }),
    hint: 'write it flatter',
  });
}

/**
 * Reads the tokens alone, which costs a constant a character, and refuses what would make the parser
 * recurse without bound (it ends the process on 200,000 nested braces) or allocate without bound.
 */
function checkTokens(text: string, file?: string): void {
  let tokens = 0;
  let brackets = 0;
  let indicators = 0;
  for (const token of new Lexer().lex(text)) {
    tokens += 1;
    if (tokens > tokensMax) failCount(file);
    if (token === '[' || token === '{') brackets += 1;
    else if (token === ']' || token === '}') brackets -= 1;
    else if (token === '-' || token === '?') indicators += 1;
    else if (token.endsWith('\n')) indicators = 0;
    if (brackets > depthMax || indicators > depthMax) failDepth(file);
  }
}

class Converter {
  readonly problems: SpecProblems;
  private readonly anchors = new Map<string, Node>();
  private readonly values = new Map<Node, unknown>();
  private readonly offsets = new WeakMap<object, Map<string | number, Offsets>>();

  constructor(
    private readonly place: (offset: number) => { line: number; col: number },
    private readonly file?: string,
  ) {
    this.problems = new SpecProblems(file);
  }

  /** An alias yields the very object that its anchor made, so no text can multiply itself here. */
  convert(node: Node): unknown {
    if (isAlias(node)) {
      const target = this.anchors.get(node.source);
      if (target) return this.values.get(target);
      this.note('E_SPEC_SYNTAX', node, `alias '*${shorten(node.source)}' has no anchor before it`);
      return null;
    }
    const anchor = (node as { anchor?: string }).anchor;
    if (anchor !== undefined) this.anchors.set(anchor, node);
    if (isMap(node)) return this.convertMap(node);
    if (isSeq(node)) {
      const list: unknown[] = [];
      this.values.set(node, list);
      const offsets = this.offsetsOf(list);
      node.items.forEach((item, index) => {
        const child = item as Node;
        const start = child.range?.[0] ?? 0;
        offsets.set(index, { key: start, value: start });
        list.push(this.convert(child));
      });
      return list;
    }
    const value = isScalar(node) ? node.value : null;
    this.values.set(node, value);
    return value;
  }

  private convertMap(node: Node & { items: unknown[] }): unknown {
    const record = Object.create(null) as Record<string, unknown>;
    this.values.set(node, record);
    const offsets = this.offsetsOf(record);
    for (const item of node.items as { key: Node; value: Node | null }[]) {
      const key = isScalar(item.key) ? item.key.value : undefined;
      if (typeof key !== 'string') {
        this.note('E_SPEC_SYNTAX', item.key, 'a key must be plain text');
        continue;
      }
      if (Object.hasOwn(record, key)) {
        this.note('E_SPEC_DUPLICATE_KEY', item.key, `key '${shorten(key)}' is there twice`);
      }
      const start = item.key.range?.[0] ?? 0;
      offsets.set(key, { key: start, value: item.value?.range?.[0] ?? start });
      record[key] = item.value ? this.convert(item.value) : null;
    }
    return record;
  }

  private offsetsOf(container: object): Map<string | number, Offsets> {
    const made = new Map<string | number, Offsets>();
    this.offsets.set(container, made);
    return made;
  }

  private note(code: string, node: Node, message: string): void {
    const position = node.range ? this.place(node.range[0]) : {};
    const at = { ...(this.file === undefined ? {} : { file: this.file }), ...position };
    this.problems.found.push({ kind: 'invalidSpec', code, message, at });
  }

  /** Offset of the deepest part of `path` that is in the text. */
  offsetAt(root: unknown, path: SpecPath, what: 'key' | 'value'): number | undefined {
    let at: number | undefined;
    let value = root;
    for (const [index, part] of path.entries()) {
      if (value === null || typeof value !== 'object') return at;
      const offsets = this.offsets.get(value)?.get(part);
      if (!offsets) return at;
      at = what === 'key' && index === path.length - 1 ? offsets.key : offsets.value;
      value = (value as Record<string | number, unknown>)[part];
    }
    return at;
  }
}

/**
 * What no spec value may be, whatever its schema: too many, too deep, a key that reaches a
 * prototype, a number that JSON or 64-bit floats cannot hold. Aliases count as often as they stand.
 * @throws WindrowError at once: E_SPEC_TOO_LARGE, or E_SPEC_INVALID for such keys
 */
export function checkValues(root: unknown, problems: SpecProblems, file?: string): void {
  let nodes = 0;
  let safe = true;
  const visit = (value: unknown, path: SpecPath): void => {
    nodes += 1;
    if (nodes > limits.specNodes) failCount(file);
    if (path.length > depthMax) failDepth(file);
    if (typeof value === 'number') checkNumber(value, path, problems);
    if (value === null || typeof value !== 'object') return;
    if (Array.isArray(value)) {
      value.forEach((item, index) => visit(item, [...path, index]));
      return;
    }
    for (const [key, member] of Object.entries(value)) {
      const inner = [...path, key];
      if (forbiddenKeys.has(key)) {
        safe = false;
        problems.add('E_SPEC_INVALID', inner, `key '${key}' is not allowed`, {
          what: 'key',
          hint: 'choose another name',
        });
      } else visit(member, inner);
    }
  };
  visit(root, []);
  if (!safe) problems.throwIfAny();
}

function checkNumber(value: number, path: SpecPath, problems: SpecProblems): void {
  if (!Number.isFinite(value)) {
    problems.add('E_SPEC_INVALID', path, `${value} is not a number a spec can hold`, {
      hint: 'write a finite number',
    });
  } else if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    problems.add(
      'E_SPEC_INVALID',
      path,
      `an integer beyond 2^53 loses digits: it reads as ${value}`,
      {
        hint: 'write it as quoted text and cast it in SQL',
      },
    );
  }
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
