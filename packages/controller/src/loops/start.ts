import type { Api } from '../api.ts';
import { AllResources } from './all-resources.ts';
import type { Clock } from './clock.ts';
import { startCronJobController } from './cronjob.ts';
import { startDaemonSetController } from './daemonset.ts';
import { startDeploymentController } from './deployment.ts';
import { startDisruptionController } from './disruption.ts';
import { startEndpointsController } from './endpoints.ts';
import { startEndpointSliceController } from './endpointslice.ts';
import { startEndpointSliceMirroringController } from './endpointslice-mirroring.ts';
import { startEventExpiry } from './event-expiry.ts';
import { createGarbageCollector } from './garbage-collector.ts';
import { startJobController } from './job.ts';
import type { Log } from './log.ts';
import { type Loop, type LoopContext, loopOf } from './loop.ts';
import { createNamespaceController } from './namespace.ts';
import { startNamespaceContentController } from './namespace-content.ts';
import { startNodeIpamController } from './node-ipam.ts';
import { startNodeLifecycleController } from './node-lifecycle.ts';
import type { Node } from './objects.ts';
import { startPodGcController } from './pod-gc.ts';
import { startReplicaSetController, startReplicationController } from './replicaset.ts';
import { startScheduler } from './scheduler.ts';
import { startStatefulSetController } from './statefulset.ts';
import { startTaintEvictionController } from './taint-eviction.ts';

export interface LoopSettings {
  /** The cluster's pod CIDRs, at most one of each IP version; each node gets a part. */
  podCidrs: readonly string[];
  /** Prefix length of a node's part; default 24 and 64. */
  nodeMaskSizeV4?: number;
  nodeMaskSizeV6?: number;
  /** Silence after which a node counts as lost. */
  nodeGraceSeconds: number;
  /** The same for nodes known before this process started; default five times as long. */
  startupGraceSeconds?: number;
  /** How long an Event is kept after it last happened; default an hour. */
  eventTtlSeconds?: number;
  /** CA that every namespace's ConfigMap kube-root-ca.crt carries. */
  caPem: string;
}

export interface LoopsOptions extends Clock {
  api: Api;
  log: Log;
  settings: LoopSettings;
  /** When each node was last heard of, where someone keeps that in memory; without it, renewed Leases are signs of life. */
  lastHeartbeatMs?: (nodeName: string) => number;
  /** Whether a silent node is known to run nothing any more; by default it is. */
  isDead?: (node: Node) => boolean;
}

/** Starts every control loop. Each works from watch events alone; only node lifecycle looks at the clock by itself. */
export function startLoops(options: LoopsOptions): Loop {
  const { api, log, settings, nowMs, setTimer, random32, lastHeartbeatMs, isDead } = options;
  const context: LoopContext = { api, log, clock: { nowMs, setTimer, random32 } };
  const graceMs = settings.nodeGraceSeconds * 1000;
  const startupGraceMs = (settings.startupGraceSeconds ?? settings.nodeGraceSeconds * 5) * 1000;

  const namespaces = createNamespaceController(context);
  const garbage = createGarbageCollector(context);
  const resources = new AllResources(api, [namespaces.observe, garbage.observe]);
  namespaces.start(resources);
  garbage.start(resources);
  resources.start();

  return loopOf(
    resources,
    namespaces,
    garbage,
    startNamespaceContentController(context, { caPem: settings.caPem }),
    startNodeIpamController(context, settings),
    startNodeLifecycleController(context, {
      graceMs,
      startupGraceMs,
      ...(lastHeartbeatMs ? { lastHeartbeatMs } : {}),
    }),
    startTaintEvictionController(context),
    startPodGcController(context, isDead ? { isDead } : {}),
    startScheduler(context),
    startDeploymentController(context),
    startReplicaSetController(context),
    startReplicationController(context),
    startStatefulSetController(context),
    startDaemonSetController(context),
    startJobController(context),
    startCronJobController(context),
    startDisruptionController(context),
    startEndpointSliceController(context),
    startEndpointsController(context),
    startEndpointSliceMirroringController(context),
    startEventExpiry(context, { ttlMs: (settings.eventTtlSeconds ?? 3600) * 1000 }),
  );
}
