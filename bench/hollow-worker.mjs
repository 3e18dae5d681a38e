/**
 * The built worker with hollow slots, which lie in the place of its own: all that speaks to the coordinator is real.
 * Ends when its standard input does, and then says what its chunks took. Usage: node hollow-worker.mjs DIST COORDINATOR SLOTS SCRATCH
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [dist, coordinator, slots, scratch] = process.argv.slice(2);
const built = (file) => import(pathToFileURL(path.join(dist, file)).href);
const { Worker } = await built('worker/worker.js');
const { taken } = await built('worker/slots.js');
const { channelTo } = await built('shared/channel.js');
process.stdin
  .on('end', () => {
    console.log(JSON.stringify(taken));
    process.exit(0);
  })
  .resume();
const worker = new Worker({
  channel: channelTo(coordinator),
  slots: Number(slots),
  pools: ['cpu'],
  devices: { devices: ['cpu'], hardware: [] },
  spillDirectory: path.join(scratch, 'spill'),
  shuffleDirectory: path.join(scratch, 'shuffle'),
});
await worker.start();
process.exit(await worker.done);
