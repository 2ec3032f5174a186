import { type FieldError, invalidField } from '@podwire/kube/field-error';
import { internalError, invalid } from '@podwire/kube/status';
import { ipVersionOf } from '@podwire/wire/address';
import { addressIndex, type Cidr, cidrSize, nthAddress, parseCidr } from '@podwire/wire/cidr';
import { AllocationPool, staticBandSize } from './allocation-pool.ts';
import type { Service, ServicePort, ServiceSpec } from './objects.ts';

/**
 * Cluster IPs and node ports of Services, given out inside the request that creates or changes the Service, so that the answer
 * already carries them. Rules and texts: pkg/registry/core/service/storage/alloc.go.
 *
 * Use: `create` or `update` before validation and the write, then `commit` once the write is durable, else `revert` (also for a
 * dry run); `release` once a deletion is durable; `restore` with the stored Services before the first request.
 */
export interface Allocation {
  commit(): void;
  revert(): void;
}

export interface ServiceAllocatorOptions {
  /** One prefix, or one of each IP version; the first one's family is the cluster's default. */
  serviceCidrs: readonly string[];
  nodePorts?: { first: number; last: number };
  random32: () => number;
}

export type IpFamily = 'IPv4' | 'IPv6';

const DEFAULT_NODE_PORTS = { first: 30000, last: 32767 };
const NONE = 'None';

interface AddressRange {
  cidr: Cidr;
  pool: AllocationPool;
}

export class ServiceAllocator {
  readonly #ranges = new Map<IpFamily, AddressRange>();
  readonly #defaultFamily: IpFamily;
  readonly #nodePorts: { first: number; last: number };
  readonly #portPool: AllocationPool;

  constructor(options: ServiceAllocatorOptions) {
    for (const text of options.serviceCidrs) {
      const cidr = parseCidr(text);
      if (cidr === undefined)
        throw new Error(`Cannot use service CIDR ${JSON.stringify(text)}: not a prefix`);
      this.#ranges.set(cidr.version === 4 ? 'IPv4' : 'IPv6', addressRange(cidr, options.random32));
    }
    const [first] = this.#ranges.keys();
    if (first === undefined) throw new Error('Cannot allocate Service addresses: no service CIDR is given');
    this.#defaultFamily = first;
    this.#nodePorts = options.nodePorts ?? DEFAULT_NODE_PORTS;
    const size = this.#nodePorts.last - this.#nodePorts.first + 1;
    this.#portPool = new AllocationPool({
      size,
      staticBand: staticBandSize(size, 16, 128, 32),
      random32: options.random32,
    });
  }

  /** Takes what stored Services hold. */
  restore(services: Iterable<Service>): void {
    for (const service of services) {
      for (const ip of heldAddresses(service.spec)) this.#range(ip)?.pool.allocate(this.#offset(ip));
      for (const port of heldPorts(service.spec)) this.#portPool.allocate(port - this.#nodePorts.first);
    }
  }

  /**
   * Fills ipFamilies, ipFamilyPolicy, clusterIP, clusterIPs, node ports and healthCheckNodePort of a Service about to be
   * created; changes its argument. Throws ApiError 422 for a value that cannot be had, 500 when a range is full.
   */
  create(service: Service): Allocation {
    const transaction = new Transaction(this);
    return transaction.guard(() => {
      normalizeClusterIps(service.spec, undefined);
      if (!this.#initFamilies(service, undefined)) return;
      this.#allocateAddresses(service, transaction);
      if (hasNodePorts(service.spec)) this.#allocatePorts(service, transaction);
      if (needsHealthCheck(service.spec)) this.#allocateHealthCheckPort(service, transaction);
    });
  }

  /** The same for a Service about to replace `old`: keeps what both have, gives out and marks for release the rest. */
  update(service: Service, old: Service): Allocation {
    const transaction = new Transaction(this);
    return transaction.guard(() => {
      keepAllocatedValues(service.spec, old.spec);
      normalizeClusterIps(service.spec, old.spec);
      if (!this.#initFamilies(service, old)) return;
      this.#updateAddresses(service, old, transaction);
      this.#updatePorts(service, old, transaction);
      dropFieldsOfOtherTypes(service.spec, old.spec);
    });
  }

  /** Gives back everything a deleted Service held. */
  release(service: Service): void {
    for (const ip of heldAddresses(service.spec)) this.releaseAddress(ip);
    for (const port of heldPorts(service.spec)) this.releasePort(port);
  }

  releaseAddress(ip: string): void {
    this.#range(ip)?.pool.release(this.#offset(ip));
  }

  releasePort(port: number): void {
    this.#portPool.release(port - this.#nodePorts.first);
  }

  #range(ip: string): AddressRange | undefined {
    return this.#ranges.get(familyOf(ip));
  }

  // The network address is offset -1: neither it nor an IPv4 broadcast address is ever given out.
  #offset(ip: string): number {
    const range = this.#range(ip)!;
    return addressIndex(range.cidr, ip) - 1;
  }

  /** Settles policy and families; false when the spec is too malformed for it, which validation then reports. */
  #initFamilies(service: Service, old: Service | undefined): boolean {
    const spec = service.spec;
    if (spec.type === 'ExternalName') return true;
    if (old !== undefined && isUnchangedPreferDualStack(spec, old.spec)) return true;
    const ips = spec.clusterIPs ?? [];
    if (
      ips.length > 2 ||
      ips.some((ip, i) => (ip === NONE ? i > 0 || ips.length > 1 : ipVersionOf(ip) === 0))
    ) {
      return false;
    }
    if ((spec.ipFamilies ?? []).some((family) => family !== 'IPv4' && family !== 'IPv6')) return false;

    const selectorless = Object.keys(spec.selector ?? {}).length === 0;
    const headless = spec.clusterIP === NONE;
    spec.ipFamilyPolicy ??=
      old?.spec.ipFamilyPolicy ?? (headless && selectorless ? 'RequireDualStack' : 'SingleStack');
    const single = spec.ipFamilyPolicy === 'SingleStack';
    const errors: FieldError[] = [];
    const policyError = (detail: string) =>
      errors.push(invalidField('spec.ipFamilyPolicy', spec.ipFamilyPolicy, detail));

    if (old !== undefined) {
      const oldIps = old.spec.clusterIPs ?? [];
      const oldFamilies = old.spec.ipFamilies ?? [];
      const families = spec.ipFamilies ?? [];
      if (single) {
        if (sameList(ips, oldIps) && ips.length > 1) spec.clusterIPs = ips.slice(0, 1);
        if (sameList(families, oldFamilies) && families.length > 1) spec.ipFamilies = families.slice(0, 1);
      } else {
        if (ips.length > 0 && ips.length < oldIps.length) {
          policyError("must be 'SingleStack' to release the secondary cluster IP");
        }
        if (families.length > 0 && families.length < oldFamilies.length) {
          policyError("must be 'SingleStack' to release the secondary IP family");
        }
      }
    }
    if (single && spec.clusterIPs?.length === 2) {
      policyError("must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified");
    }
    if (single && spec.ipFamilies?.length === 2) {
      policyError("must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified");
    }

    const families = [...(spec.ipFamilies ?? [])] as IpFamily[];
    spec.clusterIPs?.forEach((ip, i) => {
      if (ip === NONE || i < families.length) return;
      const family = familyOf(ip);
      if (this.#ranges.has(family)) families.push(family);
      else {
        const detail = `${family} is not configured on this cluster`;
        errors.push(invalidField(`spec.clusterIPs[${i}]`, spec.clusterIPs, detail));
      }
    });
    failIfInvalid(service, errors);

    if (headless && selectorless) {
      if (families.length === 0) families.push(this.#defaultFamily);
      if (families.length < 2 && !single) families.push(otherFamily(families[0]));
      spec.ipFamilies = families;
      return true;
    }
    if (spec.ipFamilyPolicy === 'RequireDualStack' && this.#ranges.size < 2) {
      policyError('this cluster is not configured for dual-stack services');
    }
    families.forEach((family, i) => {
      if (!this.#ranges.has(family)) {
        errors.push(invalidField(`spec.ipFamilies[${i}]`, family, 'not configured on this cluster'));
      }
    });
    failIfInvalid(service, errors);
    if (families.length === 0) families.push(this.#defaultFamily);
    if (!single && families.length === 1 && this.#ranges.size === 2) families.push(otherFamily(families[0]));
    spec.ipFamilies = families;
    return true;
  }

  #allocateAddresses(service: Service, transaction: Transaction): void {
    const spec = service.spec;
    if (spec.type === 'ExternalName' || spec.clusterIPs?.[0] === NONE) return;
    const asked = [...(spec.clusterIPs ?? [])];
    spec.clusterIPs = (spec.ipFamilies as IpFamily[]).map((family, i) =>
      this.#allocateAddress(service, family, asked[i] ?? '', asked, transaction),
    );
    spec.clusterIP = spec.clusterIPs[0];
  }

  #allocateAddress(
    service: Service,
    family: IpFamily,
    asked: string,
    askedAll: readonly string[],
    transaction: Transaction,
  ): string {
    const { cidr, pool } = this.#ranges.get(family)!;
    if (asked === '') {
      const offset = pool.allocateNext();
      if (offset < 0) throw internalError('failed to allocate a serviceIP: range is full');
      const ip = nthAddress(cidr, offset + 1);
      transaction.takeAddress(ip);
      return ip;
    }
    const offset = addressIndex(cidr, asked) - 1;
    let problem = '';
    if (offset < 0 || offset >= pool.size) problem = `provided IP ${asked} is not in the valid range`;
    else if (!pool.allocate(offset)) problem = 'provided IP is already allocated';
    if (problem !== '') {
      const detail = `failed to allocate IP ${asked}: ${problem}`;
      failIfInvalid(service, [invalidField('spec.clusterIPs', askedAll, detail)]);
    }
    transaction.takeAddress(asked);
    return asked;
  }

  #updateAddresses(service: Service, old: Service, transaction: Transaction): void {
    const spec = service.spec;
    const before = old.spec;
    if (isUnchangedPreferDualStack(spec, before)) return;
    if (before.type === 'ExternalName' && spec.type !== 'ExternalName') {
      this.#allocateAddresses(service, transaction);
      return;
    }
    if (before.clusterIPs?.[0] === NONE) return;
    if (before.type !== 'ExternalName' && spec.type === 'ExternalName') {
      for (const ip of heldAddresses(before)) transaction.giveBackAddress(ip);
      return;
    }
    const oldFamilies = before.ipFamilies ?? [];
    const families = (spec.ipFamilies ?? []) as IpFamily[];
    if (oldFamilies.length === 1 && families.length === 2) {
      const asked = spec.clusterIPs ?? [];
      const second = this.#allocateAddress(service, families[1], asked[1] ?? '', asked, transaction);
      spec.clusterIPs = [asked[0], second];
    } else if (oldFamilies.length === 2 && families.length === 1) {
      const second = before.clusterIPs?.[1];
      if (second !== undefined) transaction.giveBackAddress(second);
    }
  }

  #allocatePorts(service: Service, transaction: Transaction): void {
    const ports = service.spec.ports ?? [];
    const byServicePort = new Map<number, number>();
    ports.forEach((port, i) => {
      if (!port.nodePort && !allocatesNodePorts(service.spec)) return;
      const known = byServicePort.get(port.port);
      if (known === undefined) {
        // One number serves the TCP and the UDP side of a port; a number given for either side counts for both.
        const asked = ports.find((other) => other.port === port.port && other.nodePort)?.nodePort;
        port.nodePort = asked
          ? this.#takePort(service, i, asked, transaction)
          : this.#nextPort('nodePort', transaction);
        byServicePort.set(port.port, port.nodePort);
      } else if (!port.nodePort) port.nodePort = known;
      else if (port.nodePort !== known) this.#takePort(service, i, port.nodePort, transaction);
    });
  }

  #updatePorts(service: Service, old: Service, transaction: Transaction): void {
    const spec = service.spec;
    const oldPorts = nodePortsOf(old.spec);
    if (hasNodePorts(spec)) {
      const taken = new Set<number>(oldPorts);
      (spec.ports ?? []).forEach((port, i) => {
        if (port.nodePort) {
          if (taken.has(port.nodePort)) return;
          this.#takePort(service, i, port.nodePort, transaction);
          taken.add(port.nodePort);
        } else if (allocatesNodePorts(spec)) port.nodePort = this.#nextPort('nodePort', transaction);
      });
      const kept = new Set(nodePortsOf(spec));
      for (const port of oldPorts) if (!kept.has(port)) transaction.giveBackPort(port);
    } else if (hasNodePorts(old.spec)) {
      for (const port of oldPorts) transaction.giveBackPort(port);
    }
    if (needsHealthCheck(spec) && !needsHealthCheck(old.spec)) {
      this.#allocateHealthCheckPort(service, transaction);
    } else if (!needsHealthCheck(spec) && needsHealthCheck(old.spec) && old.spec.healthCheckNodePort) {
      transaction.giveBackPort(old.spec.healthCheckNodePort);
    }
  }

  #allocateHealthCheckPort(service: Service, transaction: Transaction): void {
    const asked = service.spec.healthCheckNodePort;
    if (!asked) {
      service.spec.healthCheckNodePort = this.#nextPort('HealthCheck NodePort', transaction);
      return;
    }
    const problem = this.#portProblem(asked);
    if (problem !== '') {
      throw internalError(`failed to allocate requested HealthCheck NodePort ${asked}: ${problem}`);
    }
    transaction.takePort(asked);
  }

  #takePort(service: Service, index: number, port: number, transaction: Transaction): number {
    const problem = this.#portProblem(port);
    if (problem !== '')
      failIfInvalid(service, [invalidField(`spec.ports[${index}].nodePort`, port, problem)]);
    transaction.takePort(port);
    return port;
  }

  /** Takes the port; the text tells why it cannot be had. */
  #portProblem(port: number): string {
    const { first, last } = this.#nodePorts;
    if (port < first || port > last) {
      return `provided port is not in the valid range. The range of valid ports is ${first}-${last}`;
    }
    return this.#portPool.allocate(port - first) ? '' : 'provided port is already allocated';
  }

  #nextPort(what: string, transaction: Transaction): number {
    const offset = this.#portPool.allocateNext();
    if (offset < 0) throw internalError(`failed to allocate a ${what}: range is full`);
    const port = this.#nodePorts.first + offset;
    transaction.takePort(port);
    return port;
  }
}

/** Takes at once and gives back late: rather a number too many held for a moment than one given out twice. */
class Transaction implements Allocation {
  readonly #allocator: ServiceAllocator;
  #takenAddresses: string[] = [];
  #takenPorts: number[] = [];
  #returnedAddresses: string[] = [];
  #returnedPorts: number[] = [];

  constructor(allocator: ServiceAllocator) {
    this.#allocator = allocator;
  }

  guard(allocate: () => void): Allocation {
    try {
      allocate();
      return this;
    } catch (error) {
      this.revert();
      throw error;
    }
  }

  takeAddress(ip: string): void {
    this.#takenAddresses.push(ip);
  }

  takePort(port: number): void {
    this.#takenPorts.push(port);
  }

  giveBackAddress(ip: string): void {
    this.#returnedAddresses.push(ip);
  }

  giveBackPort(port: number): void {
    this.#returnedPorts.push(port);
  }

  commit(): void {
    this.#finish(this.#returnedAddresses, this.#returnedPorts);
  }

  revert(): void {
    this.#finish(this.#takenAddresses, this.#takenPorts);
  }

  #finish(addresses: readonly string[], ports: readonly number[]): void {
    for (const ip of addresses) this.#allocator.releaseAddress(ip);
    for (const port of ports) this.#allocator.releasePort(port);
    this.#takenAddresses = [];
    this.#takenPorts = [];
    this.#returnedAddresses = [];
    this.#returnedPorts = [];
  }
}

const MAX_IPV6_POOL = 65536;

function addressRange(cidr: Cidr, random32: () => number): AddressRange {
  const whole = cidrSize(cidr);
  const usable = cidr.version === 4 ? whole - 2 : Math.min(whole, MAX_IPV6_POOL) - 1;
  const staticBand = staticBandSize(whole, 16, 256, 16);
  return { cidr, pool: new AllocationPool({ size: Math.max(0, usable), staticBand, random32 }) };
}

function failIfInvalid(service: Service, errors: readonly FieldError[]): void {
  if (errors.length > 0) throw invalid('Service', service.metadata.name ?? '', errors);
}

function familyOf(ip: string): IpFamily {
  return ip.includes(':') ? 'IPv6' : 'IPv4';
}

function otherFamily(family: IpFamily): IpFamily {
  return family === 'IPv4' ? 'IPv6' : 'IPv4';
}

function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}

function hasNodePorts(spec: ServiceSpec): boolean {
  return spec.type === 'NodePort' || spec.type === 'LoadBalancer';
}

function allocatesNodePorts(spec: ServiceSpec): boolean {
  return (
    spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false)
  );
}

function needsHealthCheck(spec: ServiceSpec): boolean {
  return spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';
}

function nodePortsOf(spec: ServiceSpec): number[] {
  return (spec.ports ?? []).flatMap((port) => (port.nodePort ? [port.nodePort] : []));
}

function heldAddresses(spec: ServiceSpec): string[] {
  if (spec.type === 'ExternalName') return [];
  return (spec.clusterIPs ?? []).filter((ip) => ip !== NONE && ipVersionOf(ip) !== 0);
}

function heldPorts(spec: ServiceSpec): number[] {
  const healthCheck = needsHealthCheck(spec) && spec.healthCheckNodePort ? [spec.healthCheckNodePort] : [];
  return [...nodePortsOf(spec), ...healthCheck];
}

/** A Service of policy PreferDualStack is neither upgraded nor downgraded just because the cluster has changed. */
function isUnchangedPreferDualStack(spec: ServiceSpec, old: ServiceSpec): boolean {
  return (
    old.type === spec.type &&
    spec.type !== 'ExternalName' &&
    spec.ipFamilyPolicy === 'PreferDualStack' &&
    (old.ipFamilyPolicy ?? 'PreferDualStack') === 'PreferDualStack' &&
    sameList(spec.clusterIPs ?? [], old.clusterIPs ?? []) &&
    sameList(spec.ipFamilies ?? [], old.ipFamilies ?? [])
  );
}

/** A client that replaces an object without repeating what the cluster chose keeps what the cluster chose. */
function keepAllocatedValues(spec: ServiceSpec, old: ServiceSpec): void {
  if (needsAddress(old) && needsAddress(spec)) {
    if (!spec.clusterIP) spec.clusterIP = old.clusterIP;
    if (!spec.clusterIPs?.length && spec.clusterIP === old.clusterIP)
      spec.clusterIPs = old.clusterIPs?.slice();
  }
  if (hasNodePorts(old) && hasNodePorts(spec)) {
    const oldPorts = new Map(old.ports?.map((port) => [portKey(port), port.nodePort]));
    const asked = new Set(nodePortsOf(spec));
    for (const port of spec.ports ?? []) {
      const kept = oldPorts.get(portKey(port));
      // A number the client moves to another port is not kept here as well.
      if (!port.nodePort && kept && !asked.has(kept)) port.nodePort = kept;
    }
  }
  if (needsHealthCheck(old) && needsHealthCheck(spec) && !spec.healthCheckNodePort) {
    spec.healthCheckNodePort = old.healthCheckNodePort;
  }
}

function needsAddress(spec: ServiceSpec): boolean {
  return spec.type !== 'ExternalName';
}

function portKey(port: ServicePort): string {
  return `${port.protocol ?? 'TCP'}/${port.port}`;
}

/** Keeps clusterIP and clusterIPs[0] the same, whichever of the two a client knows of. */
function normalizeClusterIps(spec: ServiceSpec, old: ServiceSpec | undefined): void {
  if (old === undefined) {
    if (spec.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP];
    else if (!spec.clusterIP && spec.clusterIPs?.length) spec.clusterIP = spec.clusterIPs[0];
    return;
  }
  const oldIp = old.clusterIP ?? '';
  const ip = spec.clusterIP ?? '';
  const changedIp = ip !== oldIp;
  const changedIps = !sameList(spec.clusterIPs ?? [], old.clusterIPs ?? []);
  if (changedIp && !changedIps) {
    if (oldIp === '' && ip !== '' && !spec.clusterIPs?.length) spec.clusterIPs = [ip];
    if (oldIp !== '' && ip === '') spec.clusterIPs = undefined;
    if (oldIp !== '' && ip !== '' && spec.clusterIPs?.[0] === oldIp) {
      spec.clusterIPs = [ip, ...spec.clusterIPs.slice(1)];
    }
  } else if (!changedIp && changedIps && ip === '' && spec.clusterIPs?.length) {
    spec.clusterIP = spec.clusterIPs[0];
  }
}

/** A change of type clears fields of the old type, unless the client changes them itself. */
function dropFieldsOfOtherTypes(spec: ServiceSpec, old: ServiceSpec): void {
  if (needsAddress(old) && !needsAddress(spec)) {
    if (spec.clusterIP === old.clusterIP) {
      delete spec.clusterIP;
      delete spec.clusterIPs;
    }
    delete spec.ipFamilies;
    delete spec.ipFamilyPolicy;
  }
  if (hasNodePorts(old) && !hasNodePorts(spec) && sameList(nodePortsOf(spec), nodePortsOf(old))) {
    for (const port of spec.ports ?? []) delete port.nodePort;
  }
  if (needsHealthCheck(old) && !needsHealthCheck(spec)) {
    if (spec.healthCheckNodePort === old.healthCheckNodePort) delete spec.healthCheckNodePort;
  }
  if (old.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') delete spec.allocateLoadBalancerNodePorts;
  if (hasNodePorts(old) && !hasNodePorts(spec) && spec.externalTrafficPolicy === old.externalTrafficPolicy) {
    delete spec.externalTrafficPolicy;
  }
}
