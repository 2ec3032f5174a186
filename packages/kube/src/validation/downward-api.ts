import { invalidField, notSupportedField, requiredField } from '../field-error.ts';
import { asText, isAbsent, type JsonObject } from '../json-fields.ts';
import { qualifiedNameErrors } from '../names.ts';
import { formatQuantity, parseQuantity } from '../quantity.ts';
import { addInvalid, type Errors } from './checks.ts';

/** References to fields of the pod itself, in environments and volumes (pkg/apis/core/validation/validation.go). */

/** Sorted, as the server lists them. */
export const ENVIRONMENT_FIELDS: readonly string[] = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
];
export const VOLUME_FIELDS: readonly string[] = [
  'metadata.annotations',
  'metadata.labels',
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
];
/** Fields that have a name at all, be it supported here or not. */
const KNOWN_FIELDS: ReadonlySet<string> = new Set([
  ...ENVIRONMENT_FIELDS,
  ...VOLUME_FIELDS,
  'spec.restartPolicy',
  'spec.schedulerName',
  'status.phase',
]);
const RESOURCES: readonly string[] = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
];
const BYTE_DIVISORS: readonly string[] = [
  '1',
  ...['k', 'M', 'G', 'T', 'P', 'E', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'].map((unit) => `1${unit}`),
];

export function checkFieldReference(
  errors: Errors,
  reference: JsonObject,
  supported: readonly string[],
  path: string,
): void {
  const version = asText(reference.apiVersion);
  const fieldPath = asText(reference.fieldPath);
  if (version === '') errors.push(requiredField(`${path}.apiVersion`));
  else if (fieldPath === '') errors.push(requiredField(`${path}.fieldPath`));
  if (version === '' || fieldPath === '') return;
  const subscript = /^(.+?)\['([\s\S]*)'\]$/.exec(fieldPath);
  const name = subscript === null ? fieldPath : (subscript[1] as string);
  let problem = '';
  if (version !== 'v1') problem = `unsupported pod version: ${version}`;
  else if (subscript !== null) {
    if (name !== 'metadata.annotations' && name !== 'metadata.labels') {
      problem = `field label does not support subscript: ${fieldPath}`;
    }
  } else if (!KNOWN_FIELDS.has(name) && name !== 'spec.host')
    problem = `field label not supported: ${fieldPath}`;
  if (problem !== '') {
    errors.push(invalidField(`${path}.fieldPath`, fieldPath, `error converting fieldPath: ${problem}`));
  } else if (subscript !== null) {
    const key = subscript[2] as string;
    const checked = name === 'metadata.annotations' ? key.toLowerCase() : key;
    addInvalid(errors, path, checked, qualifiedNameErrors(checked));
  } else if (!supported.includes(name === 'spec.host' ? 'spec.nodeName' : name)) {
    errors.push(notSupportedField(`${path}.fieldPath`, name, supported));
  }
}

/** `ofVolume`: the container must be named. */
export function checkResourceFieldReference(
  errors: Errors,
  reference: JsonObject,
  path: string,
  ofVolume: boolean,
): void {
  const resource = asText(reference.resource);
  const hugePages = /^(limits|requests)\.hugepages-/.test(resource);
  if (ofVolume && asText(reference.containerName) === '') errors.push(requiredField(`${path}.containerName`));
  else if (resource === '') errors.push(requiredField(`${path}.resource`));
  else if (!RESOURCES.includes(resource) && !hugePages) {
    errors.push(notSupportedField(`${path}.resource`, resource, RESOURCES));
  }
  const divisor = isAbsent(reference.divisor) ? undefined : parseQuantity(String(reference.divisor));
  if (divisor === undefined || divisor.nano === 0n) return;
  const kind = resource.replace(/^(limits|requests)\./, '');
  const text = formatQuantity(divisor);
  if (kind === 'cpu') {
    if (text !== '1m' && text !== '1') {
      const detail = "only divisor's values 1m and 1 are supported with the cpu resource";
      errors.push(invalidField(`${path}.divisor`, resource, detail));
    }
    return;
  }
  const what = hugePages ? 'hugepages' : BYTE_RESOURCES[kind];
  if (what === undefined || BYTE_DIVISORS.includes(text)) return;
  const detail = `only divisor's values ${BYTE_DIVISORS.join(', ')} are supported with the ${what} resource`;
  errors.push(invalidField(`${path}.divisor`, resource, detail));
}

const BYTE_RESOURCES: Readonly<Record<string, string>> = {
  memory: 'memory',
  'ephemeral-storage': 'local ephemeral storage',
};
