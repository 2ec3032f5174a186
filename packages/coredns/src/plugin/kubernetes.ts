import { ipVersionOf } from '@podwire/wire/address';
import { type Answer, type DnsRecord, emptyAnswer, type Query } from '../message.ts';
import { type Client, corefileError, type Directive, type Next, type Plugin } from '../plugin.ts';
import { addressOfReverseName, longestZone } from '../zones.ts';
import { type DnsService, dashed, type Endpoint, type KubernetesIndex } from './kubernetes-index.ts';

export interface KubernetesOptions {
  zones: string[];
  pods: 'disabled' | 'insecure' | 'verified';
  ttlSeconds: number;
  /** Zones in which a name we do not know goes to the next plugin; undefined for none, [] for all. */
  fallthrough: string[] | undefined;
}

/** Version of the Kubernetes DNS specification these answers follow; served as TXT at dns-version.ZONE. */
const SPECIFICATION = '1.1.0';
const DNS_VERSION_TTL_SECONDS = 28_800;

export function kubernetesOptions(directive: Directive, blockZones: readonly string[]): KubernetesOptions {
  const zones = (directive.args.length > 0 ? directive.args : blockZones).map((zone) =>
    zone.toLowerCase().replace(/\.$/, ''),
  );
  const options: KubernetesOptions = { zones, pods: 'disabled', ttlSeconds: 5, fallthrough: undefined };
  for (const { name, args } of directive.block) {
    switch (name) {
      case 'pods':
        if (!/^(disabled|insecure|verified)$/.test(args[0] ?? '')) {
          throw corefileError(directive, `pods "${args[0] ?? ''}" must be disabled, insecure or verified`);
        }
        options.pods = args[0] as KubernetesOptions['pods'];
        break;
      case 'ttl': {
        const ttl = Number(args[0]);
        if (!Number.isInteger(ttl) || ttl < 0 || ttl > 3600)
          throw corefileError(directive, `ttl "${args[0] ?? ''}" must be 0 to 3600`);
        options.ttlSeconds = ttl;
        break;
      }
      case 'fallthrough':
        options.fallthrough = args.map((zone) => zone.toLowerCase().replace(/\.$/, ''));
        break;
      case 'endpoint':
      case 'tls':
      case 'kubeconfig':
      case 'namespaces':
      case 'labels':
      case 'noendpoints':
      case 'ignore':
        throw corefileError(directive, `option "${name}" of plugin kubernetes is not supported`);
      default:
        throw corefileError(directive, `unknown property '${name}'`);
    }
  }
  return options;
}

/** Answers by the Kubernetes DNS-Based Service Discovery specification, from the synced state. */
export class KubernetesPlugin implements Plugin {
  readonly name = 'kubernetes';
  readonly #options: KubernetesOptions;
  readonly #index: KubernetesIndex;

  constructor(options: KubernetesOptions, index: KubernetesIndex) {
    this.#options = options;
    this.#index = index;
  }

  ready(): boolean {
    return this.#index.synced;
  }

  async serve(query: Query, _client: Client, next: Next): Promise<Answer> {
    const { name } = query.question;
    const zone = longestZone(name, this.#options.zones);
    if (zone === undefined) return next();
    if (!this.#index.synced) return emptyAnswer('SERVFAIL');
    const found = zone.endsWith('.arpa') ? this.#reverse(query) : this.#forward(query, zone);
    if (found === undefined) {
      const { fallthrough } = this.#options;
      if (fallthrough && (fallthrough.length === 0 || longestZone(name, fallthrough) !== undefined))
        return next();
      return this.#negative('NXDOMAIN', zone);
    }
    if (found.length === 0) return this.#negative('NOERROR', zone);
    return {
      rcode: 'NOERROR',
      authoritative: true,
      answers: found,
      authorities: [],
      additionals: this.#additionals(found),
    };
  }

  /** Records of a name; [] when it exists with other types only; undefined when it does not exist. */
  #forward(query: Query, zone: string): DnsRecord[] | undefined {
    const { name, type } = query.question;
    const rest = name === zone ? '' : name.slice(0, -(zone.length + 1));
    if (rest === '') {
      if (type === 'SOA') return [this.#soa(zone)];
      return type === 'NS' ? [this.#record(zone, 'NS', `ns.dns.${zone}`)] : [];
    }
    if (rest === 'dns-version') {
      return type === 'TXT'
        ? [{ name, type: 'TXT', ttlSeconds: DNS_VERSION_TTL_SECONDS, data: [SPECIFICATION] }]
        : [];
    }
    if (rest === 'ns.dns') return [];
    const labels = rest.split('.');
    const kind = labels.at(-1);
    if (kind === 'svc') return this.#serviceNames(query, labels.slice(0, -1), zone);
    if (kind === 'pod') return this.#podNames(query, labels.slice(0, -1));
    return undefined;
  }

  #podNames(query: Query, labels: string[]): DnsRecord[] | undefined {
    const { name, type } = query.question;
    if (this.#options.pods === 'disabled') return undefined;
    if (labels.length === 0) return [];
    const namespace = labels.at(-1)!;
    if (labels.length === 1) return this.#index.hasNamespace(namespace) ? [] : undefined;
    if (labels.length > 2 || !this.#index.hasNamespace(namespace)) return undefined;
    const label = labels[0]!;
    const v4 = label.replaceAll('-', '.');
    const address = ipVersionOf(v4) === 4 ? v4 : label.replaceAll('-', ':');
    const version = ipVersionOf(address);
    if (version === 0) return undefined;
    if (this.#options.pods === 'verified' && !this.#index.hasPod(namespace, address)) return undefined;
    return type === (version === 4 ? 'A' : 'AAAA') ? [this.#record(name, type, address)] : [];
  }

  #serviceNames(query: Query, labels: string[], zone: string): DnsRecord[] | undefined {
    const { name, type } = query.question;
    if (labels.length === 0) return [];
    const namespace = labels.at(-1)!;
    if (labels.length === 1) return this.#index.hasNamespace(namespace) ? [] : undefined;
    const service = this.#index.service(namespace, labels.at(-2)!);
    if (!service) return undefined;
    const above = labels.slice(0, -2);
    const base = `${service.name}.${service.namespace}.svc.${zone}`;
    if (service.kind === 'externalName') {
      if (above.length > 0) return undefined;
      return [this.#record(name, 'CNAME', service.externalName)];
    }
    const headless = service.kind === 'headless';
    if (headless && service.endpoints.length === 0) return undefined;
    if (above.length === 0) {
      if (type === 'SRV') return this.#srv(service, base, name);
      return this.#addresses(name, type, headless ? service.endpoints : service.clusterIPs.map(asEndpoint));
    }
    if (above.length === 1 && !above[0]!.startsWith('_')) {
      const named = headless ? service.endpoints.filter((endpoint) => endpoint.label === above[0]) : [];
      if (named.length === 0) return undefined;
      if (type === 'SRV')
        return named.flatMap((endpoint) =>
          endpoint.ports.map((port) => this.#srvRecord(name, port.port, `${endpoint.label}.${base}`, 1)),
        );
      return this.#addresses(name, type, named);
    }
    if (above.length === 2 && above[0]!.startsWith('_') && above[1]!.startsWith('_')) {
      const found = this.#srv(service, base, name, above[0]!.slice(1), above[1]!.slice(1));
      if (found.length === 0) return undefined;
      return type === 'SRV' ? found : [];
    }
    return undefined;
  }

  #addresses(
    name: string,
    type: string,
    endpoints: readonly Pick<Endpoint, 'address' | 'version'>[],
  ): DnsRecord[] {
    const version = type === 'A' ? 4 : type === 'AAAA' ? 6 : 0;
    const addresses = new Set(
      endpoints.filter((endpoint) => endpoint.version === version).map((endpoint) => endpoint.address),
    );
    return [...addresses].map((address) => this.#record(name, type as 'A' | 'AAAA', address));
  }

  /** SRV of a Service: of all its ports, or of the one named `port` and `protocol`. */
  #srv(service: DnsService, base: string, owner: string, port?: string, protocol?: string): DnsRecord[] {
    const wanted = (candidate: { name: string; protocol: string }): boolean =>
      port === undefined ||
      ((port === '*' || candidate.name === port) && (protocol === '*' || candidate.protocol === protocol));
    if (service.kind === 'clusterIP') {
      const ports = service.ports.filter(wanted);
      return ports.map((found) => this.#srvRecord(owner, found.port, base, ports.length));
    }
    const seen = new Set<string>();
    const records = service.endpoints.flatMap((endpoint) =>
      endpoint.ports.filter(wanted).flatMap((found) => {
        const key = `${endpoint.label}:${found.port}`;
        if (seen.has(key)) return [];
        seen.add(key);
        return [{ port: found.port, target: `${endpoint.label}.${base}` }];
      }),
    );
    return records.map((record) => this.#srvRecord(owner, record.port, record.target, records.length));
  }

  /** Weight is 100 shared among the answers, as CoreDNS gives it. */
  #srvRecord(owner: string, port: number, target: string, count: number): DnsRecord {
    return this.#record(owner, 'SRV', {
      priority: 0,
      weight: Math.max(1, Math.floor(100 / count)),
      port,
      target,
    });
  }

  #reverse(query: Query): DnsRecord[] | undefined {
    const { name, type } = query.question;
    const address = addressOfReverseName(name);
    if (address === undefined) return undefined;
    const zone = this.#options.zones.find((candidate) => !candidate.endsWith('.arpa')) ?? 'cluster.local';
    const found = this.#index.byAddress(address).map(({ service, label }) => {
      const base = `${service.name}.${service.namespace}.svc.${zone}`;
      return this.#record(name, 'PTR', label === '' ? base : `${label}.${base}`);
    });
    if (found.length === 0) return undefined;
    return type === 'PTR' ? found : [];
  }

  /** Addresses of the targets of SRV answers (RFC 2782, "additional data"). */
  #additionals(answers: readonly DnsRecord[]): DnsRecord[] {
    const targets = new Set(
      answers
        .filter((answer) => answer.type === 'SRV')
        .map((answer) => (answer.data as { target: string }).target),
    );
    return [...targets].flatMap((target) => {
      const labels = target.split('.svc.')[0]!.split('.');
      const service = this.#index.service(labels.at(-1)!, labels.at(-2)!);
      if (!service) return [];
      const endpoints =
        service.kind === 'headless'
          ? service.endpoints.filter((endpoint) => endpoint.label === labels[0])
          : service.clusterIPs.map(asEndpoint);
      return endpoints.map((endpoint) =>
        this.#record(target, endpoint.version === 4 ? 'A' : 'AAAA', endpoint.address),
      );
    });
  }

  #negative(rcode: 'NXDOMAIN' | 'NOERROR', zone: string): Answer {
    return { rcode, authoritative: true, answers: [], authorities: [this.#soa(zone)], additionals: [] };
  }

  #soa(zone: string): DnsRecord {
    return {
      name: zone,
      type: 'SOA',
      ttlSeconds: this.#options.ttlSeconds,
      data: {
        mname: `ns.dns.${zone}`,
        rname: `hostmaster.${zone}`,
        serial: 1,
        refresh: 7200,
        retry: 1800,
        expire: 86_400,
        minimum: this.#options.ttlSeconds,
      },
    };
  }

  #record(name: string, type: DnsRecord['type'], data: DnsRecord['data']): DnsRecord {
    return { name, type, ttlSeconds: this.#options.ttlSeconds, data };
  }
}

function asEndpoint(address: string): Pick<Endpoint, 'address' | 'version' | 'label'> {
  return { address, version: ipVersionOf(address) === 6 ? 6 : 4, label: dashed(address) };
}
