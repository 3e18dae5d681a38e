/** Which files the rows of an output are of, by what they were made, and which a job would add again. Pure. */
import type { Failure } from '../../shared/failure.js';
import type { Manifest, ManifestFile, ManifestOrigin } from '../../shared/manifest.js';
import type { OutputPlan } from '../../shared/plan.js';

/**
 * What the new manifest says: runs of which files stay, without what this one has anew, and its own.
 * @param staying files, and dead letters, that are an earlier job's
 */
export function originsWith(
  output: OutputPlan,
  previous: readonly ManifestOrigin[] = [],
  staying: readonly ManifestFile[],
): readonly ManifestOrigin[] {
  const { origin } = output;
  const own = new Set(origin?.sources);
  const there = new Set(staying.map(({ by }) => by));
  const others = remaining(output, previous).flatMap((run): ManifestOrigin[] => {
    // What replaced everything does not say whose its files are: there was one run alone.
    if (!there.has(run.by) && !there.has(undefined)) return [];
    if (run.program !== origin?.program) return [run];
    const kept = run.sources.map((source) => !own.has(source));
    const sources = run.sources.filter((_, at) => kept[at]);
    const contents = run.contents.filter((_, at) => kept[at]);
    return sources.length > 0 ? [{ ...run, sources, contents }] : [];
  });
  return origin ? [...others, { ...origin, by: output.identity }] : others;
}

export type AddedAgain =
  /** Of the same steps by another version: nobody wants those rows twice. */
  | { readonly kind: 'refused'; readonly failure: Failure }
  /** Of other steps, functions, models or times, or of files that were touched: that may be wanted. */
  | { readonly kind: 'told'; readonly text: string };

/** Rows that this job adds although rows of the same files are there, under other names. */
export function addedAgain(
  output: OutputPlan,
  manifest: Manifest | undefined,
): AddedAgain | undefined {
  const { mode, origin } = output;
  if (mode !== 'append' || !origin) return undefined;
  const there = remaining(output, manifest?.origins);
  const sourcesOf = (runs: readonly ManifestOrigin[]): Set<string> =>
    new Set(runs.flatMap(({ sources }) => sources));
  const others = there.filter(({ program }) => program !== origin.program);
  const upgraded = others.filter(
    ({ work, engine }) => work === origin.work && engine !== origin.engine,
  );
  // What this very program made has the names that it gives, and is not added.
  const done = sourcesOf(there.filter(({ program }) => program === origin.program));
  const countOf = (runs: readonly ManifestOrigin[]): number => {
    const known = sourcesOf(runs);
    return origin.sources.filter((source) => known.has(source) && !done.has(source)).length;
  };
  const rows = (count: number): string =>
    `output ${output.name}: rows of ${count} of the ${origin.sources.length} files that the job reads are in ${output.path}`;
  const again = countOf(upgraded);
  if (again > 0) {
    const [{ engine }] = upgraded as [ManifestOrigin];
    return {
      kind: 'refused',
      failure: {
        kind: 'invalidSpec',
        code: 'E_APPENDED_BEFORE',
        message: `${rows(again)}, made by the same steps with ${engine}; with ${origin.engine} they would be added once more`,
        at: { file: output.path },
        hint: 'name only files that are new (a schedule has {{ ds }} for the path), or run it once with mode: overwrite, which makes all rows anew',
      },
    };
  }
  const told = countOf(others);
  if (told > 0) {
    const text = `${rows(told)}, made by other steps, functions, models or at another time; what this run makes of those files is added to them`;
    return { kind: 'told', text };
  }
  const known = sourcesOf(there);
  const contents = new Set(there.flatMap((run) => run.contents));
  const touched = origin.sources.filter(
    (source, at) => !known.has(source) && contents.has(origin.contents[at]!),
  ).length;
  if (touched === 0) return undefined;
  const text = `${rows(touched)} from files of the same content, at another path or with another modification time; they are added once more`;
  return { kind: 'told', text };
}

/** Whether rows of files that the job reads are there of another run than those that it replaces. */
export function isTakenOver(
  { origin }: OutputPlan,
  manifest: Manifest,
  replaced: readonly string[],
): boolean {
  const own = new Set(origin?.sources);
  return (manifest.origins ?? []).some(
    ({ by, sources }) => !replaced.includes(by) && sources.some((source) => own.has(source)),
  );
}

/** Runs all of whose files this one reads again, to do the same work. */
export function redoneRuns(
  { origin }: OutputPlan,
  previous: readonly ManifestOrigin[] = [],
): ReadonlySet<string> {
  const own = new Set(origin?.sources);
  const redone = previous.filter(
    ({ work, sources }) => work === origin?.work && sources.every((source) => own.has(source)),
  );
  return new Set(redone.map(({ by }) => by));
}

function remaining(
  { replaces }: OutputPlan,
  runs: readonly ManifestOrigin[] = [],
): readonly ManifestOrigin[] {
  return runs.filter(({ by }) => !replaces?.includes(by));
}
