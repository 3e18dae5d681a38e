/**
 * A real file system of a few MiB, for tests of disks that fill up. It is mounted in a namespace of its
 * own, where an ordinary user may do so, too, and is gone with this process, however that ends.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';

/** A mount namespace; whoever is not root is root in it, in a user namespace. */
const namespace = process.getuid?.() === 0 ? ['--mount'] : ['--mount', '--map-root-user'];

const required = process.env['WINDROW_REQUIRE_MOUNT'] === '1';

/** Many containers permit none; there the tests are not there, and with WINDROW_REQUIRE_MOUNT=1 fail. */
export const smallDisks =
  required ||
  spawnSync('unshare', [...namespace, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;

export class SmallDisk {
  /** Where the others find it, this process and its children: through the shell that stays in there. */
  readonly path: string;

  private constructor(
    private readonly shell: ChildProcessWithoutNullStreams,
    mountPoint: string,
  ) {
    this.path = `/proc/${String(shell.pid)}/root${mountPoint}`;
  }

  /** @param size as `mount` takes it: 2m */
  static async open(mountPoint: string, size: string): Promise<SmallDisk> {
    mkdirSync(mountPoint, { recursive: true });
    const script = 'mount -t tmpfs -o "size=$1" tmpfs "$2"; echo mounted; cat > /dev/null';
    const shell = spawn('unshare', [...namespace, 'sh', '-ec', script, 'sh', size, mountPoint]);
    let complaint = '';
    shell.stderr.on('data', (text: Buffer) => (complaint += text.toString()));
    await Promise.race([once(shell.stdout, 'data'), once(shell, 'close')]);
    if (shell.exitCode !== null) throw new Error(`cannot mount ${mountPoint}: ${complaint}`);
    return new SmallDisk(shell, mountPoint);
  }

  async close(): Promise<void> {
    const gone = once(this.shell, 'exit');
    this.shell.stdin.end();
    await gone;
  }
}
