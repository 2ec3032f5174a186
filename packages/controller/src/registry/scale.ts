import { invalidField } from '@podwire/kube/field-error';
import type { KubeObject } from '@podwire/kube/object';
import { formatLabelSelector, type LabelSelectorObject } from '@podwire/kube/selectors';
import { invalid } from '@podwire/kube/status';
import type { ResourceType } from './resource-types.ts';
import { readPath, withPath } from './simple-path.ts';

const SPEC_REPLICAS = '.spec.replicas';
const STATUS_REPLICAS = '.status.replicas';

/** The autoscaling/v1 Scale of an object: its /scale subresource. */
export function scaleOf(type: ResourceType, object: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const paths = type.custom?.scale;
  const replicas = Number(readPath(object, paths?.specReplicasPath ?? SPEC_REPLICAS) ?? 0);
  const status: Record<string, unknown> = {
    replicas: Number(readPath(object, paths?.statusReplicasPath ?? STATUS_REPLICAS) ?? 0),
  };
  const selector = selectorText(type, object);
  if (selector !== '') status.selector = selector;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      ...(name !== undefined && { name }),
      ...(namespace !== undefined && { namespace }),
      ...(uid !== undefined && { uid }),
      ...(resourceVersion !== undefined && { resourceVersion }),
      ...(creationTimestamp !== undefined && { creationTimestamp }),
    },
    spec: replicas === 0 ? {} : { replicas },
    status,
  };
}

/** A copy of `object` with the replicas that `scale` wishes. Throws 422. */
export function withScale(type: ResourceType, object: KubeObject, scale: KubeObject): KubeObject {
  const replicas = (scale.spec as { replicas?: unknown } | undefined)?.replicas ?? 0;
  if (!Number.isInteger(replicas) || (replicas as number) < 0) {
    throw invalid('Scale.autoscaling', object.metadata.name ?? '', [
      invalidField('spec.replicas', replicas, 'must be greater than or equal to 0'),
    ]);
  }
  const scaled = withPath(
    object,
    type.custom?.scale?.specReplicasPath ?? SPEC_REPLICAS,
    replicas,
  ) as KubeObject;
  return { ...scaled, metadata: { ...scaled.metadata } };
}

function selectorText(type: ResourceType, object: KubeObject): string {
  if (type.custom !== undefined) {
    const path = type.custom.scale?.labelSelectorPath;
    return path === undefined ? '' : String(readPath(object, path) ?? '');
  }
  const selector = (object.spec as { selector?: unknown } | undefined)?.selector;
  if (selector === undefined) return '';
  // A ReplicationController selects by a plain map.
  const labels = type.id === 'replicationcontrollers' ? { matchLabels: selector } : selector;
  return formatLabelSelector(labels as LabelSelectorObject);
}
