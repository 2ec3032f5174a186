import { duplicateField, forbiddenField, invalidField } from '../field-error.ts';
import { asNumber, asObject, asObjects, asText, isAbsent, isUnset, type JsonObject } from '../json-fields.ts';
import { dns1123LabelErrors, qualifiedNameErrors } from '../names.ts';
import {
  addInvalid,
  checkEnum,
  checkImmutable,
  checkIntOrPercent,
  checkNonNegatives,
  checkNotMoreThan100Percent,
  type Errors,
} from './checks.ts';
import { checkLabelSelector, checkLabels } from './metadata.ts';
import { checkResourceRequirements } from './resource-requirements.ts';
import { checkTolerations } from './scheduling.ts';

/** PodDisruptionBudgets, PriorityClasses, RuntimeClasses and Leases (pkg/apis/{policy,scheduling,node,coordination}/validation). */

export function checkPodDisruptionBudget(errors: Errors, budget: JsonObject): void {
  const spec = asObject(budget.spec);
  if (!isAbsent(spec.minAvailable) && !isAbsent(spec.maxUnavailable)) {
    errors.push(invalidField('spec', spec, 'minAvailable and maxUnavailable cannot be both set'));
  }
  for (const field of ['minAvailable', 'maxUnavailable']) {
    checkIntOrPercent(errors, spec[field], `spec.${field}`);
    checkNotMoreThan100Percent(errors, spec[field], `spec.${field}`);
  }
  checkLabelSelector(errors, spec.selector, 'spec.selector');
  if (!isAbsent(spec.unhealthyPodEvictionPolicy)) {
    const policies = ['AlwaysAllow', 'IfHealthyBudget'];
    checkEnum(errors, spec.unhealthyPodEvictionPolicy, 'spec.unhealthyPodEvictionPolicy', policies);
  }
}

export function checkPodDisruptionBudgetStatus(errors: Errors, budget: JsonObject): void {
  checkNonNegatives(errors, asObject(budget.status), 'status', [
    'disruptionsAllowed',
    'currentHealthy',
    'desiredHealthy',
    'expectedPods',
  ]);
}

const HIGHEST_USER_PRIORITY = 1_000_000_000;
const SYSTEM_PREFIX = 'system-';
const SYSTEM_PRIORITIES: Readonly<Record<string, number>> = {
  'system-cluster-critical': 2_000_000_000,
  'system-node-critical': 2_000_001_000,
};

export function checkPriorityClass(errors: Errors, priorityClass: JsonObject): void {
  const name = asText(asObject(priorityClass.metadata).name);
  const value = asNumber(priorityClass.value);
  if (name.startsWith(SYSTEM_PREFIX)) {
    const problem = systemClassProblem(name, value, priorityClass.globalDefault === true);
    if (problem !== '') {
      const detail = `priority class names with '${SYSTEM_PREFIX}' prefix are reserved for system use only. error: ${problem}`;
      errors.push(forbiddenField('metadata.name', detail));
    }
  } else if (value > HIGHEST_USER_PRIORITY) {
    const detail = `maximum allowed value of a user defined priority is ${HIGHEST_USER_PRIORITY}`;
    errors.push(forbiddenField('value', detail));
  }
  if (!isAbsent(priorityClass.preemptionPolicy)) {
    const policies = ['PreemptLowerPriority', 'Never'];
    checkEnum(errors, priorityClass.preemptionPolicy, 'preemptionPolicy', policies);
  }
}

function systemClassProblem(name: string, value: number, globalDefault: boolean): string {
  const expected = Object.hasOwn(SYSTEM_PRIORITIES, name) ? SYSTEM_PRIORITIES[name] : undefined;
  if (expected === undefined) return `${name} is not a known system priority class`;
  if (value !== expected) return `value of ${name} PriorityClass must be ${expected}`;
  return globalDefault ? `globalDefault of ${name} PriorityClass must be false` : '';
}

export function checkPriorityClassUpdate(errors: Errors, priorityClass: JsonObject, old: JsonObject): void {
  if (asNumber(priorityClass.value) !== asNumber(old.value)) {
    errors.push(forbiddenField('value', 'may not be changed in an update.'));
  }
  checkImmutable(errors, priorityClass.preemptionPolicy, old.preemptionPolicy, 'preemptionPolicy');
}

export function checkRuntimeClass(errors: Errors, runtimeClass: JsonObject): void {
  const handler = asText(runtimeClass.handler);
  addInvalid(errors, 'handler', handler, dns1123LabelErrors(handler));
  if (!isAbsent(runtimeClass.overhead)) {
    const limits = asObject(runtimeClass.overhead).podFixed;
    checkResourceRequirements(errors, { limits }, new Set(), 'overhead');
  }
  const scheduling = asObject(runtimeClass.scheduling);
  checkLabels(errors, scheduling.nodeSelector, 'scheduling.nodeSelector');
  // The server names the field twice here.
  checkTolerations(errors, scheduling.tolerations, 'scheduling.tolerations.tolerations');
  const seen = new Set<string>();
  asObjects(scheduling.tolerations).forEach((toleration, i) => {
    const { key, operator, value, effect } = toleration;
    const identity = JSON.stringify([key, operator, value, effect]);
    if (seen.has(identity)) errors.push(duplicateField(`scheduling.tolerations[${i}]`, toleration));
    seen.add(identity);
  });
}

export function checkRuntimeClassUpdate(errors: Errors, runtimeClass: JsonObject, old: JsonObject): void {
  checkImmutable(errors, runtimeClass.handler, old.handler, 'handler');
}

export function checkLease(errors: Errors, lease: JsonObject): void {
  const spec = asObject(lease.spec);
  if (!isAbsent(spec.leaseDurationSeconds) && asNumber(spec.leaseDurationSeconds) <= 0) {
    errors.push(
      invalidField('spec.leaseDurationSeconds', spec.leaseDurationSeconds, 'must be greater than 0'),
    );
  }
  checkNonNegatives(errors, spec, 'spec', ['leaseTransitions']);
  const strategy = asText(spec.strategy);
  const field = 'spec.strategy.strategy';
  if (strategy.includes('/')) addInvalid(errors, field, strategy, qualifiedNameErrors(strategy));
  else if (!isAbsent(spec.strategy)) checkEnum(errors, strategy, field, ['OldestEmulationVersion']);
  if (!isUnset(spec.preferredHolder) && isUnset(spec.strategy)) {
    errors.push(forbiddenField('spec.preferredHolder', 'may only be specified if `strategy` is defined'));
  }
}
