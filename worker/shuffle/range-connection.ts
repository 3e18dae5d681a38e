/**
 * One connection of HTTP/1.1 to a worker, whose answers are read into one buffer that is used again:
 * node:http gives every 64 KiB a buffer of its own, and collecting them costs more than all else. Never:
 * pipelines, or reads on before the bytes it gave are done with.
 */
import net from 'node:net';
import tls from 'node:tls';

/** What a connection holds at a time. */
const bufferBytes = 512 * 1024;
/** TLS gives what it has deciphered, up to one read of 64 KiB, also after it was told to pause. */
const roomBytes = 128 * 1024;
const headBytesMax = 16 * 1024;

export interface RangeTarget {
  /** Where it goes; `secure` with what it is secured, undefined for plain text. */
  readonly to: { readonly socketPath: string } | { readonly host: string; readonly port: number };
  readonly secure: tls.SecureContextOptions | undefined;
  /** From one byte to the next. */
  readonly timeoutMs: number;
  readonly stop: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly bytes: number;
  /** Each piece is overwritten once the next is asked for. */
  readonly body: AsyncIterable<Uint8Array>;
}

export class RangeConnection {
  private readonly socket: net.Socket;
  private readonly buffer = Buffer.allocUnsafe(bufferBytes);
  /** Where the next bytes come to lie. */
  private filled = 0;
  /** Read and not given yet, in order. */
  private readonly came: Uint8Array[] = [];
  private failure: Error | undefined;
  private wake: () => void = () => undefined;
  private readonly abort: () => void;

  constructor(private readonly target: RangeTarget) {
    const { to, secure, stop } = target;
    const onread = {
      // Asked for after each read: what was given before is done with once there is a next.
      buffer: (): Uint8Array => {
        if (this.buffer.length - this.filled < roomBytes) this.filled = 0;
        return this.buffer.subarray(this.filled);
      },
      callback: (bytes: number): boolean => {
        this.came.push(this.buffer.subarray(this.filled, this.filled + bytes));
        this.filled += bytes;
        this.wake();
        return false;
      },
    };
    const place = 'socketPath' in to ? { path: to.socketPath } : to;
    const servername = 'host' in to && net.isIP(to.host) === 0 ? { servername: to.host } : {};
    const options = { ...place, onread };
    this.socket = secure
      ? tls.connect({ ...options, ...secure, ...servername })
      : net.connect(options);
    this.socket.on('error', (error) => this.fail(error));
    this.socket.on('close', () => this.fail(new Error('it ended the connection')));
    this.abort = () => this.socket.destroy(new Error('stopped'));
    stop.addEventListener('abort', this.abort, { once: true });
  }

  /**
   * Asks, once the answer before it was read to its end.
   * @param headers besides what HTTP wants
   * @throws Error of the wire; one that fails is to be closed
   */
  async get(path: string, headers: Readonly<Record<string, string>>): Promise<Answer> {
    const lines = Object.entries({ host: 'worker', ...headers }).map(([n, v]) => `${n}: ${v}\r\n`);
    this.socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
    let text = '';
    for (;;) {
      const before = text.length;
      const piece = await this.read();
      text += Buffer.from(piece).toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end >= 0) {
        this.came.unshift(piece.subarray(end + 4 - before));
        const { status, bytes } = headOf(text.slice(0, end));
        return { status, bytes, body: this.body(bytes) };
      }
      if (text.length > headBytesMax) throw new Error('it answers with something else than HTTP');
    }
  }

  close(): void {
    this.target.stop.removeEventListener('abort', this.abort);
    this.socket.destroy();
  }

  private async *body(bytes: number): AsyncGenerator<Uint8Array> {
    for (let missing = bytes; missing > 0;) {
      const piece = await this.read();
      const part = piece.subarray(0, missing);
      missing -= part.length;
      yield part;
    }
  }

  /** What came and was not given; waits for it where there is nothing. */
  private async read(): Promise<Uint8Array> {
    for (;;) {
      const piece = this.came.shift();
      if (piece && piece.length > 0) return piece;
      if (!piece) await this.more();
    }
  }

  private more(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.failure) return reject(this.failure);
      const { timeoutMs } = this.target;
      const silence = setTimeout(
        () => this.socket.destroy(new Error(`no answer for ${timeoutMs} ms`)),
        timeoutMs,
      );
      this.wake = () => {
        clearTimeout(silence);
        if (this.came.length > 0) resolve();
        else if (this.failure) reject(this.failure);
      };
      this.socket.resume();
    });
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.wake();
  }
}

/** @throws Error for what a worker would not say */
function headOf(text: string): { status: number; bytes: number } {
  const status = /^HTTP\/1\.1 (\d{3})[ \r]/.exec(text)?.[1];
  const bytes = /\r\ncontent-length: *(\d{1,15}) *(?:\r|$)/i.exec(text)?.[1];
  if (status === undefined || bytes === undefined) {
    throw new Error('it answers with something else than HTTP, or does not say how much');
  }
  return { status: Number(status), bytes: Number(bytes) };
}
