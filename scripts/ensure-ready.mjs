/** Runs before the tests: installs and builds what is missing or older than its sources; silent when there is nothing to do. */
import { ensureBuilt, ensureInstalled } from './ready.mjs';

ensureInstalled();
ensureBuilt();
