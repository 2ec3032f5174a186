/**
 * What runs a pod's containers. `runtimeClassName` chooses: a netstack in this process, another OS process, or, for
 * hostNetwork pods, the node's own stack.
 */
import type { Duplex } from 'node:stream';
import type { ContainerOutput, ContainerSpec, RunningContainer } from '@podwire/workload/container';
import type { Sandbox } from '@podwire/workload/types';

export interface PodRuntime {
  readonly podIPs: readonly string[];
  /** What the pod's containers share, when they run in this process. */
  readonly sandbox?: Sandbox;
  /** @throws Error when the container cannot be started; the text goes into its status */
  start(spec: ContainerSpec, output: ContainerOutput): RunningContainer;
  /** The files of a running container are others now (a ConfigMap was updated). */
  filesChanged(spec: ContainerSpec): void;
  /** A connection to a port of the pod, from inside it. */
  dial(port: number): Duplex;
  /** Takes the pod off the network and gives its addresses back. */
  close(): void;
}
