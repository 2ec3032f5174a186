import { readdirSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { NetStack } from '@podwire/netstack/stack';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { parseMac } from '@podwire/wire/address';
import { buildIcmpError } from '@podwire/wire/build';
import { Packet } from '@podwire/wire/packet';
import dnsPacket from 'dns-packet';
import { vi } from 'vitest';
import { type ContainerSpec, type RunningContainer, startContainer } from '../src/container.ts';
import { makePipe, readAll } from '../src/shell/streams.ts';
import type { Sandbox } from '../src/types.ts';

const ROUTER_MAC = 'ee:ee:ee:ee:ee:ee';
export const DNS_ADDRESS = '10.96.0.10';

/** Loads what is loaded lazily, so that no test waits for the file system while fake time runs. */
export async function loadEverything(): Promise<void> {
  const source = new URL('../src/', import.meta.url);
  const names = readdirSync(source, { recursive: true }).map(String);
  await Promise.all(
    names.filter((name) => name.endsWith('.ts')).map((name) => import(new URL(name, source).href)),
  );
}

/** Time that moves only when everybody waits. Install it before any stack is made. */
export function useFakeTime(): void {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
    now: Date.UTC(2026, 0, 2, 3, 4, 5),
  });
}

/** Turns of the event loop without news after which everybody is taken to be waiting for a timer. */
const IDLE_TURNS = 40;

/** Runs fake time until the promise settles. */
export async function inFakeTime<T>(promise: Promise<T>, limitMs = 120_000): Promise<T> {
  let settled = false;
  const watched = promise.finally(() => {
    settled = true;
  });
  watched.catch(() => {});
  const untilMs = Date.now() + limitMs;
  while (!settled) {
    for (let i = 0; i < IDLE_TURNS && !settled; i++) await turn();
    if (settled) break;
    if (Date.now() > untilMs) throw new Error(`nothing settled within ${limitMs} ms of fake time`);
    if (vi.getTimerCount() > 0) vi.advanceTimersToNextTimer();
    else await turn();
  }
  return watched;
}

export interface Pod {
  sandbox: Sandbox;
  stack: NetStack;
}

export interface Started {
  container: RunningContainer;
  pod: Pod;
  lines: string[];
  errors: string[];
}

export interface RunResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Pods behind one router that knows them all, with a name server. Frames to unknown addresses are lost. */
export class PodNetwork {
  readonly pods = new Map<string, Pod>();
  /** Names without a final dot, to records as `A 10.0.0.1` or `SRV 0 100 80 target`. */
  readonly names = new Map<string, string[]>();
  /** Addresses to which routers say "time exceeded" by TTL: the n-th entry for TTL n + 1. */
  readonly hops: string[] = [];
  /** Destinations that a router calls unreachable, with the ICMP code. */
  readonly unreachable = new Map<string, number>();
  readonly questions: string[] = [];
  readonly #stacks = new Map<string, { stack: NetStack; mac: Uint8Array }>();
  readonly #packet = new Packet();
  #next = 1;

  constructor() {
    const dns = this.#stack([DNS_ADDRESS]);
    const server = dns.bindUdp({ port: 53 });
    server.on('message', (message, peer) => {
      const answer = this.#answer(message);
      // Without EDNS a datagram carries 512 bytes (RFC 1035 2.3.4).
      if (answer.length <= 512) return server.send(answer, peer.port, peer.address);
      const { id, questions } = dnsPacket.decode(message);
      const cut = dnsPacket.encode({ type: 'response', id, flags: dnsPacket.TRUNCATED_RESPONSE, questions });
      server.send(cut, peer.port, peer.address);
    });
    dns.listenTcp({ port: 53 }, (socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        const answer = this.#answer(chunk.subarray(2));
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([length, answer]));
      });
      socket.on('end', () => socket.end());
    });
  }

  /** A pod without containers. Its address is 10.244.1.n (and fd00:10:244:1::n). */
  pod(name: string, options: { namespace?: string; v6?: boolean; hosts?: string } = {}): Pod {
    const n = this.#next++;
    const podIPs = [`10.244.1.${n}`, ...(options.v6 ? [`fd00:10:244:1::${n}`] : [])];
    const namespace = options.namespace ?? 'default';
    const mac = `0a:58:0a:f4:01:${n.toString(16).padStart(2, '0')}`;
    const stack = this.#stack(podIPs, mac);
    const sandbox: Sandbox = {
      namespace,
      podName: name,
      podUid: `uid-${n}`,
      nodeName: 'node-1',
      hostname: name,
      podIPs,
      stack,
      resolvConf: {
        nameservers: [DNS_ADDRESS],
        searches: [`${namespace}.svc.cluster.local`, 'svc.cluster.local', 'cluster.local'],
        ndots: 5,
      },
      hostsFile: `127.0.0.1\tlocalhost\n${podIPs[0]}\t${name}\n${options.hosts ?? ''}`,
      interfaceMac: mac,
      mtu: 1450,
    };
    const pod = { sandbox, stack };
    this.pods.set(name, pod);
    return pod;
  }

  /** Starts a container in a pod, which is made if need be, and waits for its first line or its end. */
  async start(podName: string, spec: Partial<ContainerSpec> = {}): Promise<Started> {
    const started = this.launch(podName, spec);
    let exited = false;
    void started.container.exited.then(() => {
      exited = true;
    });
    for (let i = 0; i < 2_000 && !exited && started.lines.length + started.errors.length === 0; i++)
      await turn();
    return started;
  }

  /** As `start`, without waiting. */
  launch(podName: string, spec: Partial<ContainerSpec> = {}): Started {
    const pod = this.pods.get(podName) ?? this.pod(podName);
    const lines: string[] = [];
    const errors: string[] = [];
    const container = startContainer(
      pod.sandbox,
      {
        name: 'main',
        image: 'example/app:1',
        command: [],
        args: [],
        env: {},
        ports: [],
        probes: {},
        files: new Map([
          [
            '/etc/resolv.conf',
            `search ${pod.sandbox.resolvConf.searches.join(' ')}\nnameserver ${DNS_ADDRESS}\noptions ndots:5\n`,
          ],
          ['/etc/hosts', pod.sandbox.hostsFile],
        ]),
        ...spec,
      },
      { stdout: (line) => void lines.push(line), stderr: (line) => void errors.push(line) },
      { nowMs: () => performance.now(), random32: this.#random32 },
    );
    return { container, pod, lines, errors };
  }

  readonly #random32 = seededRandom32(7);

  #stack(addresses: readonly string[], mac = '0a:58:00:00:00:01'): NetStack {
    const stack = new NetStack({
      nowMs: () => performance.now(),
      random32: this.#random32,
      setTimer: (fn, delayMs) => {
        const timer = setTimeout(fn, delayMs);
        return { close: () => clearTimeout(timer) };
      },
      interface: {
        name: 'eth0',
        mac,
        mtu: 1450,
        neighborMac: ROUTER_MAC,
        transmit: (frame) => this.#forward(frame, stack),
      },
      addresses: addresses.map((address) => ({ address, prefixLength: address.includes(':') ? 128 : 32 })),
    });
    for (const address of addresses) this.#stacks.set(address, { stack, mac: parseMac(mac)! });
    return stack;
  }

  #forward(frame: Uint8Array, from: NetStack): void {
    const packet = this.#packet;
    if (packet.decode(frame, frame.length) !== 0 || packet.l3 < 0) return;
    const destination = addressAt(
      frame,
      packet.version === 4 ? packet.l3 + 16 : packet.l3 + 24,
      packet.version,
    );
    const hop = this.hops[packet.ttl - 1];
    const code = this.unreachable.get(destination);
    const complain = (src: string, type: number, icmpCode: number): void => {
      const error = buildIcmpError({ about: frame, src, type, code: icmpCode });
      setImmediate(() => from.receive(error));
    };
    if (packet.version === 4 && hop !== undefined) complain(hop, 11, 0);
    else if (packet.version === 4 && code !== undefined) complain('10.0.0.254', 3, code);
    else {
      const to = this.#stacks.get(destination);
      if (!to) return;
      const copy = frame.slice();
      copy.set(to.mac, 0);
      to.stack.receive(copy);
    }
  }

  #answer(message: Uint8Array): Buffer {
    const query = dnsPacket.decode(Buffer.from(message));
    const question = query.questions![0]!;
    const name = question.name.toLowerCase();
    this.questions.push(`${name} ${question.type}`);
    const known = this.names.get(name);
    const answers = (known ?? []).flatMap((record) => {
      const [type, ...data] = record.split(' ');
      if (type !== question.type && type !== 'CNAME') return [];
      const base = { name: question.name, type, ttl: 5, class: 'IN' };
      if (type === 'SRV') {
        const [priority, weight, port, target] = data;
        return [{ ...base, data: { priority: +priority!, weight: +weight!, port: +port!, target } }];
      }
      const records: unknown[] = [{ ...base, data: data.join(' ') }];
      if (type === 'CNAME')
        for (const other of this.names.get(data[0]!) ?? [])
          if (other.startsWith(`${question.type} `))
            records.push({ name: data[0], type: question.type, ttl: 5, data: other.split(' ')[1] });
      return records;
    });
    const soa = {
      name: 'cluster.local',
      type: 'SOA',
      ttl: 5,
      data: {
        mname: 'ns.dns.cluster.local',
        rname: 'hostmaster.cluster.local',
        serial: 1,
        refresh: 7200,
        retry: 1800,
        expire: 86_400,
        minimum: 5,
      },
    };
    return dnsPacket.encode({
      type: 'response',
      id: query.id,
      flags: dnsPacket.AUTHORITATIVE_ANSWER | (query.flags! & 0x100) | (known ? 0 : 3),
      questions: query.questions,
      answers: answers as never,
      authorities: (answers.length > 0 ? [] : [soa]) as never,
    });
  }
}

/** Runs a command in a container through exec and collects what it writes. */
export async function execIn(
  container: RunningContainer,
  argv: string[],
  stdin = '',
  options: { signal?: AbortSignal } = {},
): Promise<RunResult> {
  const input = makePipe();
  input.end(stdin);
  const stdout = makePipe();
  const stderr = makePipe();
  const never = new AbortController().signal;
  const texts = Promise.all([readAll(stdout, never), readAll(stderr, never)]);
  const code = await container.exec(argv, { stdin: input, stdout, stderr, ...options });
  stdout.end();
  stderr.end();
  const [out, err] = await texts;
  return { code, stdout: out.toString(), stderr: err.toString() };
}

function addressAt(frame: Uint8Array, offset: number, version: number): string {
  if (version === 4) return frame.subarray(offset, offset + 4).join('.');
  const words = Array.from({ length: 8 }, (_, i) =>
    ((frame[offset + 2 * i]! << 8) | frame[offset + 2 * i + 1]!).toString(16),
  );
  return canonicalV6(words.join(':'));
}

function canonicalV6(text: string): string {
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}
