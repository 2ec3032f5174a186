/**
 * The maps of Cilium's kube-proxy replacement (C: bpf/lib/lb.h), filled from service ports:
 *
 *     services     {address, port, slot, protocol, scope} -> slot 0: the frontend; slot 1..count: a backend id
 *     backends     id -> address, port, state
 *     reverse NAT  index -> the frontend's address and port
 *     affinity     {reverse NAT index, client} -> backend id, when last used
 *     maglev       reverse NAT index -> table of backend ids
 *
 * Filling is incremental: a service port whose object is the same is not touched, and a changed one keeps the backend
 * ids and reverse NAT indexes that flows refer to.
 */

import { type Words, wordsOf } from '../address-words.ts';
import { PrefixMap } from '../lpm.ts';
import {
  MAGLEV_DEFAULT_SEED,
  MAGLEV_DEFAULT_TABLE_SIZE,
  maglevHashString,
  maglevSeeds,
  maglevTable,
} from '../maglev.ts';
import type { ServiceEndpoint, ServicePort, Tables } from '../tables.ts';
import { WordMap } from '../word-map.ts';
import { protocolText } from './chain-names.ts';
import { diffServices } from './service-diff.ts';
import type { Frontend } from './translator.ts';

export const SCOPE_EXTERNAL = 0;
export const SCOPE_INTERNAL = 1;

export type FrontendKind = 'ClusterIP' | 'NodePort' | 'ExternalIPs' | 'LoadBalancer';

/** Slot 0 of a frontend in one scope. */
export interface ServiceValue {
  readonly kind: FrontendKind;
  readonly port: ServicePort;
  readonly frontend: Frontend;
  readonly frontendAddress: string;
  /** Backends in slots 1 to count. */
  readonly count: number;
  readonly reverseNat: number;
  readonly affinitySeconds: number;
  /** East-west packets look in the internal scope too. */
  readonly hasTwoScopes: boolean;
  readonly scope: number;
  /** Present when only these clients may come from outside. */
  readonly sourceRanges: PrefixMap | undefined;
  /** Present with the Maglev algorithm. */
  readonly maglev: Int32Array | undefined;
}

export const BACKEND_ACTIVE = 0;
export const BACKEND_TERMINATING = 1;

export interface Backend {
  readonly id: number;
  readonly words: Words;
  readonly port: number;
  readonly protocol: number;
  readonly endpoint: ServiceEndpoint;
  readonly state: typeof BACKEND_ACTIVE | typeof BACKEND_TERMINATING;
}

interface BackendRecord {
  backend: Backend;
  uses: number;
}

/** What one service port put into the maps. */
interface Programmed {
  readonly values: ServiceValue[];
  readonly wildcards: string[];
  readonly backendKeys: string[];
}

/** Address, port and slot, protocol and scope: one address word for IPv4, four for IPv6. */
const NARROW = 3;
const WIDE = 6;

export class EbpfMaps {
  readonly seeds = maglevSeeds(MAGLEV_DEFAULT_SEED);
  readonly #services4 = new WordMap(NARROW, 1024);
  readonly #services6 = new WordMap(WIDE);
  readonly #values: (ServiceValue | undefined)[] = [];
  readonly #freeValues: number[] = [];
  /** By id. An id is never given out again: flows may remember it. */
  readonly #backends: (Backend | undefined)[] = [undefined];
  readonly #backendRecords = new Map<string, BackendRecord>();
  readonly #reverseNat = new Map<number, Frontend>();
  readonly #reverseNatIndexes = new Map<string, number>();
  /** How many values of the services map refer to an index. */
  readonly #reverseNatUses = new Map<number, number>();
  #nextReverseNat = 1;
  // Frontend addresses of any port: what comes from outside to another port of theirs is not for a service.
  readonly #wildcards = new Map<string, number>();
  readonly #wildcardSet = new WordMap(4);
  readonly #programmed = new Map<ServicePort, Programmed>();
  #ports: readonly ServicePort[] = [];
  #inputs: readonly unknown[] = [];

  /** Brings the maps to a new snapshot. */
  program(tables: Tables): void {
    const inputs = [tables.node.addresses, tables.options];
    const keep = inputs.every((input, i) => input === this.#inputs[i]);
    this.#inputs = inputs;
    const { added, removed } = keep
      ? diffServices(this.#ports, tables.services)
      : { added: tables.services, removed: this.#ports };
    this.#ports = tables.services;
    const old = removed.map((port) => this.#programmed.get(port)!);
    for (const port of removed) this.#programmed.delete(port);
    // Take backends of the new before those of the old go, so that shared ones keep their ids; then exchange slots.
    const backends = added.map((port) => this.#takeBackends(port));
    for (const programmed of old) this.#remove(programmed);
    added.forEach((port, i) => {
      this.#programmed.set(port, this.#add(port, backends[i], tables));
    });
    for (const { values } of old) this.#releaseReverseNat(values);
  }

  /** Slot 0 for an address, port and protocol, or undefined. Words are signed. */
  lookup(
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    port: number,
    protocol: number,
    eastWest: boolean,
  ): ServiceValue | undefined {
    const services = this.#stage(w0, w1, w2, w3, port);
    const key = services.key;
    const last = key.length - 1;
    key[last] = protocol | (SCOPE_EXTERNAL << 8);
    const index = services.find();
    if (index < 0) return undefined;
    const value = this.#values[index]!;
    if (!eastWest || !value.hasTwoScopes) return value;
    key[last] = protocol | (SCOPE_INTERNAL << 8);
    const internal = services.find();
    return internal < 0 ? undefined : this.#values[internal];
  }

  /** The backend id in a slot (1 to count), or -1. */
  slot(value: ServiceValue, slot: number): number {
    return this.#stageSlot(value, slot).find();
  }

  // The map of the address's family, its key staged but for the last word.
  #stage(w0: number, w1: number, w2: number, w3: number, port: number): WordMap {
    if (w2 === 0xffff && w1 === 0 && w0 === 0) {
      const key = this.#services4.key;
      key[0] = w3;
      key[1] = port << 16;
      return this.#services4;
    }
    const key = this.#services6.key;
    key[0] = w0;
    key[1] = w1;
    key[2] = w2;
    key[3] = w3;
    key[4] = port << 16;
    return this.#services6;
  }

  #stageSlot(value: ServiceValue, slot: number): WordMap {
    const { words, port } = value.frontend;
    const services = this.#stage(words[0], words[1], words[2], words[3], port);
    const key = services.key;
    key[key.length - 2] |= slot;
    key[key.length - 1] = value.port.protocol | (value.scope << 8);
    return services;
  }

  backend(id: number): Backend | undefined {
    return this.#backends[id];
  }

  frontend(reverseNat: number): Frontend | undefined {
    return this.#reverseNat.get(reverseNat);
  }

  /** Whether the address is the frontend of some service, on whatever port. */
  isFrontendAddress(w0: number, w1: number, w2: number, w3: number): boolean {
    const key = this.#wildcardSet.key;
    key[0] = w0;
    key[1] = w1;
    key[2] = w2;
    key[3] = w3;
    return this.#wildcardSet.find() >= 0;
  }

  /** Every frontend in force, for dumps. */
  list(): readonly ServiceValue[] {
    return this.#ports.flatMap((port) => this.#programmed.get(port)!.values);
  }

  #takeBackends(port: ServicePort): string[] {
    const keys: string[] = [];
    for (const endpoint of port.endpoints) {
      // A backend that neither serves nor is ready is no backend; flows to it are chosen anew.
      if (!endpoint.ready && !endpoint.serving) continue;
      const key = backendKey(endpoint, port.protocol);
      const state = endpoint.ready ? BACKEND_ACTIVE : BACKEND_TERMINATING;
      const record = this.#backendRecords.get(key);
      const id = record?.backend.id ?? this.#backends.length;
      const words = record?.backend.words ?? wordsOf(endpoint.address);
      const backend: Backend = { id, words, port: endpoint.port, protocol: port.protocol, endpoint, state };
      this.#backendRecords.set(key, { backend, uses: (record?.uses ?? 0) + 1 });
      this.#backends[id] = backend;
      keys.push(key);
    }
    return keys;
  }

  #releaseBackends(keys: readonly string[]): void {
    for (const key of keys) {
      const record = this.#backendRecords.get(key)!;
      record.uses--;
      if (record.uses > 0) continue;
      this.#backendRecords.delete(key);
      this.#backends[record.backend.id] = undefined;
    }
  }

  #add(port: ServicePort, backendKeys: string[], tables: Tables): Programmed {
    const values: ServiceValue[] = [];
    const wildcards: string[] = [];
    const add = (kind: FrontendKind, address: string, number: number): void => {
      this.#addFrontend(kind, address, number, port, tables, values);
      if (kind !== 'NodePort') {
        wildcards.push(address);
        this.#countWildcard(address, 1);
      }
    };
    add('ClusterIP', port.clusterIp, port.port);
    for (const address of port.externalIps) add('ExternalIPs', address, port.port);
    for (const address of port.loadBalancerIps) add('LoadBalancer', address, port.port);
    if (port.nodePort !== 0) {
      for (const address of tables.node.addresses) {
        if (address.includes(':') === (port.version === 6)) add('NodePort', address, port.nodePort);
      }
    }
    return { values, wildcards, backendKeys };
  }

  #addFrontend(
    kind: FrontendKind,
    address: string,
    number: number,
    port: ServicePort,
    tables: Tables,
    values: ServiceValue[],
  ): void {
    const isInternal = kind === 'ClusterIP';
    const externalLocal = port.externalTrafficPolicy === 'Local';
    const internalLocal = port.internalTrafficPolicy === 'Local';
    const hasTwoScopes = !isInternal && externalLocal !== internalLocal;
    const usesLocal = isInternal ? internalLocal : externalLocal;
    const chosen = usesLocal ? port.localEndpoints : port.clusterEndpoints;
    const scopes: [number, readonly ServiceEndpoint[]][] = [[SCOPE_EXTERNAL, chosen]];
    if (hasTwoScopes) {
      scopes.push([SCOPE_INTERNAL, internalLocal ? port.localEndpoints : port.clusterEndpoints]);
    }
    const words = wordsOf(address);
    const text = reverseNatKey(address, number, port);
    let reverseNat = this.#reverseNatIndexes.get(text);
    if (reverseNat === undefined) this.#reverseNatIndexes.set(text, (reverseNat = this.#nextReverseNat++));
    const frontend: Frontend = { words, port: number };
    this.#reverseNat.set(reverseNat, frontend);
    for (const [scope, endpoints] of scopes) {
      const ids = endpoints.map(
        (endpoint) => this.#backendRecords.get(backendKey(endpoint, port.protocol))!.backend.id,
      );
      const value: ServiceValue = {
        kind,
        port,
        frontend,
        frontendAddress: address,
        count: ids.length,
        reverseNat,
        affinitySeconds: port.affinitySeconds,
        hasTwoScopes,
        scope,
        sourceRanges: kind === 'LoadBalancer' ? rangesOf(port) : undefined,
        maglev:
          tables.options?.algorithm === 'maglev' ? this.#buildMaglev(endpoints, port, tables) : undefined,
      };
      values.push(value);
      this.#reverseNatUses.set(reverseNat, (this.#reverseNatUses.get(reverseNat) ?? 0) + 1);
      this.#install(value, ids);
    }
  }

  #install(value: ServiceValue, backendIds: readonly number[]): void {
    const index = this.#freeValues.pop() ?? this.#values.length;
    this.#values[index] = value;
    this.#stageSlot(value, 0).set(index);
    backendIds.forEach((id, i) => {
      this.#stageSlot(value, i + 1).set(id);
    });
  }

  #remove(programmed: Programmed): void {
    for (const value of programmed.values) {
      const services = this.#stageSlot(value, 0);
      const index = services.find();
      // Two services may claim one external address; the later one has the slot.
      if (index < 0 || this.#values[index] !== value) continue;
      services.delete();
      this.#values[index] = undefined;
      this.#freeValues.push(index);
      for (let slot = 1; slot <= value.count; slot++) this.#stageSlot(value, slot).delete();
    }
    for (const address of programmed.wildcards) this.#countWildcard(address, -1);
    this.#releaseBackends(programmed.backendKeys);
  }

  #countWildcard(address: string, change: number): void {
    const count = (this.#wildcards.get(address) ?? 0) + change;
    this.#wildcardSet.key.set(wordsOf(address));
    if (count > 0) {
      this.#wildcards.set(address, count);
      this.#wildcardSet.set(1);
    } else {
      this.#wildcards.delete(address);
      this.#wildcardSet.delete();
    }
  }

  #buildMaglev(endpoints: readonly ServiceEndpoint[], port: ServicePort, tables: Tables): Int32Array {
    const backends = endpoints.map((endpoint) => ({
      id: this.#backendRecords.get(backendKey(endpoint, port.protocol))!.backend.id,
      hashString: maglevHashString(endpoint.address, endpoint.port, protocolText(port).toUpperCase()),
      weight: 1,
    }));
    const size = tables.options?.maglevTableSize ?? MAGLEV_DEFAULT_TABLE_SIZE;
    return maglevTable(backends, size, this.seeds.murmur);
  }

  #releaseReverseNat(values: readonly ServiceValue[]): void {
    for (const { reverseNat, frontendAddress, frontend, port } of values) {
      const uses = this.#reverseNatUses.get(reverseNat)! - 1;
      this.#reverseNatUses.set(reverseNat, uses);
      if (uses > 0) continue;
      this.#reverseNatUses.delete(reverseNat);
      this.#reverseNat.delete(reverseNat);
      this.#reverseNatIndexes.delete(reverseNatKey(frontendAddress, frontend.port, port));
    }
  }
}

function reverseNatKey(address: string, number: number, port: ServicePort): string {
  return `${address} ${number} ${port.protocol}`;
}

function backendKey(endpoint: ServiceEndpoint, protocol: number): string {
  return `${endpoint.address} ${endpoint.port} ${protocol}`;
}

function rangesOf(port: ServicePort): PrefixMap | undefined {
  if (port.sourceRanges.length === 0) return undefined;
  const ranges = new PrefixMap();
  port.sourceRanges.forEach((range, i) => {
    ranges.set(range, i);
  });
  return ranges;
}
