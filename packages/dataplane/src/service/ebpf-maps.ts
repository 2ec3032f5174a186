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
  readonly key: Int32Array;
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

const KEY_WIDTH = 6;

export class EbpfMaps {
  readonly seeds = maglevSeeds(MAGLEV_DEFAULT_SEED);
  readonly #services = new WordMap(KEY_WIDTH, 1024);
  readonly #values: (ServiceValue | undefined)[] = [];
  readonly #freeValues: number[] = [];
  readonly #backends = new Map<number, Backend>();
  readonly #backendRecords = new Map<string, BackendRecord>();
  #nextBackendId = 1;
  readonly #reverseNat = new Map<number, Frontend>();
  readonly #reverseNatIndexes = new Map<string, number>();
  #nextReverseNat = 1;
  // Frontend addresses of any port: what comes from outside to another port of theirs is not for a service.
  readonly #wildcards = new Map<string, number>();
  readonly #wildcardSet = new WordMap(4);
  #programmed = new Map<ServicePort, Programmed>();
  #inputs: readonly unknown[] = [];

  /** Brings the maps to a new snapshot. */
  program(tables: Tables): void {
    const inputs = [tables.node.addresses, tables.options];
    const keep = inputs.every((input, i) => input === this.#inputs[i]);
    this.#inputs = inputs;
    const before = this.#programmed;
    const after = new Map<ServicePort, Programmed>();
    const added: ServicePort[] = [];
    for (const port of tables.services) {
      const old = keep ? before.get(port) : undefined;
      if (old !== undefined) after.set(port, old);
      else added.push(port);
    }
    // Take backends of the new before those of the old go, so that shared ones keep their ids; then exchange slots.
    const backends = added.map((port) => this.#takeBackends(port));
    for (const [port, programmed] of before) {
      if (after.get(port) !== programmed) this.#remove(programmed);
    }
    added.forEach((port, i) => {
      after.set(port, this.#add(port, backends[i], tables));
    });
    this.#programmed = after;
    this.#dropUnusedReverseNat();
  }

  /** Slot 0 for an address, port and protocol, or undefined. Words are signed or unsigned. */
  lookup(
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    port: number,
    protocol: number,
    eastWest: boolean,
  ): ServiceValue | undefined {
    const key = this.#services.key;
    key[0] = w0;
    key[1] = w1;
    key[2] = w2;
    key[3] = w3;
    key[4] = port << 16;
    key[5] = protocol | (SCOPE_EXTERNAL << 8);
    const index = this.#services.find();
    if (index < 0) return undefined;
    const value = this.#values[index]!;
    if (!eastWest || !value.hasTwoScopes) return value;
    key[5] = protocol | (SCOPE_INTERNAL << 8);
    const internal = this.#services.find();
    return internal < 0 ? undefined : this.#values[internal];
  }

  /** The backend id in a slot (1 to count), or -1. */
  slot(value: ServiceValue, slot: number): number {
    const key = this.#services.key;
    for (let i = 0; i < KEY_WIDTH; i++) key[i] = value.key[i];
    key[4] |= slot;
    return this.#services.find();
  }

  backend(id: number): Backend | undefined {
    return this.#backends.get(id);
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
    return [...this.#programmed.values()].flatMap(({ values }) => values);
  }

  #takeBackends(port: ServicePort): string[] {
    const keys: string[] = [];
    for (const endpoint of port.endpoints) {
      // A backend that neither serves nor is ready is no backend; flows to it are chosen anew.
      if (!endpoint.ready && !endpoint.serving) continue;
      const key = backendKey(endpoint, port.protocol);
      const state = endpoint.ready ? BACKEND_ACTIVE : BACKEND_TERMINATING;
      const record = this.#backendRecords.get(key);
      const id = record?.backend.id ?? this.#nextBackendId++;
      const words = record?.backend.words ?? wordsOf(endpoint.address);
      const backend: Backend = { id, words, port: endpoint.port, protocol: port.protocol, endpoint, state };
      this.#backendRecords.set(key, { backend, uses: (record?.uses ?? 0) + 1 });
      this.#backends.set(id, backend);
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
      this.#backends.delete(record.backend.id);
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
    const text = `${address} ${number} ${port.protocol}`;
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
        key: new Int32Array([...words, number << 16, port.protocol | (scope << 8)]),
      };
      values.push(value);
      this.#install(value, ids);
    }
  }

  #install(value: ServiceValue, backendIds: readonly number[]): void {
    const key = this.#services.key;
    const index = this.#freeValues.pop() ?? this.#values.length;
    this.#values[index] = value;
    key.set(value.key);
    this.#services.set(index);
    backendIds.forEach((id, i) => {
      key.set(value.key);
      key[4] |= i + 1;
      this.#services.set(id);
    });
  }

  #remove(programmed: Programmed): void {
    const key = this.#services.key;
    for (const value of programmed.values) {
      key.set(value.key);
      const index = this.#services.find();
      // Two services may claim one external address; the later one has the slot.
      if (index < 0 || this.#values[index] !== value) continue;
      this.#services.delete();
      this.#values[index] = undefined;
      this.#freeValues.push(index);
      for (let slot = 1; slot <= value.count; slot++) {
        key.set(value.key);
        key[4] |= slot;
        this.#services.delete();
      }
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

  #dropUnusedReverseNat(): void {
    const used = new Set<number>();
    for (const { values } of this.#programmed.values())
      for (const value of values) used.add(value.reverseNat);
    if (used.size === this.#reverseNat.size) return;
    for (const [text, index] of this.#reverseNatIndexes) {
      if (used.has(index)) continue;
      this.#reverseNatIndexes.delete(text);
      this.#reverseNat.delete(index);
    }
  }
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
