/** A process that serves the chunk files below a directory: `serving-process.ts DIRECTORY ADDRESS`. */
import { OtherMachine } from './machines.js';

const [directory, listen] = process.argv.slice(2);
const machine = await OtherMachine.start(directory!, { listen: listen! });
process.stdout.write(`${machine.address}\n`);
