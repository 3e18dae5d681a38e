/** Holds the lock of a state directory until it is killed; says so on stdout. */
import { lockStateDirectory } from '../../../coordinator/journal/state-lock.js';

const lock = lockStateDirectory(process.argv[2] ?? '');
if (!lock.busy) lock.announce('unix:/there');
process.stdout.write(lock.busy ? 'busy\n' : 'held\n');
process.stdin.resume();
