/** A batch function: Arrow in, Arrow out. It makes one row of each letter, so it is not row-wise. */
import { type RecordBatch, Table, Utf8, vectorFromArray } from 'apache-arrow';

export function batch(people: RecordBatch): RecordBatch | undefined {
  const names: string[] = [];
  const letters: string[] = [];
  for (const { name } of people as Iterable<{ name: string }>) {
    for (const letter of name) {
      names.push(name);
      letters.push(letter);
    }
  }
  return new Table({
    name: vectorFromArray(names, new Utf8()),
    letter: vectorFromArray(letters, new Utf8()),
  }).batches[0];
}
