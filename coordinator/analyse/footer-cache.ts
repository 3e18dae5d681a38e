/** Footers by path, size and time of change, so that planning again reads only what changed. */
import { stat } from 'node:fs/promises';
import { readFooter, type ParquetFooter } from '../../shared/parquet-footer.js';

const defaultBytesMax = 32 * 1024 * 1024;
/** Decoded, a footer takes about this much more than encoded. */
const growth = 4;

export class FooterCache {
  private readonly kept = new Map<string, { footer: ParquetFooter; weight: number }>();
  private weight = 0;

  constructor(private readonly bytesMax = defaultBytesMax) {}

  /** @throws WindrowError as readFooter */
  async read(path: string): Promise<ParquetFooter> {
    const known = this.kept.get(path);
    if (known) {
      const now = await stat(path).catch(() => undefined);
      this.drop(path);
      if (now?.size === known.footer.bytes && now.mtimeMs === known.footer.mtimeMs) {
        this.keep(path, known.footer);
        return known.footer;
      }
    }
    const footer = await readFooter(path);
    this.keep(path, footer);
    return footer;
  }

  private keep(path: string, footer: ParquetFooter): void {
    this.drop(path);
    const weight = footer.footerBytes * growth;
    this.kept.set(path, { footer, weight });
    this.weight += weight;
    for (const oldest of this.kept.keys()) {
      if (this.weight <= this.bytesMax) break;
      this.drop(oldest);
    }
  }

  private drop(path: string): void {
    const entry = this.kept.get(path);
    if (!entry) return;
    this.kept.delete(path);
    this.weight -= entry.weight;
  }
}
