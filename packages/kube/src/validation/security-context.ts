import { invalidField, notSupportedField, requiredField } from '../field-error.ts';
import { asList, asObject, asObjects, asText, isAbsent, isUnset, type JsonObject } from '../json-fields.ts';
import { checkDescendingPath, checkEnum, checkRange, checkUnique, type Errors } from './checks.ts';

/** Security contexts of containers and pods (pkg/apis/core/validation/validation.go). */

const MAX_ID = 2 ** 31 - 1;
const MAX_SYSCTL_LENGTH = 253;
const SYSCTL = '([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const PROFILE_TYPES: readonly string[] = ['Localhost', 'RuntimeDefault', 'Unconfined'];

export function checkSecurityContext(errors: Errors, value: unknown, hostUsers: boolean, path: string): void {
  if (isAbsent(value)) return;
  const context = asObject(value);
  checkIds(errors, context, ['runAsUser', 'runAsGroup'], path);
  if (!isAbsent(context.procMount)) {
    const field = `${path}.procMount`;
    const types = ['Default', 'Unmasked'];
    if (!types.includes(asText(context.procMount))) {
      errors.push(notSupportedField(field, context.procMount, types));
    }
    if (hostUsers && context.procMount === 'Unmasked') {
      errors.push(invalidField(field, context.procMount, '`hostUsers` must be false to use `Unmasked`'));
    }
  }
  checkProfile(errors, context.seccompProfile, 'seccomp', `${path}.seccompProfile`);
  if (context.allowPrivilegeEscalation === false) {
    const cannot = 'cannot set `allowPrivilegeEscalation` to false and';
    if (context.privileged === true) {
      errors.push(invalidField(path, context, `${cannot} \`privileged\` to true`));
    }
    if (asList(asObject(context.capabilities).add).includes('CAP_SYS_ADMIN')) {
      errors.push(invalidField(path, context, `${cannot} \`capabilities.Add\` CAP_SYS_ADMIN`));
    }
  }
  checkProfile(errors, context.appArmorProfile, 'AppArmor', `${path}.appArmorProfile`);
}

/** `spec` is the pod's, which keeps the host namespaces. */
export function checkPodSecurityContext(errors: Errors, spec: JsonObject, path: string): void {
  const context = asObject(spec.securityContext);
  checkIds(errors, context, ['fsGroup', 'runAsUser', 'runAsGroup'], path);
  asList(context.supplementalGroups).forEach((group, i) => {
    checkRange(errors, group, 0, MAX_ID, `${path}.supplementalGroups[${i}]`);
  });
  if (spec.shareProcessNamespace === true && spec.hostPID === true) {
    const detail = 'ShareProcessNamespace and HostPID cannot both be enabled';
    errors.push(invalidField(`${path}.shareProcessNamespace`, true, detail));
  }
  checkSysctls(errors, context, spec, `${path}.sysctls`);
  if (!isAbsent(context.fsGroupChangePolicy)) {
    checkEnum(errors, context.fsGroupChangePolicy, `${path}.fsGroupChangePolicy`, [
      'Always',
      'OnRootMismatch',
    ]);
  }
  checkProfile(errors, context.seccompProfile, 'seccomp', `${path}.seccompProfile`);
  checkProfile(errors, context.appArmorProfile, 'AppArmor', `${path}.appArmorProfile`);
  if (!isAbsent(context.supplementalGroupsPolicy)) {
    const policies = ['Merge', 'Strict'];
    checkEnum(errors, context.supplementalGroupsPolicy, `${path}.supplementalGroupsPolicy`, policies);
  }
}

function checkIds(errors: Errors, context: JsonObject, names: readonly string[], path: string): void {
  for (const name of names) checkRange(errors, context[name], 0, MAX_ID, `${path}.${name}`);
}

function checkProfile(errors: Errors, value: unknown, kind: 'seccomp' | 'AppArmor', path: string): void {
  if (isAbsent(value)) return;
  const profile = asObject(value);
  const type = asText(profile.type);
  const field = `${path}.localhostProfile`;
  if (type === '') {
    const what = kind === 'seccomp' ? 'seccompProfile' : 'appArmorProfile';
    errors.push(requiredField(`${path}.type`, `type is required when ${what} is set`));
  } else if (!PROFILE_TYPES.includes(type)) {
    errors.push(notSupportedField(`${path}.type`, type, PROFILE_TYPES));
  }
  if (type === 'Localhost') {
    if (isUnset(profile.localhostProfile)) {
      errors.push(requiredField(field, `must be set when ${kind} type is Localhost`));
    } else if (kind === 'seccomp') checkDescendingPath(errors, asText(profile.localhostProfile), field);
    else if (asText(profile.localhostProfile).trim() !== profile.localhostProfile) {
      errors.push(invalidField(field, profile.localhostProfile, 'must not be padded with whitespace'));
    }
  } else if (!isAbsent(profile.localhostProfile)) {
    const shown = kind === 'seccomp' ? profile : profile.localhostProfile;
    errors.push(invalidField(field, shown, `can only be set when ${kind} type is Localhost`));
  }
}

function checkSysctls(errors: Errors, context: JsonObject, spec: JsonObject, path: string): void {
  const seen = new Set<string>();
  asObjects(context.sysctls).forEach((sysctl, i) => {
    const name = asText(sysctl.name);
    const field = `${path}[${i}].name`;
    if (name === '') errors.push(requiredField(field));
    else if (name.length > MAX_SYSCTL_LENGTH || !new RegExp(`^${SYSCTL}$`).test(name)) {
      const detail = `must have at most ${MAX_SYSCTL_LENGTH} characters and match regex ^${SYSCTL}$`;
      errors.push(invalidField(field, name, detail));
    } else checkUnique(errors, seen, name, field);
    const key = name.replaceAll('/', '.');
    if (spec.hostNetwork === true && key.startsWith('net.')) {
      errors.push(invalidField(field, name, "may not be specified when 'hostNetwork' is true"));
    } else if (spec.hostIPC === true && /^(kernel\.(shm|sem$|msg)|fs\.mqueue\.)/.test(key)) {
      errors.push(invalidField(field, name, "may not be specified when 'hostIPC' is true"));
    }
  });
}
