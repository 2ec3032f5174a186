import {
  duplicateField,
  forbiddenField,
  invalidField,
  notSupportedField,
  requiredField,
} from '../field-error.ts';
import { asNumber, asObject, asObjects, asText, isAbsent, isEmpty, type JsonObject } from '../json-fields.ts';
import {
  configMapKeyErrors,
  dns1123LabelErrors,
  dns1123SubdomainErrors,
  environmentNameErrors,
  portNameErrors,
  portNumberErrors,
} from '../names.ts';
import { addInvalid, checkEnum, checkRange, checkUnique, type Errors } from './checks.ts';
import { checkFieldReference, checkResourceFieldReference, ENVIRONMENT_FIELDS } from './downward-api.ts';
import { withMaskedDash } from './metadata.ts';
import { checkProbes } from './probe.ts';
import { checkResourceRequirements } from './resource-requirements.ts';
import { checkSecurityContext } from './security-context.ts';
import { PROTOCOLS } from './service.ts';
import { checkMounts } from './volumes.ts';

/** Containers of a pod (pkg/apis/core/validation/validation.go, validateContainers and its siblings). */

/** What containers need to know of their pod. */
export interface PodContext {
  readonly spec: JsonObject;
  /** The well-formed volumes by name. */
  readonly volumes: ReadonlyMap<string, JsonObject>;
  /** Names of the pod's resourceClaims. */
  readonly claimNames: ReadonlySet<string>;
  /** terminationGracePeriodSeconds. */
  readonly graceSeconds: number | undefined;
}

/** Fields that an ephemeral container may have. */
const EPHEMERAL_FIELDS: ReadonlySet<string> = new Set([
  'name',
  'image',
  'command',
  'args',
  'workingDir',
  'resizePolicy',
  'env',
  'envFrom',
  'volumeMounts',
  'volumeDevices',
  'terminationMessagePath',
  'terminationMessagePolicy',
  'imagePullPolicy',
  'securityContext',
  'stdin',
  'stdinOnce',
  'targetContainerName',
  'tty',
]);

export function checkContainers(errors: Errors, pod: PodContext, path: string): void {
  const containers = asObjects(pod.spec.containers);
  if (containers.length === 0) errors.push(requiredField(path));
  const names = new Set<string>();
  containers.forEach((container, i) => {
    const field = `${path}[${i}]`;
    checkContainer(errors, container, pod, field);
    checkUnique(errors, names, asText(container.name), `${field}.name`);
    checkProbes(errors, container, pod.graceSeconds, field);
    if (!isAbsent(container.restartPolicy)) {
      errors.push(forbiddenField(`${field}.restartPolicy`, 'may not be set for non-init containers'));
    }
  });
  checkHostPorts(errors, containers, path);
}

export function checkInitContainers(errors: Errors, pod: PodContext, path: string): void {
  const names = new Set(asObjects(pod.spec.containers).map((container) => asText(container.name)));
  asObjects(pod.spec.initContainers).forEach((container, i) => {
    const field = `${path}[${i}]`;
    const name = asText(container.name);
    checkContainer(errors, container, pod, field);
    if (!isAbsent(container.restartPolicy) && container.restartPolicy !== 'Always') {
      errors.push(notSupportedField(`${field}.restartPolicy`, container.restartPolicy, ['Always']));
    }
    if (names.has(name)) errors.push(duplicateField(`${field}.name`, name));
    else if (name !== '') names.add(name);
    checkHostPorts(errors, [container], path);
    if (container.restartPolicy === 'Always') checkProbes(errors, container, pod.graceSeconds, field);
    else {
      for (const part of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe']) {
        if (isAbsent(container[part])) continue;
        const detail = 'may not be set for init containers without restartPolicy=Always';
        errors.push(forbiddenField(`${field}.${part}`, detail));
      }
    }
  });
}

export function checkEphemeralContainers(errors: Errors, pod: PodContext, path: string): void {
  const others = new Set(
    [...asObjects(pod.spec.containers), ...asObjects(pod.spec.initContainers)].map((each) =>
      asText(each.name),
    ),
  );
  const names = new Set(others);
  asObjects(pod.spec.ephemeralContainers).forEach((container, i) => {
    const field = `${path}[${i}]`;
    checkContainer(errors, container, pod, field);
    checkImageSpace(errors, container, field);
    checkUnique(errors, names, asText(container.name), `${field}.name`);
    const target = asText(container.targetContainerName);
    if (target !== '' && !others.has(target)) {
      const error = { type: 'FieldValueNotFound', badValue: target, detail: '' } as const;
      errors.push({ ...error, field: `${field}.targetContainerName` });
    }
    const detail = 'cannot be set for an Ephemeral Container';
    for (const part of Object.keys(container)) {
      if (EPHEMERAL_FIELDS.has(part) || isEmpty(container[part])) continue;
      errors.push(forbiddenField(`${field}.${part}`, detail));
    }
    asObjects(container.volumeMounts).forEach((mount, j) => {
      for (const part of ['subPath', 'subPathExpr']) {
        if (asText(mount[part]) !== '') {
          errors.push(forbiddenField(`${field}.volumeMounts[${j}].${part}`, detail));
        }
      }
    });
  });
}

/** Of pods, not of templates: their images may not carry spaces around. */
export function checkImageSpace(errors: Errors, container: JsonObject, path: string): void {
  const image = asText(container.image);
  if (image.trim() !== image) {
    errors.push(invalidField(`${path}.image`, image, 'must not have leading or trailing whitespace'));
  }
}

function checkContainer(errors: Errors, container: JsonObject, pod: PodContext, path: string): void {
  const name = asText(container.name);
  if (name === '') errors.push(requiredField(`${path}.name`));
  else addInvalid(errors, `${path}.name`, name, dns1123LabelErrors(name));
  if (asText(container.image) === '') errors.push(requiredField(`${path}.image`));
  checkEnum(errors, container.terminationMessagePolicy, `${path}.terminationMessagePolicy`, [
    'File',
    'FallbackToLogsOnError',
  ]);
  checkPorts(errors, container, path);
  checkEnvironment(errors, container, path);
  checkMounts(errors, container, pod.volumes, path);
  checkEnum(errors, container.imagePullPolicy, `${path}.imagePullPolicy`, [
    'Always',
    'IfNotPresent',
    'Never',
  ]);
  checkResourceRequirements(errors, asObject(container.resources), pod.claimNames, `${path}.resources`);
  checkResizePolicy(errors, container, pod.spec, `${path}.resizePolicy`);
  const hostUsers = pod.spec.hostUsers !== false;
  checkSecurityContext(errors, container.securityContext, hostUsers, `${path}.securityContext`);
}

function checkPorts(errors: Errors, container: JsonObject, path: string): void {
  const names = new Set<string>();
  asObjects(container.ports).forEach((port, i) => {
    const field = `${path}.ports[${i}]`;
    const name = asText(port.name);
    if (name !== '') {
      const texts = portNameErrors(name);
      if (texts.length > 0) addInvalid(errors, `${field}.name`, name, texts);
      else checkUnique(errors, names, name, `${field}.name`);
    }
    const number = asNumber(port.containerPort);
    if (number === 0) errors.push(requiredField(`${field}.containerPort`));
    else addInvalid(errors, `${field}.containerPort`, number, portNumberErrors(number));
    if (asNumber(port.hostPort) !== 0) checkRange(errors, port.hostPort, 1, 65535, `${field}.hostPort`);
    checkEnum(errors, port.protocol, `${field}.protocol`, PROTOCOLS);
  });
}

function checkHostPorts(errors: Errors, containers: readonly JsonObject[], path: string): void {
  const seen = new Set<string>();
  containers.forEach((container, i) => {
    asObjects(container.ports).forEach((port, j) => {
      if (asNumber(port.hostPort) === 0) return;
      const key = `${asText(port.protocol)}/${asText(port.hostIP)}/${port.hostPort}`;
      checkUnique(errors, seen, key, `${path}[${i}].ports[${j}].hostPort`);
    });
  });
}

function checkEnvironment(errors: Errors, container: JsonObject, path: string): void {
  asObjects(container.env).forEach((variable, i) => {
    const field = `${path}.env[${i}]`;
    const name = asText(variable.name);
    if (name === '') errors.push(requiredField(`${field}.name`));
    else addInvalid(errors, `${field}.name`, name, environmentNameErrors(name));
    if (!isAbsent(variable.valueFrom)) checkValueFrom(errors, variable, `${field}.valueFrom`);
  });
  asObjects(container.envFrom).forEach((source, i) => {
    const field = `${path}.envFrom[${i}]`;
    const prefix = asText(source.prefix);
    if (prefix !== '') addInvalid(errors, `${field}.prefix`, prefix, environmentNameErrors(prefix));
    const given = ['configMapRef', 'secretRef'].filter((type) => !isAbsent(source[type]));
    for (const type of given) {
      const name = asText(asObject(source[type]).name);
      if (name === '') errors.push(requiredField(`${field}.${type}.name`));
      else {
        addInvalid(errors, `${field}.${type}.name`, name, dns1123SubdomainErrors(withMaskedDash(name)));
      }
    }
    if (given.length === 0) {
      const detail = 'must specify one of: `configMapRef` or `secretRef`';
      errors.push(invalidField(`${path}.envFrom`, '', detail));
    } else if (given.length > 1) {
      const detail = 'may not have more than one field specified at a time';
      errors.push(invalidField(`${path}.envFrom`, '', detail));
    }
  });
}

function checkValueFrom(errors: Errors, variable: JsonObject, path: string): void {
  const source = asObject(variable.valueFrom);
  const types = ['fieldRef', 'resourceFieldRef', 'configMapKeyRef', 'secretKeyRef'];
  const given = types.filter((type) => !isAbsent(source[type]));
  for (const type of given) {
    const reference = asObject(source[type]);
    const field = `${path}.${type}`;
    if (type === 'fieldRef') checkFieldReference(errors, reference, ENVIRONMENT_FIELDS, field);
    else if (type === 'resourceFieldRef') checkResourceFieldReference(errors, reference, field, false);
    else {
      const name = asText(reference.name);
      const key = asText(reference.key);
      addInvalid(errors, `${field}.name`, name, dns1123SubdomainErrors(name));
      if (key === '') errors.push(requiredField(`${field}.key`));
      else addInvalid(errors, `${field}.key`, key, configMapKeyErrors(key));
    }
  }
  let detail = '';
  if (given.length === 0) {
    detail = 'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`';
  } else if (asText(variable.value) !== '') detail = 'may not be specified when `value` is not empty';
  else if (given.length > 1) detail = 'may not have more than one field specified at a time';
  if (detail !== '') errors.push(invalidField(path, '', detail));
}

function checkResizePolicy(errors: Errors, container: JsonObject, spec: JsonObject, path: string): void {
  const seen = new Set<string>();
  asObjects(container.resizePolicy).forEach((policy, i) => {
    checkUnique(errors, seen, asText(policy.resourceName), `${path}[${i}]`);
    checkEnum(errors, policy.resourceName, path, ['cpu', 'memory']);
    checkEnum(errors, policy.restartPolicy, path, ['NotRequired', 'RestartContainer']);
    if (spec.restartPolicy === 'Never' && policy.restartPolicy !== 'NotRequired') {
      const detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
      errors.push(invalidField(path, asText(policy.restartPolicy), detail));
    }
  });
}
