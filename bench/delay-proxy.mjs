/**
 * A network with delay: takes TCP connections on a free port of 127.0.0.1, which it prints, and passes on what comes
 * over them, either way, after so many milliseconds. Ends with its parent. Never: drops or reorders bytes.
 * Usage: node delay-proxy.mjs HOST PORT MS
 */
import { connect, createServer } from 'node:net';

const [host, port, delayMs] = process.argv.slice(2);

function pass(from, to) {
  // Timers of one length fire in the order in which they were set.
  const later = (action) => setTimeout(action, Number(delayMs));
  from.setNoDelay(true);
  from.on('data', (bytes) =>
    later(() => {
      if (to.writable && !to.write(bytes)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
    }),
  );
  from.on('end', () => later(() => to.end()));
  from.on('error', () => to.destroy());
  from.on('close', () => later(() => to.destroy()));
}

const server = createServer({ allowHalfOpen: true }, (near) => {
  const far = connect({ host, port: Number(port), allowHalfOpen: true });
  pass(near, far);
  pass(far, near);
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
process.stdin.on('end', () => process.exit(0)).resume();
