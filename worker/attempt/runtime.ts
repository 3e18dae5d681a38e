/**
 * What a thread keeps between attempts: its kernel, and the programs made ready in it. Opens a new
 * kernel when an attempt may read other directories; never serves two attempts at once.
 */
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import type { StageProgram } from '../../shared/plan.js';
import type { PredictEnv, PreparedPredict } from '../inference/predict.js';
import { Kernel } from '../kernel/duckdb.js';
import { PreparedProgram } from './program.js';
import { refuseFolderFunction } from './refuse-folder.js';
import { Scope } from './scope.js';

/** Programs kept ready, models included; the one used longest ago goes first. */
const programsMax = 4;

export interface RuntimeNeeds {
  readonly program: StageProgram;
  readonly programDigest: string;
  readonly blobs: Readonly<Record<string, string>>;
  readonly directories: readonly string[];
  readonly memoryLimitBytes: number;
  readonly spillDirectory: string;
}

interface Open {
  readonly kernel: Kernel;
  readonly programDigest: string;
  readonly directories: ReadonlySet<string>;
  readonly needs: RuntimeNeeds;
}

/** Directory for modules that have to be copied before they can be imported. */
export function modulesIn(spillDirectory: string): string {
  return join(spillDirectory, 'modules');
}

export class Runtime {
  readonly scope = new Scope();
  private open: Open | undefined;
  private readonly programs = new Map<string, PreparedProgram>();

  constructor(private readonly preparePredict: (env: PredictEnv) => Promise<PreparedPredict>) {}

  get kernel(): Kernel | undefined {
    return this.open?.kernel;
  }

  /** A program ready to run, in a kernel that reaches the given directories and no others. */
  async ready(needs: RuntimeNeeds): Promise<{ kernel: Kernel; program: PreparedProgram }> {
    const program = await this.prepared(needs, await this.kernelFor(needs));
    // Another one when the program took the place of an older one.
    const kernel = await this.kernelFor(needs);
    await program.attach(kernel);
    return { kernel, program };
  }

  close(): void {
    for (const program of this.programs.values()) program.release();
    this.programs.clear();
    this.closeKernel();
  }

  closeKernel(): void {
    this.open?.kernel.close();
    this.open = undefined;
  }

  private async prepared(needs: RuntimeNeeds, kernel: Kernel): Promise<PreparedProgram> {
    const { programDigest } = needs;
    let program = this.programs.get(programDigest);
    this.programs.delete(programDigest);
    program ??= await PreparedProgram.prepare(needs.program, needs.blobs, {
      scope: this.scope,
      preparePredict: this.preparePredict,
      moduleDirectory: modulesIn(needs.spillDirectory),
      kernel,
    });
    this.programs.set(programDigest, program);
    for (const [digest, oldest] of this.programs) {
      if (this.programs.size <= programsMax) break;
      oldest.release();
      this.programs.delete(digest);
      // Its functions stay registered in the kernel, which therefore goes too.
      this.closeKernel();
    }
    return program;
  }

  private async kernelFor(needs: RuntimeNeeds): Promise<Kernel> {
    const wanted = new Set(needs.directories);
    const open = this.open;
    if (open && fits(open, needs, wanted)) return open.kernel;
    // Tasks of one program read the same job's inputs, so what they may reach adds up.
    if (open?.programDigest === needs.programDigest) {
      for (const directory of open.directories) wanted.add(directory);
    }
    this.closeKernel();
    const kernel = await Kernel.open({
      directories: [...wanted],
      memoryLimitBytes: needs.memoryLimitBytes,
      spillDirectory: join(needs.spillDirectory, `kernel-${process.pid}-${threadId}`),
    });
    kernel.register(refuseFolderFunction(this.scope));
    this.open = { kernel, programDigest: needs.programDigest, directories: wanted, needs };
    return kernel;
  }
}

function fits(open: Open, needs: RuntimeNeeds, wanted: ReadonlySet<string>): boolean {
  const sameLimits =
    open.needs.memoryLimitBytes === needs.memoryLimitBytes &&
    open.needs.spillDirectory === needs.spillDirectory;
  const reached = [...wanted].every((directory) => open.directories.has(directory));
  const exact = open.programDigest === needs.programDigest || open.directories.size === wanted.size;
  return sameLimits && reached && exact;
}
