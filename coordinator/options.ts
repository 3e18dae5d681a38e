/** What a coordinator is started with, and what whoever started it can do with it. */
import type { TlsFiles } from './rpc/servers.js';
import type { Event } from './core/events.js';
import type { ExpectedDevices } from './known-devices.js';
import type { ListeningOwner } from './state-owner.js';

export interface CoordinatorOptions {
  readonly stateDirectory: string;
  /** `HOST:PORT`, beside the UNIX socket in the state directory. */
  readonly listen?: string;
  /** Jobs of earlier processes stay suspended until somebody asks for them. */
  readonly embedded: boolean;
  readonly slotsHint?: number;
  readonly allowRoots?: readonly string[];
  readonly allowCode?: boolean;
  /** Whether webhooks of schedules may call addresses that are not public. */
  readonly allowPrivateWebhooks?: boolean;
  readonly clientToken?: string;
  readonly workerToken?: string;
  /** What an autoscaler must show; default what clients must. */
  readonly scalerToken?: string;
  /** `HOST:PORT` for probes of health, in plain text. */
  readonly healthListen?: string;
  readonly tls?: TlsFiles;
  /** `HOST:PORT` for the verbs of jobs as JSON, and for metrics. */
  readonly http?: string;
  readonly leaseMs?: number;
  /**
   * Called once the state directory is ours, before anything else is done with it: workers started
   * now get ready meanwhile. They find the coordinator at this endpoint a moment later.
   */
  readonly onOwned?: (endpoint: string) => void;
  /** Ends the wait for an owner that is just starting or ending. */
  readonly signal?: AbortSignal;
  /** Where this machine's workers are all there will be: how to know their devices. */
  readonly devices?: ExpectedDevices;
}

export interface RunningCoordinator {
  /** `unix:…`, for clients and workers of this machine. */
  readonly endpoint: string;
  readonly listenAddress?: string;
  readonly httpAddress?: string;
  /** Resolves once no requested job is unfinished and none is being submitted. */
  idle(): Promise<void>;
  /** A worker process was seen to exit; its attempts are lost at once. */
  workerExited(pid: number, crashed: boolean): void;
  /** Unfinished jobs stay as they are in the journal. */
  stop(): Promise<void>;
  /** Accepts a ready plan: how benchmarks reach the scheduler without data. */
  submitPlan(event: Extract<Event, { type: 'job.submitted' }>): Promise<void>;
}

export interface BusyCoordinator {
  readonly busy: ListeningOwner;
}
