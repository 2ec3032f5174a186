import { forbiddenField, invalidField, requiredField, tooLongField } from '../field-error.ts';
import { asObject, asText, type JsonObject } from '../json-fields.ts';
import { isJsonObject } from '../object.ts';
import { byteLength, checkDataKey, checkImmutable, type Errors, semanticEquals } from './checks.ts';

/** ConfigMaps and Secrets (pkg/apis/core/validation). */

const LIMIT_BYTES = 1024 * 1024;
const FROZEN = 'field is immutable when `immutable` is set';

export function checkConfigMap(errors: Errors, configMap: JsonObject): void {
  const data = asObject(configMap.data);
  const binary = asObject(configMap.binaryData);
  let totalBytes = 0;
  for (const key of Object.keys(data).sort()) {
    checkDataKey(errors, key, `data[${key}]`);
    if (Object.hasOwn(binary, key)) {
      errors.push(invalidField(`data[${key}]`, key, 'duplicate of key present in binaryData'));
    }
    totalBytes += byteLength(asText(data[key]));
  }
  for (const key of Object.keys(binary).sort()) {
    checkDataKey(errors, key, `binaryData[${key}]`);
    totalBytes += decodedBytes(binary[key]);
  }
  // The object as a whole is meant, which has no path.
  if (totalBytes > LIMIT_BYTES) errors.push(tooLongField('', LIMIT_BYTES));
}

export function checkConfigMapUpdate(errors: Errors, configMap: JsonObject, old: JsonObject): void {
  checkFrozen(errors, configMap, old, ['data', 'binaryData']);
  checkConfigMap(errors, configMap);
}

/** Keys that a Secret of some type must have. */
const REQUIRED_KEYS: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
};
const SERVICE_ACCOUNT_NAME = 'kubernetes.io/service-account.name';

export function checkSecret(errors: Errors, secret: JsonObject): void {
  const data = secretData(secret);
  let totalBytes = 0;
  for (const key of Object.keys(data).sort()) {
    checkDataKey(errors, key, `data[${key}]`);
    totalBytes += decodedBytes(data[key]);
  }
  if (totalBytes > LIMIT_BYTES) errors.push(tooLongField('data', LIMIT_BYTES));
  const type = asText(secret.type);
  for (const key of Object.hasOwn(REQUIRED_KEYS, type) ? (REQUIRED_KEYS[type] as string[]) : []) {
    if (!Object.hasOwn(data, key)) errors.push(requiredField(`data[${key}]`));
    else if (key.startsWith('.docker')) checkJson(errors, asText(data[key]), `data[${key}]`);
  }
  if (type === 'kubernetes.io/service-account-token') {
    const { annotations } = asObject(secret.metadata);
    if (asText(asObject(annotations)[SERVICE_ACCOUNT_NAME]) === '') {
      errors.push(requiredField(`metadata.annotations[${SERVICE_ACCOUNT_NAME}]`));
    }
  } else if (type === 'kubernetes.io/basic-auth') {
    if (!Object.hasOwn(data, 'username') && !Object.hasOwn(data, 'password')) {
      errors.push(requiredField('data[username]'), requiredField('data[password]'));
    }
  } else if (type === 'kubernetes.io/ssh-auth' && asText(data['ssh-privatekey']) === '') {
    errors.push(requiredField('data[ssh-privatekey]'));
  }
}

export function checkSecretUpdate(errors: Errors, secret: JsonObject, old: JsonObject): void {
  checkImmutable(errors, secret.type, old.type, 'type');
  checkFrozen(errors, secret, old, ['data']);
  checkSecret(errors, secret);
}

/** `data` with `stringData` over it, which a client may write in plain text. */
function secretData(secret: JsonObject): JsonObject {
  const plain = Object.entries(asObject(secret.stringData)).map(([key, value]) => [
    key,
    Buffer.from(asText(value)).toString('base64'),
  ]);
  return { ...asObject(secret.data), ...Object.fromEntries(plain) };
}

function checkFrozen(errors: Errors, object: JsonObject, old: JsonObject, fields: readonly string[]): void {
  if (old.immutable !== true) return;
  if (object.immutable !== true) errors.push(forbiddenField('immutable', FROZEN));
  for (const field of fields) {
    if (!semanticEquals(object[field], old[field])) errors.push(forbiddenField(field, FROZEN));
  }
}

function decodedBytes(base64: unknown): number {
  return Buffer.byteLength(asText(base64), 'base64');
}

function checkJson(errors: Errors, base64: string, field: string): void {
  let parsed: unknown;
  let reason = 'json: cannot unmarshal value into Go value of type map[string]interface {}';
  try {
    parsed = JSON.parse(Buffer.from(base64, 'base64').toString());
  } catch (error) {
    reason = (error as Error).message;
  }
  if (!isJsonObject(parsed)) errors.push(invalidField(field, '<secret contents redacted>', reason));
}
