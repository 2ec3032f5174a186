import { imageTag } from '../image-reference.ts';
import {
  asObject,
  asObjects,
  fillAbsent,
  fillNumber,
  fillObject,
  fillText,
  isUnset,
  type JsonObject,
} from '../json-fields.ts';
import { isJsonObject } from '../object.ts';
import { defaultResourceRequirements } from './resource-list.ts';
import { defaultFieldRef, defaultVolume } from './volume.ts';

/** Source: pkg/apis/core/v1/defaults.go, SetDefaults_Pod. */
export function defaultPod(pod: JsonObject): void {
  const spec = fillObject(pod, 'spec');
  if (spec === undefined) return;
  defaultPodSpec(spec);
  for (const container of containersOf(spec)) requestLimits(container);
  fillAbsent(spec, 'enableServiceLinks', true);
  if (spec.hostNetwork === true) {
    for (const container of containersOf(spec)) {
      for (const port of asObjects(container.ports)) {
        if (port.containerPort !== undefined) fillNumber(port, 'hostPort', port.containerPort as number);
      }
    }
  }
}

/** The pod inside a workload: what SetDefaults_Pod adds is left to the pods made of it. */
export function defaultTemplate(owner: JsonObject): void {
  const template = fillObject(owner, 'template');
  if (template === undefined) return;
  fillObject(template, 'metadata');
  const spec = fillObject(template, 'spec');
  if (spec !== undefined) defaultPodSpec(spec);
}

export function defaultPodSpec(spec: JsonObject): void {
  fillText(spec, 'dnsPolicy', 'ClusterFirst');
  fillText(spec, 'restartPolicy', 'Always');
  fillObject(spec, 'securityContext');
  fillAbsent(spec, 'terminationGracePeriodSeconds', 30);
  fillText(spec, 'schedulerName', 'default-scheduler');
  // The deprecated field always tells the same as its successor.
  if (!isUnset(spec.serviceAccountName)) spec.serviceAccount = spec.serviceAccountName;
  else if (!isUnset(spec.serviceAccount)) spec.serviceAccountName = spec.serviceAccount;
  for (const volume of asObjects(spec.volumes)) defaultVolume(volume);
  for (const container of containersOf(spec)) defaultContainer(container);
  for (const container of asObjects(spec.ephemeralContainers)) defaultContainer(container);
}

function containersOf(spec: JsonObject): JsonObject[] {
  return [...asObjects(spec.initContainers), ...asObjects(spec.containers)];
}

function requestLimits(container: JsonObject): void {
  const resources = asObject(container.resources);
  if (!isJsonObject(resources.limits)) return;
  const requests = fillObject(resources, 'requests');
  if (requests === undefined) return;
  for (const [name, limit] of Object.entries(resources.limits)) fillAbsent(requests, name, limit);
}

function defaultContainer(container: JsonObject): void {
  if (isUnset(container.imagePullPolicy)) {
    const latest = typeof container.image === 'string' && imageTag(container.image) === 'latest';
    container.imagePullPolicy = latest ? 'Always' : 'IfNotPresent';
  }
  fillText(container, 'terminationMessagePath', '/dev/termination-log');
  fillText(container, 'terminationMessagePolicy', 'File');
  // No `omitempty` applies to a Go struct: clients always see this field.
  defaultResourceRequirements(fillObject(container, 'resources') ?? {});
  for (const port of asObjects(container.ports)) fillText(port, 'protocol', 'TCP');
  for (const variable of asObjects(container.env)) defaultFieldRef(asObject(variable.valueFrom));
  for (const kind of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    if (isJsonObject(container[kind])) defaultProbe(container[kind]);
  }
  const lifecycle = asObject(container.lifecycle);
  for (const hook of ['postStart', 'preStop']) defaultHttpGet(asObject(lifecycle[hook]));
}

function defaultProbe(probe: JsonObject): void {
  fillNumber(probe, 'timeoutSeconds', 1);
  fillNumber(probe, 'periodSeconds', 10);
  fillNumber(probe, 'successThreshold', 1);
  fillNumber(probe, 'failureThreshold', 3);
  defaultHttpGet(probe);
  if (isJsonObject(probe.grpc)) fillAbsent(probe.grpc, 'service', '');
}

function defaultHttpGet(handler: JsonObject): void {
  if (!isJsonObject(handler.httpGet)) return;
  fillText(handler.httpGet, 'path', '/');
  fillText(handler.httpGet, 'scheme', 'HTTP');
}
