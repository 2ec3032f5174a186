import { forbiddenField, invalidField, notSupportedField, requiredField } from '../field-error.ts';
import {
  asNumber,
  asObject,
  asObjects,
  asText,
  asTexts,
  isAbsent,
  isEmpty,
  type JsonObject,
} from '../json-fields.ts';
import {
  dns1123LabelErrors,
  dns1123SubdomainErrors,
  inclusiveRangeText,
  qualifiedNameErrors,
} from '../names.ts';
import { addInvalid, byteLength, checkEnum, checkUnique, type Errors } from './checks.ts';
import {
  checkContainers,
  checkEphemeralContainers,
  checkInitContainers,
  type PodContext,
} from './containers.ts';
import { checkAddress } from './ip-address.ts';
import { checkAnnotations, checkLabels } from './metadata.ts';
import { checkResourceRequirements } from './resource-requirements.ts';
import { checkAffinity, checkTolerations, checkTopologySpread } from './scheduling.ts';
import { checkPodSecurityContext } from './security-context.ts';
import { checkVolumes } from './volumes.ts';

/** The spec of a pod or of a template of pods (pkg/apis/core/validation/validation.go, ValidatePodSpec). */

const MAX_DEADLINE_SECONDS = 2 ** 31 - 1;
const MAX_NAMESERVERS = 3;
const MAX_SEARCHES = 32;
const MAX_SEARCH_CHARACTERS = 2048;
const MIRROR = 'kubernetes.io/config.mirror';
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';

/** `podName` is '' for a template, whose pods have names of their own. */
export function checkPodSpec(
  errors: Errors,
  spec: JsonObject,
  path: string,
  pod: { name: string; isTemplate: boolean },
): void {
  if (isAbsent(spec.terminationGracePeriodSeconds)) {
    errors.push(requiredField(`${path}.terminationGracePeriodSeconds`));
  }
  const volumes = checkVolumes(errors, spec.volumes, pod.name, `${path}.volumes`);
  const grace = spec.terminationGracePeriodSeconds;
  const context: PodContext = {
    spec,
    volumes,
    claimNames: checkResourceClaims(errors, spec, `${path}.resourceClaims`),
    graceSeconds: typeof grace === 'number' ? grace : undefined,
  };
  checkContainers(errors, context, `${path}.containers`);
  checkInitContainers(errors, context, `${path}.initContainers`);
  checkEphemeralContainers(errors, context, `${path}.ephemeralContainers`);
  checkHostNetwork(errors, spec, path, pod.isTemplate);
  checkEnum(errors, spec.restartPolicy, `${path}.restartPolicy`, ['Always', 'OnFailure', 'Never']);
  const policies = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'];
  checkEnum(errors, spec.dnsPolicy, `${path}.dnsPolicy`, policies);
  checkLabels(errors, spec.nodeSelector, `${path}.nodeSelector`);
  checkPodSecurityContext(errors, spec, `${path}.securityContext`);
  checkAffinity(errors, spec.affinity, `${path}.affinity`);
  checkDnsConfig(errors, spec, `${path}.dnsConfig`);
  checkGates(errors, spec, path);
  checkTopologySpread(errors, spec.topologySpreadConstraints, `${path}.topologySpreadConstraints`);
  checkHostUsers(errors, spec, path);
  checkNames(errors, spec, path);
  const deadline = spec.activeDeadlineSeconds;
  if (typeof deadline === 'number' && (deadline < 1 || deadline > MAX_DEADLINE_SECONDS)) {
    const detail = inclusiveRangeText(1, MAX_DEADLINE_SECONDS);
    errors.push(invalidField(`${path}.activeDeadlineSeconds`, deadline, detail));
  }
  checkTolerations(errors, spec.tolerations, `${path}.tolerations`);
  checkHostAliases(errors, spec, `${path}.hostAliases`);
  if (!isAbsent(spec.preemptionPolicy)) {
    const preemption = ['PreemptLowerPriority', 'Never'];
    checkEnum(errors, spec.preemptionPolicy, `${path}.preemptionPolicy`, preemption);
  }
  if (!isAbsent(spec.overhead)) {
    checkResourceRequirements(errors, { limits: spec.overhead }, new Set(), `${path}.overhead`);
  }
  if (!isAbsent(spec.os)) {
    const name = asText(asObject(spec.os).name);
    if (name === '') errors.push(requiredField(`${path}.os.name`, 'cannot be empty'));
    else if (name !== 'linux' && name !== 'windows') {
      errors.push(notSupportedField(`${path}.os`, name, ['linux', 'windows']));
    }
  }
}

/** The template of a workload: its labels and annotations and the pod's spec. */
export function checkPodTemplate(errors: Errors, template: JsonObject, path: string): void {
  const metadata = asObject(template.metadata);
  checkLabels(errors, metadata.labels, `${path}.labels`);
  checkAnnotations(errors, metadata.annotations, `${path}.annotations`);
  checkPodAnnotations(errors, metadata, asObject(template.spec), `${path}.annotations`);
  checkPodSpec(errors, asObject(template.spec), `${path}.spec`, { name: '', isTemplate: true });
  if (!isEmpty(asObject(template.spec).ephemeralContainers)) {
    const detail = 'ephemeral containers not allowed in pod template';
    errors.push(forbiddenField(`${path}.spec.ephemeralContainers`, detail));
  }
}

/** Annotations that mean something to the server. */
export function checkPodAnnotations(
  errors: Errors,
  metadata: JsonObject,
  spec: JsonObject,
  path: string,
): void {
  const annotations = asObject(metadata.annotations);
  if (annotations[MIRROR] !== undefined && asText(spec.nodeName) === '') {
    const detail = 'must set spec.nodeName if mirror pod annotation is set';
    errors.push(invalidField(`${path}[${MIRROR}]`, annotations[MIRROR], detail));
  }
  const cost = annotations[DELETION_COST];
  if (cost !== undefined && !isDeletionCost(asText(cost))) {
    errors.push(invalidField(`${path}[${DELETION_COST}]`, cost, 'must be a 32bit integer'));
  }
}

/** Go's ParseInt without leading plus sign and zeros. */
function isDeletionCost(text: string): boolean {
  return /^(0|-?[1-9]\d*)$/.test(text) && Math.abs(Number(text) + 0.5) < 2 ** 31;
}

function checkResourceClaims(errors: Errors, spec: JsonObject, path: string): Set<string> {
  const names = new Set<string>();
  asObjects(spec.resourceClaims).forEach((claim, i) => {
    const field = `${path}[${i}]`;
    const name = asText(claim.name);
    if (name === '') errors.push(requiredField(`${field}.name`));
    else if (checkUnique(errors, names, name, `${field}.name`)) {
      addInvalid(errors, `${field}.name`, name, dns1123LabelErrors(name));
    }
    const sources = ['resourceClaimName', 'resourceClaimTemplateName'];
    const given = sources.filter((source) => !isAbsent(claim[source]));
    if (given.length === 2) {
      const detail = 'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified';
      errors.push(invalidField(field, claim, detail));
    } else if (given.length === 0) {
      const detail = 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`';
      errors.push(invalidField(field, claim, detail));
    }
    for (const source of given) {
      const text = asText(claim[source]);
      addInvalid(errors, `${field}.${source}`, text, dns1123SubdomainErrors(text));
    }
  });
  return names;
}

function checkHostNetwork(errors: Errors, spec: JsonObject, path: string, isTemplate: boolean): void {
  if (spec.hostNetwork !== true) return;
  asObjects(spec.containers).forEach((container, i) => {
    asObjects(container.ports).forEach((port, j) => {
      const hostPort = asNumber(port.hostPort);
      if ((isTemplate && hostPort === 0) || hostPort === asNumber(port.containerPort)) return;
      const detail = 'must match `containerPort` when `hostNetwork` is true';
      errors.push(invalidField(`${path}.containers[${i}].ports[${j}].hostPort`, hostPort, detail));
    });
  });
}

function checkHostUsers(errors: Errors, spec: JsonObject, path: string): void {
  if (spec.hostUsers !== false) return;
  for (const [field, shown] of [
    ['hostNetwork', 'hostNetwork'],
    ['hostPID', 'HostPID'],
    ['hostIPC', 'HostIPC'],
  ] as const) {
    if (spec[field] === true) {
      errors.push(forbiddenField(`${path}.${shown}`, 'when `pod.Spec.HostUsers` is false'));
    }
  }
}

function checkNames(errors: Errors, spec: JsonObject, path: string): void {
  for (const [field, rule] of [
    ['serviceAccountName', dns1123SubdomainErrors],
    ['nodeName', dns1123SubdomainErrors],
    ['hostname', dns1123LabelErrors],
    ['subdomain', dns1123LabelErrors],
    ['priorityClassName', dns1123SubdomainErrors],
    ['runtimeClassName', dns1123SubdomainErrors],
  ] as const) {
    const name = asText(spec[field]);
    if (name !== '') addInvalid(errors, `${path}.${field}`, name, rule(name));
  }
}

function checkHostAliases(errors: Errors, spec: JsonObject, path: string): void {
  asObjects(spec.hostAliases).forEach((alias, i) => {
    checkAddress(errors, asText(alias.ip), `${path}[${i}].ip`);
    asTexts(alias.hostnames).forEach((hostname, j) => {
      addInvalid(errors, `${path}[${i}].hostnames[${j}]`, hostname, dns1123SubdomainErrors(hostname));
    });
  });
}

function checkDnsConfig(errors: Errors, spec: JsonObject, path: string): void {
  const config = asObject(spec.dnsConfig);
  const nameservers = asTexts(config.nameservers);
  if (spec.dnsPolicy === 'None') {
    if (isAbsent(spec.dnsConfig)) {
      errors.push(requiredField(path, 'must provide `dnsConfig` when `dnsPolicy` is None'));
    } else if (nameservers.length === 0) {
      const detail = 'must provide at least one DNS nameserver when `dnsPolicy` is None';
      errors.push(requiredField(`${path}.nameservers`, detail));
      return;
    }
  }
  if (nameservers.length > MAX_NAMESERVERS) {
    const detail = `must not have more than ${MAX_NAMESERVERS} nameservers`;
    errors.push(invalidField(`${path}.nameservers`, nameservers, detail));
  }
  nameservers.forEach((nameserver, i) => {
    checkAddress(errors, nameserver, `${path}.nameservers[${i}]`);
  });
  const searches = asTexts(config.searches);
  if (searches.length > MAX_SEARCHES) {
    const detail = `must not have more than ${MAX_SEARCHES} search paths`;
    errors.push(invalidField(`${path}.searches`, searches, detail));
  }
  if (byteLength(searches.join(' ')) > MAX_SEARCH_CHARACTERS) {
    const detail = `must not have more than ${MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list`;
    errors.push(invalidField(`${path}.searches`, searches, detail));
  }
  searches.forEach((search, i) => {
    const domain = search.replace(/\.$/, '');
    addInvalid(errors, `${path}.searches[${i}]`, domain, dns1123SubdomainErrors(domain));
  });
  asObjects(config.options).forEach((option, i) => {
    if (asText(option.name) === '') errors.push(requiredField(`${path}.options[${i}]`, 'must not be empty'));
  });
}

function checkGates(errors: Errors, spec: JsonObject, path: string): void {
  asObjects(spec.readinessGates).forEach((gate, i) => {
    const type = asText(gate.conditionType);
    addInvalid(errors, `${path}.readinessGates[${i}].conditionType`, type, qualifiedNameErrors(type));
  });
  const seen = new Set<string>();
  asObjects(spec.schedulingGates).forEach((gate, i) => {
    const field = `${path}.schedulingGates[${i}]`;
    const name = asText(gate.name);
    addInvalid(errors, field, name, qualifiedNameErrors(name));
    checkUnique(errors, seen, name, field);
  });
}
