/**
 * How the node describes itself, and how it says that it is alive.
 */
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { vtepMac } from '@podwire/compile/vtep-mac';
import type { NodeDescription, Report } from '@podwire/sync/types';
import { KUBELET_PORT } from './http/server.ts';
import type { NodeResources } from './pods/downward.ts';
import type { SetTimer, Timer } from './timer.ts';

/** What this version answers as the kubelet's version. */
const KUBELET_VERSION = 'v1.32.0';

const MAX_PODS = '110';

/** Emulated pods cost next to nothing: a node offers the whole machine. */
export function nodeResources(): NodeResources {
  return {
    cpu: String(Math.max(cpus().length, 4)),
    memory: `${Math.floor(totalmem() / 1024)}Ki`,
    'ephemeral-storage': '100Gi',
  };
}

export function describeNode(name: string, address: string, resources: NodeResources): NodeDescription {
  const architecture = arch() === 'x64' ? 'amd64' : arch();
  const capacity = { ...resources, pods: MAX_PODS };
  return {
    labels: {
      'kubernetes.io/hostname': name,
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': architecture,
      'beta.kubernetes.io/os': 'linux',
      'beta.kubernetes.io/arch': architecture,
    },
    annotations: { 'podwire.dev/vtep-mac': vtepMac(name) },
    status: {
      addresses: [
        { type: 'InternalIP', address },
        { type: 'Hostname', address: name },
      ],
      capacity,
      allocatable: capacity,
      nodeInfo: {
        architecture,
        operatingSystem: 'linux',
        osImage: 'Podwire',
        kernelVersion: `${release()} (${platform()})`,
        containerRuntimeVersion: 'podwire://0.1.0',
        kubeletVersion: KUBELET_VERSION,
        kubeProxyVersion: KUBELET_VERSION,
        machineID: '',
        systemUUID: '',
        bootID: '',
      },
      daemonEndpoints: { kubeletEndpoint: { Port: KUBELET_PORT } },
    },
  };
}

export interface HeartbeatOptions {
  readonly intervalMs: number;
  readonly report: (report: Report) => void;
  readonly setTimer: SetTimer;
}

const NOT_READY: Report = {
  kind: 'heartbeat',
  ready: false,
  reason: 'KubeletNotReady',
  message: 'container runtime network not ready: no pod CIDR is assigned yet',
};

/** Tells the controller again and again that the node is there, and whether it can run pods. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #timer: Timer | undefined;
  #state: Report = NOT_READY;
  #isOver = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** A sign of life now, and from now on at every interval. */
  beat(): void {
    if (this.#isOver) return;
    this.#timer?.cancel();
    this.#options.report(this.#state);
    this.#timer = this.#options.setTimer(() => this.beat(), this.#options.intervalMs);
  }

  /** The node runs pods from now on. */
  ready(): void {
    this.#state = { kind: 'heartbeat', ready: true };
    this.beat();
  }

  /** The last word: whoever waits for the node's silence need not. */
  leaving(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    const message = 'node agent is shutting down';
    this.#options.report({ kind: 'heartbeat', ready: false, reason: 'NodeShutdown', message });
  }
}
