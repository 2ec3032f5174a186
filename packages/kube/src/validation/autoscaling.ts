import { forbiddenField, invalidField, notSupportedField, requiredField } from '../field-error.ts';
import { asNumber, asObject, asObjects, asText, isAbsent, type JsonObject } from '../json-fields.ts';
import { dns1123LabelErrors, pathSegmentErrors } from '../names.ts';
import { parseQuantity } from '../quantity.ts';
import { addInvalid, checkEnum, checkNonNegatives, type Errors } from './checks.ts';

/** HorizontalPodAutoscalers (pkg/apis/autoscaling/validation). */

const MAX_PERIOD_SECONDS = 1800;
const MAX_WINDOW_SECONDS = 3600;
/** The field of a metric by its type. */
const SOURCES: Readonly<Record<string, string>> = {
  ContainerResource: 'containerResource',
  External: 'external',
  Object: 'object',
  Pods: 'pods',
  Resource: 'resource',
};
const METRIC_TYPES = Object.keys(SOURCES);

export function checkHorizontalPodAutoscaler(errors: Errors, autoscaler: JsonObject): void {
  checkSpec(errors, asObject(autoscaler.spec), 1);
}

export function checkHorizontalPodAutoscalerUpdate(
  errors: Errors,
  autoscaler: JsonObject,
  old: JsonObject,
): void {
  const lowest = asObject(old.spec).minReplicas === 0 ? 0 : 1;
  checkSpec(errors, asObject(autoscaler.spec), lowest);
}

export function checkHorizontalPodAutoscalerStatus(errors: Errors, autoscaler: JsonObject): void {
  const { status } = autoscaler;
  checkNonNegatives(errors, asObject(status), 'status', ['currentReplicas', 'desiredReplicas']);
}

function checkSpec(errors: Errors, spec: JsonObject, lowest: number): void {
  const { minReplicas } = spec;
  const maxReplicas = asNumber(spec.maxReplicas);
  if (!isAbsent(minReplicas) && asNumber(minReplicas) < lowest) {
    errors.push(invalidField('spec.minReplicas', minReplicas, `must be greater than or equal to ${lowest}`));
  }
  if (maxReplicas < 1) errors.push(invalidField('spec.maxReplicas', maxReplicas, 'must be greater than 0'));
  if (!isAbsent(minReplicas) && maxReplicas < asNumber(minReplicas)) {
    const detail = 'must be greater than or equal to `minReplicas`';
    errors.push(invalidField('spec.maxReplicas', maxReplicas, detail));
  }
  checkReference(errors, asObject(spec.scaleTargetRef), 'spec.scaleTargetRef');
  const metrics = asObjects(spec.metrics);
  metrics.forEach((metric, i) => {
    checkMetric(errors, metric, `spec.metrics[${i}]`);
  });
  if (minReplicas === 0 && !metrics.some(({ type }) => type === 'Object' || type === 'External')) {
    const detail = 'must specify at least one Object or External metric to support scaling to zero replicas';
    errors.push(forbiddenField('spec.metrics', detail));
  }
  const behavior = asObject(spec.behavior);
  for (const direction of ['scaleUp', 'scaleDown']) {
    if (isAbsent(behavior[direction])) continue;
    checkScalingRules(errors, asObject(behavior[direction]), `spec.behavior.${direction}`);
  }
}

function checkReference(errors: Errors, reference: JsonObject, path: string): void {
  for (const part of ['kind', 'name']) {
    const value = asText(reference[part]);
    if (value === '') errors.push(requiredField(`${path}.${part}`));
    else addInvalid(errors, `${path}.${part}`, value, pathSegmentErrors(value));
  }
}

function checkMetric(errors: Errors, metric: JsonObject, path: string): void {
  const type = asText(metric.type);
  const expected = Object.hasOwn(SOURCES, type) ? SOURCES[type] : undefined;
  if (type === '') errors.push(requiredField(`${path}.type`, 'must specify a metric source type'));
  if (expected === undefined) errors.push(notSupportedField(`${path}.type`, type, METRIC_TYPES));
  const given = ['object', 'external', 'pods', 'resource', 'containerResource'].filter(
    (source) => !isAbsent(metric[source]),
  );
  const [first] = given;
  if (first !== undefined) checkSource(errors, asObject(metric[first]), first, `${path}.${first}`);
  if (expected !== undefined && isAbsent(metric[expected])) {
    const detail = 'must populate information for the given metric source';
    errors.push(requiredField(`${path}.${expected}`, detail));
  }
  if (given.length === 1) return;
  for (const source of given) {
    if (source === expected) continue;
    errors.push(forbiddenField(`${path}.${source}`, 'must populate the given metric source only'));
  }
}

function checkSource(errors: Errors, source: JsonObject, kind: string, path: string): void {
  const target = asObject(source.target);
  const { value, averageValue, averageUtilization } = target;
  const field = `${path}.target`;
  if (kind === 'object') checkReference(errors, asObject(source.describedObject), `${path}.describedObject`);
  if (kind === 'resource' || kind === 'containerResource') {
    if (asText(source.name) === '')
      errors.push(requiredField(`${path}.name`, 'must specify a resource name'));
    if (kind === 'containerResource') {
      const container = asText(source.container);
      if (container === '') errors.push(requiredField(`${path}.container`, 'must specify a container'));
      else addInvalid(errors, `${path}.container`, container, dns1123LabelErrors(container));
    }
    checkTarget(errors, target, field);
    if (isAbsent(averageUtilization) && isAbsent(averageValue)) {
      const detail = 'must set either a target raw value or a target utilization';
      errors.push(requiredField(`${field}.averageUtilization`, detail));
    }
    if (!isAbsent(averageUtilization) && !isAbsent(averageValue)) {
      const detail = 'may not set both a target raw value and a target utilization';
      errors.push(forbiddenField(`${field}.averageValue`, detail));
    }
    return;
  }
  const name = asText(asObject(source.metric).name);
  if (name === '') errors.push(requiredField(`${path}.metric.name`, 'must specify a metric name'));
  else addInvalid(errors, `${path}.metric.name`, name, pathSegmentErrors(name));
  checkTarget(errors, target, field);
  if (kind === 'pods' && isAbsent(averageValue)) {
    errors.push(requiredField(`${field}.averageValue`, 'must specify a positive target averageValue'));
  } else if (kind === 'object' && isAbsent(value) && isAbsent(averageValue)) {
    errors.push(requiredField(`${field}.averageValue`, 'must set either a target value or averageValue'));
  } else if (kind === 'external') {
    if (isAbsent(value) && isAbsent(averageValue)) {
      const detail = 'must set either a target value for metric or a per-pod target';
      errors.push(requiredField(`${field}.averageValue`, detail));
    } else if (!isAbsent(value) && !isAbsent(averageValue)) {
      const detail = 'may not set both a target value for metric and a per-pod target';
      errors.push(forbiddenField(`${field}.value`, detail));
    }
  }
}

function checkTarget(errors: Errors, target: JsonObject, path: string): void {
  const type = asText(target.type);
  if (type === '') errors.push(requiredField(`${path}.type`, 'must specify a metric target type'));
  if (!['Utilization', 'Value', 'AverageValue'].includes(type)) {
    errors.push(invalidField(`${path}.type`, type, 'must be either Utilization, Value, or AverageValue'));
  }
  for (const field of ['value', 'averageValue']) {
    if (isAbsent(target[field])) continue;
    const quantity = parseQuantity(String(target[field]));
    if (quantity === undefined || quantity.nano <= 0n) {
      errors.push(invalidField(`${path}.${field}`, target[field], 'must be positive'));
    }
  }
  const { averageUtilization } = target;
  if (!isAbsent(averageUtilization) && asNumber(averageUtilization) < 1) {
    errors.push(invalidField(`${path}.averageUtilization`, averageUtilization, 'must be greater than 0'));
  }
}

function checkScalingRules(errors: Errors, rules: JsonObject, path: string): void {
  const window = rules.stabilizationWindowSeconds;
  const field = `${path}.stabilizationWindowSeconds`;
  if (asNumber(window) < 0) errors.push(invalidField(field, window, 'must be greater than or equal to zero'));
  if (asNumber(window) > MAX_WINDOW_SECONDS) {
    errors.push(invalidField(field, window, `must be less than or equal to ${MAX_WINDOW_SECONDS}`));
  }
  if (!isAbsent(rules.selectPolicy)) {
    checkEnum(errors, rules.selectPolicy, `${path}.selectPolicy`, ['Disabled', 'Max', 'Min']);
  }
  const policies = asObjects(rules.policies);
  if (policies.length === 0)
    errors.push(requiredField(`${path}.policies`, 'must specify at least one Policy'));
  policies.forEach((policy, i) => {
    const at = `${path}.policies[${i}]`;
    const types = ['Percent', 'Pods'];
    if (!types.includes(asText(policy.type))) {
      errors.push(notSupportedField(`${at}.type`, asText(policy.type), types));
    }
    for (const name of ['value', 'periodSeconds']) {
      if (asNumber(policy[name]) <= 0) {
        errors.push(invalidField(`${at}.${name}`, asNumber(policy[name]), 'must be greater than zero'));
      }
    }
    if (asNumber(policy.periodSeconds) > MAX_PERIOD_SECONDS) {
      const detail = `must be less than or equal to ${MAX_PERIOD_SECONDS}`;
      errors.push(invalidField(`${at}.periodSeconds`, policy.periodSeconds, detail));
    }
  });
}
