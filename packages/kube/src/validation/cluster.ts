import { duplicateField, forbiddenField, invalidField, requiredField } from '../field-error.ts';
import { asObject, asObjects, asText, asTexts, isUnset, type JsonObject } from '../json-fields.ts';
import { dns1123SubdomainErrors, qualifiedNameErrors } from '../names.ts';
import { addInvalid, byteLength, checkUnique, type Errors } from './checks.ts';
import { checkPrefix } from './ip-address.ts';
import { checkStandardFinalizers } from './metadata.ts';
import { checkResourceQuantity } from './resource-requirements.ts';
import { checkTaints } from './scheduling.ts';

/** Namespaces, Nodes and Events (pkg/apis/core/validation). */

export function checkNamespace(errors: Errors, namespace: JsonObject): void {
  const spec = asObject(namespace.spec);
  for (const finalizer of asTexts(spec.finalizers)) {
    addInvalid(errors, 'spec.finalizers', finalizer, qualifiedNameErrors(finalizer));
  }
  checkStandardFinalizers(errors, spec, 'spec.finalizers');
}

export function checkNamespaceStatus(errors: Errors, namespace: JsonObject): void {
  const phase = asText(asObject(namespace.status).phase);
  const deleted = !isUnset(asObject(namespace.metadata).deletionTimestamp);
  const field = 'status.Phase';
  if (!deleted && phase !== 'Active') {
    errors.push(invalidField(field, phase, "may only be 'Active' if `deletionTimestamp` is empty"));
  } else if (deleted && phase !== 'Terminating') {
    errors.push(invalidField(field, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty"));
  }
}

export function checkNode(errors: Errors, node: JsonObject): void {
  const spec = asObject(node.spec);
  checkTaints(errors, spec.taints, 'metadata.taints');
  checkNodeResources(errors, node);
  const cidrs = asTexts(spec.podCIDRs);
  const field = 'spec.podCIDRs';
  const versions = cidrs.map((cidr, i) => checkPrefix(errors, cidr, `${field}[${i}]`)?.version);
  if (cidrs.length < 2) return;
  if (cidrs.length > 2 || new Set(versions).size < 2) {
    errors.push(invalidField(field, cidrs, 'may specify no more than one CIDR for each IP family'));
  }
  const seen = new Set<string>();
  cidrs.forEach((cidr, i) => {
    checkUnique(errors, seen, cidr, `${field}[${i}]`);
  });
}

export function checkNodeUpdate(errors: Errors, node: JsonObject, old: JsonObject): void {
  const spec = asObject(node.spec);
  const before = asObject(old.spec);
  checkNodeStatus(errors, node);
  const cidrs = asTexts(spec.podCIDRs);
  const oldCidrs = asTexts(before.podCIDRs);
  const sameCidrs = cidrs.length === oldCidrs.length && cidrs.every((cidr, i) => cidr === oldCidrs[i]);
  if (oldCidrs.length > 0 && !sameCidrs) {
    const detail = 'node updates may not change podCIDR except from "" to valid';
    errors.push(forbiddenField('spec.podCIDRs', detail));
  }
  if (!isUnset(before.providerID) && before.providerID !== spec.providerID) {
    const detail = 'node updates may not change providerID except from "" to valid';
    errors.push(forbiddenField('spec.providerID', detail));
  }
  checkTaints(errors, spec.taints, 'metadata.taints');
}

export function checkNodeStatus(errors: Errors, node: JsonObject): void {
  checkNodeResources(errors, node);
  const seen = new Set<string>();
  asObjects(asObject(node.status).addresses).forEach((address, i) => {
    const key = `${asText(address.type)} ${asText(address.address)}`;
    if (seen.has(key)) errors.push(duplicateField(`status.addresses[${i}]`, address));
    seen.add(key);
  });
}

function checkNodeResources(errors: Errors, node: JsonObject): void {
  const status = asObject(node.status);
  for (const list of ['capacity', 'allocatable']) {
    for (const [name, value] of Object.entries(asObject(status[list]))) {
      checkResourceQuantity(errors, name, value, `status.${list}.${name}`);
    }
  }
}

const MAX_FIELD_LENGTH = 128;
const MAX_MESSAGE_LENGTH = 1024;

/** Events of either form: those with an eventTime are the newer one and must say more. */
export function checkEvent(errors: Errors, event: JsonObject): void {
  const namespace = asText(asObject(event.metadata).namespace);
  const involved = asText(asObject(event.involvedObject).namespace);
  const mismatch = () => {
    errors.push(invalidField('involvedObject.namespace', involved, 'does not match event.namespace'));
  };
  if (isUnset(event.eventTime)) {
    if (involved === '' ? namespace !== '' && namespace !== 'default' : namespace !== involved) mismatch();
  } else {
    if (involved === '' && namespace !== 'default' && namespace !== 'kube-system') mismatch();
    const controller = asText(event.reportingComponent);
    if (controller === '') errors.push(requiredField('reportingComponent'));
    addInvalid(errors, 'reportingComponent', controller, qualifiedNameErrors(controller));
    for (const field of ['reportingInstance', 'action', 'reason', 'message']) {
      const limit = field === 'message' ? MAX_MESSAGE_LENGTH : MAX_FIELD_LENGTH;
      const text = asText(event[field]);
      if (text === '' && field !== 'message') errors.push(requiredField(field));
      if (byteLength(text) > limit) {
        errors.push(invalidField(field, '', `can have at most ${limit} characters`));
      }
    }
  }
  addInvalid(errors, 'namespace', namespace, dns1123SubdomainErrors(namespace));
}
