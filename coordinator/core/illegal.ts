/** The error for an event that no correct shell can produce in the state at hand. Never: for late or doubled messages, which are legal. */
import { WindrowError } from '../../shared/failure.js';

/** Kind `broken`, code `E_ILLEGAL_TRANSITION`. Thrown before anything has been changed. */
export class IllegalTransition extends WindrowError {
  constructor(event: string, state: string, why: string) {
    super({
      kind: 'broken',
      code: 'E_ILLEGAL_TRANSITION',
      message: `${event} is illegal ${state}: ${why}`,
      hint: 'report this with the journal of the job',
    });
    this.name = 'IllegalTransition';
  }
}
