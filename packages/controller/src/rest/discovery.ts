import { apiVersionOf, type ResourceInfo, subresourceInfo } from '@podwire/kube/resources';
import { unknownPath } from '@podwire/kube/status';
import type { ResourceTypes } from '../registry/resource-types.ts';
import { type Exchange, sendObject, sendText } from './exchange.ts';
import { negotiate } from './negotiation.ts';
import { compareVersions } from './version-order.ts';

/**
 * What clients ask before anything else: which groups, versions and resources there are, one document at a time
 * (metav1.APIGroupList, APIResourceList) or all at once (apidiscovery.k8s.io).
 */
export class Discovery {
  readonly #types: ResourceTypes;
  readonly #serverAddress: string;
  readonly #texts = new Map<string, string>();
  #generation = -1;

  /** `serverAddress` is `host:port` as clients reach it. */
  constructor(types: ResourceTypes, serverAddress: string) {
    this.#types = types;
    this.#serverAddress = serverAddress;
  }

  /** Answers `/api`, `/apis`, `/apis/GROUP`, `/api/v1` and `/apis/GROUP/VERSION`. Throws 404. */
  async handle(exchange: Exchange): Promise<void> {
    const parts = exchange.url.pathname.split('/').filter((part) => part !== '');
    const root = parts[0] === 'api';
    if (parts.length === 1) {
      const { as, version = 'v2' } = negotiate(exchange.request.headers.accept, ['APIGroupDiscoveryList']);
      if (as === undefined) return this.#send(exchange, root ? 'versions' : 'groups');
      const text = this.#text(root ? `core ${version}` : `all ${version}`);
      const type = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
      return sendText(exchange, 200, type, text);
    }
    negotiate(exchange.request.headers.accept, []);
    const [, group = '', version] = root ? ['', '', parts[1]] : parts;
    return this.#send(exchange, version === undefined ? `group ${group}` : `resources ${group}/${version}`);
  }

  #send(exchange: Exchange, what: string): Promise<void> {
    return sendObject(exchange, 200, this.#text(what));
  }

  #text(what: string): string {
    if (this.#generation !== this.#types.generation) this.#texts.clear();
    this.#generation = this.#types.generation;
    let text = this.#texts.get(what);
    if (text === undefined) {
      const document = this.#document(what);
      if (document === undefined) throw unknownPath();
      text = `${JSON.stringify(document)}\n`;
      this.#texts.set(what, text);
    }
    return text;
  }

  #document(what: string): object | undefined {
    const [kind = '', argument = ''] = what.split(' ');
    const groups = this.#groups();
    switch (kind) {
      case 'versions':
        return {
          kind: 'APIVersions',
          versions: ['v1'],
          serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: this.#serverAddress }],
        };
      case 'groups': {
        const named = [...groups].filter(([name]) => name !== '');
        return {
          kind: 'APIGroupList',
          apiVersion: 'v1',
          groups: named.map(([name, versions]) => describeGroup(name, versions)),
        };
      }
      case 'group': {
        const versions = argument === '' ? undefined : groups.get(argument);
        return versions && { kind: 'APIGroup', apiVersion: 'v1', ...describeGroup(argument, versions) };
      }
      case 'resources': {
        const [group = '', version = ''] = argument.split('/');
        const infos = groups.get(group)?.get(version);
        return infos && resourceList(group, version, infos);
      }
      default: {
        const wanted = [...groups].filter(([name]) => (name === '') === (kind === 'core'));
        return {
          kind: 'APIGroupDiscoveryList',
          apiVersion: `apidiscovery.k8s.io/${argument}`,
          metadata: {},
          items: wanted.map(([name, versions]) => aggregatedGroup(name, versions)),
        };
      }
    }
  }

  /** Group -> version -> resources, versions in order of preference. */
  #groups(): Map<string, Map<string, ResourceInfo[]>> {
    const groups = new Map<string, Map<string, ResourceInfo[]>>();
    const infos = [...this.#types.all()].map((type) => type.info);
    infos.sort((a, b) => compareVersions(a.version, b.version));
    for (const info of infos) {
      const versions = groups.get(info.group) ?? new Map<string, ResourceInfo[]>();
      groups.set(info.group, versions);
      versions.set(info.version, [...(versions.get(info.version) ?? []), info]);
    }
    for (const versions of groups.values()) {
      for (const each of versions.values()) each.sort((a, b) => (a.plural < b.plural ? -1 : 1));
    }
    return groups;
  }
}

function describeGroup(name: string, versions: ReadonlyMap<string, unknown>): object {
  const described = [...versions.keys()].map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: described, preferredVersion: described[0] };
}

function resourceList(group: string, version: string, infos: readonly ResourceInfo[]): object {
  const resources = infos.flatMap((info) => [
    {
      name: info.plural,
      singularName: info.singular,
      namespaced: info.namespaced,
      kind: info.kind,
      verbs: info.verbs,
      ...(info.shortNames.length > 0 && { shortNames: info.shortNames }),
      ...(info.categories.length > 0 && { categories: info.categories }),
    },
    ...info.subresources.map((name) => {
      const sub = subresourceInfo(info, name);
      const elsewhere = sub.group !== info.group || sub.version !== info.version;
      return {
        name: `${info.plural}/${name}`,
        singularName: '',
        namespaced: info.namespaced,
        ...(elsewhere && { group: sub.group, version: sub.version }),
        kind: sub.kind,
        verbs: sub.verbs,
      };
    }),
  ]);
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf({ group, version }),
    resources,
  };
}

function aggregatedGroup(name: string, versions: ReadonlyMap<string, readonly ResourceInfo[]>): object {
  return {
    metadata: { ...(name !== '' && { name }), creationTimestamp: null },
    versions: [...versions].map(([version, infos]) => ({
      version,
      resources: infos.map(aggregatedResource),
      freshness: 'Current',
    })),
  };
}

function aggregatedResource(info: ResourceInfo): object {
  return {
    resource: info.plural,
    responseKind: { group: info.group, version: info.version, kind: info.kind },
    scope: info.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: info.singular,
    verbs: info.verbs,
    ...(info.shortNames.length > 0 && { shortNames: info.shortNames }),
    ...(info.categories.length > 0 && { categories: info.categories }),
    ...(info.subresources.length > 0 && {
      subresources: info.subresources.map((name) => {
        const { group, version, kind, verbs } = subresourceInfo(info, name);
        return { subresource: name, responseKind: { group, version, kind }, verbs };
      }),
    }),
  };
}
