#!/usr/bin/env node
/** Where the command starts: says so when Node is too old, before anything that needs a newer one. */
import { nodeIsTooOld, oldestNode } from './runtime-version.js';
import { endAtSignals } from './signals.js';

if (nodeIsTooOld(process.versions.node)) {
  process.stderr.write(
    `error E_NODE_VERSION: windrow needs Node ${oldestNode} or newer, this is ${process.versions.node}\n` +
      '  hint: install a newer Node from https://nodejs.org\n',
  );
  process.exitCode = 2;
} else {
  endAtSignals();
  void import('./program.js').then(({ main }) => main(process.argv));
}
