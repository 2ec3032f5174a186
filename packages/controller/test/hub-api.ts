import type { KubeObject } from '@podwire/kube/object';
import { Store } from '@podwire/store/store';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { standardAdmission } from '../src/registry/admission-plugins.ts';
import { ObjectApi } from '../src/registry/object-api.ts';
import { ResourceTypes } from '../src/registry/resource-types.ts';

export interface TestApi {
  api: ObjectApi;
  store: Store;
  clock: { nowMs: number };
}

/** The real API over a store in memory, with the namespaces that a cluster starts with. */
export async function startApi(): Promise<TestApi> {
  const store = Store.open(':memory:', { instanceId: 'test' });
  const clock = { nowMs: Date.UTC(2030, 0, 1) };
  const api = new ObjectApi({
    store,
    types: new ResourceTypes(),
    admission: standardAdmission({ nodeTolerationSeconds: 1 }),
    nowMs: () => clock.nowMs,
    random32: seededRandom32(1),
  });
  for (const name of ['default', 'kube-system', 'kube-node-lease']) {
    await api.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
  return { api, store, clock };
}

export function pod(name: string, nodeName: string | undefined, namespace = 'default'): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name } },
    spec: {
      ...(nodeName ? { nodeName } : {}),
      containers: [
        { name: 'main', image: 'pause', ports: [{ name: 'http', containerPort: 80, protocol: 'TCP' }] },
      ],
    },
  };
}

export function configMap(name: string, namespace: string, value: string): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { value } };
}
