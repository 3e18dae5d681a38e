/**
 * Calls an HTTP door and holds every answer against the committed OpenAPI document: its status, its
 * media type, and its JSON, line by line where there are lines.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { expect } from 'vitest';

interface Media {
  readonly schema?: object;
}
interface Answer {
  readonly content?: Readonly<Record<string, Media>>;
}
interface Described {
  readonly responses: Readonly<Record<string, Answer>>;
}
export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

const root = join(import.meta.dirname, '../../..');
export const document = JSON.parse(
  readFileSync(join(root, 'schema/openapi.json'), 'utf8'),
) as Document;

const name = 'windrow';
/** Strict, so that a schema that says nothing is found, too. */
export const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true });
addFormats.default(ajv);
ajv.addVocabulary(['openapi', 'info', 'servers', 'security', 'paths', 'components']);
ajv.addSchema(document, name);

/** Compiled once each, as that takes longer than most calls. */
const compiled = new Map<object, ValidateFunction>();

function validatorOf(schema: object): ValidateFunction {
  const known = compiled.get(schema);
  if (known) return known;
  const local = JSON.stringify(schema).replaceAll('"#/', `"${name}#/`);
  const validate = ajv.compile(JSON.parse(local) as object);
  compiled.set(schema, validate);
  return validate;
}

function check(schema: object, value: unknown, what: string): void {
  const validate = validatorOf(schema);
  expect(validate(value), `${what}: ${ajv.errorsText(validate.errors)}`).toBe(true);
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
  /** Of JSON, and of a stream of lines a list. */
  readonly json: unknown;
}

/** The described operation that a path belongs to. */
function described(method: string, path: string): Described | undefined {
  const { pathname } = new URL(path, 'http://here');
  for (const [template, methods] of Object.entries(document.paths)) {
    const pattern = template.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+');
    if (!new RegExp(`^${pattern}$`).test(pathname)) continue;
    const found = methods[method.toLowerCase()];
    // What is written out goes before what has a placeholder.
    if (found && (pathname === template || !(pathname in document.paths))) return found;
  }
  return undefined;
}

export class CheckedApi {
  constructor(
    private readonly address: string,
    private readonly headers: Readonly<Record<string, string>> = {},
  ) {}

  async call(method: string, path: string, body?: unknown, more: RequestInit = {}) {
    const isText = typeof body === 'string' || body instanceof Uint8Array;
    const response = await fetch(`http://${this.address}${path}`, {
      method,
      ...(body === undefined ? {} : { body: isText ? body : JSON.stringify(body) }),
      ...more,
      headers: {
        ...this.headers,
        ...(body === undefined || isText ? {} : { 'content-type': 'application/json' }),
        ...more.headers,
      },
    });
    return this.checked(method, path, response);
  }

  get(path: string): Promise<Answered> {
    return this.call('GET', path);
  }

  post(path: string, body?: unknown): Promise<Answered> {
    return this.call('POST', path, body);
  }

  private async checked(method: string, path: string, response: Response): Promise<Answered> {
    const { status, headers } = response;
    const body = Buffer.from(await response.arrayBuffer());
    const type = headers.get('content-type') ?? '';
    const what = `${method} ${path} answers ${status} ${type}`;
    const operation = described(method, path);
    const problem: Answer = { content: { 'application/problem+json': {} } };
    const known = operation?.responses ?? {};
    const { content } = known[status] ?? known['default'] ?? problem;
    if (!content) {
      expect(body.length, what).toBe(0);
      return { status, headers, body, json: undefined };
    }
    const media = Object.entries(content).find(
      ([each]) => type === each || type.startsWith(`${each};`),
    );
    expect(Object.keys(content), what).toContain(media?.[0]);
    const schema = operation ? media?.[1].schema : document.components.schemas['Problem'];
    let json: unknown;
    if (type.includes('json')) {
      const text = body.toString('utf8');
      const values = type.includes('ndjson')
        ? text.split('\n').filter((line) => line !== '')
        : [text];
      const parsed = values.map((value) => JSON.parse(value) as unknown);
      expect(schema, what).toBeDefined();
      for (const value of parsed) check(schema!, value, what);
      json = type.includes('ndjson') ? parsed : parsed[0];
    }
    return { status, headers, body, json };
  }
}
