import {
  forbiddenField,
  invalidField,
  notSupportedField,
  requiredField,
  tooLongField,
} from '../field-error.ts';
import {
  asList,
  asNumber,
  asObject,
  asObjects,
  asText,
  asTexts,
  isAbsent,
  type JsonObject,
} from '../json-fields.ts';
import {
  dns1035LabelErrors,
  dns1123LabelErrors,
  dns1123SubdomainErrors,
  pathSegmentErrors,
  portNameErrors,
  portNumberErrors,
  wildcardSubdomainErrors,
} from '../names.ts';
import { addInvalid, byteLength, checkDomainPath, checkImmutable, type Errors } from './checks.ts';
import { checkAddress, checkPrefix, isStrictSubset, parseAddressBits } from './ip-address.ts';
import { checkLabelSelector } from './metadata.ts';
import { checkHostname } from './service.ts';

/** NetworkPolicies, Ingresses and IngressClasses (pkg/apis/networking/validation). */

const POLICY_TYPES: readonly string[] = ['Ingress', 'Egress'];
const POLICY_PROTOCOLS: readonly string[] = ['TCP', 'UDP', 'SCTP'];

export function checkNetworkPolicy(errors: Errors, policy: JsonObject): void {
  const spec = asObject(policy.spec);
  checkLabelSelector(errors, spec.podSelector, 'spec.podSelector');
  for (const [direction, peers] of [
    ['ingress', 'from'],
    ['egress', 'to'],
  ] as const) {
    asObjects(spec[direction]).forEach((rule, i) => {
      const path = `spec.${direction}[${i}]`;
      asObjects(rule.ports).forEach((port, j) => {
        checkPolicyPort(errors, port, `${path}.ports[${j}]`);
      });
      asObjects(rule[peers]).forEach((peer, j) => {
        checkPeer(errors, peer, `${path}.${peers}[${j}]`);
      });
    });
  }
  const types = asList(spec.policyTypes);
  if (types.length > POLICY_TYPES.length) {
    errors.push(invalidField('spec.policyTypes', types, 'may not specify more than two policyTypes'));
    return;
  }
  types.forEach((type, i) => {
    if (POLICY_TYPES.includes(type as string)) return;
    errors.push(notSupportedField(`spec.policyTypes[${i}]`, type, POLICY_TYPES));
  });
}

function checkPolicyPort(errors: Errors, rule: JsonObject, path: string): void {
  const { port, protocol, endPort } = rule;
  if (!isAbsent(protocol) && !POLICY_PROTOCOLS.includes(protocol as string)) {
    errors.push(notSupportedField(`${path}.protocol`, protocol, POLICY_PROTOCOLS));
  }
  const endField = `${path}.endPort`;
  if (isAbsent(port)) {
    if (!isAbsent(endPort)) {
      errors.push(invalidField(endField, endPort, 'may not be specified when `port` is not specified'));
    }
  } else if (typeof port === 'string') {
    if (!isAbsent(endPort)) {
      errors.push(invalidField(endField, endPort, 'may not be specified when `port` is non-numeric'));
    }
    addInvalid(errors, `${path}.port`, port, portNameErrors(port));
  } else {
    addInvalid(errors, `${path}.port`, port, portNumberErrors(asNumber(port)));
    if (isAbsent(endPort)) return;
    if (asNumber(endPort) < asNumber(port)) {
      errors.push(invalidField(endField, endPort, 'must be greater than or equal to `port`'));
    }
    addInvalid(errors, endField, endPort, portNumberErrors(asNumber(endPort)));
  }
}

function checkPeer(errors: Errors, peer: JsonObject, path: string): void {
  const { podSelector, namespaceSelector, ipBlock } = peer;
  checkLabelSelector(errors, podSelector, `${path}.podSelector`);
  checkLabelSelector(errors, namespaceSelector, `${path}.namespaceSelector`);
  const bySelector = !isAbsent(podSelector) || !isAbsent(namespaceSelector);
  if (!isAbsent(ipBlock)) checkIpBlock(errors, asObject(ipBlock), `${path}.ipBlock`);
  else if (!bySelector) errors.push(requiredField(path, 'must specify a peer'));
  if (!isAbsent(ipBlock) && bySelector) {
    errors.push(forbiddenField(path, 'may not specify both ipBlock and another peer'));
  }
}

function checkIpBlock(errors: Errors, block: JsonObject, path: string): void {
  const cidr = asText(block.cidr);
  if (cidr === '') {
    errors.push(requiredField(`${path}.cidr`));
    return;
  }
  const outer = checkPrefix(errors, cidr, `${path}.cidr`);
  if (outer === undefined) return;
  asTexts(block.except).forEach((except, i) => {
    const field = `${path}.except[${i}]`;
    const inner = checkPrefix(errors, except, field);
    if (inner !== undefined && !isStrictSubset(inner, outer)) {
      errors.push(invalidField(field, except, 'must be a strict subset of `cidr`'));
    }
  });
}

const INGRESS_CLASS = 'kubernetes.io/ingress.class';

export function checkIngress(errors: Errors, ingress: JsonObject): void {
  checkIngressSpec(errors, asObject(ingress.spec));
  const annotated = asObject(asObject(ingress.metadata).annotations)[INGRESS_CLASS];
  const named = asObject(ingress.spec).ingressClassName;
  if (annotated !== undefined && !isAbsent(named) && annotated !== named) {
    const detail = 'must match `ingressClassName` when both are specified';
    errors.push(invalidField(`annotations.${INGRESS_CLASS}`, annotated, detail));
  }
}

export function checkIngressUpdate(errors: Errors, ingress: JsonObject): void {
  checkIngressSpec(errors, asObject(ingress.spec));
}

export function checkIngressStatus(errors: Errors, ingress: JsonObject): void {
  const { loadBalancer } = asObject(ingress.status);
  asObjects(asObject(loadBalancer).ingress).forEach((each, i) => {
    const path = `status.loadBalancer.ingress[${i}]`;
    if (asText(each.ip) !== '') checkAddress(errors, asText(each.ip), `${path}.ip`);
    checkHostname(errors, asText(each.hostname), `${path}.hostname`);
  });
}

function checkIngressSpec(errors: Errors, spec: JsonObject): void {
  const rules = asObjects(spec.rules);
  if (rules.length === 0 && isAbsent(spec.defaultBackend)) {
    const detail = 'either `defaultBackend` or `rules` must be specified';
    errors.push(invalidField('spec', spec.rules ?? null, detail));
  }
  if (!isAbsent(spec.defaultBackend))
    checkBackend(errors, asObject(spec.defaultBackend), 'spec.defaultBackend');
  rules.forEach((rule, i) => {
    const path = `spec.rules[${i}]`;
    const host = asText(rule.host);
    if (host !== '') {
      if (parseAddressBits(host) !== undefined) {
        errors.push(invalidField(`${path}.host`, host, 'must be a DNS name, not an IP address'));
      }
      addInvalid(errors, `${path}.host`, host, hostErrors(host));
    }
    if (isAbsent(rule.http)) return;
    const paths = asObjects(asObject(rule.http).paths);
    if (paths.length === 0) errors.push(requiredField(`${path}.http.paths`));
    paths.forEach((each, j) => {
      checkIngressPath(errors, each, `${path}.http.paths[${j}]`);
    });
  });
  asObjects(spec.tls).forEach((tls, i) => {
    asTexts(tls.hosts).forEach((host, j) => {
      addInvalid(errors, `spec.tls[${i}].hosts[${j}]`, host, hostErrors(host));
    });
    const secret = asText(tls.secretName);
    if (secret !== '') {
      addInvalid(errors, `spec.tls[${i}].secretName`, secret, dns1123SubdomainErrors(secret));
    }
  });
  if (!isAbsent(spec.ingressClassName)) {
    const name = asText(spec.ingressClassName);
    addInvalid(errors, 'spec.ingressClassName', name, dns1123SubdomainErrors(name));
  }
}

function hostErrors(host: string): string[] {
  return host.includes('*') ? wildcardSubdomainErrors(host) : dns1123SubdomainErrors(host);
}

function checkIngressPath(errors: Errors, rule: JsonObject, path: string): void {
  if (isAbsent(rule.pathType)) {
    errors.push(requiredField(`${path}.pathType`, 'pathType must be specified'));
    return;
  }
  const url = asText(rule.path);
  const field = `${path}.path`;
  const exact = rule.pathType === 'Exact' || rule.pathType === 'Prefix';
  if (exact || rule.pathType === 'ImplementationSpecific') {
    if (!url.startsWith('/') && (exact || url !== '')) {
      errors.push(invalidField(field, url, 'must be an absolute path'));
    }
  } else {
    const types = ['Exact', 'ImplementationSpecific', 'Prefix'];
    errors.push(notSupportedField(`${path}.pathType`, rule.pathType, types));
  }
  if (exact) {
    for (const sequence of ['//', '/./', '/../', '%2f', '%2F']) {
      if (url.includes(sequence)) errors.push(invalidField(field, url, `must not contain '${sequence}'`));
    }
    for (const suffix of ['/..', '/.']) {
      if (url.endsWith(suffix)) errors.push(invalidField(field, url, `cannot end with '${suffix}'`));
    }
  }
  checkBackend(errors, asObject(rule.backend), `${path}.backend`);
}

function checkBackend(errors: Errors, backend: JsonObject, path: string): void {
  const hasService = !isAbsent(backend.service);
  const hasResource = !isAbsent(backend.resource);
  if (hasService && hasResource) {
    errors.push(invalidField(path, '', 'cannot set both resource and service backends'));
    return;
  }
  if (hasResource) checkTypedReference(errors, asObject(backend.resource), `${path}.resource`);
  if (!hasService) {
    if (!hasResource) errors.push(invalidField(path, '', 'resource or service backend is required'));
    return;
  }
  const service = asObject(backend.service);
  const name = asText(service.name);
  if (name === '') errors.push(requiredField(`${path}.service.name`));
  else addInvalid(errors, `${path}.service.name`, name, dns1035LabelErrors(name));
  const port = asObject(service.port);
  const portName = asText(port.name);
  const number = asNumber(port.number);
  if (portName !== '' && number !== 0) {
    errors.push(invalidField(path, '', 'cannot set both port name & port number'));
  } else if (portName !== '') {
    addInvalid(errors, `${path}.service.port.name`, portName, portNameErrors(portName));
  } else if (number !== 0) {
    addInvalid(errors, `${path}.service.port.number`, number, portNumberErrors(number));
  } else errors.push(requiredField(path, 'port name or number is required'));
}

function checkTypedReference(errors: Errors, reference: JsonObject, path: string): void {
  if (!isAbsent(reference.apiGroup)) {
    const group = asText(reference.apiGroup);
    addInvalid(errors, `${path}.apiGroup`, group, dns1123SubdomainErrors(group));
  }
  for (const part of ['kind', 'name']) {
    const value = asText(reference[part]);
    if (value === '') errors.push(requiredField(`${path}.${part}`, `${part} is required`));
    else addInvalid(errors, `${path}.${part}`, value, pathSegmentErrors(value));
  }
}

const MAX_CONTROLLER_LENGTH = 250;

export function checkIngressClass(errors: Errors, ingressClass: JsonObject): void {
  const spec = asObject(ingressClass.spec);
  const controller = asText(spec.controller);
  if (byteLength(controller) > MAX_CONTROLLER_LENGTH) {
    errors.push(tooLongField('spec.controller', MAX_CONTROLLER_LENGTH));
  }
  checkDomainPath(errors, controller, 'spec.controller');
  if (isAbsent(spec.parameters)) return;
  const path = 'spec.parameters';
  const parameters = asObject(spec.parameters);
  checkTypedReference(errors, parameters, path);
  const { scope, namespace } = parameters;
  if (isAbsent(scope)) errors.push(requiredField(`${path}.scope`));
  else if (scope === 'Namespace') {
    if (isAbsent(namespace)) {
      errors.push(requiredField(`${path}.namespace`, "`parameters.scope` is set to 'Namespace'"));
    } else addInvalid(errors, `${path}.namespace`, namespace, dns1123LabelErrors(asText(namespace)));
  } else if (scope !== 'Cluster') {
    errors.push(notSupportedField(`${path}.scope`, scope, ['Cluster', 'Namespace']));
  } else if (!isAbsent(namespace)) {
    errors.push(forbiddenField(`${path}.namespace`, "`parameters.scope` is set to 'Cluster'"));
  }
}

export function checkIngressClassUpdate(errors: Errors, ingressClass: JsonObject, old: JsonObject): void {
  const { controller } = asObject(ingressClass.spec);
  checkImmutable(errors, controller, asObject(old.spec).controller, 'spec.controller');
  checkIngressClass(errors, ingressClass);
}
