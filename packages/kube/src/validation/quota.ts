import { duplicateField, forbiddenField, invalidField, requiredField } from '../field-error.ts';
import { asObject, asObjects, asText, asTexts, isEmpty, type JsonObject } from '../json-fields.ts';
import { compareQuantities, formatQuantity, parseQuantity, type Quantity } from '../quantity.ts';
import { checkImmutable, type Errors } from './checks.ts';
import {
  checkContainerResourceName,
  checkQuotaResourceName,
  checkResourceName,
  checkResourceQuantity,
} from './resource-requirements.ts';

/** LimitRanges and ResourceQuotas (pkg/apis/core/validation). */

const LIMIT_TYPES: readonly string[] = ['Pod', 'Container', 'PersistentVolumeClaim'];
const LISTS = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const;
const QUOTA_SCOPES: readonly string[] = [
  'Terminating',
  'NotTerminating',
  'BestEffort',
  'NotBestEffort',
  'PriorityClass',
  'CrossNamespacePodAffinity',
];

export function checkResourceQuota(errors: Errors, quota: JsonObject): void {
  const spec = asObject(quota.spec);
  checkHard(errors, spec.hard, 'spec.hard');
  const scopes = asTexts(spec.scopes);
  for (const scope of scopes) {
    if (!QUOTA_SCOPES.includes(scope)) errors.push(invalidField('spec.scopes', scopes, 'unsupported scope'));
  }
  checkConflicts(errors, scopes, scopes, 'spec.scopes');
  const path = 'spec.scopeSelector.matchExpressions';
  const expressions = asObjects(asObject(spec.scopeSelector).matchExpressions);
  for (const expression of expressions) checkScopeExpression(errors, expression, path);
  checkConflicts(
    errors,
    expressions.map((expression) => asText(expression.scopeName)),
    scopes,
    path,
  );
}

export function checkResourceQuotaUpdate(errors: Errors, quota: JsonObject, old: JsonObject): void {
  checkResourceQuota(errors, quota);
  const sorted = (owner: JsonObject) => [...asTexts(asObject(owner.spec).scopes)].sort();
  checkImmutable(errors, sorted(quota), sorted(old), 'spec.scopes');
}

export function checkResourceQuotaStatus(errors: Errors, quota: JsonObject): void {
  const status = asObject(quota.status);
  checkHard(errors, status.hard, 'status.hard');
  checkHard(errors, status.used, 'status.used');
}

function checkHard(errors: Errors, hard: unknown, path: string): void {
  for (const [name, value] of Object.entries(asObject(hard))) {
    checkQuotaResourceName(errors, name, `${path}[${name}]`);
    checkResourceQuantity(errors, name, value, `${path}[${name}]`);
  }
}

function checkConflicts(
  errors: Errors,
  scopes: readonly string[],
  shown: readonly string[],
  field: string,
): void {
  for (const [one, other] of [
    ['BestEffort', 'NotBestEffort'],
    ['Terminating', 'NotTerminating'],
  ] as const) {
    if (scopes.includes(one) && scopes.includes(other)) {
      errors.push(invalidField(field, shown, 'conflicting scopes'));
    }
  }
}

function checkScopeExpression(errors: Errors, expression: JsonObject, path: string): void {
  const scope = asText(expression.scopeName);
  const operator = asText(expression.operator);
  const values = asTexts(expression.values);
  if (!QUOTA_SCOPES.includes(scope))
    errors.push(invalidField(`${path}.scopeName`, scope, 'unsupported scope'));
  else if (scope !== 'PriorityClass' && operator !== 'Exists') {
    const detail =
      "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
    errors.push(invalidField(`${path}.operator`, operator, detail));
  }
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) {
      const detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
      errors.push(requiredField(`${path}.values`, detail));
    }
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0) {
      const detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
      errors.push(invalidField(`${path}.values`, values, detail));
    }
  } else errors.push(invalidField(`${path}.operator`, operator, 'not a valid selector operator'));
}

export function checkLimitRange(errors: Errors, limitRange: JsonObject): void {
  const seen = new Set<string>();
  asObjects(asObject(limitRange.spec).limits).forEach((limit, i) => {
    const path = `spec.limits[${i}]`;
    const type = asText(limit.type);
    if (!LIMIT_TYPES.includes(type) && !type.includes('/')) {
      const detail = 'must be a standard limit type or fully qualified';
      errors.push(invalidField(`${path}.type`, type, detail));
    }
    if (seen.has(type)) errors.push(duplicateField(`${path}.type`, type));
    seen.add(type);
    checkLimit(errors, limit, type, path);
  });
}

function checkLimit(errors: Errors, limit: JsonObject, type: string, path: string): void {
  const names = new Set<string>();
  for (const list of LISTS) {
    const ofPod = type === 'Pod' && (list === 'default' || list === 'defaultRequest');
    if (ofPod) {
      if (!isEmpty(limit[list])) {
        errors.push(forbiddenField(`${path}.${list}`, "may not be specified when `type` is 'Pod'"));
      }
      continue;
    }
    for (const name of Object.keys(asObject(limit[list]))) {
      const field = `${path}.${list}[${name}]`;
      if (type === 'Pod' || type === 'Container') checkContainerResourceName(errors, name, field);
      else checkResourceName(errors, name, field);
      names.add(name);
    }
  }
  const amount = (list: (typeof LISTS)[number], name: string) => {
    const value = asObject(limit[list])[name];
    return value === undefined ? undefined : parseQuantity(String(value));
  };
  if (
    type === 'PersistentVolumeClaim' &&
    amount('min', 'storage') === undefined &&
    amount('max', 'storage') === undefined
  ) {
    const detail = 'either minimum or maximum storage value is required, but neither was provided';
    errors.push(requiredField(`${path}.limits`, detail));
  }
  for (const name of [...names].sort()) {
    const ordered = [
      ['min', 'max', 'min', 'min value', 'max value'],
      ['min', 'defaultRequest', 'defaultRequest', 'min value', 'default request value'],
      ['defaultRequest', 'max', 'defaultRequest', 'default request value', 'max value'],
      ['defaultRequest', 'default', 'defaultRequest', 'default request value', 'default limit value'],
      ['min', 'default', 'default', 'min value', 'default value'],
      ['default', 'max', 'default', 'default value', 'max value'],
    ] as const;
    for (const [lowList, highList, at, lowName, highName] of ordered) {
      const low = amount(lowList, name);
      const high = amount(highList, name);
      if (low === undefined || high === undefined || compareQuantities(low, high) <= 0) continue;
      const detail = `${lowName} ${formatQuantity(low)} is greater than ${highName} ${formatQuantity(high)}`;
      errors.push(invalidField(`${path}.${at}[${name}]`, asObject(limit[at])[name], detail));
    }
    checkRatio(errors, amount('maxLimitRequestRatio', name), `${path}.maxLimitRequestRatio[${name}]`);
  }
}

function checkRatio(errors: Errors, ratio: Quantity | undefined, field: string): void {
  if (ratio === undefined || ratio.nano >= 1_000_000_000n) return;
  const shown = formatQuantity(ratio);
  errors.push(invalidField(field, shown, `ratio ${shown} is less than 1`));
}
