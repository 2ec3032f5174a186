import { formatTime, type KubeObject } from '@podwire/kube/object';
import { badRequest, conflict, methodNotAllowed } from '@podwire/kube/status';

interface Container {
  name: string;
  resources?: unknown;
}

interface PodSpec {
  nodeName?: string;
  containers?: Container[];
  ephemeralContainers?: unknown[];
}

interface Condition {
  type: string;
  [field: string]: unknown;
}

/** Lets through only what a write of `subresource` may change of a pod, in place: the rest comes from `old`. */
export function prepareForPodSubresource(
  subresource: string,
  object: KubeObject,
  old: KubeObject,
  nowMs: number,
): void {
  const spec = (object.spec ?? {}) as PodSpec;
  const oldSpec = (old.spec ?? {}) as PodSpec;
  const next: KubeObject = { ...old, metadata: { ...old.metadata } };
  if (subresource === 'ephemeralcontainers') {
    next.spec = { ...oldSpec, ephemeralContainers: spec.ephemeralContainers ?? [] };
  } else if (subresource === 'resize') {
    const wanted = new Map((spec.containers ?? []).map((each) => [each.name, each.resources]));
    const containers = (oldSpec.containers ?? []).map((each) => ({
      ...each,
      resources: wanted.get(each.name) ?? each.resources,
    }));
    next.spec = { ...oldSpec, containers };
  } else if (subresource === 'binding') {
    Object.assign(next, bound(object, old, nowMs));
  } else {
    throw methodNotAllowed(`pods/${subresource}`, 'update');
  }
  for (const field of Object.keys(object)) delete object[field];
  Object.assign(object, next);
}

/** Accepts a Binding or a pod with the wished spec.nodeName. */
function bound(object: KubeObject, old: KubeObject, nowMs: number): Pick<KubeObject, 'spec' | 'status'> {
  const name = old.metadata.name ?? '';
  const target = (object as { target?: { kind?: string; name?: string } }).target;
  if (target?.kind !== undefined && target.kind !== '' && target.kind !== 'Node') {
    throw badRequest(`cannot bind pod ${name}: target.kind must be Node, not ${JSON.stringify(target.kind)}`);
  }
  const nodeName = target?.name ?? (object.spec as PodSpec | undefined)?.nodeName;
  if (nodeName === undefined || nodeName === '')
    throw badRequest(`cannot bind pod ${name}: no node is named`);
  const oldSpec = (old.spec ?? {}) as PodSpec;
  if (old.metadata.deletionTimestamp !== undefined) {
    throw conflict('pods/binding', name, `pod ${name} is being deleted, cannot be assigned to a host`);
  }
  if (oldSpec.nodeName !== undefined && oldSpec.nodeName !== '') {
    throw conflict(
      'pods/binding',
      name,
      `pod ${name} is already assigned to node ${JSON.stringify(oldSpec.nodeName)}`,
    );
  }
  const oldStatus = (old.status ?? {}) as { conditions?: Condition[] };
  const scheduled = {
    type: 'PodScheduled',
    status: 'True',
    lastProbeTime: null,
    lastTransitionTime: formatTime(nowMs),
  };
  const others = (oldStatus.conditions ?? []).filter((each) => each.type !== 'PodScheduled');
  return {
    spec: { ...oldSpec, nodeName },
    status: { ...oldStatus, conditions: [...others, scheduled] },
  };
}
