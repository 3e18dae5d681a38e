/**
 * Tries an installed Windrow on a real cluster, the current one of kubectl: from no worker at all, with
 * workers and the coordinator killed, through a rolling restart, with rows exchanged between stages.
 * Every row is checked each time. All of it is done by a pod beside the others, which is removed, as is
 * what it wrote; other jobs of that Windrow lose nothing but time.
 * Usage: npm run try:cluster [-- --rows 20000000] [--pool cpu] [--namespace windrow] [--to-none]
 */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { makeModel } from '../../bench/data.js';
import { table } from '../../bench/report.js';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '20000000' },
    pool: { type: 'string', default: 'cpu' },
    namespace: { type: 'string', default: 'windrow' },
    /** Waits at the end until the pool has no worker left, which takes its cooldown period. */
    'to-none': { type: 'boolean', default: false },
  },
});
const rows = Number(values.rows);
const fileCount = 20;
const pod = 'windrow-check';
const place = `/data/windrow-check-${Date.now().toString(36)}`;
const coordinator = 'windrow-coordinator';
const workers = `windrow.dev/pool=${values.pool}`;
const pollMs = 500;
const patienceMs = 600_000;

const run = promisify(execFile);

async function kubectl(...args: string[]): Promise<string> {
  const all = ['--namespace', values.namespace, ...args];
  return (await run('kubectl', all, { maxBuffer: 1 << 26 })).stdout.trim();
}

/** In the pod; the image has our command and DuckDB. */
function inPod(...command: string[]): Promise<string> {
  return kubectl('exec', pod, '--', ...command);
}

/** The client of the image. */
async function windrow(...args: string[]): Promise<string> {
  const reach = [
    ...['--connect', `${coordinator}.${values.namespace}.svc:7433`],
    ...['--tls-ca', '/etc/windrow/tls/ca.crt', '--token-file', '/etc/windrow/client/token'],
  ];
  return inPod('node', '/app/dist/cli/main.js', ...args, ...reach);
}

/** The first row of a query, by DuckDB in the pod. */
async function query<T>(sql: string): Promise<T> {
  const script = `const { DuckDBInstance } = require('@duckdb/node-api');
    (async () => {
      const connection = await (await DuckDBInstance.create(':memory:')).connect();
      const reader = await connection.runAndReadAll(process.argv[1]);
      console.log(JSON.stringify(reader.getRowObjectsJson()[0] ?? null));
    })();`;
  return JSON.parse(await inPod('node', '-e', script, sql)) as T;
}

function putFile(path: string, content: Buffer | string): void {
  const args = ['--namespace', values.namespace, 'exec', '-i', pod, '--', 'sh', '-c'];
  const { status, stderr } = spawnSync('kubectl', [...args, `cat > ${path}`], { input: content });
  if (status !== 0) throw new Error(`cannot write ${path} in the pod: ${stderr.toString()}`);
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + patienceMs;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > giveUpAt)
      throw new Error(`waited ${patienceMs / 1000} s in vain for: ${what}`);
    await delay(pollMs);
  }
}

/** A client as docs/KUBERNETES.md describes one: the label, the authority, the client's token. */
async function startPod(): Promise<void> {
  const image = await kubectl(
    ...['get', 'statefulset', coordinator, '-o'],
    'jsonpath={.spec.template.spec.containers[0].image}',
  );
  const secret = (name: string, secretName: string, key: string) => ({
    name,
    secret: { secretName, items: [{ key, path: key }], defaultMode: 0o440 },
  });
  const mount = (name: string, mountPath: string) => ({ name, mountPath });
  const manifest = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: pod, labels: { 'windrow.dev/client': 'true' } },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      securityContext: {
        ...{ runAsNonRoot: true, runAsUser: 10001, runAsGroup: 10001, fsGroup: 10001 },
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          ...{ name: 'client', image, workingDir: '/app' },
          command: ['node', '-e', 'setInterval(() => {}, 1e6)'],
          securityContext: {
            ...{ allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
            readOnlyRootFilesystem: true,
          },
          env: [{ name: 'HOME', value: '/tmp' }],
          volumeMounts: [
            ...[mount('data', '/data'), mount('tmp', '/tmp')],
            ...[mount('authority', '/etc/windrow/tls'), mount('token', '/etc/windrow/client')],
          ],
        },
      ],
      volumes: [
        { name: 'data', persistentVolumeClaim: { claimName: 'windrow-data' } },
        { name: 'tmp', emptyDir: {} },
        secret('authority', 'windrow-tls', 'ca.crt'),
        secret('token', 'windrow-client-token', 'token'),
      ],
    },
  };
  const { status, stderr } = spawnSync(
    'kubectl',
    ['--namespace', values.namespace, 'apply', '-f', '-'],
    { input: JSON.stringify(manifest) },
  );
  if (status !== 0) throw new Error(stderr.toString());
  await kubectl('wait', '--for=condition=Ready', `pod/${pod}`, '--timeout=120s');
}

const inputs = Array.from({ length: 8 }, (_, index) => `f${index}`);

async function makeInput(): Promise<void> {
  await inPod('mkdir', '-p', `${place}/in`);
  const each = Math.ceil(rows / fileCount);
  for (let file = 0; file < fileCount; file += 1) {
    const features = inputs.map((name, at) => `((range * ${at + 3}) % 1000)::float as ${name}`);
    await query(
      `copy (select range as id, range % 977 as kind, ${features.join(', ')}
             from range(${file * each}, ${Math.min(rows, (file + 1) * each)}))
       to '${place}/in/${file}.parquet' (format parquet)`,
    );
  }
  putFile('/tmp/model.onnx', readFileSync(makeModel(8)));
}

/** Rows go through a model; `value` tells of each whether it is its own. */
function scored(name: string, factor: number) {
  return {
    steps: [
      {
        id: 'valued',
        select: {
          from: 'rows',
          columns: { '*': true, value: `(id * ${factor}) % 1000003`, f0: `f0 + ${factor}` },
        },
      },
      {
        id: 'out',
        infer: {
          from: 'valued',
          model: 'model.onnx',
          inputs: { x: inputs },
          outputs: { score: 'score' },
        },
      },
    ],
    wrong: `select count(*)::int as rows, count(distinct id)::int as distinct_rows,
        count(*) filter (value is distinct from (id * ${factor}) % 1000003 or score is null)::int as wrong
      from '${place}/${name}/*.parquet'`,
    rows,
  };
}

/** Rows are exchanged twice: grouped, and joined with themselves. */
function exchanged(name: string, factor: number) {
  const text = (source: string): string =>
    `select r.id % 2000003 as bucket, count(*) as n, sum(k.total - r.id) as rest
     from ${source} r join (select kind, sum(id * ${factor}) as total from ${source} group by kind) k
     on k.kind = r.kind group by bucket`;
  const [ours, theirs] = [`from '${place}/${name}/*.parquet'`, text(`'${place}/in/*.parquet'`)];
  return {
    steps: [{ id: 'out', sql: { query: text('rows') } }],
    wrong: `with ours as (select bucket, n, rest ${ours}), theirs as (${theirs})
      select (select count(*) from ours)::int as rows, (select count(distinct bucket) from ours)::int as distinct_rows,
        (select count(*) from ((from ours except all from theirs) union all (from theirs except all from ours)))::int as wrong`,
    rows: Math.min(2_000_003, rows),
  };
}

interface Result {
  readonly job: string;
  readonly state: string;
  readonly rowsInferred: number;
  readonly retries?: number;
  readonly progress?: { readonly chunksDone: number };
}

const resultOf = async (jobId: string): Promise<Result> =>
  JSON.parse(await windrow('get', jobId, '-o', 'json')) as Result;

const told: Record<string, string>[] = [];
let factor = Math.floor(Date.now() / 1000) % 100_000;

/** One job, disturbed once a part of it is done, and all of its rows looked at. */
async function attempt(
  what: string,
  make: typeof scored | typeof exchanged,
  disturb?: () => Promise<unknown>,
): Promise<void> {
  factor += 1;
  const name = `check-${factor}`;
  const { steps, wrong, rows: wanted } = make(name, factor);
  const spec = {
    apiVersion: 'windrow/v1',
    kind: 'Job',
    metadata: { name },
    sources: { rows: { parquet: `${place}/in/*.parquet` } },
    steps,
    outputs: [{ from: 'out', parquet: `${place}/${name}` }],
    run: { pool: values.pool },
  };
  putFile(`/tmp/${name}.json`, JSON.stringify(spec));
  const started = Date.now();
  const jobId = await windrow('submit', `/tmp/${name}.json`);
  if (disturb) {
    await until('a part of the job', async () => {
      const { state, progress } = await resultOf(jobId);
      return state !== 'running' || (progress?.chunksDone ?? 0) > 0;
    });
    await disturb();
  }
  await until('the end of the job', async () =>
    ['succeeded', 'failed', 'cancelled'].includes((await resultOf(jobId)).state),
  );
  const tookS = (Date.now() - started) / 1000;
  const { state, rowsInferred, retries = 0 } = await resultOf(jobId);
  const found = await query<{ rows: number; distinct_rows: number; wrong: number }>(wrong);
  const right = found.rows === wanted && found.distinct_rows === wanted && found.wrong === 0;
  told.push({
    what,
    state,
    seconds: tookS.toFixed(0),
    rows: found.rows.toLocaleString('en'),
    inferred: rowsInferred.toLocaleString('en'),
    retries: String(retries),
    answer: right ? 'right' : JSON.stringify(found),
  });
  console.log(`${what}: ${state}, ${right ? 'every row right' : JSON.stringify(found)}`);
  if (state !== 'succeeded' || !right) process.exitCode = 1;
}

/** All of them: which one has work shows seconds later only. */
const killWorkers = (): Promise<string> =>
  kubectl('delete', 'pods', '-l', workers, '--grace-period=0', '--force', '--wait=false');
const restartAll = async (): Promise<void> => {
  await kubectl('rollout', 'restart', `statefulset/${coordinator}`);
  await kubectl('rollout', 'restart', 'deployment', '-l', workers).catch(() =>
    kubectl('rollout', 'restart', `deployment/windrow-worker-${values.pool}`),
  );
};

await startPod();
try {
  await makeInput();
  await attempt('nothing happens', scored);
  await attempt('the workers are killed', scored, killWorkers);
  await attempt('the coordinator is killed', scored, () =>
    kubectl('delete', `pod/${coordinator}-0`, '--grace-period=0', '--force', '--wait=false'),
  );
  await attempt('everything is restarted', scored, restartAll);
  await attempt('rows are exchanged', exchanged);
  await attempt('rows are exchanged, the workers are killed', exchanged, killWorkers);
  if (values['to-none']) {
    await until(
      'no worker',
      async () => (await kubectl('get', 'pods', '-l', workers, '-o', 'name')) === '',
    );
    await attempt('from no worker', scored);
  }
  console.log(`\n${rows.toLocaleString('en')} rows in ${fileCount} files, pool ${values.pool}\n`);
  console.log(table(told));
} finally {
  await inPod('rm', '-rf', place).catch(() => undefined);
  await kubectl('delete', `pod/${pod}`, '--wait=false').catch(() => undefined);
}
