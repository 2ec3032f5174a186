import { jsonEquals } from '@podwire/kube/object';
import { ApiError } from '@podwire/kube/status';
import { ipVersionOf } from '@podwire/wire/address';
import { controllerRef } from './controller-ref.ts';
import { hasSelector } from './endpoint-pods.ts';
import { MANAGED_BY_LABEL as ENDPOINTS_MANAGED_BY } from './endpoints.ts';
import { MANAGED_BY_LABEL, SERVICE_NAME_LABEL, SLICES } from './endpointslice.ts';
import { keyOf, splitKey } from './keys.ts';
import { type Loop, type LoopContext, loopOf, startQueue } from './loop.ts';
import type { Draft, EndpointAddress, EndpointSlice, Endpoints, Service, SliceEndpoint } from './objects.ts';

const MANAGER = 'endpointslicemirroring-controller.k8s.io';
const SKIP_MIRROR_LABEL = 'endpointslice.kubernetes.io/skip-mirror';
const MOST_ENDPOINTS = 1000;

type Content = Pick<EndpointSlice, 'addressType' | 'endpoints' | 'ports'>;

/**
 * Copies Endpoints that people write for a Service without a selector into EndpointSlices, which is all that the data plane reads.
 * Source: pkg/controller/endpointslicemirroring.
 */
export function startEndpointSliceMirroringController(context: LoopContext): Loop {
  const { api } = context;
  const queue = startQueue(context, 'endpointslicemirroring-controller', reconcile);
  const stops = [
    api.watch<Endpoints>('endpoints', ({ object }) => queue.add(keyOf(object.metadata))),
    api.watch<Service>('services', ({ object }) => queue.add(keyOf(object.metadata))),
    api.watch<EndpointSlice>(SLICES, ({ type, object }) => {
      if (type !== 'ADDED' && isMirror(object)) {
        queue.add(`${object.metadata.namespace}/${object.metadata.labels![SERVICE_NAME_LABEL]}`);
      }
    }),
  ];

  async function reconcile(key: string): Promise<undefined> {
    const { namespace, name } = splitKey(key);
    const service = api.get<Service>('services', namespace, name);
    const source = api.get<Endpoints>('endpoints', namespace, name);
    const existing = api
      .list<EndpointSlice>(SLICES, { namespace })
      .filter((slice) => isMirror(slice) && slice.metadata.labels![SERVICE_NAME_LABEL] === name);
    const wanted =
      source !== undefined && service !== undefined && mirrors(service, source) ? mirror(source) : [];
    const writes: Promise<unknown>[] = [];
    const labels: Record<string, string> = { ...source?.metadata.labels };
    labels[SERVICE_NAME_LABEL] = name;
    labels[MANAGED_BY_LABEL] = MANAGER;
    const unused = new Set(existing);
    for (const content of wanted) {
      const same = [...unused].filter((slice) => slice.addressType === content.addressType);
      const slice = same.find((each) => jsonEquals(each.ports ?? [], content.ports)) ?? same[0];
      if (slice === undefined) {
        writes.push(create(source!, labels, content));
        continue;
      }
      unused.delete(slice);
      const next = { ...slice, ...content, metadata: { ...slice.metadata, labels } };
      if (!jsonEquals(slice, next)) writes.push(api.update(SLICES, next));
    }
    for (const slice of unused) writes.push(remove(slice));
    await Promise.all(writes);
  }

  function create(source: Endpoints, labels: Record<string, string>, content: Content): Promise<unknown> {
    const { namespace, name } = source.metadata;
    const draft: Draft<EndpointSlice> = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        generateName: `${name}-`,
        namespace,
        labels,
        ownerReferences: [controllerRef({ ...source, apiVersion: 'v1', kind: 'Endpoints' })],
      },
      ...content,
    };
    return api.create(SLICES, draft);
  }

  async function remove({ metadata: { namespace, name, uid } }: EndpointSlice): Promise<void> {
    try {
      await api.delete(SLICES, namespace!, name, { preconditions: { uid } });
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 404)) throw error;
    }
  }

  return loopOf(queue, ...stops);
}

function isMirror(slice: EndpointSlice): boolean {
  const labels = slice.metadata.labels;
  return labels?.[MANAGED_BY_LABEL] === MANAGER && labels[SERVICE_NAME_LABEL] !== undefined;
}

function mirrors(service: Service, source: Endpoints): boolean {
  const { labels, annotations } = source.metadata;
  if (labels?.[SKIP_MIRROR_LABEL] === 'true' || labels?.[ENDPOINTS_MANAGED_BY] !== undefined) return false;
  if (annotations?.['control-plane.alpha.kubernetes.io/leader'] !== undefined) return false;
  return service.spec.type !== 'ExternalName' && !hasSelector(service);
}

/** One slice for each subset and address family. */
function mirror(source: Endpoints): Content[] {
  const contents: Content[] = [];
  for (const subset of source.subsets ?? []) {
    const ports = (subset.ports ?? []).map(({ name = '', ...port }) => ({ name, protocol: 'TCP', ...port }));
    for (const version of [4, 6] as const) {
      const endpoints = [
        ...(subset.addresses ?? []).map((address) => ({ address, ready: true })),
        ...(subset.notReadyAddresses ?? []).map((address) => ({ address, ready: false })),
      ]
        .filter(({ address }) => ipVersionOf(address.ip) === version)
        .slice(0, MOST_ENDPOINTS)
        .map(({ address, ready }) => endpointOf(address, ready));
      if (endpoints.length > 0) contents.push({ addressType: `IPv${version}`, endpoints, ports });
    }
  }
  return contents;
}

function endpointOf(address: EndpointAddress, ready: boolean): SliceEndpoint {
  const { ip, hostname, nodeName, targetRef } = address;
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname ? { hostname } : {}),
    ...(targetRef ? { targetRef } : {}),
    ...(nodeName ? { nodeName } : {}),
  };
}
