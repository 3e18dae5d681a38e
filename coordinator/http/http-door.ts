/**
 * The HTTP door: the verbs of a coordinator as JSON, for what cannot speak gRPC. Routes, shapes and answers are
 * those of shared/http-operations.ts; every error is a problem document. Never: decides about jobs.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import * as z from 'zod';
import { joinAddress, splitAddress } from '../../shared/endpoints.js';
import { fail } from '../../shared/failure.js';
import { mediaTypes, type Operation } from '../../shared/http-operation.js';
import { type OperationId, operations } from '../../shared/http-operations.js';
import { limits } from '../../shared/limits.js';
import { listenError } from '../../shared/listening.js';
import { readTlsFiles, type TlsFiles } from '../rpc/servers.js';
import { answerHeaders, checkRequest } from './guards.js';
import type { Asked, Reply } from './asked.js';
import { handlers, type HandlersDependencies } from './handlers.js';
import { problemOf } from './problems.js';
import { sendStream } from './sent-streams.js';

export interface HttpDoorOptions extends HandlersDependencies {
  /** `HOST:PORT`, where port 0 is any that is free. */
  readonly listen: string;
  readonly tls?: TlsFiles;
  /** What callers must bring; absent: the door is for programs of this machine. */
  readonly clientToken?: string;
  /** How long a stream's reader may take nothing; default 60 000. */
  readonly stallMs?: number;
}

const stallMsDefault = 60_000;
/** How long one who was refused may take to hang up. */
const lingerMs = 1000;

export class HttpDoor {
  private constructor(
    private readonly app: FastifyInstance,
    /** HOST:PORT as it was asked for, with the port that was taken. */
    readonly address: string,
  ) {}

  /** @throws WindrowError E_LISTEN, E_TLS_FILE */
  static async open(options: HttpDoorOptions): Promise<HttpDoor> {
    const { host, port } = splitAddress(options.listen);
    const app = buildApp(options);
    try {
      await app.listen({ host, port });
    } catch (error) {
      await app.close();
      throw listenError('--http', options.listen, error);
    }
    const bound = app.server.address();
    const taken = typeof bound === 'object' && bound ? bound.port : port;
    return new HttpDoor(app, joinAddress(host, taken));
  }

  /** Ends what is open, streams included. */
  async close(): Promise<void> {
    await this.app.close();
  }
}

function buildApp(options: HttpDoorOptions): FastifyInstance {
  const app = fastify({
    bodyLimit: limits.httpBodyBytes,
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 500 },
    serverFactory: (handle) => serverOf(options.tls, handle),
    frameworkErrors: (error, _request, reply) => void sendProblem(reply, error),
    clientErrorHandler: refuseText,
  });
  app.removeAllContentTypeParsers();
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser(mediaTypes.json, { parseAs: 'buffer' }, (request, body, done) => {
    // Many callers name the type of a body though they send none.
    if (body.length === 0) return done(null, undefined);
    try {
      void parse(request, utf8Text(body as Buffer), done);
    } catch (error) {
      done(error as Error);
    }
  });
  app.addHook('onRequest', async ({ raw, routeOptions }, reply) => {
    for (const [name, value] of Object.entries(answerHeaders)) reply.raw.setHeader(name, value);
    checkRequest(raw, options.clientToken, pages.has(routeOptions.url ?? ''));
  });
  app.setErrorHandler((error, _request, reply) => sendProblem(reply, error));
  app.setNotFoundHandler((request) => {
    fail('invalidSpec', 'E_NO_ROUTE', `there is no ${request.url.slice(0, 200)} here`, {
      hint: 'see /openapi.json for what there is',
    });
  });
  addRoutes(app, options);
  return app;
}

/** What a browser shows rather than saves, whatever becomes of it. */
const pages: ReadonlySet<string> = new Set(
  Object.values<Operation>(operations)
    .filter(({ method, answer }) => method === 'GET' && answer.kind === 'json')
    .map(routeOf),
);

function routeOf({ path }: Operation): string {
  return path.replace(/\{(\w+)\}/g, ':$1');
}

function serverOf(
  tls: TlsFiles | undefined,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const server = tls ? createTlsServer(readTlsFiles(tls), handle) : createServer(handle);
  server.maxConnections = limits.httpConnections;
  // An upload may take its time as long as it goes on; a socket where nothing moves may not.
  server.requestTimeout = 0;
  server.setTimeout(10 * stallMsDefault);
  return server;
}

function addRoutes(app: FastifyInstance, options: HttpDoorOptions): void {
  const serve = handlers(options) as Readonly<
    Record<OperationId, (asked: Asked<Operation>) => Promise<Reply>>
  >;
  const stallMs = options.stallMs ?? stallMsDefault;
  const methods = new Map<string, string[]>();
  for (const [id, operation] of Object.entries<Operation>(operations)) {
    const url = routeOf(operation);
    const { method, answer: shape } = operation;
    // Of a stream there is no head without beginning it.
    const exposeHeadRoute = method === 'GET' && shape.kind !== 'lines' && shape.kind !== 'arrow';
    const here = exposeHeadRoute ? [method, 'HEAD'] : [method];
    methods.set(url, [...(methods.get(url) ?? []), ...here]);
    const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      const asked = askedOf(operation, request, gone.signal);
      return answer(reply, await serve[id as OperationId](asked), gone.signal, stallMs);
    };
    if (operation.body !== 'bytes') app.route({ method, url, handler, exposeHeadRoute });
    else {
      void app.register(async (scope) => {
        scope.removeAllContentTypeParsers();
        scope.addContentTypeParser(mediaTypes.bytes, (_request, stream, done) =>
          done(null, stream),
        );
        scope.route({ method, url, handler });
      });
    }
  }
  for (const [url, allowed] of methods) {
    const others = app.supportedMethods.filter((method) => !allowed.includes(method));
    app.route({
      method: others,
      url,
      // Whatever it brings along, the method is what is wrong.
      onRequest: async (request, reply) => {
        reply.header('allow', allowed.join(', '));
        fail('invalidSpec', 'E_METHOD', `${request.method} is not a method of this address`, {
          hint: `use ${allowed.join(' or ')}`,
        });
      },
      handler: () => undefined,
    });
  }
}

function askedOf(
  operation: Operation,
  request: FastifyRequest,
  gone: AbortSignal,
): Asked<Operation> {
  const { query = none, body = none } = operation;
  const bytes = body === 'bytes';
  return {
    params: request.params as Record<string, string>,
    query: checked(query, request.query, 'the query'),
    body: bytes ? undefined : checked(body, request.body ?? {}, 'the body'),
    bytes: bytes ? ((request.body ?? []) as AsyncIterable<Uint8Array>) : nothing(),
    gone,
  } as Asked<Operation>;
}

const none = z.strictObject({});

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** @throws WindrowError E_REQUEST */
function utf8Text(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return fail('invalidSpec', 'E_REQUEST', 'the body is not UTF-8 text', {
      hint: 'send JSON as UTF-8',
    });
  }
}

/** @throws WindrowError E_REQUEST */
function checked(shape: z.ZodObject, value: unknown, what: string): unknown {
  const { success, data, error } = shape.safeParse(value);
  if (success) return data;
  const said = error.issues
    .slice(0, 5)
    .map(({ path, message }) => `${path.length > 0 ? `${path.join('.')}: ` : ''}${message}`);
  return fail('invalidSpec', 'E_REQUEST', `${what} is not as it should be: ${said.join('; ')}`, {
    hint: 'see /openapi.json',
  });
}

async function answer(
  reply: FastifyReply,
  made: Reply,
  gone: AbortSignal,
  stallMs: number,
): Promise<FastifyReply> {
  if ('stream' in made) {
    reply.hijack();
    await sendStream(reply.raw, made.stream, gone, stallMs);
    return reply;
  }
  if ('text' in made) return reply.type(made.mediaType).send(made.text);
  if (made.location !== undefined) reply.header('location', made.location);
  if (made.json === undefined) return reply.code(made.status).send();
  return reply.code(made.status).type(mediaTypes.json).send(JSON.stringify(made.json));
}

/** What is no HTTP, or has more headers than a request may have. */
function refuseText(error: Error, socket: Socket): void {
  // Said already: what else comes is not looked at.
  if (socket.writableEnded) return;
  if (!socket.writable) return void socket.destroy();
  const problem = problemOf(Object.assign(error, { statusCode: 400 }));
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 400 ${problem.title}`,
    `Content-Type: ${mediaTypes.problem}`,
    `Content-Length: ${String(Buffer.byteLength(body))}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  // Closed at once, with bytes on their way, it would lose the answer; left open, it keeps its place.
  const late = setTimeout(() => socket.destroy(), lingerMs).unref();
  socket.once('close', () => clearTimeout(late));
}

function sendProblem(reply: FastifyReply, error: unknown): FastifyReply {
  const problem = problemOf(error);
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer');
  // What is left of a body that nobody reads is not waited for.
  if (!reply.request.raw.complete) reply.header('connection', 'close');
  return reply.code(problem.status).type(mediaTypes.problem).send(JSON.stringify(problem));
}
