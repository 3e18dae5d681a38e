/** A small JobService and ScheduleService on a UNIX socket: real gRPC, its answers given by each test. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, ServerCredentials, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { WindrowError, type Failure } from '../../shared/failure.js';
import {
  JobServiceService,
  type BlobPart,
  type JobServiceServer,
  ScheduleServiceService,
  type ScheduleServiceServer,
} from '../../shared/gen/windrow.js';
import { channelOptions, failureToStatus } from '../../shared/rpc.js';

export interface RunningServer {
  readonly target: string;
  /** Ends at once, open calls included, as a killed process would. */
  kill(): void;
}

export function newDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'windrow-client-'));
}

export async function startServer(
  socket: string,
  methods: Partial<JobServiceServer>,
  schedules: Partial<ScheduleServiceServer> = {},
): Promise<RunningServer> {
  rmSync(socket, { force: true });
  const server = new Server(channelOptions);
  server.addService(JobServiceService, methods as UntypedServiceImplementation);
  server.addService(ScheduleServiceService, schedules as UntypedServiceImplementation);
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    );
  });
  return { target: `unix:${socket}`, kill: () => server.forceShutdown() };
}

/** Keeps blobs in memory as a coordinator keeps them on disk: by digest, checked. */
export class BlobShelf {
  readonly blobs = new Map<string, Buffer>();
  readonly puts: { name: string; parts: number }[] = [];

  readonly methods: Pick<JobServiceServer, 'missingBlobs' | 'putBlob'> = {
    missingBlobs: (call, callback) => {
      callback(null, { digests: call.request.digests.filter((digest) => !this.blobs.has(digest)) });
    },
    putBlob: (call, callback) => {
      const parts: BlobPart[] = [];
      call.on('data', (part: BlobPart) => parts.push(part));
      call.on('end', () => {
        const bytes = Buffer.concat(parts.map((part) => part.data));
        const digest = parts[0]?.digest ?? '';
        if (createHash('sha256').update(bytes).digest('hex') !== digest) {
          const failure: Failure = {
            kind: 'badData',
            code: 'E_BLOB_DIGEST',
            message: 'it differs',
          };
          return callback(failureToStatus(failure));
        }
        this.blobs.set(digest, bytes);
        this.puts.push({ name: parts[0]?.name ?? '', parts: parts.length });
        callback(null, { digest, bytes: bytes.length });
      });
    },
  };
}

export async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof WindrowError) return error.failure;
    throw error;
  }
  throw new Error('expected a WindrowError');
}
