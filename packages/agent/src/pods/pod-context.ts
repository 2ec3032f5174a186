/**
 * What every pod of the node shares.
 */
import type { ClusterSettings, Report, SyncState } from '@podwire/sync/types';
import type { Pod } from 'kubernetes-types/core/v1.js';
import type { EventRecorder } from '../events.ts';
import type { HostStack } from '../host-stack.ts';
import type { ProbePace } from '../probes/prober.ts';
import type { SetTimer } from '../timer.ts';
import type { NodeResources } from './downward.ts';
import type { PodRuntime } from './pod-runtime.ts';

export interface PodContext {
  readonly nodeName: string;
  readonly nodeAddresses: readonly string[];
  readonly resources: NodeResources;
  readonly settings: ClusterSettings;
  readonly state: SyncState;
  readonly hostStack: HostStack;
  readonly events: EventRecorder;
  readonly report: (report: Report) => void;
  readonly nowMs: () => number;
  readonly random32: () => number;
  readonly setTimer: SetTimer;
  readonly log: AgentLog;
  readonly clusterCaPem: string;
  readonly serviceAccountToken: (namespace: string, serviceAccount: string) => string;
  readonly pace: ProbePace;
  /** Images that a container of this node has used. */
  readonly images: Set<string>;
  readonly counters: { containerRestarts: number };
  /**
   * Puts a pod on the network: addresses, link, stack.
   * Rejects when it has to be tried again; the text goes into an Event FailedCreatePodSandBox.
   */
  readonly createRuntime: (pod: Pod) => Promise<PodRuntime>;
}

/** Where logs go; pino's loggers fit. */
export interface AgentLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
