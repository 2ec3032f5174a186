import { isExternallyAccessible } from '../defaulting/service.ts';
import {
  duplicateField,
  forbiddenField,
  invalidField,
  notSupportedField,
  requiredField,
} from '../field-error.ts';
import {
  asList,
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
  portNumberErrors,
  qualifiedNameErrors,
} from '../names.ts';
import {
  addInvalid,
  checkEnum,
  checkPortOrName,
  checkRange,
  checkUnique,
  type Errors,
  IMMUTABLE_TEXT,
} from './checks.ts';
import { checkAddress, checkNonSpecialAddress, checkPrefix, parseAddressBits } from './ip-address.ts';
import { checkLabels } from './metadata.ts';

/** Services (pkg/apis/core/validation/validation.go, ValidateService and what it calls). */

export const PROTOCOLS: readonly string[] = ['SCTP', 'TCP', 'UDP'];
const NONE = 'None';
const KUBELET_PORT = 10250;
const MAX_AFFINITY_SECONDS = 86_400;
const FAMILIES: readonly string[] = ['IPv4', 'IPv6'];
const FAMILY_POLICIES: readonly string[] = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];
const TYPES: readonly string[] = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const SOURCE_RANGES = 'service.beta.kubernetes.io/load-balancer-source-ranges';
const TOPOLOGY_HINTS = 'service.kubernetes.io/topology-aware-hints';
const TOPOLOGY_MODE = 'service.kubernetes.io/topology-mode';

export function checkService(errors: Errors, service: JsonObject): void {
  const spec = asObject(service.spec);
  const annotations = asObject(asObject(service.metadata).annotations);
  const mode = annotations[TOPOLOGY_MODE];
  const hints = annotations[TOPOLOGY_HINTS];
  if (mode !== undefined && hints !== undefined && mode !== hints) {
    const detail = `must match annotations[${TOPOLOGY_HINTS}] when both are specified`;
    errors.push(invalidField(`metadata.annotations[${TOPOLOGY_MODE}]`, mode, detail));
  }
  const ports = asObjects(spec.ports);
  const headless = isHeadless(spec);
  if (ports.length === 0 && !headless && spec.type !== 'ExternalName')
    errors.push(requiredField('spec.ports'));
  checkType(errors, spec, ports, headless);
  const names = new Set<string>();
  ports.forEach((port, i) => {
    checkServicePort(errors, port, ports.length > 1, names, `spec.ports[${i}]`);
  });
  checkLabels(errors, spec.selector, 'spec.selector');
  checkSessionAffinity(errors, spec);
  checkClusterIps(errors, spec);
  asTexts(spec.externalIPs).forEach((ip, i) => {
    const field = `spec.externalIPs[${i}]`;
    if (checkAddress(errors, ip, field) !== undefined) checkNonSpecialAddress(errors, ip, field);
  });
  checkEnum(errors, spec.type, 'spec.type', TYPES);
  checkPortNumbers(errors, spec, ports);
  checkSourceRanges(errors, spec, annotations);
  if (spec.type !== 'LoadBalancer') {
    if (!isAbsent(spec.allocateLoadBalancerNodePorts)) {
      errors.push(forbiddenField('spec.allocateLoadBalancerNodePorts', ONLY_LOAD_BALANCER));
    }
  } else if (isAbsent(spec.allocateLoadBalancerNodePorts)) {
    errors.push(requiredField('allocateLoadBalancerNodePorts'));
  }
  checkLoadBalancerClass(errors, spec);
  checkTrafficPolicies(errors, spec);
}

const ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'";

export function checkServiceUpdate(errors: Errors, service: JsonObject, old: JsonObject): void {
  const spec = asObject(service.spec);
  const before = asObject(old.spec);
  if (spec.type !== 'ExternalName' && before.type !== 'ExternalName') {
    checkClusterIpChange(errors, spec, before);
    checkFamilyChange(errors, spec, before);
  }
  if (
    spec.type === 'LoadBalancer' &&
    before.type === 'LoadBalancer' &&
    (spec.loadBalancerClass ?? null) !== (before.loadBalancerClass ?? null)
  ) {
    errors.push(
      invalidField('spec.loadBalancerClass', spec.loadBalancerClass ?? null, 'may not change once set'),
    );
  }
  if (
    needsHealthCheck(spec) &&
    needsHealthCheck(before) &&
    asNumber(spec.healthCheckNodePort) !== asNumber(before.healthCheckNodePort)
  ) {
    errors.push(forbiddenField('spec.healthCheckNodePort', IMMUTABLE_TEXT));
  }
  checkService(errors, service);
}

export function checkServiceStatus(errors: Errors, service: JsonObject): void {
  const loadBalancer = asObject(asObject(service.status).loadBalancer);
  const ingress = asObjects(loadBalancer.ingress);
  if (asObject(service.spec).type !== 'LoadBalancer' && ingress.length > 0) {
    const detail = "may only be used when `spec.type` is 'LoadBalancer'";
    errors.push(forbiddenField('status.loadBalancer.ingress', detail));
    return;
  }
  ingress.forEach((each, i) => {
    const path = `status.loadBalancer.ingress[${i}]`;
    const ip = asText(each.ip);
    if (ip !== '') checkAddress(errors, ip, `${path}.ip`);
    if (isAbsent(each.ipMode)) {
      if (ip !== '') errors.push(requiredField(`${path}.ipMode`, 'must be specified when `ip` is set'));
    } else if (ip === '') {
      errors.push(forbiddenField(`${path}.ipMode`, 'may not be specified when `ip` is not set'));
    } else checkEnum(errors, each.ipMode, `${path}.ipMode`, ['Proxy', 'VIP']);
    checkHostname(errors, asText(each.hostname), `${path}.hostname`);
  });
}

/** A DNS name where an address stands elsewhere; '' is none. */
export function checkHostname(errors: Errors, hostname: string, field: string): void {
  if (hostname === '') return;
  addInvalid(errors, field, hostname, dns1123SubdomainErrors(hostname));
  if (parseAddressBits(hostname) !== undefined) {
    errors.push(invalidField(field, hostname, 'must be a DNS name, not an IP address'));
  }
}

/** clusterIPs, or what clusterIP alone says: the server keeps the two alike. */
function clusterIpsOf(spec: JsonObject): readonly string[] {
  if (asList(spec.clusterIPs).length > 0) return asTexts(spec.clusterIPs);
  return isUnset(spec.clusterIP) ? [] : [asText(spec.clusterIP)];
}

function isHeadless(spec: JsonObject): boolean {
  const ips = clusterIpsOf(spec);
  return ips.length === 1 && ips[0] === NONE;
}

function needsHealthCheck(spec: JsonObject): boolean {
  return spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';
}

function checkType(errors: Errors, spec: JsonObject, ports: readonly JsonObject[], headless: boolean): void {
  const { type } = spec;
  if (type === 'LoadBalancer') {
    ports.forEach((port, i) => {
      if (port.port !== KUBELET_PORT) return;
      const detail = `may not expose port ${KUBELET_PORT} externally since it is used by kubelet`;
      errors.push(invalidField(`spec.ports[${i}]`, port.port, detail));
    });
  }
  if ((type === 'LoadBalancer' || type === 'NodePort') && headless) {
    errors.push(invalidField('spec.clusterIPs[0]', NONE, `may not be set to 'None' for ${type} services`));
  }
  if (type !== 'ExternalName') return;
  const forbidden = 'may not be set for ExternalName services';
  if (clusterIpsOf(spec).length > 0) errors.push(forbiddenField('spec.clusterIPs', forbidden));
  if (asList(spec.ipFamilies).length > 0) errors.push(forbiddenField('spec.ipFamilies', forbidden));
  if (!isAbsent(spec.ipFamilyPolicy)) errors.push(forbiddenField('spec.ipFamilyPolicy', forbidden));
  const name = asText(spec.externalName).replace(/\.$/, '');
  if (name === '') errors.push(requiredField('spec.externalName'));
  else addInvalid(errors, 'spec.externalName', name, dns1123SubdomainErrors(name));
}

function checkServicePort(
  errors: Errors,
  port: JsonObject,
  nameRequired: boolean,
  names: Set<string>,
  path: string,
): void {
  const name = asText(port.name);
  if (name !== '') {
    addInvalid(errors, `${path}.name`, name, dns1123LabelErrors(name));
    checkUnique(errors, names, name, `${path}.name`);
  } else if (nameRequired) errors.push(requiredField(`${path}.name`));
  addInvalid(errors, `${path}.port`, port.port ?? 0, portNumberErrors(asNumber(port.port)));
  checkEnum(errors, port.protocol, `${path}.protocol`, PROTOCOLS);
  checkPortOrName(errors, port.targetPort, `${path}.targetPort`);
  if (!isAbsent(port.appProtocol)) {
    const protocol = asText(port.appProtocol);
    addInvalid(errors, `${path}.appProtocol`, protocol, qualifiedNameErrors(protocol));
  }
}

function checkSessionAffinity(errors: Errors, spec: JsonObject): void {
  checkEnum(errors, spec.sessionAffinity, 'spec.sessionAffinity', ['ClientIP', NONE]);
  const path = 'spec.sessionAffinityConfig';
  if (spec.sessionAffinity === NONE && !isAbsent(spec.sessionAffinityConfig)) {
    errors.push(forbiddenField(path, 'must not be set when session affinity is None'));
  }
  if (spec.sessionAffinity !== 'ClientIP') return;
  const why = 'when session affinity type is ClientIP';
  const config = asObject(spec.sessionAffinityConfig);
  const { timeoutSeconds } = asObject(config.clientIP);
  if (isAbsent(spec.sessionAffinityConfig)) errors.push(requiredField(path, why));
  else if (isAbsent(config.clientIP)) errors.push(requiredField(`${path}.clientIP`, why));
  else if (isAbsent(timeoutSeconds)) errors.push(requiredField(`${path}.clientIP.timeoutSeconds`, why));
  else if (asNumber(timeoutSeconds) <= 0 || asNumber(timeoutSeconds) > MAX_AFFINITY_SECONDS) {
    const detail = `must be greater than 0 and less than ${MAX_AFFINITY_SECONDS}`;
    errors.push(invalidField(`${path}.clientIP.timeoutSeconds`, timeoutSeconds, detail));
  }
}

function checkClusterIps(errors: Errors, spec: JsonObject): void {
  if (spec.type === 'ExternalName') return;
  const path = 'spec.clusterIPs';
  const ips = clusterIpsOf(spec);
  const clusterIp = asText(spec.clusterIP);
  if (clusterIp !== '' && ips[0] !== clusterIp) {
    errors.push(invalidField(path, ips, 'first value must match `clusterIP`'));
  } else if (clusterIp === '' && ips.length > 0) {
    errors.push(invalidField(path, ips, 'must be empty when `clusterIP` is not specified'));
  }
  const families = asTexts(spec.ipFamilies);
  const seen = new Set<string>();
  families.forEach((family, i) => {
    const field = `spec.ipFamilies[${i}]`;
    if (!FAMILIES.includes(family)) errors.push(notSupportedField(field, family, FAMILIES));
    checkUnique(errors, seen, family, field);
  });
  if (!isAbsent(spec.ipFamilyPolicy) && !FAMILY_POLICIES.includes(spec.ipFamilyPolicy as string)) {
    errors.push(notSupportedField('spec.ipFamilyPolicy', spec.ipFamilyPolicy, FAMILY_POLICIES));
  }
  let wellFormed = true;
  ips.forEach((ip, i) => {
    if (i === 0 && ip === NONE) {
      if (ips.length === 1) return;
      errors.push(invalidField(path, ips, "'None' must be the first and only value"));
      wellFormed = false;
    } else if (checkAddress(errors, ip, `${path}[${i}]`) === undefined) wellFormed = false;
  });
  if (ips.length > 2) errors.push(invalidField(path, ips, 'may only hold up to 2 values'));
  if (!wellFormed) return;
  const versions = ips.map((ip) => parseAddressBits(ip)?.version);
  if (ips.length > 1 && new Set(versions).size < 2) {
    errors.push(invalidField(path, ips, 'may specify no more than one IP for each IP family'));
  }
  if (isHeadless(spec)) return;
  families.slice(0, ips.length).forEach((family, i) => {
    const expected = family === 'IPv4' ? 4 : family === 'IPv6' ? 6 : versions[i];
    if (versions[i] === expected) return;
    const detail = `expected an ${family} value as indicated by \`ipFamilies[${i}]\``;
    errors.push(invalidField(`${path}[${i}]`, ips[i], detail));
  });
}

function checkPortNumbers(errors: Errors, spec: JsonObject, ports: readonly JsonObject[]): void {
  if (spec.type === 'ClusterIP') {
    ports.forEach((port, i) => {
      if (!asNumber(port.nodePort)) return;
      errors.push(forbiddenField(`spec.ports[${i}].nodePort`, "may not be used when `type` is 'ClusterIP'"));
    });
  }
  const nodePorts = new Set<string>();
  ports.forEach(({ protocol, nodePort }, i) => {
    if (asNumber(nodePort)) {
      checkUnique(errors, nodePorts, `${protocol}/${nodePort}`, `spec.ports[${i}].nodePort`, nodePort);
    }
  });
  const seen = new Set<string>();
  ports.forEach(({ protocol, port }, i) => {
    const key = `${protocol}/${port}`;
    if (seen.has(key)) {
      // The key as Go prints it: a ServicePort with all else zero.
      const shown = { protocol, port, targetPort: 0 };
      errors.push(duplicateField(`spec.ports[${i}]`, shown));
    }
    seen.add(key);
  });
}

function checkSourceRanges(errors: Errors, spec: JsonObject, annotations: JsonObject): void {
  const ranges = asTexts(spec.loadBalancerSourceRanges);
  if (ranges.length > 0) {
    const path = 'spec.LoadBalancerSourceRanges';
    if (spec.type !== 'LoadBalancer') errors.push(forbiddenField(path, ONLY_LOAD_BALANCER));
    ranges.forEach((range, i) => {
      checkPrefix(errors, range.trim(), `${path}[${i}]`);
    });
  } else if (annotations[SOURCE_RANGES] !== undefined) {
    const path = `metadata.annotations[${SOURCE_RANGES}]`;
    if (spec.type !== 'LoadBalancer') errors.push(forbiddenField(path, ONLY_LOAD_BALANCER));
    const text = asText(annotations[SOURCE_RANGES]).trim();
    if (text !== '') for (const range of text.split(',')) checkPrefix(errors, range.trim(), path);
  }
}

function checkLoadBalancerClass(errors: Errors, spec: JsonObject): void {
  if (isAbsent(spec.loadBalancerClass)) return;
  const name = asText(spec.loadBalancerClass);
  if (spec.type === 'LoadBalancer') {
    addInvalid(errors, 'spec.loadBalancerClass', name, qualifiedNameErrors(name));
  } else errors.push(forbiddenField('spec.loadBalancerClass', ONLY_LOAD_BALANCER));
}

function checkTrafficPolicies(errors: Errors, spec: JsonObject): void {
  const policies = ['Cluster', 'Local'];
  const external = 'spec.externalTrafficPolicy';
  if (isExternallyAccessible(spec)) checkEnum(errors, spec.externalTrafficPolicy, external, policies);
  else if (!isUnset(spec.externalTrafficPolicy)) {
    const detail = 'may only be set for externally-accessible services';
    errors.push(invalidField(external, spec.externalTrafficPolicy, detail));
  }
  const healthCheck = 'spec.healthCheckNodePort';
  const healthCheckPort = asNumber(spec.healthCheckNodePort);
  if (!needsHealthCheck(spec)) {
    if (healthCheckPort !== 0) {
      const detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
      errors.push(invalidField(healthCheck, healthCheckPort, detail));
    }
  } else if (healthCheckPort === 0) errors.push(requiredField(healthCheck));
  else checkRange(errors, healthCheckPort, 1, 65535, healthCheck);
  const internal = 'spec.internalTrafficPolicy';
  if (!isAbsent(spec.internalTrafficPolicy)) {
    if (!policies.includes(spec.internalTrafficPolicy as string)) {
      errors.push(notSupportedField(internal, spec.internalTrafficPolicy, policies));
    }
  } else if (spec.type === 'NodePort' || spec.type === 'LoadBalancer' || spec.type === 'ClusterIP') {
    errors.push(requiredField(internal));
  }
  if (!isAbsent(spec.trafficDistribution)) {
    checkEnum(errors, spec.trafficDistribution, 'spec.trafficDistribution', TRAFFIC_DISTRIBUTIONS);
  }
}

const TRAFFIC_DISTRIBUTIONS = ['PreferClose', 'PreferSameNode', 'PreferSameZone'];

const UNCHANGEABLE = 'may not change once set';

function checkClusterIpChange(errors: Errors, spec: JsonObject, before: JsonObject): void {
  if (isHeadless(spec) && isHeadless(before)) return;
  const ips = clusterIpsOf(spec);
  const oldIps = clusterIpsOf(before);
  if (oldIps.length === ips.length) {
    oldIps.forEach((ip, i) => {
      if (ip !== ips[i]) errors.push(invalidField(`spec.clusterIPs[${i}]`, ips, UNCHANGEABLE));
    });
    return;
  }
  if (oldIps.length > 0 && ips.length === 0) {
    errors.push(invalidField('spec.clusterIPs[0]', ips, 'primary clusterIP can not be unset'));
  } else if (oldIps.length > 0 && ips[0] !== oldIps[0]) {
    errors.push(invalidField('spec.clusterIPs[0]', ips, UNCHANGEABLE));
  }
  if (oldIps.length > ips.length && ips.length === 1) checkRelease(errors, spec, 'clusterIP');
}

function checkFamilyChange(errors: Errors, spec: JsonObject, before: JsonObject): void {
  if (isHeadless(spec) || isHeadless(before)) return;
  const families = asTexts(spec.ipFamilies);
  const oldFamilies = asTexts(before.ipFamilies);
  const field = 'spec.ipFamilies[0]';
  if (oldFamilies.length === families.length) {
    if (oldFamilies.some((family, i) => family !== families[i])) {
      errors.push(invalidField(field, families, UNCHANGEABLE));
    }
    return;
  }
  if (oldFamilies.length > families.length && clusterIpsOf(spec).length === 0) {
    errors.push(invalidField(field, families, 'primary ipFamily can not be unset'));
  }
  if (oldFamilies.length > 0 && families.length > 0 && oldFamilies[0] !== families[0]) {
    errors.push(invalidField(field, clusterIpsOf(spec), UNCHANGEABLE));
  }
  if (oldFamilies.length > families.length && families.length === 1) checkRelease(errors, spec, 'ipFamily');
}

function checkRelease(errors: Errors, spec: JsonObject, what: string): void {
  if (spec.ipFamilyPolicy === 'SingleStack') return;
  const detail = `must be set to 'SingleStack' when releasing the secondary ${what}`;
  errors.push(invalidField('spec.ipFamilyPolicy', spec.ipFamilyPolicy ?? null, detail));
}
