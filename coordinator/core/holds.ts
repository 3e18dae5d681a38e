/** The one way to say that an invariant does not hold. Never: checks anything by itself. */
import { WindrowError } from '../../shared/failure.js';

/** @throws WindrowError E_INVARIANT with the invariant's number */
export function holds(number: number, condition: boolean, what: () => string): void {
  if (condition) return;
  throw new WindrowError({
    kind: 'broken',
    code: 'E_INVARIANT',
    message: `invariant ${number} does not hold: ${what()}`,
    hint: 'report this with the journal of the job',
  });
}
