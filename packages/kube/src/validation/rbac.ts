import { invalidField, notSupportedField, requiredField } from '../field-error.ts';
import { asObject, asObjects, asText, isAbsent, isEmpty, type JsonObject } from '../json-fields.ts';
import { dns1123SubdomainErrors, pathSegmentErrors } from '../names.ts';
import { addInvalid, type Errors, semanticEquals } from './checks.ts';
import { checkLabelSelector } from './metadata.ts';

/** Roles and their bindings (pkg/apis/rbac/validation). */

const GROUP = 'rbac.authorization.k8s.io';

export function checkRole(errors: Errors, role: JsonObject): void {
  checkRules(errors, role, true);
}

export function checkClusterRole(errors: Errors, role: JsonObject): void {
  checkRules(errors, role, false);
  if (isAbsent(role.aggregationRule)) return;
  const path = 'aggregationRule.clusterRoleSelectors';
  const selectors = asObjects(asObject(role.aggregationRule).clusterRoleSelectors);
  if (selectors.length === 0) {
    const detail = 'at least one clusterRoleSelector required if aggregationRule is non-nil';
    errors.push(requiredField(path, detail));
  }
  selectors.forEach((selector, i) => {
    checkLabelSelector(errors, selector, `${path}[${i}]`);
  });
}

function checkRules(errors: Errors, role: JsonObject, namespaced: boolean): void {
  asObjects(role.rules).forEach((rule, i) => {
    const path = `rules[${i}]`;
    if (isEmpty(rule.verbs))
      errors.push(requiredField(`${path}.verbs`, 'verbs must contain at least one value'));
    if (!isEmpty(rule.nonResourceURLs)) {
      const field = `${path}.nonResourceURLs`;
      if (namespaced) {
        const detail = 'namespaced rules cannot apply to non-resource URLs';
        errors.push(invalidField(field, rule.nonResourceURLs, detail));
      }
      if (!isEmpty(rule.apiGroups) || !isEmpty(rule.resources) || !isEmpty(rule.resourceNames)) {
        const detail = 'rules cannot apply to both regular resources and non-resource URLs';
        errors.push(invalidField(field, rule.nonResourceURLs, detail));
      }
      return;
    }
    if (isEmpty(rule.apiGroups)) {
      errors.push(requiredField(`${path}.apiGroups`, 'resource rules must supply at least one api group'));
    }
    if (isEmpty(rule.resources)) {
      errors.push(requiredField(`${path}.resources`, 'resource rules must supply at least one resource'));
    }
  });
}

export function checkRoleBinding(errors: Errors, binding: JsonObject): void {
  checkBinding(errors, binding, ['Role', 'ClusterRole']);
}

export function checkClusterRoleBinding(errors: Errors, binding: JsonObject): void {
  checkBinding(errors, binding, ['ClusterRole']);
}

export function checkRoleBindingUpdate(errors: Errors, binding: JsonObject, old: JsonObject): void {
  checkRoleBinding(errors, binding);
  checkSameRole(errors, binding, old);
}

export function checkClusterRoleBindingUpdate(errors: Errors, binding: JsonObject, old: JsonObject): void {
  checkClusterRoleBinding(errors, binding);
  checkSameRole(errors, binding, old);
}

function checkSameRole(errors: Errors, binding: JsonObject, old: JsonObject): void {
  if (semanticEquals(binding.roleRef, old.roleRef)) return;
  errors.push(invalidField('roleRef', binding.roleRef ?? null, 'cannot change roleRef'));
}

function checkBinding(errors: Errors, binding: JsonObject, kinds: readonly string[]): void {
  const role = asObject(binding.roleRef);
  checkGroup(errors, role, GROUP, 'roleRef');
  if (!kinds.includes(asText(role.kind))) {
    errors.push(notSupportedField('roleRef.kind', asText(role.kind), kinds));
  }
  const name = asText(role.name);
  if (name === '') errors.push(requiredField('roleRef.name'));
  else addInvalid(errors, 'roleRef.name', name, pathSegmentErrors(name));
  const namespaced = kinds.includes('Role');
  asObjects(binding.subjects).forEach((subject, i) => {
    checkSubject(errors, subject, namespaced, `subjects[${i}]`);
  });
}

function checkGroup(errors: Errors, object: JsonObject, group: string, path: string): void {
  if (asText(object.apiGroup) === group) return;
  errors.push(notSupportedField(`${path}.apiGroup`, asText(object.apiGroup), [group]));
}

function checkSubject(errors: Errors, subject: JsonObject, namespaced: boolean, path: string): void {
  const kind = asText(subject.kind);
  const name = asText(subject.name);
  if (name === '') errors.push(requiredField(`${path}.name`));
  if (kind === 'ServiceAccount') {
    if (name !== '') addInvalid(errors, `${path}.name`, name, dns1123SubdomainErrors(name));
    checkGroup(errors, subject, '', path);
    if (!namespaced && asText(subject.namespace) === '') errors.push(requiredField(`${path}.namespace`));
  } else if (kind === 'User' || kind === 'Group') checkGroup(errors, subject, GROUP, path);
  else errors.push(notSupportedField(`${path}.kind`, kind, ['ServiceAccount', 'User', 'Group']));
}
