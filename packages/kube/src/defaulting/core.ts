import {
  asObject,
  asObjects,
  asText,
  fillAbsent,
  fillObject,
  fillText,
  isAbsent,
  isEmpty,
  type JsonObject,
} from '../json-fields.ts';
import { isJsonObject } from '../object.ts';
import { defaultTemplate } from './pod.ts';
import { defaultResourceList } from './resource-list.ts';

/** Source of this file: pkg/apis/core/v1/defaults.go. */

/** Go's server makes an empty map of absent data, which its encoder then leaves out: nothing to fill. */
export function defaultConfigMap(configMap: JsonObject): void {
  for (const field of ['data', 'binaryData']) if (configMap[field] === null) delete configMap[field];
}

export function defaultSecret(secret: JsonObject): void {
  fillText(secret, 'type', 'Opaque');
}

export function defaultEndpoints(endpoints: JsonObject): void {
  for (const subset of asObjects(endpoints.subsets)) {
    for (const port of asObjects(subset.ports)) fillText(port, 'protocol', 'TCP');
  }
}

/** Fields without `omitempty`: clients always see them. */
export function defaultEvent(event: JsonObject): void {
  fillObject(event, 'source');
  fillAbsent(event, 'reportingComponent', '');
  fillAbsent(event, 'reportingInstance', '');
}

/** The finalizer of a new namespace is its strategy's: given here, it would come back when it is taken away. */
export function defaultNamespace(namespace: JsonObject): void {
  const metadata = fillObject(namespace, 'metadata');
  const name = asText(metadata?.name);
  if (metadata !== undefined && name !== '') {
    const labels = fillObject(metadata, 'labels');
    if (labels !== undefined) labels['kubernetes.io/metadata.name'] = name;
  }
  const status = fillObject(namespace, 'status');
  if (status !== undefined) fillText(status, 'phase', 'Active');
}

export function defaultNode(node: JsonObject): void {
  const status = asObject(node.status);
  defaultResourceList(status.capacity);
  defaultResourceList(status.allocatable);
  if (isAbsent(status.allocatable) && isJsonObject(status.capacity)) {
    status.allocatable = { ...status.capacity };
  }
}

export function defaultPodTemplate(podTemplate: JsonObject): void {
  defaultTemplate(podTemplate);
}

export function defaultReplicationController(controller: JsonObject): void {
  const spec = fillObject(controller, 'spec');
  if (spec === undefined) return;
  fillAbsent(spec, 'replicas', 1);
  if (isAbsent(spec.template)) return;
  defaultTemplate(spec);
  const { labels } = asObject(asObject(spec.template).metadata);
  if (!isJsonObject(labels)) return;
  if (isEmpty(spec.selector)) spec.selector = { ...labels };
  const metadata = fillObject(controller, 'metadata');
  if (metadata !== undefined && isEmpty(metadata.labels)) metadata.labels = { ...labels };
}

export function defaultResourceQuota(quota: JsonObject): void {
  defaultResourceList(asObject(quota.spec).hard);
  defaultResourceList(asObject(quota.status).hard);
  defaultResourceList(asObject(quota.status).used);
}

export function defaultLimitRange(limitRange: JsonObject): void {
  for (const item of asObjects(asObject(limitRange.spec).limits)) {
    if (item.type === 'Container') {
      const limits = fillObject(item, 'default');
      const requests = fillObject(item, 'defaultRequest');
      if (limits !== undefined) fillAll(limits, item.max);
      if (requests !== undefined) {
        fillAll(requests, limits);
        fillAll(requests, item.min);
      }
    }
    for (const field of ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio']) {
      defaultResourceList(item[field]);
    }
  }
}

function fillAll(target: JsonObject, source: unknown): void {
  for (const [name, value] of Object.entries(asObject(source))) fillAbsent(target, name, value);
}
