/**
 * The downward API: fields and resources of a pod as text. Source: upstream pkg/fieldpath and pkg/api/v1/resource.
 */
import { parseQuantity } from '@podwire/kube/quantity';
import type { Container, ObjectFieldSelector, Pod, ResourceFieldSelector } from 'kubernetes-types/core/v1.js';

/** What a field of a pod can say only once its sandbox exists. */
export interface PodAddresses {
  readonly podIPs: readonly string[];
  readonly hostIPs: readonly string[];
  readonly nodeName: string;
}

/**
 * The text of a fieldRef.
 * @throws Error with upstream's text for a path that is not supported
 */
export function fieldValue(pod: Pod, selector: ObjectFieldSelector, where: PodAddresses): string {
  const path = selector.fieldPath;
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(path);
  if (subscript !== null)
    return pod.metadata?.[subscript[1] as 'labels' | 'annotations']?.[subscript[2]!] ?? '';
  switch (path) {
    case 'metadata.name':
      return pod.metadata?.name ?? '';
    case 'metadata.namespace':
      return pod.metadata?.namespace ?? '';
    case 'metadata.uid':
      return pod.metadata?.uid ?? '';
    case 'metadata.labels':
      return formatMap(pod.metadata?.labels ?? {});
    case 'metadata.annotations':
      return formatMap(pod.metadata?.annotations ?? {});
    case 'spec.nodeName':
      return pod.spec?.nodeName ?? where.nodeName;
    case 'spec.serviceAccountName':
      return pod.spec?.serviceAccountName ?? 'default';
    case 'status.hostIP':
      return where.hostIPs[0] ?? '';
    case 'status.hostIPs':
      return where.hostIPs.join(',');
    case 'status.podIP':
      return where.podIPs[0] ?? '';
    case 'status.podIPs':
      return where.podIPs.join(',');
    default:
      throw new Error(`unsupported fieldPath: ${path}`);
  }
}

/** Labels or annotations as a downward API file shows them: sorted `key="value"` lines. */
function formatMap(map: Readonly<Record<string, string>>): string {
  return Object.keys(map)
    .sort()
    .map((key) => `${key}=${JSON.stringify(map[key])}\n`)
    .join('');
}

/** What the node offers: the value of a limit that a container does not set. */
export interface NodeResources {
  readonly cpu: string;
  readonly memory: string;
  readonly 'ephemeral-storage': string;
}

/**
 * The text of a resourceFieldRef: a whole number of divisors, rounded up.
 * @throws Error for an unknown resource
 */
export function resourceValue(
  container: Container,
  selector: ResourceFieldSelector,
  node: NodeResources,
): string {
  const dot = selector.resource.indexOf('.');
  const kind = selector.resource.slice(0, dot);
  const name = selector.resource.slice(dot + 1);
  if (kind !== 'limits' && kind !== 'requests') {
    throw new Error(`unsupported container resource : ${selector.resource}`);
  }
  const set = container.resources?.[kind]?.[name];
  // Without a limit a container may use the whole node; without a request it asked for nothing.
  const text = set ?? (kind === 'limits' ? node[name as keyof NodeResources] : undefined) ?? '0';
  const value = parseQuantity(String(text))?.nano ?? 0n;
  const divisor = parseQuantity(String(selector.divisor ?? '1'))?.nano || parseQuantity('1')!.nano;
  return String((value + divisor - 1n) / divisor);
}
