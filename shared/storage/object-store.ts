/**
 * The storage port: whole objects, written durably, created conditionally, moved without ever
 * replacing. Locations are absolute paths (an object store's URIs later). Contract suite:
 * test/contract/object-store.ts. Never: decisions about what an object means.
 */

export interface ObjectHead {
  readonly bytes: number;
  /** When it last changed in content or place, whichever is later. */
  readonly changedMs: number;
}

export interface ListedObject extends ObjectHead {
  /** Absolute. */
  readonly path: string;
}

/** `exists`: the target was there and is untouched. `missing`: there is no source. */
export type TransferResult = 'done' | 'exists' | 'missing';

/** Every write is durable (data and name) when its promise resolves. */
export interface ObjectStore {
  /** Conditional create: false, and nothing changed, when something lies there already. */
  create(path: string, bytes: Uint8Array): Promise<boolean>;
  /** Creates or atomically replaces. */
  replace(path: string, bytes: Uint8Array): Promise<void>;
  get(path: string): Promise<Buffer | undefined>;
  head(path: string): Promise<ObjectHead | undefined>;
  /** SHA-256 (hex) of the content, read now; undefined when absent. */
  digest(path: string): Promise<string | undefined>;
  /**
   * Everything below a directory, in order of path; symlinks are neither listed nor followed.
   * @param most objects looked at; where there are more, so many, whichever
   */
  list(directory: string, most?: number): Promise<ListedObject[]>;
  /**
   * Publishes: consumes the source, never replaces the target. After a crash within, both may be
   * there with the same content; calling again with `exists` as the answer, delete the source.
   */
  move(from: string, to: string): Promise<TransferResult>;
  /** As `move`, but the source stays. */
  copy(from: string, to: string): Promise<TransferResult>;
  /** True when something was there. */
  delete(path: string): Promise<boolean>;
  /**
   * Makes sure that objects can be written below a directory.
   * @throws the store's own error when they cannot
   */
  probe(directory: string): Promise<void>;
}
