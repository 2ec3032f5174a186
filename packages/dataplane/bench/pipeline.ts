/**
 * Nanoseconds for a flow's first packet and for its later ones, in each mode, at several numbers of services.
 * Run: `node packages/dataplane/bench/pipeline.ts [services…]`. Prints one line for each case; compare runs on one machine.
 */

import { buildTcp } from '@podwire/wire/build';
import { Pipeline } from '../src/pipeline.ts';
import type { ServiceMode, ServicePort, Tables } from '../src/tables.ts';

const POD_MAC = '0a:00:00:00:00:01';
const GATEWAY_MAC = 'ee:ee:ee:ee:ee:ee';
const SYN = 0x02;
const ACK = 0x10;

let state = 1;
const random32 = (): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state;
};

function servicePort(i: number): ServicePort {
  const endpoints = [0, 1, 2].map((j) => ({
    address: `10.244.2.${10 + j}`,
    port: 8080,
    ready: true,
    serving: true,
    terminating: false,
    local: false,
    nodeName: 'node-2',
    zone: '',
    target: `web/pod-${j}`,
  }));
  return {
    name: `web/svc-${i}:http`,
    namespace: 'web',
    service: `svc-${i}`,
    portName: 'http',
    version: 4,
    protocol: 6,
    clusterIp: `10.${96 + (i >>> 16)}.${(i >>> 8) & 255}.${i & 255}`,
    port: 80,
    nodePort: 0,
    externalIps: [],
    loadBalancerIps: [],
    sourceRanges: [],
    internalTrafficPolicy: 'Cluster',
    externalTrafficPolicy: 'Cluster',
    affinitySeconds: 0,
    healthCheckNodePort: 0,
    endpoints,
    clusterEndpoints: endpoints,
    localEndpoints: [],
  };
}

function tables(mode: ServiceMode, services: readonly ServicePort[]): Tables {
  const vtep = { node: 'node-2', address: '172.18.0.2', port: 8472, mac: '66:00:00:00:00:02' };
  return {
    epoch: 1,
    mode,
    node: {
      name: 'node-1',
      addresses: ['172.18.0.1'],
      gatewayAddress: { v4: '10.244.1.1' },
      vtepMac: '66:00:00:00:00:01',
      vni: 1,
      mtu: 1450,
      tunnelPort: 8472,
    },
    clusterCidrs: ['10.244.0.0/16'],
    serviceCidrs: ['10.96.0.0/12'],
    endpoints: [{ id: 1, namespace: 'web', name: 'fe', addresses: ['10.244.1.5'], mac: POD_MAC }],
    vteps: [vtep],
    routes: [
      { prefix: '10.244.1.5/32', target: { kind: 'endpoint', endpointId: 1 } },
      { prefix: '10.244.2.0/24', target: { kind: 'vtep', vtep } },
    ],
    services,
  };
}

function measure(rounds: number, run: (i: number) => void): number {
  const begin = process.hrtime.bigint();
  for (let i = 0; i < rounds; i++) run(i);
  return Number(process.hrtime.bigint() - begin) / rounds;
}

/** The best of five: what the machine can do when nothing else runs. */
function best(rounds: number, run: (i: number) => void): number {
  let result = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) result = Math.min(result, measure(rounds, run));
  return result;
}

const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [10, 1000, 10_000];
console.log('mode      services  first packet ns  later packet ns  pod to pod ns  program one change ms');
for (const mode of ['iptables', 'ebpf'] as const) {
  for (const size of sizes) {
    const services = Array.from({ length: size }, (_, i) => servicePort(i));
    let nowMs = 1_000_000;
    const base = tables(mode, services);
    const pipeline = new Pipeline({ nowMs: () => nowMs, random32, tables: base });
    const frame = (dst: string, flags: number): Uint8Array =>
      buildTcp({
        src: '10.244.1.5',
        srcPort: 1,
        dst,
        dstPort: 80,
        flags,
        srcMac: POD_MAC,
        dstMac: GATEWAY_MAC,
        payload: 'x'.repeat(64),
      });
    const vip = services[size >>> 1].clusterIp;

    const syn = frame(vip, SYN);
    const opening = (i: number): void => {
      const port = 1024 + (i % 60_000);
      syn[34] = port >>> 8;
      syn[35] = port;
      // Every flow is forgotten before its port comes again.
      if (port === 1024) nowMs += 200_000;
      if (pipeline.fromPod(1, syn, syn.length).verdict !== 'encap') throw new Error('not forwarded');
    };
    const first = best(Math.max(2000, Math.min(50_000, 20_000_000 / size)), opening);

    pipeline.fromPod(1, syn, syn.length);
    const ack = frame(vip, ACK);
    ack[34] = syn[34];
    ack[35] = syn[35];
    // Answered, so that the flow is established and its packets are valid.
    pipeline.conntrack.removeWhere(0, () => true, nowMs);
    pipeline.fromPod(1, ack, ack.length);
    const later = best(300_000, () => pipeline.fromPod(1, ack, ack.length));

    const direct = frame('10.244.2.10', ACK);
    pipeline.fromPod(1, direct, direct.length);
    const plain = best(300_000, () => pipeline.fromPod(1, direct, direct.length));

    const change = best(5, (i) => {
      const next = [...services];
      next[0] = { ...services[0], endpoints: [...services[0].endpoints], affinitySeconds: i };
      pipeline.tables = { ...base, epoch: base.epoch + i + 1, services: next };
    });
    const cell = (value: number, digits: number, width: number): string =>
      value.toFixed(digits).padStart(width);
    console.log(
      `${mode.padEnd(8)} ${cell(size, 0, 9)} ${cell(first, 0, 16)} ${cell(later, 0, 16)} ${cell(plain, 0, 14)} ${cell(change / 1e6, 2, 22)}`,
    );
  }
}
