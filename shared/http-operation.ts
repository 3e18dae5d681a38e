/** What an operation of the HTTP door is, as data. Never: which there are. */
import type * as z from 'zod';

export const mediaTypes = {
  json: 'application/json',
  problem: 'application/problem+json',
  lines: 'application/x-ndjson',
  arrow: 'application/vnd.apache.arrow.stream',
  bytes: 'application/octet-stream',
  metrics: 'text/plain; version=0.0.4; charset=utf-8',
} as const;

export type Answer =
  | { readonly kind: 'json'; readonly shape: z.ZodType; readonly statuses: readonly number[] }
  /** One JSON document a line, as they come. */
  | { readonly kind: 'lines'; readonly shape: z.ZodType }
  | { readonly kind: 'arrow' | 'metrics' }
  | { readonly kind: 'nothing' };

export interface Operation {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** As OpenAPI writes it: `{name}` stands for one segment. */
  readonly path: string;
  readonly summary: string;
  readonly query?: z.ZodObject;
  /** JSON that may be left out where all its members may, or a body of bytes. */
  readonly body?: z.ZodObject | 'bytes';
  readonly answer: Answer;
}

/** @param statuses those of the answer; none given: 200 */
export const json = <Shape extends z.ZodType>(shape: Shape, ...statuses: number[]) =>
  ({ kind: 'json', shape, statuses: statuses.length > 0 ? statuses : [200] }) as const;
