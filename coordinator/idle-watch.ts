/** Tells who waits for it when a coordinator has nothing to do any more. Never: decides what is to do. */
export class IdleWatch {
  private waiting: (() => void)[] = [];

  constructor(private readonly busy: () => boolean) {}

  /** Resolves once nothing is to do, at once where that is so. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.look();
    });
  }

  /** Call it whenever something has ended. */
  look(): void {
    if (this.busy()) return;
    for (const wake of this.waiting.splice(0)) wake();
  }
}
