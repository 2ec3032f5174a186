import { invalidField, requiredField, tooManyField } from '../field-error.ts';
import {
  asObject,
  asObjects,
  asText,
  asTexts,
  isAbsent,
  isEmpty,
  isUnset,
  type JsonObject,
} from '../json-fields.ts';
import {
  dns1123LabelErrors,
  dns1123SubdomainErrors,
  labelValueErrors,
  portNumberErrors,
  qualifiedNameErrors,
} from '../names.ts';
import { addInvalid, checkEnum, checkImmutable, checkUnique, type Errors } from './checks.ts';
import { checkAddress, checkNonSpecialAddress, parseAddressBits } from './ip-address.ts';
import { checkLabels } from './metadata.ts';
import { PROTOCOLS } from './service.ts';

/** Endpoints (pkg/apis/core/validation) and EndpointSlices (pkg/apis/discovery/validation). */

const MAX_ENDPOINTS = 1000;
const MAX_ADDRESSES = 100;
const MAX_PORTS = 20_000;
const MAX_TOPOLOGY_LABELS = 16;
const MAX_ZONE_HINTS = 8;

export function checkEndpoints(errors: Errors, endpoints: JsonObject): void {
  asObjects(endpoints.subsets).forEach((subset, i) => {
    const path = `subsets[${i}]`;
    if (isEmpty(subset.addresses) && isEmpty(subset.notReadyAddresses)) {
      errors.push(requiredField(path, 'must specify `addresses` or `notReadyAddresses`'));
    }
    for (const list of ['addresses', 'notReadyAddresses']) {
      asObjects(subset[list]).forEach((address, j) => {
        checkEndpointAddress(errors, address, `${path}.${list}[${j}]`);
      });
    }
    const ports = asObjects(subset.ports);
    ports.forEach((port, j) => {
      checkEndpointPort(errors, port, ports.length > 1, `${path}.ports[${j}]`);
    });
  });
}

function checkEndpointAddress(errors: Errors, address: JsonObject, path: string): void {
  const ip = asText(address.ip);
  const valid = checkAddress(errors, ip, `${path}.ip`) !== undefined;
  const hostname = asText(address.hostname);
  if (hostname !== '') addInvalid(errors, `${path}.hostname`, hostname, dns1123LabelErrors(hostname));
  if (!isAbsent(address.nodeName)) {
    const name = asText(address.nodeName);
    addInvalid(errors, `${path}.nodeName`, name, dns1123SubdomainErrors(name));
  }
  if (valid || parseAddressBits(ip) === undefined) checkNonSpecialAddress(errors, ip, `${path}.ip`);
}

function checkEndpointPort(errors: Errors, port: JsonObject, nameRequired: boolean, path: string): void {
  const name = asText(port.name);
  if (name !== '') addInvalid(errors, `${path}.name`, name, dns1123LabelErrors(name));
  else if (nameRequired) errors.push(requiredField(`${path}.name`));
  const number = typeof port.port === 'number' ? port.port : 0;
  addInvalid(errors, `${path}.port`, number, portNumberErrors(number));
  checkEnum(errors, port.protocol, `${path}.protocol`, PROTOCOLS);
  checkAppProtocol(errors, port, path);
}

function checkAppProtocol(errors: Errors, port: JsonObject, path: string): void {
  if (isAbsent(port.appProtocol)) return;
  const protocol = asText(port.appProtocol);
  addInvalid(errors, `${path}.appProtocol`, protocol, qualifiedNameErrors(protocol));
}

export function checkEndpointSlice(errors: Errors, slice: JsonObject): void {
  checkEnum(errors, slice.addressType, 'addressType', ['FQDN', 'IPv4', 'IPv6']);
  const endpoints = asObjects(slice.endpoints);
  if (endpoints.length > MAX_ENDPOINTS) {
    errors.push(tooManyField('endpoints', endpoints.length, MAX_ENDPOINTS));
  } else {
    endpoints.forEach((endpoint, i) => {
      checkEndpoint(errors, endpoint, asText(slice.addressType), `endpoints[${i}]`);
    });
  }
  const ports = asObjects(slice.ports);
  if (ports.length > MAX_PORTS) {
    errors.push(tooManyField('ports', ports.length, MAX_PORTS));
    return;
  }
  const names = new Set<string>();
  ports.forEach((port, i) => {
    const path = `ports[${i}]`;
    const name = asText(port.name);
    if (name !== '') addInvalid(errors, `${path}.name`, name, dns1123LabelErrors(name));
    checkUnique(errors, names, name, `${path}.name`);
    checkEnum(errors, port.protocol, `${path}.protocol`, PROTOCOLS);
    checkAppProtocol(errors, port, path);
  });
}

export function checkEndpointSliceUpdate(errors: Errors, slice: JsonObject, old: JsonObject): void {
  checkEndpointSlice(errors, slice);
  checkImmutable(errors, slice.addressType, old.addressType, 'addressType');
}

function checkEndpoint(errors: Errors, endpoint: JsonObject, addressType: string, path: string): void {
  const addresses = asTexts(endpoint.addresses);
  const field = `${path}.addresses`;
  if (addresses.length === 0) errors.push(requiredField(field, 'must contain at least 1 address'));
  else if (addresses.length > MAX_ADDRESSES) {
    errors.push(tooManyField(field, addresses.length, MAX_ADDRESSES));
  }
  addresses.forEach((address, i) => {
    checkSliceAddress(errors, address, addressType, `${field}[${i}]`);
  });
  if (!isAbsent(endpoint.nodeName)) {
    const name = asText(endpoint.nodeName);
    addInvalid(errors, `${path}.nodeName`, name, dns1123SubdomainErrors(name));
  }
  const topology = Object.keys(asObject(endpoint.deprecatedTopology));
  if (topology.length > MAX_TOPOLOGY_LABELS) {
    errors.push(tooManyField(`${path}.deprecatedTopology`, topology.length, MAX_TOPOLOGY_LABELS));
  }
  checkLabels(errors, endpoint.deprecatedTopology, `${path}.deprecatedTopology`);
  if (!isUnset(endpoint.hostname)) {
    const hostname = asText(endpoint.hostname);
    addInvalid(errors, `${path}.hostname`, hostname, dns1123LabelErrors(hostname));
  }
  checkZoneHints(errors, asObject(endpoint.hints), `${path}.hints.forZones`);
}

function checkZoneHints(errors: Errors, hints: JsonObject, path: string): void {
  const zones = asObjects(hints.forZones);
  if (zones.length > MAX_ZONE_HINTS) {
    errors.push(tooManyField(path, zones.length, MAX_ZONE_HINTS));
    return;
  }
  const seen = new Set<string>();
  zones.forEach((zone, i) => {
    const name = asText(zone.name);
    checkUnique(errors, seen, name, `${path}[${i}].name`);
    addInvalid(errors, `${path}[${i}].name`, name, labelValueErrors(name));
  });
}

function checkSliceAddress(errors: Errors, address: string, addressType: string, field: string): void {
  if (addressType === 'FQDN') checkDomainName(errors, address, field);
  if (addressType !== 'IPv4' && addressType !== 'IPv6') return;
  if (parseAddressBits(address)?.version !== (addressType === 'IPv4' ? 4 : 6)) {
    errors.push(invalidField(field, address, `must be a valid ${addressType} address`));
  }
  checkNonSpecialAddress(errors, address, field);
}

function checkDomainName(errors: Errors, address: string, field: string): void {
  if (address === '') {
    errors.push(requiredField(field));
    return;
  }
  const name = address.replace(/\.$/, '');
  const texts = dns1123SubdomainErrors(name);
  if (texts.length > 0) errors.push(invalidField(field, name, texts.join(',')));
  else if (!name.includes('.')) {
    const detail = 'should be a domain with at least two segments separated by dots';
    errors.push(invalidField(field, name, detail));
  } else {
    for (const label of name.split('.')) {
      const wrong = dns1123LabelErrors(label);
      if (wrong.length > 0) errors.push(invalidField(field, label, wrong.join(',')));
    }
  }
}
