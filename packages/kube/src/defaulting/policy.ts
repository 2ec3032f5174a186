import { asObjects, fillAbsent, fillObject, fillText, type JsonObject } from '../json-fields.ts';

const RBAC_GROUP = 'rbac.authorization.k8s.io';

/** RoleBinding and ClusterRoleBinding (pkg/apis/rbac/v1/defaults.go). */
export function defaultRoleBinding(binding: JsonObject): void {
  const role = fillObject(binding, 'roleRef');
  if (role !== undefined) fillText(role, 'apiGroup', RBAC_GROUP);
  for (const subject of asObjects(binding.subjects)) {
    if (subject.kind === 'User' || subject.kind === 'Group') fillText(subject, 'apiGroup', RBAC_GROUP);
  }
}

/** Source: pkg/apis/scheduling/v1/defaults.go. */
export function defaultPriorityClass(priorityClass: JsonObject): void {
  fillAbsent(priorityClass, 'preemptionPolicy', 'PreemptLowerPriority');
}
