import { jsonEquals } from '@podwire/kube/object';
import { matchesSelectorMap } from '@podwire/kube/selectors';
import type { Api } from '../api.ts';
import { keyOf } from './keys.ts';
import type { Pod, Service, ServicePort } from './objects.ts';
import { isPodFinished, isPodReady, isTerminating } from './pod-state.ts';

/** What EndpointSlices and Endpoints have in common: which pods stand behind a Service, and on which ports. */

/** Calls `enqueue` with the key of every Service whose endpoints may have changed. */
export function watchServicePods(api: Api, enqueue: (key: string) => void): () => void {
  const stopServices = api.watch<Service>('services', ({ object }) => enqueue(keyOf(object.metadata)));
  const stopPods = api.watch<Pod>('pods', ({ type, object, previous }) => {
    if (type === 'MODIFIED' && previous !== undefined && jsonEquals(view(object), view(previous))) return;
    for (const service of api.list<Service>('services', { namespace: object.metadata.namespace! })) {
      const { selector } = service.spec;
      if (
        matchesSelectorMap(selector, object.metadata.labels) ||
        (previous !== undefined && matchesSelectorMap(selector, previous.metadata.labels))
      ) {
        enqueue(keyOf(service.metadata));
      }
    }
  });
  return () => {
    stopServices();
    stopPods();
  };
}

/** The parts of a pod that endpoints are made of. */
function view(pod: Pod) {
  const { metadata, spec, status } = pod;
  return [
    metadata.labels,
    isTerminating(pod),
    spec.nodeName,
    spec.hostname,
    spec.subdomain,
    status?.podIPs,
    status?.podIP,
    isPodFinished(pod),
    isPodReady(pod),
  ];
}

export function podsBehind(api: Api, service: Service): Pod[] {
  const { selector } = service.spec;
  return api
    .list<Pod>('pods', { namespace: service.metadata.namespace! })
    .filter((pod) => matchesSelectorMap(selector, pod.metadata.labels));
}

/** Finished pods and those without an address are nobody's endpoints. */
export function canBeEndpoint(pod: Pod): boolean {
  return !isPodFinished(pod) && podAddresses(pod).length > 0;
}

export function podAddresses(pod: Pod): string[] {
  const { podIPs, podIP } = pod.status ?? {};
  if (podIPs !== undefined && podIPs.length > 0) return podIPs.map(({ ip }) => ip);
  return podIP ? [podIP] : [];
}

/** The pod names itself below its headless Service. */
export function endpointHostname(pod: Pod, service: Service): string | undefined {
  const { hostname, subdomain } = pod.spec;
  return hostname && subdomain === service.metadata.name ? hostname : undefined;
}

/** Number of the container port that a Service's targetPort means in this pod; undefined when the pod has none of that name. */
export function findTargetPort(pod: Pod, port: ServicePort): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target;
  const protocol = port.protocol ?? 'TCP';
  const sidecars = (pod.spec.initContainers ?? []).filter(
    (container) => container.restartPolicy === 'Always',
  );
  for (const container of [...pod.spec.containers, ...sidecars]) {
    for (const each of container.ports ?? []) {
      if (each.name === target && (each.protocol ?? 'TCP') === protocol) return each.containerPort;
    }
  }
  return undefined;
}

export function isHeadless(service: Service): boolean {
  return service.spec.clusterIP === 'None' || !service.spec.clusterIP;
}

/** Services whose endpoints are made from pods. */
export function hasSelector(service: Service): boolean {
  return service.spec.type !== 'ExternalName' && Object.keys(service.spec.selector ?? {}).length > 0;
}
