/** A row function: gets the columns it reads, returns the columns it adds. */
interface Person {
  readonly name: string;
  readonly country: string;
}

export function row({ name, country }: Person): { label: string } {
  return { label: `${name} (${country})` };
}
