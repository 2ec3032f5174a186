import { forbiddenField, invalidField, requiredField } from '../field-error.ts';
import {
  asNumber,
  asObject,
  asObjects,
  asText,
  asTextMap,
  isAbsent,
  isEmpty,
  isUnset,
  type JsonObject,
} from '../json-fields.ts';
import { dns1123SubdomainErrors, inclusiveRangeText, qualifiedNameErrors } from '../names.ts';
import { changedFields } from './changed-fields.ts';
import { addInvalid, checkImmutable, checkUnique, type Errors, semanticEquals } from './checks.ts';
import { checkImageSpace } from './containers.ts';
import { checkAddress } from './ip-address.ts';
import { checkPodAnnotations, checkPodSpec } from './pod-spec.ts';

/** Pods (pkg/apis/core/validation/validation.go, ValidatePodCreate and ValidatePodUpdate). */

const MAX_DEADLINE_SECONDS = 2 ** 31 - 1;
const MIRROR = 'kubernetes.io/config.mirror';
const UPDATABLE = [
  '`spec.containers[*].image`',
  '`spec.initContainers[*].image`',
  '`spec.activeDeadlineSeconds`',
  '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
].join(',');

export function checkPod(errors: Errors, pod: JsonObject): void {
  const spec = asObject(pod.spec);
  checkMetadataAndSpec(errors, pod);
  if (!isEmpty(spec.ephemeralContainers)) {
    errors.push(forbiddenField('spec.ephemeralContainers', 'cannot be set on create'));
  }
  if (asText(spec.nodeName) !== '' && !isEmpty(spec.schedulingGates)) {
    const detail = 'cannot be set until all schedulingGates have been cleared';
    errors.push(forbiddenField('spec.nodeName', detail));
  }
}

function checkMetadataAndSpec(errors: Errors, pod: JsonObject): void {
  const metadata = asObject(pod.metadata);
  const spec = asObject(pod.spec);
  checkPodAnnotations(errors, metadata, spec, 'metadata.annotations');
  checkPodSpec(errors, spec, 'spec', { name: asText(metadata.name), isTemplate: false });
  if (isUnset(spec.serviceAccountName)) {
    asObjects(spec.volumes).forEach((volume, i) => {
      asObjects(asObject(volume.projected).sources).forEach((source, j) => {
        if (isAbsent(source.serviceAccountToken)) return;
        const field = `spec.volumes[${i}].projected.sources[${j}].serviceAccountToken`;
        errors.push(forbiddenField(field, 'must not be specified when serviceAccountName is not set'));
      });
    });
  }
  for (const list of ['containers', 'initContainers']) {
    asObjects(spec[list]).forEach((container, i) => {
      checkImageSpace(errors, container, `spec.${list}[${i}]`);
    });
  }
}

export function checkPodUpdate(errors: Errors, pod: JsonObject, old: JsonObject): void {
  checkMetadataAndSpec(errors, pod);
  checkAnnotationChanges(errors, pod, old);
  const spec = asObject(pod.spec);
  const before = asObject(old.spec);
  for (const list of ['containers', 'initContainers']) {
    const containers = asObjects(spec[list]);
    if (containers.length !== asObjects(before[list]).length) {
      errors.push(forbiddenField(`spec.${list}`, 'pod updates may not add or remove containers'));
      return;
    }
    containers.forEach((container, i) => {
      if (asText(container.image) === '') errors.push(requiredField(`spec.${list}[${i}].image`));
    });
  }
  if (!checkDeadline(errors, spec, before)) return;
  checkTolerationChanges(errors, spec, before);
  checkGateChanges(errors, spec, before);
  const allowed = withAllowedChanges(errors, spec, before);
  if (!semanticEquals(allowed, before)) {
    const changes = changedFields(before, allowed, 'spec');
    errors.push(
      forbiddenField('spec', `pod updates may not change fields other than ${UPDATABLE}\n${changes}`),
    );
  }
}

/** Ephemeral containers come and stay. */
export function checkEphemeralContainersUpdate(errors: Errors, pod: JsonObject, old: JsonObject): void {
  checkMetadataAndSpec(errors, pod);
  const field = 'spec.ephemeralContainers';
  const containers = asObjects(asObject(pod.spec).ephemeralContainers);
  for (const before of asObjects(asObject(old.spec).ephemeralContainers)) {
    const name = JSON.stringify(asText(before.name));
    const after = containers.find((container) => container.name === before.name);
    if (after === undefined) {
      errors.push(forbiddenField(field, `existing ephemeral containers ${name} may not be removed\n`));
    } else if (!semanticEquals(after, before)) {
      const changes = changedFields(before, after);
      errors.push(
        forbiddenField(field, `existing ephemeral containers ${name} may not be changed\n${changes}`),
      );
    }
  }
}

/** What a resize may change is taken from the request by the strategy; the whole must still be right. */
export function checkPodResize(errors: Errors, pod: JsonObject): void {
  checkMetadataAndSpec(errors, pod);
}

export function checkPodStatus(errors: Errors, pod: JsonObject, old: JsonObject): void {
  const status = asObject(pod.status);
  const before = asObject(old.status);
  checkAnnotationChanges(errors, pod, old);
  asObjects(status.conditions).forEach((condition, i) => {
    const type = asText(condition.type);
    addInvalid(errors, `metadata.conditions[${i}].Type`, type, qualifiedNameErrors(type));
  });
  if (asText(asObject(pod.spec).nodeName) !== asText(asObject(old.spec).nodeName)) {
    errors.push(forbiddenField('status.nodeName', 'may not be changed directly'));
  }
  const nominated = asText(status.nominatedNodeName);
  if (nominated !== '' && nominated !== before.nominatedNodeName) {
    addInvalid(errors, 'status.nominatedNodeName', nominated, dns1123SubdomainErrors(nominated));
  }
  // A reporter that leaves it out changes nothing.
  if (!isUnset(status.qosClass) && !isUnset(before.qosClass)) {
    checkImmutable(errors, status.qosClass, before.qosClass, 'status.qosClass');
  }
  checkStatusAddresses(errors, status);
}

function checkStatusAddresses(errors: Errors, status: JsonObject): void {
  for (const [list, single] of [
    ['podIPs', 'podIP'],
    ['hostIPs', 'hostIP'],
  ] as const) {
    const ips = asObjects(status[list]).map((each) => asText(each.ip));
    const field = `status.${list}`;
    if (list === 'hostIPs' && ips.length > 0 && asText(status[single]) !== ips[0]) {
      errors.push(invalidField(`${field}[0].ip`, ips[0], 'must be equal to `hostIP`'));
    }
    const versions = ips.map((ip, i) => checkAddress(errors, ip, `${field}[${i}]`)?.version);
    if (ips.length < 2) continue;
    if (ips.length > 2 || new Set(versions).size < 2) {
      const detail = 'may specify no more than one IP for each IP family';
      errors.push(invalidField(field, status[list], detail));
    }
    const seen = new Set<string>();
    ips.forEach((ip, i) => {
      checkUnique(errors, seen, ip, `${field}[${i}]`, { ip });
    });
  }
}

function checkAnnotationChanges(errors: Errors, pod: JsonObject, old: JsonObject): void {
  const metadata = asObject(pod.metadata);
  const next = asTextMap(metadata.annotations)[MIRROR];
  const before = asTextMap(asObject(old.metadata).annotations)[MIRROR];
  const field = `metadata.annotations[${MIRROR}]`;
  if (next !== before) {
    const verb = before === undefined ? 'add' : 'remove or update';
    errors.push(forbiddenField(field, `may not ${verb} mirror pod annotation`));
  }
  checkPodAnnotations(errors, metadata, asObject(pod.spec), 'metadata.annotations');
}

/** A deadline may be set once and then only brought forward. False when nothing more needs checking. */
function checkDeadline(errors: Errors, spec: JsonObject, before: JsonObject): boolean {
  const field = 'spec.activeDeadlineSeconds';
  const deadline = spec.activeDeadlineSeconds;
  const oldDeadline = before.activeDeadlineSeconds;
  if (isAbsent(deadline)) {
    if (!isAbsent(oldDeadline)) {
      errors.push(invalidField(field, null, 'must not update from a positive integer to nil value'));
    }
    return true;
  }
  const seconds = asNumber(deadline);
  if (seconds < 0 || seconds > MAX_DEADLINE_SECONDS) {
    errors.push(invalidField(field, deadline, inclusiveRangeText(0, MAX_DEADLINE_SECONDS)));
    return false;
  }
  if (isAbsent(oldDeadline) || asNumber(oldDeadline) >= seconds) return true;
  errors.push(invalidField(field, deadline, 'must be less than or equal to previous value'));
  return false;
}

function checkTolerationChanges(errors: Errors, spec: JsonObject, before: JsonObject): void {
  const tolerations = asObjects(spec.tolerations).map(withoutSeconds);
  for (const toleration of asObjects(before.tolerations)) {
    if (tolerations.some((each) => semanticEquals(each, withoutSeconds(toleration)))) continue;
    const detail = 'existing toleration can not be modified except its tolerationSeconds';
    errors.push(forbiddenField('spec.tolerations', detail));
    return;
  }
}

function withoutSeconds(toleration: JsonObject): JsonObject {
  const { tolerationSeconds, ...rest } = toleration;
  return rest;
}

function checkGateChanges(errors: Errors, spec: JsonObject, before: JsonObject): void {
  const known = new Set(asObjects(before.schedulingGates).map((gate) => asText(gate.name)));
  asObjects(spec.schedulingGates).forEach((gate, i) => {
    const name = asText(gate.name);
    if (known.has(name)) return;
    const detail = `only deletion is allowed, but found new scheduling gate '${name}'`;
    errors.push(forbiddenField(`spec.schedulingGates[${i}].name`, detail));
  });
}

/** The new spec with the old value wherever a change is allowed or was judged before. */
function withAllowedChanges(errors: Errors, spec: JsonObject, before: JsonObject): JsonObject {
  const munged: JsonObject = { ...spec };
  for (const list of ['containers', 'initContainers']) {
    const oldContainers = asObjects(before[list]);
    if (isAbsent(spec[list])) continue;
    munged[list] = asObjects(spec[list]).map((container, i) => ({
      ...container,
      image: oldContainers[i]?.image,
    }));
  }
  for (const field of ['activeDeadlineSeconds', 'schedulingGates', 'tolerations'])
    munged[field] = before[field];
  if (asNumber(before.terminationGracePeriodSeconds) < 0 && spec.terminationGracePeriodSeconds === 1) {
    munged.terminationGracePeriodSeconds = before.terminationGracePeriodSeconds;
  }
  if (asObjects(before.schedulingGates).length === 0) return munged;
  checkNodeSelectorChange(errors, spec, before);
  munged.nodeSelector = before.nodeSelector;
  checkNodeAffinityChange(errors, spec, before);
  const { nodeAffinity } = asObject(before.affinity);
  munged.affinity = { ...asObject(spec.affinity), nodeAffinity };
  return munged;
}

/** A pod that waits at a gate may be narrowed to fewer nodes. */
function checkNodeSelectorChange(errors: Errors, spec: JsonObject, before: JsonObject): void {
  const next = asTextMap(spec.nodeSelector);
  for (const [key, value] of Object.entries(asTextMap(before.nodeSelector))) {
    if (next[key] === value) continue;
    const detail = 'only additions to spec.nodeSelector are allowed (no mutations or deletions)';
    errors.push(invalidField('spec.nodeSelector', next, detail));
    return;
  }
}

function checkNodeAffinityChange(errors: Errors, spec: JsonObject, before: JsonObject): void {
  const required = 'requiredDuringSchedulingIgnoredDuringExecution';
  const termsOf = (owner: JsonObject) =>
    asObjects(
      asObject(asObject(asObject(asObject(owner.affinity).nodeAffinity))[required]).nodeSelectorTerms,
    );
  const oldTerms = termsOf(before);
  const terms = termsOf(spec);
  if (oldTerms.length === 0 || semanticEquals(terms, oldTerms)) return;
  const path = `spec.affinity.nodeAffinity.${required}.nodeSelectorTerms`;
  if (terms.length !== oldTerms.length) {
    const detail = 'no additions/deletions to non-empty NodeSelectorTerms list are allowed';
    errors.push(invalidField(path, terms, detail));
    return;
  }
  oldTerms.forEach((oldTerm, i) => {
    const term = terms[i] as JsonObject;
    const kept = ['matchExpressions', 'matchFields'].every((list) =>
      asObjects(oldTerm[list]).every((each) =>
        asObjects(term[list]).some((other) => semanticEquals(other, each)),
      ),
    );
    if (kept) return;
    const detail = 'only additions are allowed (no mutations or deletions)';
    errors.push(invalidField(`${path}[${i}]`, term, detail));
  });
}
