/**
 * Why a job is where it is, in one line: derived when asked, by the predicates of placement, so it
 * is never out of date. There is always an answer. Never: changes anything.
 */
import type { StagePlan } from '../../shared/plan.js';
import type { WhyView } from '../../shared/views.js';
import { upstreamsOf } from '../core/stage.js';
import { isEnded, type JobState, type StageState, type State } from '../core/state.js';
import { stateName } from '../core/views.js';
import { fits, freeSlots, openStages, servesPool } from './fit.js';

export function whyJob(state: State, job: JobState, nowMs: number): WhyView {
  const { phase } = job;
  if (isEnded(phase)) return ended(job);
  if (phase.kind === 'stopping') {
    const why = phase.outcome.kind === 'failed' ? phase.outcome.failure.code : phase.outcome.reason;
    return because(
      'stopping',
      `stopping after ${why}: ${count(job.running, 'attempt')} still to end`,
      {
        outcome: phase.outcome.kind,
        attempts: job.running,
      },
    );
  }
  if (phase.kind === 'committing') {
    const what = phase.manifests ? 'publishing its output' : 'checking its books';
    return because('committing', `all its rows are done; ${what}`, {
      frozen: Boolean(phase.manifests),
    });
  }
  if (job.running > 0) return running(job);
  return waiting(state, job, nowMs);
}

function ended(job: JobState): WhyView {
  const { phase } = job;
  const name = stateName(job);
  if (phase.kind === 'failed') {
    const { code, message } = phase.failure;
    return because('ended', `it has failed: ${code}: ${message}`, { state: name, code });
  }
  const reason = phase.kind === 'cancelled' && phase.reason !== 'user' ? ` (${phase.reason})` : '';
  return because('ended', `it has ended: ${name}${reason}`, { state: name });
}

function running(job: JobState): WhyView {
  const workers = new Set<string>();
  for (const stage of job.stages) {
    for (const task of stage.tasks.values())
      if (task.kind === 'running') workers.add(task.workerId);
  }
  const list = [...workers];
  const shown =
    list.slice(0, 3).join(', ') + (list.length > 3 ? ` and ${list.length - 3} more` : '');
  return because('running', `running: ${count(job.running, 'attempt')} on ${shown}`, {
    attempts: job.running,
    workers: list,
  });
}

/** Nothing of it runs: the first stage that could decides the answer. */
function waiting(state: State, job: JobState, nowMs: number): WhyView {
  const open = openStages(job);
  const index = open[0];
  if (index === undefined) return waitsForStage(job);
  const plan = job.plan.stages[index] as StagePlan;
  const stage = job.stages[index] as StageState;
  return noWorker(state, plan) ?? backingOff(stage, nowMs) ?? busy(state, job, stage, plan);
}

function waitsForStage(job: JobState): WhyView {
  const sizing = job.stages.find((stage) => stage.phase === 'sizing');
  if (sizing) {
    return because('sizing', `sizing the tasks of stage ${sizing.id}`, { stage: sizing.id });
  }
  for (let index = 0; index < job.stages.length; index += 1) {
    const upstream = upstreamsOf(job, index).find(({ phase }) => phase !== 'done');
    if (!upstream) continue;
    const { id, chunksDoneCount: done, chunkCount: chunks } = upstream;
    const answer = `waiting for stage ${id} (${done} of ${chunks} chunks)`;
    return because('stage', answer, { stage: id, chunksDone: done, chunks });
  }
  return because('planning', 'it has just been accepted', {});
}

function noWorker(state: State, plan: StagePlan): WhyView | undefined {
  const all = [...state.workers.values()];
  const connected = all.filter((worker) => worker.phase === 'connected');
  if (connected.length === 0) {
    const draining = all.filter((worker) => worker.phase === 'draining').length;
    const gone = all.length - draining;
    const known = all.length > 0 ? ` (${draining} draining, ${gone} disconnected)` : '';
    return because('noWorker', `no worker is connected${known}`, { draining, disconnected: gone });
  }
  const pool = connected.filter((worker) => servesPool(worker, plan));
  if (pool.length === 0) {
    const answer = `none of ${count(connected.length, 'worker')} serves pool ${plan.pool}`;
    return because('noPool', answer, { pool: plan.pool, workers: connected.length });
  }
  if (pool.some((worker) => fits(worker, plan))) return undefined;
  const device = plan.devices.find((each) => !pool.some((worker) => worker.devices.includes(each)));
  const named = device ?? plan.devices.join(' and ');
  const answer = `none of ${count(pool.length, 'worker')} in pool ${plan.pool} has device ${named}`;
  return because('noDevice', answer, { pool: plan.pool, device: named, workers: pool.length });
}

function backingOff(stage: StageState, nowMs: number): WhyView | undefined {
  if (stage.untouched.length > 0) return undefined;
  let soonest = Infinity;
  let number = -1;
  for (const [task, waits] of stage.tasks) {
    if (waits.kind !== 'waiting' || waits.eligibleMs >= soonest) continue;
    soonest = waits.eligibleMs;
    number = task;
  }
  if (soonest <= nowMs || number === -1) return undefined;
  const code = stage.tasks.get(number)?.history.lastFailure?.code ?? 'a failure';
  const until = new Date(soonest).toISOString();
  const answer = `backing off until ${until} after ${code} (task ${number} of stage ${stage.id})`;
  return because('backoff', answer, { until, code, stage: stage.id, task: number });
}

function busy(state: State, job: JobState, stage: StageState, plan: StagePlan): WhyView {
  const fitting = [...state.workers.values()].filter(
    (worker) => worker.phase === 'connected' && fits(worker, plan),
  );
  const suspect = [...stage.tasks].find(
    ([, task]) => task.kind === 'waiting' && task.history.alone,
  );
  if (suspect && stage.untouched.length === 0 && fitting.every((each) => each.attempts.size > 0)) {
    const [task] = suspect;
    const answer = `task ${task} of stage ${stage.id} was running when a worker died and waits to run alone on one`;
    return because('suspect', answer, { stage: stage.id, task });
  }
  if (fitting.some((worker) => freeSlots(worker, 0) > 0)) {
    return because('placing', 'a slot is free for it; it is placed next', {});
  }
  const slots = fitting.reduce((sum, worker) => sum + worker.slots, 0);
  const names = [...new Set(fitting.flatMap((worker) => [...worker.attempts.values()]))]
    .map((ref) => state.jobs.get(ref.jobId))
    .filter((other) => other && other !== job)
    .map((other) => `${other?.name} (${other?.id})`);
  const jobs = [...new Set(names)];
  const who = jobs.length > 0 ? ` with ${jobs.slice(0, 3).join(', ')}` : '';
  const slotWords = slots === 1 ? 'the only slot is busy' : `all ${slots} slots are busy`;
  return because('busy', `${slotWords}${who}`, { slots, jobs });
}

function count(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? '' : 's'}`;
}

function because(reason: string, answer: string, detail: Record<string, unknown>): WhyView {
  return { answer, detail: { reason, ...detail } };
}
