import type { KubeObject } from '@podwire/kube/object';

/** How a second version of a resource shows what the store keeps in another. */
export interface ResourceView {
  fromStored(object: KubeObject): KubeObject;
  toStored(object: KubeObject): KubeObject;
}

/**
 * Events are kept as core/v1 and shown under events.k8s.io/v1 with that version's names
 * (upstream: pkg/apis/core/v1/conversion.go, pkg/apis/events/v1).
 */
const CORE_TO_EVENTS: readonly (readonly [core: string, events: string])[] = [
  ['message', 'note'],
  ['involvedObject', 'regarding'],
  ['reportingComponent', 'reportingController'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
];
const toEvents = new Map(CORE_TO_EVENTS);
const toCore = new Map(CORE_TO_EVENTS.map(([core, events]) => [events, core]));

function rename(object: KubeObject, names: ReadonlyMap<string, string>, apiVersion: string): KubeObject {
  const renamed: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(object)) renamed[names.get(key) ?? key] = value;
  return { ...renamed, apiVersion } as KubeObject;
}

export const eventView: ResourceView = {
  fromStored: (object) => rename(object, toEvents, 'events.k8s.io/v1'),
  toStored: (object) => rename(object, toCore, 'v1'),
};
