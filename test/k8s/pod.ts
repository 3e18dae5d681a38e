/**
 * Runs a container of a manifest as a process of this machine, as the kubelet would: the image's entry
 * point, the manifest's args and environment and nothing of ours, its mounts as directories, its ports
 * on loopback, its probes, SIGTERM and the grace period. Ends only processes that it started.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { freePort, healthOf } from '../servers.js';
import { manifests, type PodSpec, type Probe, type Variable } from './rendered.js';

const repository = resolve(import.meta.dirname, '../..');

/** What a cluster holds beside pods. */
export interface Cluster {
  readonly directory: string;
  /** By name, then key. */
  readonly secrets: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Where services are to be found here, by the address that manifests name. */
  readonly services: Map<string, string>;
}

export class Pod {
  readonly exit: Promise<number | null>;
  /** What the process printed, for messages. */
  output = '';

  private constructor(
    readonly name: string,
    private readonly spec: PodSpec,
    readonly ports: ReadonlyMap<number, number>,
    private readonly child: ChildProcess,
  ) {
    const hear = (data: Buffer): void => void (this.output += data.toString());
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    this.exit = new Promise((done) => child.once('close', (code) => done(code)));
  }

  static async start(cluster: Cluster, name: string, spec: PodSpec): Promise<Pod> {
    const container = spec.containers[0];
    const root = mountAll(cluster, name, spec);
    const ports = new Map<number, number>();
    for (const { containerPort } of container.ports) ports.set(containerPort, await freePort());
    const env = environment(container.env, cluster, name);
    const localise = (arg: string): string => {
      const [, flag = '', value = ''] = /^(--[\w-]+=)?(.*)$/s.exec(expand(arg, env))!;
      const wildcard = /^0\.0\.0\.0:(\d+)$/.exec(value);
      if (wildcard) return `${flag}127.0.0.1:${ports.get(Number(wildcard[1]))!}`;
      const mount = container.volumeMounts.find(({ mountPath }) =>
        `${value}/`.startsWith(`${mountPath}/`),
      );
      if (mount) return flag + root.get(mount.mountPath)! + value.slice(mount.mountPath.length);
      return flag + (cluster.services.get(value) ?? value);
    };
    const [command, ...first] = entryPoint();
    const child = spawn(command, [...first, ...container.args.map(localise)], {
      cwd: cluster.directory,
      env: { ...env, PATH: process.env['PATH'], HOME: root.get('/tmp'), TMPDIR: root.get('/tmp') },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Pod(name, spec, ports, child);
  }

  /** What the probe says now: that it serves, or not, or that nobody answers. */
  ask({ grpc }: Probe): Promise<boolean> {
    return healthOf(`127.0.0.1:${this.ports.get(grpc.port)!}`, grpc.service).then(
      (status) => status === 'SERVING',
      () => false,
    );
  }

  /** Asks until the probe says so. */
  async until(probe: 'startupProbe' | 'readinessProbe', wanted: boolean): Promise<void> {
    for (;;) {
      if ((await this.ask(this.spec.containers[0][probe])) === wanted) return;
      if (this.child.exitCode !== null) throw new Error(`${this.name} ended: ${this.output}`);
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  /** SIGTERM, and SIGKILL after the grace period. @returns the exit code; null after a SIGKILL */
  async delete(): Promise<number | null> {
    this.child.kill('SIGTERM');
    const graceMs = this.spec.terminationGracePeriodSeconds * 1000;
    const kill = setTimeout(() => this.child.kill('SIGKILL'), graceMs);
    const code = await this.exit;
    clearTimeout(kill);
    return code;
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

/** Of the image, whose files are those of the repository. */
function entryPoint(): [string, ...string[]] {
  const dockerfile = readFileSync(join(manifests, 'Dockerfile'), 'utf8');
  const [, list] = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)!;
  const [command, ...args] = JSON.parse(list!) as [string, ...string[]];
  return [command, ...args.map((arg) => arg.replace(/^\/app\//, `${repository}/`))];
}

/** As containers see it; a variable that is not resolved is a mistake of the manifest. */
export function environment(
  variables: readonly Variable[],
  { secrets }: Pick<Cluster, 'secrets'>,
  podName: string,
): Record<string, string> {
  return Object.fromEntries(
    variables.map(({ name, value, valueFrom }) => {
      const { fieldRef, secretKeyRef } = valueFrom ?? {};
      if (fieldRef?.fieldPath === 'metadata.name') return [name, podName];
      if (secretKeyRef) return [name, secrets[secretKeyRef.name]![secretKeyRef.key]!];
      if (value === undefined) throw new Error(`${name} has no value`);
      return [name, value];
    }),
  );
}

function expand(arg: string, env: Readonly<Record<string, string>>): string {
  return arg.replace(/\$\((\w+)\)/g, (_, name: string) => {
    const value = env[name];
    if (value === undefined) throw new Error(`${arg}: no variable ${name}`);
    return value;
  });
}

/** Claims are shared by their names, all else is the pod's own. @returns directories by mount path */
function mountAll(cluster: Cluster, pod: string, spec: PodSpec): Map<string, string> {
  const places = new Map<string, string>();
  for (const { name, mountPath } of spec.containers[0].volumeMounts) {
    const volume = spec.volumes.find((each) => each.name === name);
    const claim = volume?.persistentVolumeClaim?.claimName;
    const place = join(cluster.directory, claim ?? join(pod, name));
    mkdirSync(place, { recursive: true });
    places.set(mountPath, place);
    const secret = volume?.secret;
    if (!secret) continue;
    const content = cluster.secrets[secret.secretName]!;
    const items = secret.items ?? Object.keys(content).map((key) => ({ key, path: key }));
    for (const { key, path } of items) writeFileSync(join(place, path), content[key]!);
  }
  return places;
}
