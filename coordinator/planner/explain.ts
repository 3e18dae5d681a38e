/** The plan for people and programs. Pure. Never: shows what the plan does not say. */
import type { Division, JobPlan, ProgramStep, StagePlan, TableRef } from '../../shared/plan.js';
import { plannedChunkCount } from './exchange-chunks.js';
import { forecast } from './query-forecast.js';
import { quoteName } from '../../shared/sql-text.js';

export interface ExplainedStage {
  readonly id: string;
  /** Null until the chunks it reads are there. */
  readonly tasks: number | null;
  readonly chunks: number | null;
  readonly rows: number | null;
  /** Ids of the steps it runs, in the order it runs them. */
  readonly steps: readonly string[];
  readonly program: readonly Readonly<Record<string, unknown>>[];
  readonly inputs: readonly { readonly from: string; readonly exchange: Exchange }[];
  /** What a stage of a query computes from them. */
  readonly query?: string;
  readonly reads: readonly string[];
  readonly pruned: { readonly rowGroups: number; readonly rows: number };
  readonly writes: {
    readonly columns: readonly { readonly name: string; readonly type: string }[];
    readonly compression: string;
    readonly partitionBy: readonly string[];
  };
  readonly deterministic: boolean;
  readonly pool: string;
  readonly devices: readonly string[];
}

/** How rows come from an input to the chunks of a stage. */
export type Exchange = 'none' | 'hash' | 'range' | 'broadcast' | 'gather';

/** `explain -o json`. */
export interface ExplainedPlan {
  readonly stages: readonly ExplainedStage[];
  readonly outputs: readonly Readonly<Record<string, unknown>>[];
  readonly notes: JobPlan['notes'];
}

export function explainJson(plan: JobPlan): ExplainedPlan {
  const { stages } = forecast(plan);
  return {
    stages: stages.map((stage) => explainStage(stage, stages)),
    outputs: plan.outputs.map((output) => ({
      name: output.name,
      path: output.path,
      stage: output.stage,
      mode: output.mode,
      columns: output.columns,
      partitionBy: output.partitionBy,
      ...(output.targetFileSize === undefined ? {} : { targetFileSize: output.targetFileSize }),
      deadLetters: output.deadLetterPath,
      ...(output.rowCounts.length > 0 ? { rowCounts: output.rowCounts } : {}),
    })),
    notes: plan.notes,
  };
}

function explainStage(stage: StagePlan, stages: readonly StagePlan[]): ExplainedStage {
  const { query, scan, sink, steps } = stage.program;
  const read = query
    ? query.leaves.flatMap(({ columns, hive = [] }) => [...columns, ...hive])
    : scan.columns;
  const source = stage.input.kind === 'source' ? stage.input : undefined;
  return {
    id: stage.id,
    tasks: isSized(stage) ? stage.taskStarts.length : null,
    chunks: plannedChunkCount(stage) ?? null,
    rows: isSized(stage) ? stage.rows : null,
    steps: stage.standsFor ?? [...new Set(steps.map((step) => step.id))],
    program: steps.map(describeStep),
    inputs: inputsOf(stage, stages),
    ...(query ? { query: query.sql } : {}),
    reads: [...new Set([...read, ...scan.hive].map((column) => column.name))],
    pruned: {
      rowGroups: sum(source?.files.map((file) => file.prunedRowGroups.length) ?? []),
      rows: sum(
        source?.files.flatMap((file) =>
          file.prunedRowGroups.map((group) => file.rowGroupRows[group] ?? 0),
        ) ?? [],
      ),
    },
    writes: {
      columns: sink.columns,
      compression: sink.compression,
      partitionBy: sink.partitionBy,
    },
    deterministic: stage.deterministic,
    pool: stage.pool,
    devices: stage.devices,
  };
}

/** Stages behind an exchange are sized when what they read is there. */
function isSized({ input }: StagePlan): boolean {
  if (input.kind === 'exchange') {
    const { driving } = input;
    return driving.kind === 'split' && driving.table.kind === 'source';
  }
  return input.kind === 'source' || input.kind === 'empty';
}

function inputsOf({ input }: StagePlan, stages: readonly StagePlan[]): ExplainedStage['inputs'] {
  switch (input.kind) {
    case 'source':
      return [{ from: input.source, exchange: 'none' }];
    case 'stage':
      return [{ from: input.stage, exchange: 'none' }];
    case 'exchange': {
      const { driving, whole } = input;
      const gathers = driving.kind === 'once';
      return [
        ...(driving.kind === 'split' ? namesOf(driving.table, 'none') : []),
        ...(driving.kind === 'partitions'
          ? driving.inputs.flatMap(({ stages: read }) =>
              read.map((from) => ({ from, exchange: divisionOf(from, stages) })),
            )
          : []),
        ...whole.flatMap(({ table, slices }) =>
          namesOf(table, slices ? 'none' : gathers ? 'gather' : 'broadcast'),
        ),
      ];
    }
    case 'query':
      return Object.entries(input.tables).flatMap(([, table]) => namesOf(table, 'none'));
    case 'empty':
      return [];
  }
}

function namesOf(table: TableRef, exchange: Exchange): ExplainedStage['inputs'] {
  const names = table.kind === 'source' ? [table.source] : table.stages;
  return names.map((from) => ({ from, exchange }));
}

function divisionOf(id: string, stages: readonly StagePlan[]): Exchange {
  return stages.find((stage) => stage.id === id)?.program.sink.divide?.kind ?? 'none';
}

function describeStep(step: ProgramStep): Readonly<Record<string, unknown>> {
  const { id, kind } = step;
  switch (step.kind) {
    case 'filter':
      return { id, kind, where: step.where };
    case 'select':
      return { id, kind, columns: step.columns };
    case 'sql':
      return { id, kind, query: step.query };
    case 'map':
      return {
        id,
        kind,
        module: step.bundle.name,
        export: step.export,
        rowwise: step.rowwise,
        columns: step.columns,
      };
    case 'infer':
      return {
        id,
        kind,
        model: step.model.name,
        device: step.device,
        inputs: step.inputs,
        outputs: step.outputs,
        onNull: step.onNull,
        onError: step.onError,
      };
    case 'expect':
      return { id, kind, checks: step.checks };
  }
}

/** The same for reading. */
export function explainText(plan: JobPlan): string {
  const { stages, outputs } = explainJson(plan);
  const programs = new Map<string, StagePlan>(
    forecast(plan).stages.map((stage) => [stage.id, stage]),
  );
  const lines: string[] = [];
  for (const stage of stages) {
    const from = stage.inputs
      .map((input) => `${input.from} (exchange: ${input.exchange})`)
      .join(', ');
    const size =
      stage.chunks === null || stage.tasks === null
        ? 'sized when its chunks are there'
        : `${count(stage.tasks ?? 0, 'task')}, ${count(stage.chunks, 'chunk')}, ${count(stage.rows ?? 0, 'row')}`;
    lines.push(`stage ${stage.id} reads ${from || 'nothing'}: ${size}`);
    lines.push(`  scan    ${shortList(stage.reads)}`);
    if (stage.pruned.rowGroups > 0) {
      const groups = count(stage.pruned.rowGroups, 'row group');
      lines.push(`  pruned  ${groups}, ${count(stage.pruned.rows, 'row')}`);
    }
    if (stage.query !== undefined) {
      lines.push(`  steps   ${stage.steps.join(', ')}`, `  query   ${stage.query}`);
    }
    for (const step of programs.get(stage.id)!.program.steps) {
      lines.push(...stepLines(step));
    }
    const partition = stage.writes.partitionBy;
    const { divide } = programs.get(stage.id)!.program.sink;
    if (divide) lines.push(`  divide  ${divisionText(divide)}`);
    lines.push(
      `  write   ${shortList(stage.writes.columns.map(({ name, type }) => `${name} ${type}`))}` +
        ` (${stage.writes.compression}${partition.length > 0 ? `, by ${partition.join(', ')}` : ''})`,
    );
    const place = [`pool ${stage.pool}`, ...stage.devices];
    if (!stage.deterministic) place.push('not deterministic');
    lines.push(`  on      ${place.join(', ')}`);
  }
  for (const output of outputs) {
    lines.push(
      `output ${String(output['name'])} <- ${String(output['stage'])}: ${String(output['path'])} (${String(output['mode'])})`,
    );
  }
  for (const note of plan.notes) {
    lines.push(`note ${note.kind}: ${note.step === undefined ? '' : `${note.step} `}${note.text}`);
  }
  return `${lines.join('\n')}\n`;
}

function stepLines(step: ProgramStep): string[] {
  const line = (text: string): string => `  ${step.kind.padEnd(7)} ${step.id}: ${text}`;
  switch (step.kind) {
    case 'filter':
      return [line(step.where)];
    case 'select': {
      const made = step.columns.filter(({ name, expr }) => !isName(name, expr));
      const kept = step.columns.length - made.length;
      const parts = made.map(({ name, expr }) => `${name} = ${expr}`);
      return [line(shortList([...(kept > 0 ? [`${count(kept, 'column')} kept`] : []), ...parts]))];
    }
    case 'sql':
      return [line(step.query)];
    case 'map':
      return [
        line(
          `${step.bundle.name} ${step.export}(${shortList(step.reads.map(({ name }) => name))})`,
        ),
      ];
    case 'infer':
      return [
        line(
          `${step.model.name} on ${step.device}: ` +
            `${step.inputs.map(({ tensor, columns }) => `${tensor} <- ${shortList(columns.map(({ name }) => name))}`).join('; ')}` +
            ` -> ${step.outputs.map(({ column }) => `${column.name} ${column.type}`).join(', ')}`,
        ),
      ];
    case 'expect':
      return step.checks.map((check) =>
        line(`${check.name} (${check.action}): ${check.predicate}`),
      );
  }
}

function divisionText(divide: Division): string {
  if (divide.kind === 'range')
    return `by range of ${divide.keys.map(({ expr }) => expr).join(', ')}`;
  return `${divide.partitions} partitions by hash of ${divide.keys.join(', ')}`;
}

function isName(name: string, expr: string): boolean {
  return expr === name || expr === quoteName(name);
}

function shortList(items: readonly string[], max = 20): string {
  const shown = items.slice(0, max).join(', ');
  return items.length > max ? `${shown}, and ${items.length - max} more` : shown;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
