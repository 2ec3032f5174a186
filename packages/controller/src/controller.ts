import type { IncomingMessage } from 'node:http';
import type { Server } from 'node:https';
import { join } from 'node:path';
import { Store } from '@podwire/store/store';
import { type ClusterSettings, JOIN_PATH, SYNC_PATH } from '@podwire/sync/types';
import { nthAddress, parseCidr } from '@podwire/wire/cidr';
import { bootstrap, dnsAddresses } from './bootstrap.ts';
import { handleJoin } from './hub/join.ts';
import { startSyncService } from './hub/sync-service.ts';
import type { Lab, LabNode } from './lab.ts';
import type { Clock } from './loops/clock.ts';
import type { Log } from './loops/log.ts';
import type { Service } from './loops/objects.ts';
import { ServiceAllocator } from './loops/service-allocator.ts';
import { startLoops } from './loops/start.ts';
import { kubeconfigYaml, openPki, writeFile } from './pki.ts';
import { standardAdmission } from './registry/admission-plugins.ts';
import { startCustomResources } from './registry/custom-resources.ts';
import { ObjectApi } from './registry/object-api.ts';
import { ResourceTypes } from './registry/resource-types.ts';
import type { User } from './rest/authentication.ts';
import { createKubeletClient } from './rest/kubelet-client.ts';
import { createRestServer } from './rest/server.ts';

export interface ControllerOptions {
  lab: Lab;
  /** The lab's nodes as they are now; default: those of `lab`. */
  labNodes?: () => readonly LabNode[];
  /** Holds store.db, pki/ and kubeconfig. */
  stateDir: string;
  /** Where join.json goes; default: the state directory. */
  joinFile?: string | undefined;
  listenAddress: string;
  /** IP address of the API server inside the cluster. */
  advertiseAddress: string;
  /** Name or address by which agents and clients reach the API server. */
  hostName: string;
  clock: Clock;
  randomBytes: (size: number) => Buffer;
  log: Log;
}

export interface Controller {
  /** `https://127.0.0.10:6443` */
  url: string;
  stop(): Promise<void>;
}

const CLUSTER_DOMAIN = 'cluster.local';

/** Whom the join credential stands for at the REST API. */
const JOINING: User = {
  username: 'system:bootstrap:podwire',
  groups: ['system:bootstrappers', 'system:nodes'],
};

/**
 * The controller in the order it is built: credentials, store, API, control loops, sync hub, server. Resolves once it serves; then
 * kubeconfig and join.json are there. Rejects with an Error of one line.
 */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const { lab, stateDir, clock, log, hostName } = options;
  const { nowMs, random32 } = clock;
  const { port } = lab.controller;
  const serverAddress = `${hostName.includes(':') ? `[${hostName}]` : hostName}:${port}`;
  const url = `https://${serverAddress}`;

  const pki = await openPki({
    directory: join(stateDir, 'pki'),
    serverNames: serverNames(options),
    nowMs,
    randomBytes: options.randomBytes,
  });
  const store = Store.open(join(stateDir, 'store.db'));

  const services = new ServiceAllocator({ serviceCidrs: lab.serviceCIDRs, random32 });
  const types = new ResourceTypes();
  const admission = standardAdmission({ nodeTolerationSeconds: lab.evictionSeconds, services });
  const api = new ObjectApi({ store, types, admission, nowMs, random32 });
  services.restore(api.list<Service>('services'));

  const sync = startSyncService({
    api,
    store,
    labNodes: options.labNodes ?? (() => lab.nodes),
    settings: settingsOf(lab),
    joinToken: pki.token,
    nowMs,
    log,
  });
  const kubelet = createKubeletClient({
    ca: pki.caPem,
    cert: pki.kubeletClient.certPem,
    key: pki.kubeletClient.keyPem,
  });
  const server = createRestServer({
    api,
    tls: { ca: pki.caPem, cert: pki.server.certPem, key: pki.server.keyPem },
    authentication: { tokens: new Map([[pki.token, JOINING]]), signingKey: pki.serviceAccountKey, nowMs },
    kubelet,
    serverAddress,
    random32,
    log,
    handle(request, response) {
      if (pathOf(request) !== JOIN_PATH) return false;
      handleJoin(pki, request, response).catch(() => response.destroy());
      return true;
    },
    upgrade(request, socket, head) {
      if (pathOf(request) !== SYNC_PATH) return false;
      sync.handleUpgrade(request, socket, head);
      return true;
    },
  });
  // Nobody is let in before the port is ours, nor before what every cluster has is there: the files that lead here come last.
  await listen(server, options.listenAddress, port);
  const stopCustomResources = startCustomResources(api, (error) =>
    log.error({ err: error }, 'custom resources'),
  );
  const loops = startLoops({
    api,
    log,
    ...clock,
    settings: {
      podCidrs: lab.podCIDRs,
      nodeGraceSeconds: lab.nodeGraceSeconds,
      caPem: pki.caPem,
    },
    lastHeartbeatMs: sync.lastHeartbeatMs,
  });
  await bootstrap(api, {
    serviceCidrs: lab.serviceCIDRs,
    apiServer: { address: options.advertiseAddress, port },
    nodeCount: lab.nodes.length,
    clusterDomain: CLUSTER_DOMAIN,
  });

  const kubeconfigServer = lab.controller.kubeconfigServer ?? url;
  writeFile(
    join(stateDir, 'kubeconfig'),
    kubeconfigYaml(lab.name, kubeconfigServer, pki.caPem, pki.admin),
    0o600,
  );
  const joinJson = `${JSON.stringify({ url, caPem: pki.caPem, token: pki.token }, null, 2)}\n`;
  writeFile(options.joinFile ?? join(stateDir, 'join.json'), joinJson, 0o600);

  return {
    url,
    async stop() {
      loops.stop();
      stopCustomResources();
      const closed = new Promise((resolve) => server.close(resolve));
      await sync.stop();
      server.closeAllConnections();
      kubelet.close();
      await closed;
      store.close();
    },
  };
}

function settingsOf(lab: Lab): ClusterSettings {
  const { name, mode, ipFamilies, podCIDRs, serviceCIDRs, vni, mtu, probeDelayScale } = lab;
  return {
    ...{ name, mode, ipFamilies, podCIDRs, serviceCIDRs, vni, mtu, probeDelayScale },
    clusterDomain: CLUSTER_DOMAIN,
    clusterDNS: dnsAddresses(serviceCIDRs),
  };
}

/** Every name a client may use for the API server. */
function serverNames({ lab, hostName, advertiseAddress }: ControllerOptions): string[] {
  const inCluster = lab.serviceCIDRs.map((text) => {
    const cidr = parseCidr(text);
    if (cidr === undefined) throw new Error(`Cannot use service CIDR "${text}": it is not a prefix`);
    return nthAddress(cidr, 1);
  });
  const service = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
  return [
    ...new Set([
      hostName,
      advertiseAddress,
      ...(lab.controller.names ?? []),
      ...inCluster,
      ...service,
      `kubernetes.default.svc.${CLUSTER_DOMAIN}`,
      'localhost',
      '127.0.0.1',
    ]),
  ];
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0]!;
}

function listen(server: Server, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reasons: Record<string, string> = {
        EADDRINUSE:
          'the port is in use by another process; stop it, or choose another address in the lab file',
        EADDRNOTAVAIL: 'this machine has no such address; choose another in the lab file',
        EACCES: 'the port needs more rights; choose one above 1023 in the lab file',
      };
      const why = reasons[error.code ?? ''] ?? error.message;
      reject(new Error(`Cannot serve the API on ${address}:${port}: ${why}`));
    });
    server.listen({ host: address, port, exclusive: true }, () => resolve());
  });
}
