/**
 * The manifests as a cluster would get them. What kustomize made of k8s/ is kept in test/golden/k8s
 * with a digest of what it was made of, so that tests need no kustomize and none of them sees an old
 * state. `WINDROW_UPDATE_GOLDEN=1` makes it anew.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { globSync } from 'tinyglobby';
import { parseAllDocuments } from 'yaml';

export const manifests = resolve(import.meta.dirname, '../../k8s');
export const overlays = ['cpu', 'all'] as const;
export type Overlay = (typeof overlays)[number];

export interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string };
    readonly secretKeyRef?: { readonly name: string; readonly key: string };
  };
}

export interface Probe {
  readonly grpc: { readonly port: number; readonly service?: string };
  readonly periodSeconds?: number;
  readonly failureThreshold?: number;
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly Variable[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe: Probe;
  readonly readinessProbe: Probe;
  readonly livenessProbe: Probe;
  readonly resources: {
    readonly requests: Readonly<Record<string, string>>;
    readonly limits: Readonly<Record<string, string>>;
  };
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
}

export interface Volume {
  readonly name: string;
  readonly emptyDir?: Readonly<Record<string, string>>;
  readonly persistentVolumeClaim?: { readonly claimName: string };
  readonly secret?: {
    readonly secretName: string;
    readonly items?: readonly { readonly key: string; readonly path: string }[];
  };
}

export interface PodSpec {
  readonly serviceAccountName: string;
  readonly automountServiceAccountToken: boolean;
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly containers: readonly [Container, ...Container[]];
  readonly volumes: readonly Volume[];
}

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each kind has its own; schemas check it
  readonly spec: any;
}

export function goldenPath(overlay: Overlay): string {
  return resolve(import.meta.dirname, `../golden/k8s/${overlay}.txt`);
}

/** First line of a golden file. */
export function sourceDigest(): string {
  const hash = createHash('sha256');
  for (const file of globSync('**/*.yaml', { cwd: manifests }).sort()) {
    hash.update(`${file}\n${readFileSync(join(manifests, file), 'utf8')}\n`);
  }
  return `# made of k8s/**/*.yaml with SHA-256 ${hash.digest('hex')}`;
}

/** What a real kustomize makes of an overlay; undefined where this machine has none. */
export function kustomized(overlay: Overlay): string | undefined {
  const directory = join(manifests, 'overlays', overlay);
  for (const [command, verb] of [
    ['kubectl', 'kustomize'],
    ['kustomize', 'build'],
  ] as const) {
    const { error, status, stdout, stderr } = spawnSync(command, [verb, directory], {
      encoding: 'utf8',
    });
    if (error) continue;
    if (status !== 0) throw new Error(`${command} ${verb} ${directory}: ${stderr}`);
    return stdout;
  }
  return undefined;
}

export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
}

const parsed = new Map<Overlay, readonly Manifest[]>();

export function rendered(overlay: Overlay = 'all'): readonly Manifest[] {
  let found = parsed.get(overlay);
  if (!found) {
    found = parseManifests(readFileSync(goldenPath(overlay), 'utf8'));
    parsed.set(overlay, found);
  }
  return found;
}

export function find(kind: string, name: string, among = rendered()): Manifest {
  const found = among.find((each) => each.kind === kind && each.metadata.name === name);
  if (!found) throw new Error(`there is no ${kind} ${name}`);
  return found;
}

/** Deployments and StatefulSets, with what their pods are made from. */
export function workloads(among = rendered()): { manifest: Manifest; pod: PodSpec }[] {
  return among
    .filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet')
    .map((manifest) => ({
      manifest,
      pod: (manifest.spec as { template: { spec: PodSpec } }).template.spec,
    }));
}
