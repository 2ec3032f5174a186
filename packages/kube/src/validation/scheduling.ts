import {
  duplicateField,
  forbiddenField,
  invalidField,
  notSupportedField,
  requiredField,
} from '../field-error.ts';
import {
  asNumber,
  asObject,
  asObjects,
  asText,
  asTexts,
  isAbsent,
  isUnset,
  type JsonObject,
} from '../json-fields.ts';
import {
  dns1123LabelErrors,
  dns1123SubdomainErrors,
  labelValueErrors,
  qualifiedNameErrors,
} from '../names.ts';
import { addInvalid, checkEnum, type Errors } from './checks.ts';
import { checkLabelSelector } from './metadata.ts';

/** Where a pod may run: affinity, tolerations, spreading (pkg/apis/core/validation/validation.go). */

const TAINT_EFFECTS: readonly string[] = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];
const NOT_AN_OPERATOR = 'not a valid selector operator';

export function checkAffinity(errors: Errors, value: unknown, path: string): void {
  const affinity = asObject(value);
  const required = 'requiredDuringSchedulingIgnoredDuringExecution';
  const preferred = 'preferredDuringSchedulingIgnoredDuringExecution';
  const nodes = asObject(affinity.nodeAffinity);
  if (!isAbsent(nodes[required])) {
    checkNodeSelector(errors, asObject(nodes[required]), `${path}.nodeAffinity.${required}`);
  }
  asObjects(nodes[preferred]).forEach((term, i) => {
    const field = `${path}.nodeAffinity.${preferred}[${i}]`;
    checkWeight(errors, term, field);
    checkNodeSelectorTerm(errors, asObject(term.preference), `${field}.preference`);
  });
  for (const kind of ['podAffinity', 'podAntiAffinity']) {
    const pods = asObject(affinity[kind]);
    asObjects(pods[required]).forEach((term, i) => {
      checkPodAffinityTerm(errors, term, `${path}.${kind}.${required}[${i}]`);
    });
    asObjects(pods[preferred]).forEach((term, i) => {
      const field = `${path}.${kind}.${preferred}[${i}]`;
      checkWeight(errors, term, field);
      checkPodAffinityTerm(errors, asObject(term.podAffinityTerm), `${field}.podAffinityTerm`);
    });
  }
}

function checkWeight(errors: Errors, term: JsonObject, path: string): void {
  const weight = asNumber(term.weight);
  if (weight <= 0 || weight > 100) {
    errors.push(invalidField(`${path}.weight`, weight, 'must be in the range 1-100'));
  }
}

export function checkNodeSelector(errors: Errors, selector: JsonObject, path: string): void {
  const terms = asObjects(selector.nodeSelectorTerms);
  if (terms.length === 0) {
    errors.push(requiredField(`${path}.nodeSelectorTerms`, 'must have at least one node selector term'));
  }
  terms.forEach((term, i) => {
    checkNodeSelectorTerm(errors, term, `${path}.nodeSelectorTerms[${i}]`);
  });
}

function checkNodeSelectorTerm(errors: Errors, term: JsonObject, path: string): void {
  asObjects(term.matchExpressions).forEach((requirement, i) => {
    checkNodeLabels(errors, requirement, `${path}.matchExpressions[${i}]`);
  });
  asObjects(term.matchFields).forEach((requirement, i) => {
    checkNodeFields(errors, requirement, `${path}.matchFields[${i}]`);
  });
}

function checkNodeLabels(errors: Errors, requirement: JsonObject, path: string): void {
  const operator = asText(requirement.operator);
  const values = asTexts(requirement.values);
  const field = `${path}.values`;
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) {
      errors.push(requiredField(field, "must be specified when `operator` is 'In' or 'NotIn'"));
    }
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0) {
      errors.push(
        forbiddenField(field, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
      );
    }
  } else if (operator === 'Gt' || operator === 'Lt') {
    if (values.length !== 1) {
      errors.push(requiredField(field, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
    }
  } else errors.push(invalidField(`${path}.operator`, operator, NOT_AN_OPERATOR));
  const key = asText(requirement.key);
  addInvalid(errors, `${path}.key`, key, qualifiedNameErrors(key));
}

function checkNodeFields(errors: Errors, requirement: JsonObject, path: string): void {
  const operator = asText(requirement.operator);
  const values = asTexts(requirement.values);
  if (operator !== 'In' && operator !== 'NotIn') {
    errors.push(invalidField(`${path}.operator`, operator, NOT_AN_OPERATOR));
  } else if (values.length !== 1) {
    const detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
    errors.push(requiredField(`${path}.values`, detail));
  }
  if (requirement.key !== 'metadata.name') {
    errors.push(invalidField(`${path}.key`, asText(requirement.key), 'not a valid field selector key'));
    return;
  }
  values.forEach((value, i) => {
    addInvalid(errors, `${path}.values[${i}]`, value, dns1123SubdomainErrors(value));
  });
}

function checkPodAffinityTerm(errors: Errors, term: JsonObject, path: string): void {
  checkLabelSelector(errors, term.labelSelector, `${path}.labelSelector`);
  checkLabelSelector(errors, term.namespaceSelector, `${path}.namespaceSelector`);
  for (const name of asTexts(term.namespaces)) {
    addInvalid(errors, `${path}.namespace`, name, dns1123LabelErrors(name));
  }
  const matched = asTexts(term.matchLabelKeys);
  const mismatched = asTexts(term.mismatchLabelKeys);
  for (const [name, keys] of Object.entries({ matchLabelKeys: matched, mismatchLabelKeys: mismatched })) {
    if (keys.length > 0 && isAbsent(term.labelSelector)) {
      errors.push(forbiddenField(`${path}.${name}`, 'must not be specified when labelSelector is not set'));
    } else {
      keys.forEach((key, i) => {
        addInvalid(errors, `${path}.${name}[${i}]`, key, qualifiedNameErrors(key));
      });
    }
  }
  matched.forEach((key, i) => {
    if (!mismatched.includes(key)) return;
    const detail = 'exists in both matchLabelKeys and mismatchLabelKeys';
    errors.push(invalidField(`${path}.matchLabelKeys[${i}]`, key, detail));
  });
  const topologyKey = asText(term.topologyKey);
  const field = `${path}.topologyKey`;
  if (topologyKey === '') errors.push(requiredField(field, 'can not be empty'));
  addInvalid(errors, field, topologyKey, qualifiedNameErrors(topologyKey));
}

export function checkTolerations(errors: Errors, value: unknown, path: string): void {
  asObjects(value).forEach((toleration, i) => {
    const field = `${path}[${i}]`;
    const key = asText(toleration.key);
    const operator = asText(toleration.operator);
    const given = asText(toleration.value);
    const effect = asText(toleration.effect);
    if (key !== '') addInvalid(errors, `${field}.key`, key, qualifiedNameErrors(key));
    else if (operator !== 'Exists') {
      const detail =
        'operator must be Exists when `key` is empty, which means "match all values and all keys"';
      errors.push(invalidField(`${field}.operator`, operator, detail));
    }
    if (!isAbsent(toleration.tolerationSeconds) && effect !== 'NoExecute') {
      const detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
      errors.push(invalidField(`${field}.effect`, effect, detail));
    }
    if (operator === 'Equal' || operator === '') {
      const texts = labelValueErrors(given);
      if (texts.length > 0) errors.push(invalidField(`${field}.operator`, given, texts.join(';')));
    } else if (operator !== 'Exists') {
      errors.push(notSupportedField(`${field}.operator`, operator, ['Equal', 'Exists']));
    } else if (given !== '') {
      errors.push(
        invalidField(`${field}.operator`, given, "value must be empty when `operator` is 'Exists'"),
      );
    }
    if (effect !== '' && !TAINT_EFFECTS.includes(effect)) {
      errors.push(notSupportedField(`${field}.effect`, effect, TAINT_EFFECTS));
    }
  });
}

/** The taints of a node. */
export function checkTaints(errors: Errors, value: unknown, path: string): void {
  const seen = new Set<string>();
  asObjects(value).forEach((taint, i) => {
    const field = `${path}[${i}]`;
    const key = asText(taint.key);
    const given = asText(taint.value);
    addInvalid(errors, `${field}.key`, key, qualifiedNameErrors(key));
    const texts = labelValueErrors(given);
    if (texts.length > 0) errors.push(invalidField(`${field}.value`, given, texts.join(';')));
    checkEnum(errors, taint.effect, `${field}.effect`, TAINT_EFFECTS);
    const pair = `${key}/${asText(taint.effect)}`;
    if (seen.has(pair)) {
      const detail = 'taints must be unique by key and effect pair';
      errors.push({ ...duplicateField(field, taint), detail });
    }
    seen.add(pair);
  });
}

export function checkTopologySpread(errors: Errors, value: unknown, path: string): void {
  const constraints = asObjects(value);
  constraints.forEach((constraint, i) => {
    const field = `${path}[${i}]`;
    const action = asText(constraint.whenUnsatisfiable);
    const topologyKey = asText(constraint.topologyKey);
    if (asNumber(constraint.maxSkew) <= 0) {
      errors.push(
        invalidField(`${field}.maxSkew`, asNumber(constraint.maxSkew), 'must be greater than zero'),
      );
    }
    if (topologyKey === '') errors.push(requiredField(`${field}.topologyKey`, 'can not be empty'));
    const actions = ['DoNotSchedule', 'ScheduleAnyway'];
    if (!actions.includes(action)) {
      errors.push(notSupportedField(`${field}.whenUnsatisfiable`, action, actions));
    }
    const repeated = constraints
      .slice(i + 1)
      .some((other) => other.topologyKey === topologyKey && other.whenUnsatisfiable === action);
    if (repeated) {
      const pair = `{${topologyKey}, ${action}}`;
      errors.push(duplicateField(`${field}.{topologyKey, whenUnsatisfiable}`, pair));
    }
    checkMinDomains(errors, constraint.minDomains, action, `${field}.minDomains`);
    for (const name of ['nodeAffinityPolicy', 'nodeTaintsPolicy']) {
      if (!isAbsent(constraint[name])) {
        checkEnum(errors, constraint[name], `${field}.${name}`, ['Honor', 'Ignore']);
      }
    }
    checkSpreadKeys(errors, constraint, field);
    checkLabelSelector(errors, constraint.labelSelector, `${field}.labelSelector`);
  });
}

function checkMinDomains(errors: Errors, minDomains: unknown, action: string, field: string): void {
  if (isUnset(minDomains)) return;
  if (asNumber(minDomains) <= 0) {
    errors.push(invalidField(field, minDomains, 'must be greater than zero'));
  }
  if (action !== 'DoNotSchedule') {
    const detail = `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${action}`;
    errors.push(invalidField(field, minDomains, detail));
  }
}

function checkSpreadKeys(errors: Errors, constraint: JsonObject, path: string): void {
  const keys = asTexts(constraint.matchLabelKeys);
  if (keys.length === 0) return;
  const field = `${path}.matchLabelKeys`;
  const selector = asObject(constraint.labelSelector);
  if (isAbsent(constraint.labelSelector)) {
    errors.push(forbiddenField(field, 'must not be specified when labelSelector is not set'));
  }
  const selected = new Set([
    ...Object.keys(asObject(selector.matchLabels)),
    ...asObjects(selector.matchExpressions).map((expression) => asText(expression.key)),
  ]);
  keys.forEach((key, i) => {
    addInvalid(errors, `${field}[${i}]`, key, qualifiedNameErrors(key));
    if (selected.has(key)) {
      errors.push(invalidField(`${field}[${i}]`, key, 'exists in both matchLabelKeys and labelSelector'));
    }
  });
}
