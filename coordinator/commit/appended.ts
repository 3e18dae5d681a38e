/** Which files' rows an output that keeps what lies there has, and by what they were made. Pure. */
import type { Failure } from '../../shared/failure.js';
import type { Appended, Manifest } from '../../shared/manifest.js';
import type { OutputPlan } from '../../shared/plan.js';

/** What the new manifest says: runs that stay, without the files that this one adds anew. */
export function appendedWith(
  output: OutputPlan,
  previous: readonly Appended[] = [],
): readonly Appended[] | undefined {
  const { appends } = output;
  if (!appends) return undefined;
  const own = new Set(appends.sources);
  const staying = remaining(output, previous).flatMap((run): Appended[] => {
    if (run.program !== appends.program) return [run];
    const sources = run.sources.filter((source) => !own.has(source));
    return sources.length > 0 ? [{ ...run, sources }] : [];
  });
  return [...staying, { ...appends, by: output.identity }];
}

export type AddedAgain =
  /** Of the same steps by another version: nobody wants those rows twice. */
  | { readonly kind: 'refused'; readonly failure: Failure }
  /** Of other steps, functions, models or times: that may be wanted. */
  | { readonly kind: 'told'; readonly text: string };

/** Rows that this job adds although rows of the same files are there, under other names. */
export function addedAgain(
  output: OutputPlan,
  manifest: Manifest | undefined,
): AddedAgain | undefined {
  const { appends } = output;
  if (!appends) return undefined;
  const others = remaining(output, manifest?.appended).filter(
    ({ program }) => program !== appends.program,
  );
  const countOf = (runs: readonly Appended[]): number => {
    const there = new Set(runs.flatMap(({ sources }) => sources));
    return appends.sources.filter((source) => there.has(source)).length;
  };
  const upgraded = others.filter(
    ({ work, engine }) => work === appends.work && engine !== appends.engine,
  );
  const rows = (count: number): string =>
    `output ${output.name}: rows of ${count} of the ${appends.sources.length} files that the job reads are in ${output.path}`;
  const again = countOf(upgraded);
  if (again > 0) {
    const [{ engine }] = upgraded as [Appended];
    return {
      kind: 'refused',
      failure: {
        kind: 'invalidSpec',
        code: 'E_APPENDED_BEFORE',
        message: `${rows(again)}, made by the same steps with ${engine}; with ${appends.engine} they would be added once more`,
        at: { file: output.path },
        hint: 'name only files that are new (a schedule has {{ ds }} for the path), or run it once with mode: overwrite, which makes all rows anew',
      },
    };
  }
  const told = countOf(others);
  if (told === 0) return undefined;
  const text = `${rows(told)}, made by other steps, functions, models or at another time; what this run makes of those files is added to them`;
  return { kind: 'told', text };
}

function remaining({ replaces }: OutputPlan, runs: readonly Appended[] = []): readonly Appended[] {
  return runs.filter(({ by }) => !replaces?.includes(by));
}
