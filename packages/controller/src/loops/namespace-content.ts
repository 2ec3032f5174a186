import { ApiError } from '@podwire/kube/status';
import { type Loop, type LoopContext, loopOf, startQueue } from './loop.ts';
import type { AnyObject, Namespace } from './objects.ts';

const ROOT_CA = 'kube-root-ca.crt';
const ROOT_CA_DESCRIPTION =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.';

/**
 * Gives every namespace its ServiceAccount `default` and its ConfigMap with the cluster's CA, again when someone deletes or changes
 * them. Source: pkg/controller/serviceaccount and pkg/controller/certificates/rootcacertpublisher.
 */
export function startNamespaceContentController(context: LoopContext, options: { caPem: string }): Loop {
  const { api } = context;
  const queue = startQueue(context, 'root-ca-certificate-publisher', reconcile);
  const stops = [
    api.watch<Namespace>('namespaces', ({ object }) => queue.add(object.metadata.name)),
    api.watch<AnyObject>('serviceaccounts', ({ type, object }) => {
      if (type === 'DELETED' && object.metadata.name === 'default') queue.add(object.metadata.namespace!);
    }),
    api.watch<AnyObject>('configmaps', ({ type, object }) => {
      if (type !== 'ADDED' && object.metadata.name === ROOT_CA) queue.add(object.metadata.namespace!);
    }),
  ];

  async function reconcile(namespace: string): Promise<undefined> {
    const found = api.get<Namespace>('namespaces', '', namespace);
    if (found === undefined || found.metadata.deletionTimestamp !== undefined) return;
    await Promise.all([ensureServiceAccount(namespace), ensureRootCa(namespace)]);
  }

  async function ensureServiceAccount(namespace: string): Promise<void> {
    if (api.get('serviceaccounts', namespace, 'default') !== undefined) return;
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace } };
    await ignoringExisting(api.create('serviceaccounts', account));
  }

  async function ensureRootCa(namespace: string): Promise<void> {
    const data = { 'ca.crt': options.caPem };
    const existing = api.get<AnyObject & { data?: Record<string, string> }>('configmaps', namespace, ROOT_CA);
    if (existing === undefined) {
      const annotations = { 'kubernetes.io/description': ROOT_CA_DESCRIPTION };
      const metadata = { name: ROOT_CA, namespace, annotations };
      await ignoringExisting(
        api.create('configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata, data }),
      );
    } else if (existing.data?.['ca.crt'] !== options.caPem) {
      await api.update('configmaps', { ...existing, data });
    }
  }

  return loopOf(queue, ...stops);
}

async function ignoringExisting(creation: Promise<unknown>): Promise<void> {
  try {
    await creation;
  } catch (error) {
    if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
  }
}
