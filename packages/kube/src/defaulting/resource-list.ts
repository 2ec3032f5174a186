import { asObject, type JsonObject } from '../json-fields.ts';
import { formatQuantity, parseQuantity } from '../quantity.ts';

const NANO_PER_MILLI = 1_000_000n;

/**
 * Rounds the quantities of a ResourceList up to thousandths and gives them their canonical text, in place
 * (pkg/apis/core/v1/defaults.go, SetDefaults_ResourceList). What is no quantity stays.
 */
export function defaultResourceList(list: unknown): void {
  const quantities = asObject(list);
  for (const [name, value] of Object.entries(quantities)) {
    if (typeof value !== 'string' && typeof value !== 'number') continue;
    const quantity = parseQuantity(String(value));
    if (quantity === undefined) continue;
    const rest = quantity.nano % NANO_PER_MILLI;
    const rounded = rest > 0n ? quantity.nano - rest + NANO_PER_MILLI : quantity.nano - rest;
    quantities[name] = formatQuantity({ ...quantity, nano: rounded });
  }
}

/** `requests` and `limits` of a ResourceRequirements, in place. */
export function defaultResourceRequirements(resources: JsonObject): void {
  defaultResourceList(resources.limits);
  defaultResourceList(resources.requests);
}
