/**
 * The built worker with hollow slots, which lie in the place of its own: all that speaks to the coordinator is real.
 * Ends with its parent. Usage: node hollow-worker.mjs DIST COORDINATOR SLOTS SCRATCH
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { credentials } from '@grpc/grpc-js';

const [dist, coordinator, slots, scratch] = process.argv.slice(2);
const { Worker } = await import(pathToFileURL(path.join(dist, 'worker/worker.js')).href);
process.stdin.on('end', () => process.exit(0)).resume();
const worker = new Worker({
  coordinator,
  slots: Number(slots),
  pools: ['cpu'],
  credentials: credentials.createInsecure(),
  devices: { devices: ['cpu'], hardware: [] },
  spillDirectory: path.join(scratch, 'spill'),
  shuffleDirectory: path.join(scratch, 'shuffle'),
});
await worker.start();
process.exit(await worker.done);
