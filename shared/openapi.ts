/** The OpenAPI 3.1 document of the HTTP door, as text that is the same each time. Never: files. */
import * as z from 'zod';
import { jobSpecSchema } from './job-spec.js';
import { type Answer, mediaTypes, type Operation } from './http-operation.js';
import { operations } from './http-operations.js';
import * as scheduleShapes from './http-schedule-shapes.js';
import * as shapes from './http-shapes.js';
import { scheduleSpecSchema } from './schedule-spec.js';

type Json = Record<string, unknown>;

export function openApiText(): string {
  return `${JSON.stringify(openApiDocument(), null, 2)}\n`;
}

export function openApiDocument(): Json {
  const paths: Record<string, Json> = {};
  for (const [id, operation] of Object.entries<Operation>(operations)) {
    const path = (paths[operation.path] ??= {});
    path[operation.method.toLowerCase()] = describeOperation(id, operation);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Windrow',
      version: 'v1',
      description:
        'The HTTP door of a Windrow coordinator (docs/HTTP.md). Where there is GET there is HEAD, but for streams of lines and rows.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'the client token, where the coordinator wants one',
        },
      },
      schemas: {
        ...componentSchemas(),
        // Of these, what a request holds is checked by their own text, not by its shape.
        Spec: specSchema('Windrow job', jobSpecSchema),
        ScheduleSpec: specSchema('Windrow schedule', scheduleSpecSchema),
      },
    },
  };
}

function describeOperation(id: string, operation: Operation): Json {
  const { path, summary, query, body, answer } = operation;
  const parameters = [
    ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      name,
      in: 'path',
      required: true,
      schema: { type: 'string' },
    })),
    ...(query ? Object.entries(query.shape as Record<string, z.ZodType>) : []).map(
      ([name, shape]) => ({ name, in: 'query', required: false, schema: schemaOf(shape) }),
    ),
  ];
  return {
    operationId: id,
    summary,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: requestBody(body) } : {}),
    responses: { ...answers(answer), default: problem() },
  };
}

function requestBody(body: z.ZodObject | 'bytes'): Json {
  if (body === 'bytes') return { required: true, content: { [mediaTypes.bytes]: {} } };
  const schema = schemaOf(body, 'input');
  const required = schema['required'] !== undefined;
  return { required, content: { [mediaTypes.json]: { schema } } };
}

function answers(answer: Answer): Json {
  switch (answer.kind) {
    case 'json': {
      const content = { [mediaTypes.json]: { schema: schemaOf(answer.shape) } };
      const said: Readonly<Record<number, string>> = { 201: 'made', 422: 'it is not valid' };
      return Object.fromEntries(
        answer.statuses.map((status) => [status, { description: said[status] ?? 'done', content }]),
      );
    }
    case 'lines': {
      // OpenAPI 3.1 has no word for it: the schema is that of one line.
      const content = { [mediaTypes.lines]: { schema: schemaOf(answer.shape) } };
      return { 200: { description: 'one JSON document a line', content } };
    }
    case 'arrow':
    case 'metrics':
      return { 200: { description: 'the stream', content: { [mediaTypes[answer.kind]]: {} } } };
    case 'nothing':
      return { 204: { description: 'done' } };
  }
}

function problem(): Json {
  return {
    description: 'what went wrong, and what to do about it',
    content: { [mediaTypes.problem]: { schema: { $ref: '#/components/schemas/Problem' } } },
  };
}

/** Shapes with an id of their own become references, wherever they stand. */
function schemaOf(shape: z.ZodType, io: 'input' | 'output' = 'output'): Json {
  return generated(shape, io).schema;
}

function componentSchemas(): Json {
  const all = [...Object.values<z.ZodType>(shapes), ...Object.values<z.ZodType>(scheduleShapes)];
  const named = all.flatMap((shape) => Object.entries(generated(shape, 'output').named));
  return Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function generated(shape: z.ZodType, io: 'input' | 'output'): { schema: Json; named: Json } {
  const made = z.toJSONSchema(shape, { target: 'draft-2020-12', io });
  const text = JSON.stringify(made).replaceAll('"#/$defs/', '"#/components/schemas/');
  const { $schema: _schema, $defs, ...schema } = JSON.parse(text) as Json;
  return { schema, named: ($defs ?? {}) as Json };
}

/** With what only the whole schema can say of a spec. */
function specSchema(title: string, whole: z.ZodType): Json {
  return { title, ...generated(whole, 'input').schema };
}
