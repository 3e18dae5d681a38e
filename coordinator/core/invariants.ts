/**
 * What must always hold, by number (docs/STATE-MACHINES.md). Costs a look at everything: for tests,
 * and for jobs that have ended. Never: repairs.
 */
import { attemptKey } from '../../shared/ids.js';
import { holds } from './holds.js';
import { checkSchedule } from './schedule-invariants.js';
import { firstMissing, isChunkDone, isUntouched, missingChunks, upstreamDone } from './stage.js';
import { isEnded, type JobState, type StageState, type State, type TaskState } from './state.js';
import { isCurrent } from './waiting.js';

/** @throws WindrowError E_INVARIANT naming the number of the first invariant that does not hold */
export function checkInvariants(state: State): void {
  for (const job of state.jobs.values()) checkJob(job);
  for (const schedule of state.schedules.values()) checkSchedule(schedule);
  for (const worker of state.workers.values()) {
    let known = 0;
    for (const [key, ref] of worker.attempts) {
      const task = taskOf(state, ref);
      if (task?.kind === 'running' && task.attempt === ref.attempt) known += 1;
      holds(
        6,
        key === attemptKey(ref),
        () => `worker ${worker.id} files ${attemptKey(ref)} as ${key}`,
      );
    }
    holds(9, !worker.exclusive || known <= 1, () => `${known} attempts share worker ${worker.id}`);
  }
  for (const job of state.jobs.values()) {
    for (const stage of job.stages) {
      for (const [number, task] of stage.tasks) {
        if (task.kind !== 'running') continue;
        const ref = { jobId: job.id, stageId: stage.id, task: number, attempt: task.attempt };
        const worker = state.workers.get(task.workerId);
        const filed = !worker || worker.attempts.has(attemptKey(ref));
        holds(
          6,
          filed,
          () => `${attemptKey(ref)} runs on ${task.workerId}, which does not know it`,
        );
      }
    }
  }
}

/** The invariants of one job; what `checkInvariants` does for each. */
export function checkJob(job: JobState): void {
  let running = 0;
  let chunksDone = 0;
  job.stages.forEach((stage, index) => {
    running += checkStage(job, stage, index);
    chunksDone += stage.chunksDoneCount;
  });
  const { kind } = job.phase;
  const where = () => `job ${job.id} is ${kind}`;
  const planned = job.plan.stages.map(({ id }) => id);
  const inOrder = planned.join() === job.stages.map(({ id }) => id).join();
  holds(13, inOrder, () => `${where()}: its stages are not those of its plan`);
  holds(13, new Set(planned).size === planned.length, () => `${where()} with a stage twice`);
  holds(5, running === job.running, () => `${where()}: ${running} run, ${job.running} counted`);
  const stopped = kind === 'failed' || kind === 'cancelled';
  holds(7, !stopped || running === 0, () => `${where()} while ${running} attempts run`);
  holds(7, kind !== 'stopping' || running > 0, () => `${where()} with nothing to wait for`);
  holds(7, isEnded(job.phase) === (job.endedMs !== undefined), () => `${where()}, end time wrong`);
  const complete = job.stages.every((stage) => stage.phase === 'done');
  const committed = kind === 'committing' || kind === 'succeeded';
  holds(8, !committed || complete, () => `${where()} with a stage unfinished`);
  holds(8, kind !== 'running' || !complete, () => `${where()} with every stage done`);
  holds(
    10,
    chunksDone === job.counts.chunksDone,
    () => `${where()}: ${chunksDone} chunks are done`,
  );
}

/** Returns how many attempts of the stage run. */
function checkStage(job: JobState, stage: StageState, index: number): number {
  const where = (task: number) => `${job.id}/${stage.id}/${task}`;
  let done = 0;
  for (let chunk = 0; chunk < stage.chunkCount; chunk += 1)
    if (isChunkDone(stage, chunk)) done += 1;
  holds(
    1,
    done === stage.chunksDoneCount,
    () => `${where(-1)}: ${done} bits, ${stage.chunksDoneCount} counted`,
  );

  let tasksDone = 0;
  let running = 0;
  for (let number = 0; number < stage.taskStarts.length; number += 1) {
    const task = stage.tasks.get(number);
    const complete = firstMissing(stage, number) === undefined;
    if (complete) tasksDone += 1;
    const places = (task ? 1 : 0) + (isUntouched(stage, number) ? 1 : 0);
    const placed = places === 1 || (places === 0 && complete);
    holds(
      3,
      placed,
      () => `${where(number)} is in ${places} places, ${complete ? '' : 'not '}done`,
    );
    if (task) checkTask(stage, number, task, where);
    if (task?.kind === 'running') running += 1;
  }
  holds(
    2,
    tasksDone === stage.tasksDone,
    () => `${where(-1)}: ${tasksDone} tasks done, ${stage.tasksDone} counted`,
  );
  if (stage.phase === 'running' || stage.phase === 'done') {
    const complete = tasksDone === stage.taskStarts.length;
    holds(8, complete === (stage.phase === 'done'), () => `${where(-1)} is ${stage.phase}`);
  } else {
    const still = stage.tasks.size === 0 && stage.untouched.length === 0;
    holds(8, still, () => `${where(-1)} has tasks while ${stage.phase}`);
    const isReady = upstreamDone(job, index);
    const overdue = stage.phase === 'blocked' && isReady && job.phase.kind === 'running';
    holds(8, !overdue, () => `${where(-1)} waits for nothing`);
    holds(8, stage.phase === 'blocked' || isReady, () => `${where(-1)} is sized too early`);
  }
  return running;
}

function checkTask(
  stage: StageState,
  number: number,
  task: TaskState,
  where: (task: number) => string,
): void {
  const { history } = task;
  const missing = missingChunks(stage, number).length;
  holds(
    4,
    missing === history.missing,
    () => `${where(number)}: ${missing} missing, ${history.missing} counted`,
  );
  if (task.kind === 'waiting') {
    holds(4, missing > 0, () => `${where(number)} waits although it is done`);
    const entry = stage.waiting.some((each) => each.task === number && isCurrent(stage, each));
    holds(11, entry, () => `${where(number)} waits without an entry in the heap`);
  } else {
    holds(12, task.attempt === history.attempts, () => `${where(number)} runs an old attempt`);
  }
  const top = stage.waiting[0];
  holds(11, !top || isCurrent(stage, top), () => `${where(number)}: the top of the heap is stale`);
}

function taskOf(
  state: State,
  ref: { jobId: JobState['id']; stageId: string; task: number },
): TaskState | undefined {
  const stages = state.jobs.get(ref.jobId)?.stages;
  return stages?.find((stage) => stage.id === ref.stageId)?.tasks.get(ref.task);
}
