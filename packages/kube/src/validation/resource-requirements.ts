import { type FieldError, forbiddenField, invalidField, requiredField } from '../field-error.ts';
import { asObject, asObjects, asText, type JsonObject } from '../json-fields.ts';
import { dns1123LabelErrors, qualifiedNameErrors } from '../names.ts';
import {
  compareQuantities,
  formatQuantity,
  parseQuantity,
  type Quantity,
  quantityError,
} from '../quantity.ts';
import { addInvalid, checkUnique, type Errors, NEGATIVE_TEXT } from './checks.ts';

/** Resource names and quantities (pkg/apis/core/validation/validation.go and pkg/apis/core/helper/helpers.go). */

const CONTAINER_RESOURCES: ReadonlySet<string> = new Set(['cpu', 'memory', 'ephemeral-storage']);
const COUNTED_RESOURCES: ReadonlySet<string> = new Set([
  'pods',
  'services',
  'replicationcontrollers',
  'resourcequotas',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'services.nodeports',
  'services.loadbalancers',
]);
const QUOTA_RESOURCES: ReadonlySet<string> = new Set([
  ...COUNTED_RESOURCES,
  ...CONTAINER_RESOURCES,
  'requests.cpu',
  'requests.memory',
  'requests.storage',
  'requests.ephemeral-storage',
  'limits.cpu',
  'limits.memory',
  'limits.ephemeral-storage',
]);
const HUGE_PAGES = 'hugepages-';
const REQUESTS = 'requests.';
const NANO_PER_UNIT = 1_000_000_000n;

/** The quantity of a field; text that is none adds an error. */
export function checkQuantity(errors: Errors, value: unknown, field: string): Quantity | undefined {
  const text = typeof value === 'number' ? String(value) : asText(value);
  const quantity = parseQuantity(text);
  if (quantity === undefined) {
    errors.push(
      invalidField(field, value ?? null, quantityError(text) ?? 'must be a valid resource quantity'),
    );
  }
  return quantity;
}

export function checkNonNegativeQuantity(
  errors: Errors,
  value: unknown,
  field: string,
): Quantity | undefined {
  const quantity = checkQuantity(errors, value, field);
  if (quantity !== undefined && quantity.nano < 0n) {
    errors.push(invalidField(field, formatQuantity(quantity), NEGATIVE_TEXT));
  }
  return quantity;
}

/** Resources of whole things may not be had in part. */
export function checkResourceQuantity(
  errors: Errors,
  resource: string,
  value: unknown,
  field: string,
): Quantity | undefined {
  const quantity = checkNonNegativeQuantity(errors, value, field);
  if (quantity === undefined) return undefined;
  const whole = COUNTED_RESOURCES.has(resource) || isExtended(resource);
  if (whole && quantity.nano % NANO_PER_UNIT !== 0n) {
    errors.push(invalidField(field, formatQuantity(quantity), 'must be an integer'));
  }
  return quantity;
}

/** True when the name is right so far. */
export function checkResourceName(errors: Errors, name: string, field: string): boolean {
  const texts = qualifiedNameErrors(name);
  addInvalid(errors, field, name, texts);
  if (texts.length > 0) return false;
  if (name.includes('/') || QUOTA_RESOURCES.has(name) || name === 'storage' || isQuotaHugePages(name))
    return true;
  errors.push(invalidField(field, name, 'must be a standard resource type or fully qualified'));
  return false;
}

export function checkQuotaResourceName(errors: Errors, name: string, field: string): void {
  checkResourceName(errors, name, field);
  if (name.includes('/') || QUOTA_RESOURCES.has(name) || isQuotaHugePages(name)) return;
  errors.push(invalidField(field, name, 'must be a standard resource for quota'));
}

export function checkContainerResourceName(errors: Errors, name: string, field: string): void {
  checkResourceName(errors, name, field);
  if (!name.includes('/')) {
    if (!CONTAINER_RESOURCES.has(name) && !isHugePages(name)) {
      errors.push(invalidField(field, name, 'must be a standard resource for containers'));
    }
  } else if (!isNative(name) && !isExtended(name)) {
    errors.push(invalidField(field, name, "doesn't follow extended resource name standard"));
  }
}

function isHugePages(name: string): boolean {
  return name.startsWith(HUGE_PAGES);
}

function isQuotaHugePages(name: string): boolean {
  return isHugePages(name) || name.startsWith(`${REQUESTS}${HUGE_PAGES}`);
}

function isNative(name: string): boolean {
  return !name.includes('/') || name.includes('kubernetes.io/');
}

function isExtended(name: string): boolean {
  return (
    !isNative(name) && !name.startsWith(REQUESTS) && qualifiedNameErrors(`${REQUESTS}${name}`).length === 0
  );
}

/** Requests of other resources must equal their limits. */
function mayOvercommit(name: string): boolean {
  return isNative(name) && !isHugePages(name);
}

/** `claimNames` are those of the pod's resourceClaims. */
export function checkResourceRequirements(
  errors: Errors,
  resources: JsonObject,
  claimNames: ReadonlySet<string>,
  path: string,
): void {
  const limits = asObject(resources.limits);
  const requests = asObject(resources.requests);
  const limited = new Map<string, Quantity>();
  for (const name of Object.keys(limits).sort()) {
    const field = `${path}.limits[${name}]`;
    const quantity = checkEntry(errors, name, limits[name], field);
    if (quantity !== undefined) limited.set(name, quantity);
  }
  for (const name of Object.keys(requests).sort()) {
    const quantity = checkEntry(errors, name, requests[name], `${path}.requests[${name}]`);
    const limit = limited.get(name);
    if (quantity === undefined || (limit === undefined && Object.hasOwn(limits, name))) continue;
    if (limit === undefined) {
      if (mayOvercommit(name)) continue;
      errors.push(requiredField(`${path}.limits`, 'Limit must be set for non overcommitable resources'));
    } else {
      const difference = compareQuantities(quantity, limit);
      const right = mayOvercommit(name) ? 'less than or equal to' : 'equal to';
      if (difference > 0 || (difference !== 0 && !mayOvercommit(name))) {
        const detail = `must be ${right} ${name} limit of ${formatQuantity(limit)}`;
        errors.push(invalidField(`${path}.requests`, formatQuantity(quantity), detail));
      }
    }
  }
  const names = [...Object.keys(limits), ...Object.keys(requests)];
  if (names.some(isHugePages) && !names.includes('cpu') && !names.includes('memory')) {
    errors.push(forbiddenField(path, 'HugePages require cpu or memory'));
  }
  checkClaims(errors, resources, claimNames, path);
}

function checkEntry(errors: Errors, name: string, value: unknown, field: string): Quantity | undefined {
  checkContainerResourceName(errors, name, field);
  const quantity = checkResourceQuantity(errors, name, value, field);
  const page = isHugePages(name) ? parseQuantity(name.slice(HUGE_PAGES.length)) : undefined;
  if (quantity !== undefined && page !== undefined && page.nano > 0n && quantity.nano % page.nano !== 0n) {
    const shown = formatQuantity(quantity);
    errors.push(invalidField(field, shown, `${shown} is not positive integer multiple of ${name}`));
  }
  return quantity;
}

function checkClaims(
  errors: Errors,
  resources: JsonObject,
  claimNames: ReadonlySet<string>,
  path: string,
): void {
  const seen = new Set<string>();
  asObjects(resources.claims).forEach((claim, i) => {
    const field = `${path}.claims[${i}]`;
    const name = asText(claim.name);
    const request = asText(claim.request);
    if (name === '') {
      errors.push(requiredField(field));
      return;
    }
    if (request !== '') addInvalid(errors, `${field}.request`, request, dns1123LabelErrors(request));
    checkUnique(errors, seen, request === '' ? name : `${name}/${request}`, field);
    if (claimNames.has(name)) return;
    const known = claimNames.size === 0 ? ' which is empty' : `: ${[...claimNames].sort().join(', ')}`;
    const detail = `must be one of the names in pod.spec.resourceClaims${known}`;
    const error: FieldError = { type: 'FieldValueNotFound', field, badValue: name, detail };
    errors.push(error);
  });
}
