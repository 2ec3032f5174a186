import { forbiddenField, invalidField, notSupportedField, requiredField } from '../field-error.ts';
import {
  asNumber,
  asObject,
  asText,
  asTextMap,
  isAbsent,
  isEmpty,
  isUnset,
  type JsonObject,
} from '../json-fields.ts';
import { matchesLabelSelector, matchesSelectorMap } from '../selectors.ts';
import {
  checkImmutable,
  checkIntOrPercent,
  checkNonNegative,
  checkNonNegatives,
  checkNotMoreThan100Percent,
  type Errors,
  intOrPercentValue,
  semanticEquals,
} from './checks.ts';
import {
  checkAnnotations,
  checkLabelSelector,
  checkLabels,
  isEmptySelector,
  labelSelectorOf,
} from './metadata.ts';
import { checkPodAnnotations, checkPodTemplate } from './pod-spec.ts';

/** Deployments, ReplicaSets, StatefulSets, DaemonSets and ReplicationControllers (pkg/apis/apps/validation, pkg/apis/core/validation). */

const MISMATCH = '`selector` does not match template `labels`';
const OPERATORS: readonly string[] = ['In', 'NotIn', 'Exists', 'DoesNotExist'];

export function checkDeployment(errors: Errors, deployment: JsonObject): void {
  const spec = asObject(deployment.spec);
  checkNonNegative(errors, spec.replicas, 'spec.replicas');
  checkRequiredSelector(errors, spec, 'deployment');
  checkOwnedTemplate(errors, spec, 'ReplicaSet');
  checkDeploymentStrategy(errors, asObject(spec.strategy), 'spec.strategy');
  checkNonNegatives(errors, spec, 'spec', [
    'minReadySeconds',
    'revisionHistoryLimit',
    'progressDeadlineSeconds',
  ]);
  const deadline = spec.progressDeadlineSeconds;
  if (!isAbsent(deadline) && asNumber(deadline) <= asNumber(spec.minReadySeconds)) {
    const detail = 'must be greater than minReadySeconds';
    errors.push(invalidField('spec.progressDeadlineSeconds', deadline, detail));
  }
}

export function checkDeploymentUpdate(errors: Errors, deployment: JsonObject, old: JsonObject): void {
  checkDeployment(errors, deployment);
  checkImmutableSelector(errors, deployment, old);
}

export function checkReplicaSet(errors: Errors, replicaSet: JsonObject): void {
  const spec = asObject(replicaSet.spec);
  checkNonNegatives(errors, spec, 'spec', ['replicas', 'minReadySeconds']);
  checkRequiredSelector(errors, spec, 'deployment');
  checkOwnedTemplate(errors, spec, 'ReplicaSet');
}

export function checkReplicaSetUpdate(errors: Errors, replicaSet: JsonObject, old: JsonObject): void {
  checkReplicaSet(errors, replicaSet);
  checkImmutableSelector(errors, replicaSet, old);
}

export function checkReplicationController(errors: Errors, controller: JsonObject): void {
  const spec = asObject(controller.spec);
  checkNonNegative(errors, spec.minReadySeconds, 'spec.minReadySeconds');
  if (isEmpty(spec.selector)) errors.push(requiredField('spec.selector'));
  checkNonNegative(errors, spec.replicas, 'spec.replicas');
  if (isAbsent(spec.template)) {
    errors.push(requiredField('spec.template'));
    return;
  }
  const labels = templateLabels(spec);
  const selector = asTextMap(spec.selector);
  if (!isEmpty(selector) && !matchesSelectorMap(selector, labels)) addMismatch(errors, spec);
  checkPodTemplate(errors, asObject(spec.template), 'spec.template');
  checkTemplateForever(errors, spec, 'ReplicationController');
}

export function checkDaemonSet(errors: Errors, daemonSet: JsonObject): void {
  const spec = asObject(daemonSet.spec);
  checkLabelSelector(errors, spec.selector, 'spec.selector');
  if (isParsable(spec.selector) && !selects(spec)) addMismatch(errors, spec);
  if (!isAbsent(spec.selector) && isEmptySelector(spec.selector)) {
    errors.push(invalidField('spec.selector', spec.selector, 'empty selector is invalid for daemonset'));
  }
  checkPodTemplate(errors, asObject(spec.template), 'spec.template');
  checkTemplateForever(errors, spec, 'DaemonSet');
  checkNonNegatives(errors, spec, 'spec', ['minReadySeconds', 'revisionHistoryLimit']);
  const strategy = asObject(spec.updateStrategy);
  const path = 'spec.updateStrategy';
  if (strategy.type === 'RollingUpdate') {
    if (isAbsent(strategy.rollingUpdate)) errors.push(requiredField(`${path}.rollingUpdate`));
    else checkRollingDaemons(errors, asObject(strategy.rollingUpdate), `${path}.rollingUpdate`);
  } else if (strategy.type !== 'OnDelete') {
    errors.push(notSupportedField(path, strategy, ['RollingUpdate', 'OnDelete']));
  }
}

export function checkDaemonSetUpdate(errors: Errors, daemonSet: JsonObject, old: JsonObject): void {
  checkDaemonSet(errors, daemonSet);
  checkImmutableSelector(errors, daemonSet, old);
}

/** As upstream, the spec of the template's pods is only checked when a pod is made of it. */
export function checkStatefulSet(errors: Errors, statefulSet: JsonObject): void {
  const spec = asObject(statefulSet.spec);
  const policies = ['OrderedReady', 'Parallel'];
  const policy = spec.podManagementPolicy;
  if (isUnset(policy)) errors.push(requiredField('spec.podManagementPolicy'));
  else if (!policies.includes(policy as string)) {
    errors.push(invalidField('spec.podManagementPolicy', policy, "must be 'OrderedReady' or 'Parallel'"));
  }
  checkStatefulStrategy(errors, asObject(spec.updateStrategy), 'spec.updateStrategy');
  const retention = asObject(spec.persistentVolumeClaimRetentionPolicy);
  for (const when of ['whenDeleted', 'whenScaled']) {
    if (isAbsent(spec.persistentVolumeClaimRetentionPolicy)) break;
    const field = `spec.persistentVolumeClaimRetentionPolicy.${when}`;
    if (retention[when] !== 'Retain' && retention[when] !== 'Delete') {
      errors.push(notSupportedField(field, asText(retention[when]), ['Retain', 'Delete']));
    }
  }
  checkNonNegatives(errors, spec, 'spec', ['replicas', 'minReadySeconds']);
  checkNonNegative(errors, asObject(spec.ordinals).start, 'spec.ordinals.start');
  checkRequiredSelector(errors, spec, 'statefulset');
  if (isParsable(spec.selector)) {
    if ((isAbsent(spec.selector) || !isEmptySelector(spec.selector)) && !selects(spec))
      addMismatch(errors, spec);
    const template = asObject(spec.template);
    const metadata = asObject(template.metadata);
    checkLabels(errors, metadata.labels, 'spec.template.labels');
    checkAnnotations(errors, metadata.annotations, 'spec.template.annotations');
    checkPodAnnotations(errors, metadata, asObject(template.spec), 'spec.template.annotations');
  }
  checkTemplateForever(errors, spec, 'StatefulSet');
}

const STATEFUL_UPDATABLE: readonly string[] = [
  'replicas',
  'ordinals',
  'template',
  'updateStrategy',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
];

export function checkStatefulSetUpdate(errors: Errors, statefulSet: JsonObject, old: JsonObject): void {
  checkStatefulSet(errors, statefulSet);
  const kept = (owner: JsonObject) =>
    Object.fromEntries(
      Object.entries(asObject(owner.spec)).filter(([field]) => !STATEFUL_UPDATABLE.includes(field)),
    );
  if (semanticEquals(kept(statefulSet), kept(old))) return;
  const detail =
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
  errors.push(forbiddenField('spec', detail));
}

export function checkControllerRevision(errors: Errors, revision: JsonObject): void {
  checkNonNegative(errors, revision.revision, 'revision');
  if (isAbsent(revision.data)) errors.push(requiredField('data', 'data is mandatory'));
}

export function checkControllerRevisionUpdate(errors: Errors, revision: JsonObject, old: JsonObject): void {
  checkNonNegative(errors, revision.revision, 'revision');
  checkImmutable(errors, revision.data, old.data, 'data');
}

/** The counts of a status: none negative, none above the replicas there are. */
export function checkReplicaStatus(errors: Errors, owner: JsonObject): void {
  const status = asObject(owner.status);
  const parts = [
    'fullyLabeledReplicas',
    'updatedReplicas',
    'currentReplicas',
    'readyReplicas',
    'availableReplicas',
  ];
  checkNonNegatives(errors, status, 'status', [
    'replicas',
    ...parts,
    'unavailableReplicas',
    'observedGeneration',
    'collisionCount',
  ]);
  for (const part of parts) {
    if (asNumber(status[part]) > asNumber(status.replicas)) {
      const detail = 'cannot be greater than status.replicas';
      errors.push(invalidField(`status.${part}`, status[part], detail));
    }
  }
  if (asNumber(status.availableReplicas) > asNumber(status.readyReplicas)) {
    const detail = 'cannot be greater than readyReplicas';
    errors.push(invalidField('status.availableReplicas', status.availableReplicas, detail));
  }
}

export function checkDaemonSetStatus(errors: Errors, daemonSet: JsonObject): void {
  checkNonNegatives(errors, asObject(daemonSet.status), 'status', [
    'currentNumberScheduled',
    'numberMisscheduled',
    'desiredNumberScheduled',
    'numberReady',
    'observedGeneration',
    'updatedNumberScheduled',
    'numberAvailable',
    'numberUnavailable',
    'collisionCount',
  ]);
}

/** `emptyFor` is how the server names the kind in the text about empty selectors. */
function checkRequiredSelector(errors: Errors, spec: JsonObject, emptyFor: string): void {
  if (isAbsent(spec.selector)) errors.push(requiredField('spec.selector'));
  else {
    checkLabelSelector(errors, spec.selector, 'spec.selector');
    if (isEmptySelector(spec.selector)) {
      errors.push(invalidField('spec.selector', spec.selector, `empty selector is invalid for ${emptyFor}`));
    }
  }
  if (!isParsable(spec.selector)) {
    const detail = emptyFor === 'statefulset' ? '' : 'invalid label selector';
    errors.push(invalidField('spec.selector', spec.selector, detail));
  }
}

function checkOwnedTemplate(errors: Errors, spec: JsonObject, kind: string): void {
  if (!isParsable(spec.selector)) return;
  if ((isAbsent(spec.selector) || !isEmptySelector(spec.selector)) && !selects(spec))
    addMismatch(errors, spec);
  checkPodTemplate(errors, asObject(spec.template), 'spec.template');
  checkTemplateForever(errors, spec, kind);
}

/** Pods of a workload that never ends are restarted for ever. */
function checkTemplateForever(errors: Errors, spec: JsonObject, kind: string): void {
  const podSpec = asObject(asObject(spec.template).spec);
  const path = 'spec.template.spec';
  if (podSpec.restartPolicy !== 'Always') {
    errors.push(notSupportedField(`${path}.restartPolicy`, asText(podSpec.restartPolicy), ['Always']));
  }
  if (!isAbsent(podSpec.activeDeadlineSeconds)) {
    const detail = `activeDeadlineSeconds in ${kind} is not Supported`;
    errors.push(forbiddenField(`${path}.activeDeadlineSeconds`, detail));
  }
}

function checkImmutableSelector(errors: Errors, owner: JsonObject, old: JsonObject): void {
  checkImmutable(errors, asObject(owner.spec).selector, asObject(old.spec).selector, 'spec.selector');
}

function templateLabels(spec: JsonObject): Record<string, string> {
  return asTextMap(asObject(asObject(spec.template).metadata).labels);
}

/** The selector of a workload against the labels of its own template; no selector at all selects nothing. */
export function selects(spec: JsonObject): boolean {
  return matchesLabelSelector(labelSelectorOf(spec.selector), templateLabels(spec));
}

export function addMismatch(errors: Errors, spec: JsonObject): void {
  const { labels } = asObject(asObject(spec.template).metadata);
  errors.push(invalidField('spec.template.metadata.labels', labels ?? null, MISMATCH));
}

/** False when the server could make no selector of it at all. */
export function isParsable(selector: unknown): boolean {
  const expressions = asObject(selector).matchExpressions;
  if (!Array.isArray(expressions)) return true;
  const scratch: Errors = [];
  checkLabelSelector(scratch, selector, '');
  return (
    scratch.length === 0 && expressions.every((each) => OPERATORS.includes(asText(asObject(each).operator)))
  );
}

function checkDeploymentStrategy(errors: Errors, strategy: JsonObject, path: string): void {
  const field = `${path}.rollingUpdate`;
  const update = asObject(strategy.rollingUpdate);
  if (strategy.type === 'Recreate') {
    if (!isAbsent(strategy.rollingUpdate)) {
      errors.push(forbiddenField(field, "may not be specified when strategy `type` is 'Recreate'"));
    }
  } else if (strategy.type !== 'RollingUpdate') {
    errors.push(notSupportedField(path, strategy, ['Recreate', 'RollingUpdate']));
  } else if (isAbsent(strategy.rollingUpdate)) {
    errors.push(requiredField(field, 'this should be defaulted and never be nil'));
  } else {
    checkIntOrPercent(errors, update.maxUnavailable, `${field}.maxUnavailable`);
    checkIntOrPercent(errors, update.maxSurge, `${field}.maxSurge`);
    if (intOrPercentValue(update.maxUnavailable) === 0 && intOrPercentValue(update.maxSurge) === 0) {
      const detail = 'may not be 0 when `maxSurge` is 0';
      errors.push(invalidField(`${field}.maxUnavailable`, update.maxUnavailable ?? 0, detail));
    }
    checkNotMoreThan100Percent(errors, update.maxUnavailable, `${field}.maxUnavailable`);
  }
}

function checkRollingDaemons(errors: Errors, update: JsonObject, path: string): void {
  for (const name of ['maxUnavailable', 'maxSurge'])
    checkIntOrPercent(errors, update[name], `${path}.${name}`);
  for (const name of ['maxUnavailable', 'maxSurge']) {
    checkNotMoreThan100Percent(errors, update[name], `${path}.${name}`);
  }
  const unavailable = intOrPercentValue(update.maxUnavailable) !== 0;
  const surge = intOrPercentValue(update.maxSurge) !== 0;
  if (unavailable && surge) {
    const detail = 'may not be set when maxUnavailable is non-zero';
    errors.push(invalidField(`${path}.maxSurge`, update.maxSurge, detail));
  } else if (!unavailable && !surge) {
    errors.push(requiredField(`${path}.maxUnavailable`, 'cannot be 0 when maxSurge is 0'));
  }
}

function checkStatefulStrategy(errors: Errors, strategy: JsonObject, path: string): void {
  const field = `${path}.rollingUpdate`;
  const update = asObject(strategy.rollingUpdate);
  if (isUnset(strategy.type)) errors.push(requiredField(path));
  else if (strategy.type === 'OnDelete') {
    if (!isAbsent(strategy.rollingUpdate)) {
      const detail = "only allowed for updateStrategy 'RollingUpdate'";
      errors.push(invalidField(field, strategy.rollingUpdate, detail));
    }
  } else if (strategy.type !== 'RollingUpdate') {
    errors.push(invalidField(path, strategy, "must be 'RollingUpdate' or 'OnDelete'"));
  } else {
    checkNonNegative(errors, update.partition, `${field}.partition`);
    if (isAbsent(update.maxUnavailable)) return;
    checkIntOrPercent(errors, update.maxUnavailable, `${field}.maxUnavailable`);
    if (intOrPercentValue(update.maxUnavailable) === 0) {
      errors.push(invalidField(`${field}.maxUnavailable`, update.maxUnavailable, 'cannot be 0'));
    }
    checkNotMoreThan100Percent(errors, update.maxUnavailable, `${field}.maxUnavailable`);
  }
}
