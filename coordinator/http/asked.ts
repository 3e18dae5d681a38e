/** What is asked at the HTTP door and what is answered, as types that the operations give. */
import type * as z from 'zod';
import type { OperationId, operations } from '../../shared/http-operations.js';
import type { SentStream } from './sent-streams.js';

export type Reply =
  | { readonly status: number; readonly json?: unknown; readonly location?: string }
  | { readonly stream: SentStream }
  | { readonly text: string; readonly mediaType: string };

type Shape<Part> = Part extends z.ZodType ? z.output<Part> : undefined;
type Member<Operation, Name extends string> = Operation extends {
  readonly [key in Name]: infer Part;
}
  ? Shape<Part>
  : undefined;

/** What was asked, checked by the operation's shapes. */
export interface Asked<Operation> {
  /** Of the path, by name. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Member<Operation, 'query'>;
  readonly body: Member<Operation, 'body'>;
  /** The body where it is bytes. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Aborted once the caller has hung up. */
  readonly gone: AbortSignal;
}

export type Handlers<Id extends OperationId = OperationId> = {
  readonly [Each in Id]: (asked: Asked<(typeof operations)[Each]>) => Promise<Reply>;
};

export const ok = (json: unknown): Reply => ({ status: 200, json });
export const nothing: Reply = { status: 204 };
