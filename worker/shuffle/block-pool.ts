/**
 * The blocks that a worker reads what it serves into: so many of one size, made when they are first
 * needed and used again. Whoever finds none waits for its turn. Never: makes more.
 */
export class BlockPool {
  private readonly idle: Buffer[] = [];
  private readonly waiting: ((block: Buffer) => void)[] = [];
  private made = 0;

  constructor(
    private readonly blocks: number,
    private readonly blockBytes: number,
  ) {}

  /** Blocks in use. */
  get taken(): number {
    return this.made - this.idle.length;
  }

  /** The block is the caller's alone until `use` has ended. */
  async with<Result>(use: (block: Buffer) => Promise<Result>): Promise<Result> {
    const block = await this.take();
    try {
      return await use(block);
    } finally {
      const next = this.waiting.shift();
      if (next) next(block);
      else this.idle.push(block);
    }
  }

  private take(): Buffer | Promise<Buffer> {
    const idle = this.idle.pop();
    if (idle) return idle;
    if (this.made === this.blocks) return new Promise((given) => this.waiting.push(given));
    this.made += 1;
    return Buffer.allocUnsafe(this.blockBytes);
  }
}
