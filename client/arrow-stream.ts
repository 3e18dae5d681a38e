/** Parts of an Arrow IPC stream, cut anywhere, as record batches. Never: the whole result at once. */
import type { RecordBatch } from 'apache-arrow';
import { fail } from '../shared/failure.js';
import type { ArrowPart } from '../shared/gen/windrow.js';

/**
 * @param left ends `parts` early
 * @throws WindrowError E_CANCELLED after that: rows that are missing must not look like the end
 */
export async function* recordBatches(
  parts: AsyncGenerator<ArrowPart, void, undefined>,
  left: AbortSignal,
): AsyncGenerator<RecordBatch, void, undefined> {
  try {
    // Most clients never read rows: Arrow is loaded by those that do.
    const { RecordBatchReader } = await import('apache-arrow');
    const reader = await RecordBatchReader.from(bytesOf(parts));
    for await (const batch of reader) yield batch;
  } catch (error) {
    if (!left.aborted) throw error;
  } finally {
    // Leaving early must end the call; the reader does not pass that on to its source.
    await parts.return();
  }
  if (left.aborted) fail('cancelled', 'E_CANCELLED', 'the rows were not read to their end');
}

async function* bytesOf(parts: AsyncIterable<ArrowPart>): AsyncGenerator<Uint8Array> {
  for await (const part of parts) if (part.data.length > 0) yield part.data;
}
