/** `npm run quickstart`, enough by itself on a fresh clone: installs, builds, makes data and a model, runs the job, shows what came out. */
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { ensureBuilt, ensureInstalled, root, runOrExit } from './ready.mjs';

const job = ['run', 'examples/quickstart/job.yaml', '--state', '.quickstart/state'];
const tsx = path.join(root, 'node_modules', '.bin', 'tsx');

function step(title) {
  console.log(`\n── ${title}`);
}

step('install and build, where needed');
ensureInstalled();
ensureBuilt();

step('data and model, where missing');
runOrExit(tsx, ['examples/quickstart/prepare.ts']);

step(`npx windrow ${job.join(' ')}   (${availableParallelism()} workers)`);
runOrExit(process.execPath, ['dist/cli/main.js', ...job]);

step('what came out');
runOrExit(tsx, ['examples/quickstart/show.ts']);

console.log(`
Now try
  npm run quickstart                         again: nothing is left to do, and it says so
  timeout -s KILL 2 npx windrow ${job.join(' ')} --set minAmount=6
                                             kills everything half-way
  npx windrow ${job.join(' ')} --set minAmount=6
                                             goes on where that stopped
  npx windrow explain examples/quickstart/job.yaml
`);
