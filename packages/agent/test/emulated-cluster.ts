import { compileTables } from '@podwire/compile/tables';
import { vtepMac } from '@podwire/compile/vtep-mac';
import { Pipeline } from '@podwire/dataplane/pipeline';
import { createSocketLb } from '@podwire/dataplane/socket-lb';
import type { Tables } from '@podwire/dataplane/tables';
import { NetStack } from '@podwire/netstack/stack';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import type { Node, Service } from 'kubernetes-types/core/v1.js';
import type { EndpointSlice } from 'kubernetes-types/discovery/v1.js';
import { PodLinks } from '../src/cni/attach.ts';
import { gatewayOf, Ipam } from '../src/cni/ipam.ts';
import { Datapath } from '../src/datapath.ts';
import { HostStack, stackLoopback } from '../src/host-stack.ts';
import { POD_GATEWAY } from '../src/pods/sandbox.ts';
import { TraceRecorder } from '../src/trace.ts';

const MTU = 1450;

/** Nodes in one process: the agent's own datapath, links and host stacks; only the tunnel's UDP is a function call. */
export class EmulatedCluster {
  readonly nodes: EmulatedNode[] = [];
  readonly random32 = seededRandom32(7);
  readonly nowMs = (): number => performance.timeOrigin + performance.now();
  readonly mode: 'iptables' | 'ebpf';
  services: Service[] = [];
  slices: EndpointSlice[] = [];
  /** Datagrams that pass the tunnel; false loses one. */
  onDatagram: (from: string, to: string, datagram: Uint8Array) => boolean = () => true;
  errors: unknown[] = [];

  constructor(options: { nodes: string[]; families?: ('IPv4' | 'IPv6')[]; mode?: 'iptables' | 'ebpf' }) {
    this.mode = options.mode ?? 'iptables';
    const { families = ['IPv4'] } = options;
    for (const [i, address] of options.nodes.entries()) {
      this.nodes.push(new EmulatedNode(this, i + 1, address, families));
    }
    this.program();
  }

  node(n: number): EmulatedNode {
    return this.nodes[n - 1]!;
  }

  get nodeObjects(): Node[] {
    return this.nodes.map(({ name, address, podCidrs }) => ({
      metadata: { name, uid: name, annotations: { 'podwire.dev/vtep-mac': vtepMac(name) } },
      spec: { podCIDRs: podCidrs },
      status: { addresses: [{ type: 'InternalIP', address }] },
    }));
  }

  /** A Service of these pods. */
  expose(
    name: string,
    spec: NonNullable<Service['spec']>,
    backends: { pod: EmulatedPod; port: number; protocol?: string }[],
  ): void {
    const protocol = spec.ports?.[0]?.protocol ?? 'TCP';
    this.services.push({
      metadata: { name, namespace: 'web', uid: name, resourceVersion: '1' },
      spec: { clusterIPs: [spec.clusterIP!], ...spec },
    });
    this.slices.push({
      metadata: {
        name: `${name}-1`,
        namespace: 'web',
        uid: `${name}-1`,
        resourceVersion: String(this.slices.length + 1),
        labels: { 'kubernetes.io/service-name': name },
      },
      addressType: spec.clusterIP?.includes(':') ? 'IPv6' : 'IPv4',
      ports: [{ port: backends[0]?.port ?? 1, protocol, name: spec.ports?.[0]?.name }],
      endpoints: backends.map(({ pod }) => ({
        addresses: [pod.addresses.find((a) => a.includes(':') === (spec.clusterIP?.includes(':') ?? false))!],
        nodeName: pod.node.name,
        conditions: { ready: true },
      })),
    });
    this.program();
  }

  program(): void {
    for (const node of this.nodes) node.program();
  }

  close(): void {
    for (const node of this.nodes) node.close();
  }
}

export class EmulatedNode {
  readonly name: string;
  readonly address: string;
  readonly podCidrs: string[];
  readonly datapath: Datapath;
  readonly host: HostStack;
  readonly links: PodLinks;
  readonly recorder: TraceRecorder;
  readonly pods: EmulatedPod[] = [];
  /** Addresses outside of the cluster that pods may reach, as `ADDRESS PORT`. */
  readonly allowed = new Set<string>();
  hasUdp: (address: string, port: number) => boolean = () => false;
  onTables: (tables: Tables) => void = () => {};
  readonly #cluster: EmulatedCluster;
  #tables: Tables;

  constructor(cluster: EmulatedCluster, n: number, address: string, families: ('IPv4' | 'IPv6')[]) {
    this.#cluster = cluster;
    this.name = `node-${n}`;
    this.address = address;
    this.podCidrs = families.map((f) => (f === 'IPv4' ? `10.244.${n}.0/24` : `fd00:10:244:${n}::/64`));
    const { nowMs, random32 } = cluster;
    this.#tables = this.#compile(undefined);
    const pipeline = new Pipeline({ nowMs, random32, tables: this.#tables });
    this.recorder = new TraceRecorder({
      nowMs,
      nowNs: process.hrtime.bigint,
      nodeAddress: address,
      podName: (id) => this.links.nameOf(id),
    });
    const gateways = this.podCidrs.map(gatewayOf);
    this.host = new HostStack({
      nowMs,
      random32,
      mac: vtepMac(this.name),
      mtu: MTU,
      nodeAddresses: [address],
      gateways,
      allowsTcp: (to, port) => this.allowed.has(`${to} ${port}`),
      hasUdp: (to, port) => this.hasUdp(to, port),
      datapath: () => this.datapath,
    });
    this.datapath = new Datapath({
      pipeline,
      sendUnderlay: (buffer, start, length, to) => this.#send(buffer.slice(start, start + length), to),
      toHost: (frame) => this.host.receive(frame),
      recorder: this.recorder,
      onError: (error) => cluster.errors.push(error),
    });
    const ipam = new Ipam({ nowMs });
    ipam.configure(this.podCidrs);
    this.links = new PodLinks({ ipam, datapath: this.datapath, onChange: () => this.program() });
  }

  #send(datagram: Uint8Array, to: string): void {
    const target = this.#cluster.nodes.find(({ address }) => address === to);
    if (target === undefined || !this.#cluster.onDatagram(this.address, to, datagram)) return;
    setImmediate(() => target.datapath.fromUnderlay(datagram, this.address));
  }

  #compile(previous: Tables | undefined): Tables {
    const cluster = this.#cluster;
    return compileTables(
      {
        nodeName: this.name,
        mode: cluster.mode,
        vni: 1,
        mtu: MTU,
        clusterCidrs: ['10.244.0.0/16', 'fd00:10:244::/48'],
        serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/112'],
        nodes: cluster.nodes === undefined ? [] : cluster.nodeObjects,
        services: cluster.services ?? [],
        endpointSlices: cluster.slices ?? [],
        localEndpoints: this.links?.endpoints ?? [],
      },
      previous,
    );
  }

  program(): void {
    this.#tables = this.#compile(this.#tables);
    this.datapath.setTables(this.#tables);
    this.onTables(this.#tables);
  }

  addPod(name: string): EmulatedPod {
    const pod = new EmulatedPod(this, this.#cluster, name);
    this.pods.push(pod);
    return pod;
  }

  close(): void {
    for (const pod of this.pods) pod.stack.close();
    this.host.close();
    this.datapath.close();
  }
}

export class EmulatedPod {
  readonly node: EmulatedNode;
  readonly addresses: readonly string[];
  readonly stack: NetStack;
  readonly detach: () => void;

  constructor(node: EmulatedNode, cluster: EmulatedCluster, name: string) {
    this.node = node;
    const attachment = node.links.attach({ uid: name, namespace: 'web', name });
    const { nowMs, random32 } = cluster;
    this.addresses = attachment.addresses;
    this.detach = () => attachment.detach();
    const { pipeline } = node.datapath;
    this.stack = new NetStack({
      nowMs,
      random32,
      interface: { name: 'eth0', mac: attachment.mac, mtu: MTU, transmit: attachment.send },
      addresses: this.addresses.map((address) => ({
        address,
        prefixLength: address.includes(':') ? 128 : 32,
      })),
      gateway: POD_GATEWAY,
      loopback: stackLoopback([node.address]),
      ...(cluster.mode === 'ebpf' && {
        socketLb: createSocketLb({ pipeline, nowMs, random32, netnsCookie: attachment.id }),
      }),
    });
    attachment.connect(this.stack);
  }
}
