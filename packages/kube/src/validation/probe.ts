import { forbiddenField, invalidField, notSupportedField, requiredField } from '../field-error.ts';
import { asNumber, asObject, asObjects, asText, isAbsent, type JsonObject } from '../json-fields.ts';
import { httpHeaderNameErrors } from '../names.ts';
import { addInvalid, checkNonNegatives, checkPortOrName, type Errors, hasItems } from './checks.ts';

/** Probes and lifecycle hooks (pkg/apis/core/validation/validation.go, validateProbe, validateHandler). */

const PROBE_HANDLERS: readonly string[] = ['exec', 'httpGet', 'tcpSocket', 'grpc'];
const HOOK_HANDLERS: readonly string[] = ['exec', 'httpGet', 'tcpSocket', 'sleep'];

/** `owner` is the container; `graceSeconds` what its pod gives it to end, undefined when that is not known. */
export function checkProbes(
  errors: Errors,
  owner: JsonObject,
  graceSeconds: number | undefined,
  path: string,
): void {
  const lifecycle = asObject(owner.lifecycle);
  for (const hook of ['postStart', 'preStop']) {
    if (isAbsent(lifecycle[hook])) continue;
    checkHandler(errors, asObject(lifecycle[hook]), HOOK_HANDLERS, graceSeconds, `${path}.lifecycle.${hook}`);
  }
  for (const kind of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    if (isAbsent(owner[kind])) continue;
    const probe = asObject(owner[kind]);
    const field = `${path}.${kind}`;
    checkProbe(errors, probe, graceSeconds, field);
    if (kind === 'readinessProbe') {
      if (!isAbsent(probe.terminationGracePeriodSeconds)) {
        const detail = 'must not be set for readinessProbes';
        errors.push(
          invalidField(`${field}.terminationGracePeriodSeconds`, probe.terminationGracePeriodSeconds, detail),
        );
      }
    } else if (asNumber(probe.successThreshold) !== 1) {
      errors.push(invalidField(`${field}.successThreshold`, asNumber(probe.successThreshold), 'must be 1'));
    }
  }
}

function checkProbe(errors: Errors, probe: JsonObject, graceSeconds: number | undefined, path: string): void {
  checkHandler(errors, probe, PROBE_HANDLERS, graceSeconds, path);
  checkNonNegatives(errors, probe, path, [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ]);
  const grace = probe.terminationGracePeriodSeconds;
  if (typeof grace === 'number' && grace <= 0) {
    errors.push(invalidField(`${path}.terminationGracePeriodSeconds`, grace, 'must be greater than 0'));
  }
}

function checkHandler(
  errors: Errors,
  handler: JsonObject,
  types: readonly string[],
  graceSeconds: number | undefined,
  path: string,
): void {
  const given = types.filter((type) => !isAbsent(handler[type]));
  given.forEach((type, i) => {
    const field = `${path}.${type}`;
    const action = asObject(handler[type]);
    if (i > 0) errors.push(forbiddenField(field, 'may not specify more than 1 handler type'));
    else if (type === 'exec') {
      if (!hasItems(action.command)) errors.push(requiredField(`${field}.command`));
    } else if (type === 'httpGet') checkHttpGet(errors, action, field);
    else if (type === 'sleep') checkSleep(errors, action, graceSeconds, field);
    else checkPortOrName(errors, action.port, `${field}.port`);
  });
  if (given.length === 0) errors.push(requiredField(path, 'must specify a handler type'));
}

function checkHttpGet(errors: Errors, action: JsonObject, path: string): void {
  if (asText(action.path) === '') errors.push(requiredField(`${path}.path`));
  checkPortOrName(errors, action.port, `${path}.port`);
  const schemes = ['HTTP', 'HTTPS'];
  if (!schemes.includes(asText(action.scheme))) {
    errors.push(notSupportedField(`${path}.scheme`, asText(action.scheme), schemes));
  }
  for (const header of asObjects(action.httpHeaders)) {
    const name = asText(header.name);
    addInvalid(errors, `${path}.httpHeaders`, name, httpHeaderNameErrors(name));
  }
}

function checkSleep(
  errors: Errors,
  action: JsonObject,
  graceSeconds: number | undefined,
  path: string,
): void {
  const seconds = asNumber(action.seconds);
  if (graceSeconds === undefined || (seconds > 0 && seconds <= graceSeconds)) return;
  const detail = `must be greater than 0 and less than terminationGracePeriodSeconds (${graceSeconds}). Enable AllowPodLifecycleSleepActionZeroValue feature gate for zero sleep.`;
  errors.push(invalidField(path, seconds, detail));
}
