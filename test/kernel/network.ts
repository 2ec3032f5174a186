/**
 * A node of the cluster made of network namespaces: the node itself, each pod on a veth pair of its own, pods of other
 * nodes behind what would be the tunnel, and the world outside. Nothing of it is in the namespace of the machine.
 *
 *     pods of node-1 ── veth ──┐
 *                              ├── node-1 (the rules) ── veth ── outside
 *     pods of others ── veth ──┘
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Attempt, Listen, Result } from './peer.ts';

const PREFIX = 'podwire-k-';

/** A client or backend pod, or the outside. */
export interface Place {
  readonly name: string;
  readonly kind: 'pod' | 'remote' | 'outside' | 'node';
  /** Of both families. */
  readonly addresses: readonly string[];
}

export interface NetworkPlan {
  readonly node: Place;
  /** Addresses the node has towards every pod. */
  readonly gateways: readonly string[];
  readonly pods: readonly Place[];
  readonly outside: Place;
  /** Every pod answers on these, TCP and UDP. */
  readonly ports: readonly number[];
}

/** Runs a command; what it wrote to stderr is in the error. */
export function run(command: string, args: readonly string[], input?: string): string {
  return execFileSync(command, args, { input, encoding: 'utf8', stdio: 'pipe', maxBuffer: 64 << 20 });
}

function names(): string[] {
  try {
    return readdirSync('/run/netns');
  } catch {
    return [];
  }
}

/** Removes what runs that were killed left behind. */
function sweep(): void {
  for (const name of names()) {
    const pid = Number(/^podwire-k-(\d+)-/.exec(name)?.[1]);
    if (pid && !isAlive(pid)) run('ip', ['netns', 'del', name]);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** `echo VALUE > /proc/sys/…` in a namespace; a key that the kernel lacks does not matter. */
function setSysctls(namespace: string, values: Readonly<Record<string, number>>): void {
  const lines = Object.entries(values).map(([key, value]) => `echo ${value} > /proc/sys/net/${key}`);
  run('ip', ['netns', 'exec', namespace, 'sh', '-c', `{ ${lines.join('; ')}; } 2>/dev/null; true`]);
}

const SYSCTLS = {
  // A new namespace starts with the machine's value.
  'ipv4/ip_forward': 0,
  'ipv6/conf/all/accept_dad': 0,
  'ipv6/conf/default/accept_dad': 0,
  'ipv6/conf/all/forwarding': 0,
  // Refusals must not be fewer than what was refused.
  'ipv4/icmp_ratelimit': 0,
  'ipv4/icmp_msgs_per_sec': 100_000,
  'ipv4/icmp_msgs_burst': 10_000,
  'ipv6/icmp/ratelimit': 0,
  'ipv4/conf/all/rp_filter': 0,
  'ipv4/conf/default/rp_filter': 0,
};
const ROUTER_SYSCTLS = {
  ...SYSCTLS,
  'ipv4/ip_forward': 1,
  'ipv6/conf/all/forwarding': 1,
  'ipv4/conf/all/send_redirects': 0,
  'ipv4/conf/default/send_redirects': 0,
};

/** `10.0.0.1/32` or `fd00::1/128 nodad`. */
function host(address: string): string {
  return address.includes(':') ? `${address}/128 nodad` : `${address}/32`;
}

/** Namespaces for one run, and a process in each. */
export class Network {
  readonly plan: NetworkPlan;
  readonly #peers = new Map<string, Peer>();
  readonly #namespaces: string[] = [];

  private constructor(plan: NetworkPlan) {
    this.plan = plan;
  }

  static async open(plan: NetworkPlan): Promise<Network> {
    sweep();
    const network = new Network(plan);
    process.once('exit', () => network.close());
    try {
      network.#build();
      await network.#start();
      return network;
    } catch (error) {
      network.close();
      throw error;
    }
  }

  #add(name: string, sysctls: Readonly<Record<string, number>>): string {
    const namespace = `${PREFIX}${process.pid}-${name}`;
    run('ip', ['netns', 'add', namespace]);
    this.#namespaces.push(namespace);
    setSysctls(namespace, sysctls);
    return namespace;
  }

  #build(): void {
    const { plan } = this;
    const node = this.#add(plan.node.name, ROUTER_SYSCTLS);
    const nodeLines = ['link set lo up'];
    for (const place of [...plan.pods, plan.outside]) {
      const namespace = this.#add(place.name, SYSCTLS);
      const isOutside = place === plan.outside;
      run('ip', [
        '-n',
        node,
        'link',
        'add',
        place.name,
        'type',
        'veth',
        'peer',
        'name',
        'eth0',
        'netns',
        namespace,
      ]);
      const near = isOutside ? plan.node.addresses : plan.gateways;
      nodeLines.push(`link set ${place.name} up`);
      for (const address of near) nodeLines.push(`addr add ${host(address)} dev ${place.name}`);
      for (const address of place.addresses) {
        nodeLines.push(`route add ${host(address).split(' ')[0]} dev ${place.name}`);
      }
      const farLines = ['link set lo up', 'link set eth0 up'];
      for (const address of place.addresses) farLines.push(`addr add ${host(address)} dev eth0`);
      for (const address of near) {
        farLines.push(`route add ${host(address).split(' ')[0]} dev eth0`);
        farLines.push(`route add default via ${address} dev eth0 onlink`);
      }
      if (isOutside) {
        for (const version of [4, 6]) {
          const via = place.addresses.find((address) => address.includes(':') === (version === 6))!;
          nodeLines.push(`route add default via ${via} dev ${place.name} onlink`);
        }
      }
      run('ip', ['-n', namespace, '-batch', '-'], farLines.join('\n'));
    }
    run('ip', ['-n', node, '-batch', '-'], nodeLines.join('\n'));
  }

  async #start(): Promise<void> {
    const { plan } = this;
    const starts = [plan.node, ...plan.pods, plan.outside].map(async (place) => {
      const peer = new Peer(this.namespace(place.name));
      this.#peers.set(place.name, peer);
      const listens = plan.pods.includes(place)
        ? plan.ports.flatMap((port) =>
            place.addresses.flatMap((address): Listen[] => [
              { protocol: 'tcp', address, port },
              { protocol: 'udp', address, port },
            ]),
          )
        : [];
      await peer.open(listens);
    });
    await Promise.all(starts);
  }

  namespace(name: string): string {
    return `${PREFIX}${process.pid}-${name}`;
  }

  /** Runs a command on the node. */
  onNode(command: string, args: readonly string[], input?: string): string {
    return run('ip', ['netns', 'exec', this.namespace(this.plan.node.name), command, ...args], input);
  }

  attempt(place: string, attempt: Omit<Attempt, 'id'>): Promise<Result> {
    return this.#peers.get(place)!.attempt(attempt);
  }

  close(): void {
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
    for (const namespace of this.#namespaces.splice(0)) {
      try {
        run('ip', ['netns', 'del', namespace]);
      } catch {
        // Another run's sweep was quicker.
      }
    }
  }
}

/** The process inside a namespace. */
class Peer {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (result: Result) => void>();
  #nextId = 1;
  #ready: () => void = () => {};

  constructor(namespace: string) {
    const script = fileURLToPath(new URL('./peer.ts', import.meta.url));
    this.#process = spawn('ip', ['netns', 'exec', namespace, process.execPath, script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#process.stdin!.on('error', () => {});
    createInterface({ input: this.#process.stdout! }).on('line', (line) => {
      const message = JSON.parse(line) as Result & { ready?: boolean };
      if (message.ready) return this.#ready();
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
    });
  }

  open(listens: readonly Listen[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#ready = resolve;
      this.#process.on('exit', (code) => reject(new Error(`Cannot run a peer: it ended with ${code}`)));
      this.#send(listens);
    });
  }

  attempt(attempt: Omit<Attempt, 'id'>): Promise<Result> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#send({ id, ...attempt });
    });
  }

  #send(message: object): void {
    this.#process.stdin!.write(`${JSON.stringify(message)}\n`);
  }

  close(): void {
    this.#process.removeAllListeners('exit');
    this.#process.kill('SIGKILL');
  }
}
