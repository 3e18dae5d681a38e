/** The manifests against published schemas, and against what Windrow and Kubernetes want of them. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { isPublicAddress } from '../../coordinator/schedules/webhook-address.js';
import { parseByteSize } from '../../shared/byte-size.js';
import { schemaProblems } from './schemas.js';
import {
  find,
  goldenPath,
  kustomized,
  type Manifest,
  manifests,
  overlays,
  parseManifests,
  rendered,
  sourceDigest,
  workloads,
} from './rendered.js';

if (process.env['WINDROW_UPDATE_GOLDEN'] === '1') {
  for (const overlay of overlays) {
    writeFileSync(goldenPath(overlay), `${sourceDigest()}\n${kustomized(overlay) ?? ''}`);
  }
}
const all = workloads();
const pools = all.filter(({ manifest }) => manifest.kind === 'Deployment');

function valueOf(env: readonly { name: string; value?: string }[], name: string): string {
  return env.find((each) => each.name === name)?.value ?? '';
}

describe.each(overlays)('overlay %s', (overlay) => {
  it('is what kustomize makes of the sources as they are', () => {
    const made = kustomized(overlay);
    const kept = readFileSync(goldenPath(overlay), 'utf8');
    expect(kept.split('\n', 1)[0]).toBe(sourceDigest());
    if (made !== undefined) expect(parseManifests(kept)).toEqual(parseManifests(made));
  });
});

it('each overlay is a part of the one with everything, which the other tests are about', () => {
  for (const manifest of rendered('cpu')) expect(rendered('all')).toContainEqual(manifest);
});

it('fields and values are those of the published schemas; what is not is found', () => {
  const service = structuredClone(find('Service', 'windrow-coordinator'));
  service.spec.selektor = { a: 'b' };
  const stateful = structuredClone(find('StatefulSet', 'windrow-coordinator'));
  stateful.spec.replicas = 'one';
  const scaled = structuredClone(find('ScaledObject', 'windrow-worker-cpu'));
  scaled.spec.minReplicas = 0;
  const problems = schemaProblems([...rendered(), service, stateful, scaled]);
  const spoiled = [
    /Service .*selektor/,
    /StatefulSet .*(replicas|number)/,
    /ScaledObject .*minReplicas/,
  ];
  for (const pattern of spoiled) {
    expect(problems.filter((problem) => pattern.test(problem))).not.toEqual([]);
  }
  const others = problems.filter((problem) => !spoiled.some((pattern) => pattern.test(problem)));
  expect(others).toEqual([]);
});

describe('pods', () => {
  it.each(all)(
    'of $manifest.metadata.name meet the restricted pod security standard',
    ({ pod }) => {
      expect(pod.automountServiceAccountToken).toBe(false);
      expect(pod.securityContext).toMatchObject({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      for (const { securityContext } of pod.containers) {
        expect(securityContext).toMatchObject({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
      }
      const sources = new Set(
        pod.volumes.flatMap(({ name: _name, ...source }) => Object.keys(source)),
      );
      const allowed = ['emptyDir', 'persistentVolumeClaim', 'secret'];
      expect([...sources].filter((source) => !allowed.includes(source))).toEqual([]);
    },
  );

  it.each(all)('of $manifest.metadata.name refer to what there is', ({ manifest, pod }) => {
    const names = (kind: string): string[] =>
      rendered()
        .filter((each) => each.kind === kind)
        .map((each) => each.metadata.name);
    expect(names('ServiceAccount')).toContain(pod.serviceAccountName);
    const claims = pod.volumes.flatMap(
      ({ persistentVolumeClaim: claim }) => claim?.claimName ?? [],
    );
    for (const claim of claims) expect(names('PersistentVolumeClaim')).toContain(claim);
    const templates = (manifest.spec.volumeClaimTemplates ?? []) as {
      metadata: { name: string };
    }[];
    const volumes = [
      ...pod.volumes.map(({ name }) => name),
      ...templates.map(({ metadata }) => metadata.name),
    ];
    const container = pod.containers[0];
    expect(container.volumeMounts.map(({ name }) => name).sort()).toEqual(volumes.sort());
    const ports = container.ports.map(({ containerPort }) => containerPort);
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const) {
      expect(ports).toContain(container[probe].grpc.port);
    }
    expect(container.image).toMatch(/:\d+\.\d+\.\d+$/);
  });

  it('of workers see the certificate of the authority, and neither its key nor the token of clients', () => {
    for (const { pod } of pools) {
      const tls = pod.volumes.find(({ secret }) => secret?.secretName === 'windrow-tls');
      expect(tls?.secret?.items).toEqual([{ key: 'ca.crt', path: 'ca.crt' }]);
      const secrets = pod.volumes.flatMap(({ secret }) => secret?.secretName ?? []);
      expect(secrets).not.toContain('windrow-client-token');
    }
  });
});

describe.each(pools)('pool of $manifest.metadata.name', ({ manifest, pod }) => {
  const container = pod.containers[0];
  const slots = Number(valueOf(container.env, 'SLOTS'));
  const memory = parseByteSize(valueOf(container.env, 'MEMORY'));
  const scaled = find('ScaledObject', manifest.metadata.name);
  const [trigger] = scaled.spec.triggers as [{ type: string; metadata: Record<string, string> }];

  it('leaves a quarter of its memory limit to what the cap does not see', () => {
    const limit = Number(container.resources.limits['memory']!.replace(/Gi$/, '')) * 2 ** 30;
    expect(container.resources.requests['memory']).toBe(container.resources.limits['memory']);
    expect(memory).toBe(limit * 0.75);
  });

  it('has threads for its slots from its first process on, so that signals reach the worker', () => {
    expect(valueOf(container.env, 'UV_THREADPOOL_SIZE')).toBe(String(2 * slots + 8));
  });

  it('has room on its disk for all its scratch volumes', () => {
    const sizes = pod.volumes.flatMap(({ emptyDir }) => emptyDir?.['sizeLimit'] ?? []);
    const gigabytes = sizes.reduce((sum, size) => sum + Number(size.replace(/Gi$/, '')), 0);
    const limit = Number(container.resources.limits['ephemeral-storage']!.replace(/Gi$/, ''));
    expect(limit).toBeGreaterThan(gigabytes);
  });

  it('is scaled by its own demand, from none, through the service of the coordinator', () => {
    expect(scaled.spec.scaleTargetRef).toEqual({ name: manifest.metadata.name });
    expect(scaled.spec.minReplicaCount).toBe(0);
    expect(manifest.spec.replicas).toBeUndefined();
    expect(trigger.metadata['pool']).toBe(valueOf(container.env, 'POOL'));
    expect(trigger.metadata['slotsPerWorker']).toBe(String(slots));
    const service = find('Service', 'windrow-coordinator');
    const address = `${service.metadata.name}.windrow.svc:${String(service.spec.ports[0].port)}`;
    expect(trigger.metadata['scalerAddress']).toBe(address);
    expect(container.args).toContain(`--coordinator=${address}`);
    expect(container.env.map(({ name }) => name)).toContain(trigger.metadata['tokenFromEnv']);
  });

  it('has a disruption budget for exactly its pods', () => {
    const budget = find('PodDisruptionBudget', manifest.metadata.name);
    expect(budget.spec.selector).toEqual(manifest.spec.selector);
  });
});

it('network policies let nobody in but those who have business there', () => {
  const nothing = find('NetworkPolicy', 'windrow-nothing-else');
  expect(nothing.spec).toEqual({
    podSelector: { matchLabels: { 'app.kubernetes.io/part-of': 'windrow' } },
    policyTypes: ['Ingress', 'Egress'],
  });
  for (const { manifest } of all) {
    const labels = manifest.spec.template.metadata.labels as Record<string, string>;
    expect(labels['app.kubernetes.io/part-of']).toBe('windrow');
  }
  const policies = rendered().filter(({ kind }) => kind === 'NetworkPolicy');
  expect(policies.filter(({ spec }) => spec.ingress).map(({ metadata }) => metadata.name)).toEqual([
    'windrow-to-coordinator',
  ]);
});

it('webhooks reach what the coordinator calls, and nothing that it would not', () => {
  const text = readFileSync(join(manifests, 'webhooks/network-policy.yaml'), 'utf8');
  const [policy] = parseManifests(text) as [Manifest];
  expect(schemaProblems([policy])).toEqual([]);
  const { podSelector, egress } = policy.spec;
  expect(find('StatefulSet', 'windrow-coordinator').spec.selector).toEqual(podSelector);
  expect(rendered().map(({ metadata }) => metadata.name)).not.toContain(policy.metadata.name);
  const [, { ports, to }] = egress;
  expect(ports).toEqual([{ port: 443, protocol: 'TCP' }]);
  const closed = (to[0].ipBlock.except as string[]).map((range) => ipaddr.IPv4.parseCIDR(range));
  const wrong = Array.from({ length: 65_536 }, (_, index) => {
    return `${String(index >> 8)}.${String(index & 255)}.0.1`;
  }).filter((address) => {
    const parsed = ipaddr.IPv4.parse(address);
    return closed.some((range) => parsed.match(range)) === isPublicAddress(address);
  });
  expect(wrong).toEqual([]);
});

it('the image is made of files that are there, and starts the command of the package', () => {
  const dockerfile = readFileSync(join(manifests, 'Dockerfile'), 'utf8');
  const admitted = readFileSync(join(manifests, 'Dockerfile.dockerignore'), 'utf8').split('\n');
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, files]) =>
    files!.split(' '),
  );
  expect(copied).toEqual(expect.arrayContaining(['package.json', 'coordinator', 'worker']));
  for (const file of copied) {
    expect(existsSync(join(manifests, '..', file)), file).toBe(true);
    expect(admitted).toContain(`!${file}`);
  }
  const { bin, version } = JSON.parse(readFileSync(join(manifests, '../package.json'), 'utf8')) as {
    bin: { windrow: string };
    version: string;
  };
  for (const name of ['Dockerfile', 'Dockerfile.cuda']) {
    const text = readFileSync(join(manifests, name), 'utf8');
    expect(text).toContain(`\nENTRYPOINT ["node", "/app/${bin.windrow}"]\n`);
    expect(text).toMatch(/\nUSER 10001:10001\nENTRYPOINT/);
  }
  const images = all.map(({ pod }) => pod.containers[0].image.split(':')[1]);
  expect(new Set(images)).toEqual(new Set([version]));
});

it('nothing is granted at the API server', () => {
  const kinds = new Set(rendered().map(({ kind }) => kind));
  for (const kind of ['Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding', 'Secret']) {
    expect(kinds).not.toContain(kind);
  }
});
