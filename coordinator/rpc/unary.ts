/** A unary call as an async function: who may call is asked first, what is thrown becomes a status. */
import type { Metadata, sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { statusOf } from './streams.js';

type Handler<Request, Response> = (
  call: ServerUnaryCall<Request, Response>,
  reply: sendUnaryData<Response>,
) => void;

/** @param authorize throws when the call may not be made (token) */
export function unaryFor(authorize: (metadata: Metadata) => void) {
  return <Request, Response>(
      act: (request: Request, aborted: AbortSignal) => Promise<Response>,
    ): Handler<Request, Response> =>
    (call, reply) => {
      const abort = new AbortController();
      call.on('cancelled', () => abort.abort());
      const run = async (): Promise<Response> => {
        authorize(call.metadata);
        return act(call.request, abort.signal);
      };
      run().then(
        (response) => reply(null, response),
        (error: unknown) => reply(statusOf(error)),
      );
    };
}
