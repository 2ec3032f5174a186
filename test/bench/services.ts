/**
 * What a Service costs a node in each mode as their number grows: `npm run bench:services`.
 *
 * Each case runs in a process of its own: a pod sends frames through the node's pipeline to ClusterIPs with three
 * endpoints on another node. Times are the best of several rounds (what the code costs when nothing else runs), memory
 * is what the tables of the mode add to the services given.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Pipeline } from '@podwire/dataplane/pipeline';
import { SERVICE_MODES, type ServiceMode, type ServicePort, type Tables } from '@podwire/dataplane/tables';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { buildTcp } from '@podwire/wire/build';
import { describeMachine, loadAverage } from './machine.ts';

const USAGE = `usage: npm run bench:services -- [--json] [--modes iptables,ipvs,nftables,ebpf]
                                 [--sizes 10,100,1000,10000,100000]
`;
const SIZES = '10,100,1000,10000,100000';
const ROUNDS = 7;
const POD_MAC = '0a:00:00:00:00:01';
const GATEWAY_MAC = 'ee:ee:ee:ee:ee:ee';
const POD = '10.244.1.5';
const SYN = 0x02;
const ACK = 0x10;
/** Source ports of one round of openings; the flows of a round have expired when the next one begins. */
const FLOWS = 4096;
const ALL_EXPIRE_MS = 1_000_000_000;

interface Result {
  mode: ServiceMode;
  services: number;
  /** First packet of a flow, always to the same service. */
  firstNs: number;
  /** First packet of a flow, each to any of the services. */
  firstAnyNs: number;
  laterNs: number;
  updateMs: number;
  tablesMb: number;
}

const COLUMNS: { key: Exclude<keyof Result, 'mode'>; title: string; digits: number; unit: string }[] = [
  { key: 'firstNs', title: 'first ns', digits: 0, unit: 'ns' },
  { key: 'firstAnyNs', title: 'first, any ns', digits: 0, unit: 'ns' },
  { key: 'laterNs', title: 'later ns', digits: 0, unit: 'ns' },
  { key: 'updateMs', title: 'update ms', digits: 3, unit: 'ms' },
  { key: 'tablesMb', title: 'tables MB', digits: 2, unit: 'MB' },
];

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    modes: { type: 'string', default: SERVICE_MODES.join() },
    sizes: { type: 'string', default: SIZES },
    /** One case, in a process of its own. */
    case: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) process.stdout.write(USAGE);
else if (values.case === undefined) runAll();
else {
  const [mode, size] = values.case.split(',');
  process.stdout.write(JSON.stringify(measure(mode as ServiceMode, Number(size))));
}

function runAll(): void {
  const modes = values.modes.split(',').map((text) => {
    const mode = SERVICE_MODES.find((each) => each === text);
    return mode ?? refuse(`--modes "${text}": there are ${SERVICE_MODES.join(', ')}`);
  });
  const sizes = values.sizes.split(',').map((text) => {
    return /^[1-9]\d{0,5}$/.test(text) ? Number(text) : refuse(`--sizes "${text}": from 1 to 999999`);
  });
  const loadBefore = loadAverage();
  const results: Result[] = [];
  if (!values.json) {
    process.stdout.write(`machine: ${describeMachine()}, load before ${loadBefore.toFixed(2)}\n\n`);
    process.stdout.write(`${row(['mode', 'services', ...COLUMNS.map(({ title }) => title)])}\n`);
  }
  for (const mode of modes) {
    for (const size of sizes) {
      const result = inProcess(mode, size);
      results.push(result);
      if (values.json) {
        for (const line of jsonLines(result)) process.stdout.write(`${JSON.stringify(line)}\n`);
      } else {
        const cells = COLUMNS.map(({ key, digits }) => result[key].toFixed(digits));
        process.stdout.write(`${row([mode, String(size), ...cells])}\n`);
      }
    }
  }
  if (!values.json) process.stdout.write(summary(results));
}

function row(cells: string[]): string {
  return cells.map((cell, i) => (i === 0 ? cell.padEnd(9) : cell.padStart(i === 1 ? 9 : 14))).join('');
}

/** How each mode grew from its smallest to its largest size. */
function summary(results: Result[]): string {
  const lines = [''];
  for (const mode of new Set(results.map((result) => result.mode))) {
    const own = results.filter((result) => result.mode === mode);
    const [small, large] = [own[0]!, own.at(-1)!];
    const times = (key: 'firstNs' | 'firstAnyNs' | 'laterNs' | 'updateMs'): string =>
      `${(large[key] / small[key]).toFixed(2)}x`;
    lines.push(
      `${mode.padEnd(9)} ${small.services} to ${large.services} services: first packet ${times('firstNs')} ` +
        `(any service ${times('firstAnyNs')}), later ${times('laterNs')}`,
    );
  }
  lines.push(
    '',
    'first: a SYN to one service; any: to services picked at random, so what the caches hold counts.',
    'later: a packet of an established flow. update: new tables in which one endpoint of one service',
    'changed. tables: memory of what the mode builds, beside the list of services itself.',
    '',
  );
  return lines.join('\n');
}

function jsonLines(result: Result): object[] {
  return COLUMNS.map(({ key, title, unit }) => ({
    bench: 'services',
    case: `${result.services} services: ${title.replace(/ (ns|ms|MB)$/, '')}`,
    impl: result.mode,
    value: Math.round(result[key] * 1000) / 1000,
    unit,
  }));
}

function inProcess(mode: ServiceMode, size: number): Result {
  const args = ['--expose-gc', fileURLToPath(import.meta.url), '--case', `${mode},${size}`];
  const child = spawnSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (child.status === 0) return JSON.parse(child.stdout) as Result;
  process.stderr.write(
    `Cannot measure ${mode} with ${size} services: its process ended with ${child.status}\n`,
  );
  process.exit(1);
}

// ---- one case ----

function measure(mode: ServiceMode, size: number): Result {
  const random32 = seededRandom32(size);
  const services = Array.from({ length: size }, (_, i) => servicePort(i));
  const base = tablesOf(mode, services);
  const before = heldBytes();
  let nowMs = 1_000_000;
  const pipeline = new Pipeline({ nowMs: () => nowMs, random32, tables: base });
  const tablesMb = (heldBytes() - before) / 1e6;

  const syn = frame(SYN);
  const middle = vip(size >>> 1);
  const openingRounds = Math.max(256, Math.min(FLOWS, Math.floor(4e7 / size)));
  const open = (i: number, to: number): void => {
    writePort(syn, 1024 + (i % FLOWS));
    writeVip(syn, to);
    if (pipeline.fromPod(1, syn, syn.length).verdict !== 'encap')
      throw new Error('a packet was not forwarded');
  };
  const round = (to: (i: number) => number): number => {
    nowMs += ALL_EXPIRE_MS;
    pipeline.conntrack.collectGarbage(nowMs, FLOWS * 2);
    return nsOfEach(openingRounds, (i) => open(i, to(i)));
  };
  const any = Uint32Array.from({ length: FLOWS }, () => vip(random32() % size));
  // Modes that walk need no long warming up: each packet is a loop of its own.
  for (let i = 0; i < (size > 1000 && mode === 'iptables' ? 1 : 8); i++) round(() => middle);
  const firstNs = best(() => round(() => middle));
  const firstAnyNs = best(() => round((i) => any[i]!));

  nowMs += ALL_EXPIRE_MS;
  pipeline.conntrack.collectGarbage(nowMs, FLOWS * 2);
  const ack = frame(ACK);
  writePort(ack, 1024);
  writeVip(ack, middle);
  const later = (): number =>
    nsOfEach(200_000, () => {
      if (pipeline.fromPod(1, ack, ack.length).verdict !== 'encap') throw new Error('not forwarded');
    });
  later();
  const laterNs = best(later);

  let epoch = 1;
  const updates: number[] = [];
  for (let i = 0; i < 25; i++) {
    const at = random32() % size;
    services[at] = changed(services[at]!, i);
    const tables = { ...base, epoch: ++epoch, services: [...services] };
    const started = process.hrtime.bigint();
    pipeline.tables = tables;
    updates.push(Number(process.hrtime.bigint() - started) / 1e6);
  }
  updates.sort((a, b) => a - b);
  return { mode, services: size, firstNs, firstAnyNs, laterNs, updateMs: updates[12]!, tablesMb };
}

function nsOfEach(count: number, run: (i: number) => void): number {
  const started = process.hrtime.bigint();
  for (let i = 0; i < count; i++) run(i);
  return Number(process.hrtime.bigint() - started) / count;
}

function best(run: () => number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ROUNDS; i++) least = Math.min(least, run());
  return least;
}

/** Heap objects and array buffers alive. */
function heldBytes(): number {
  (globalThis as unknown as { gc(): void }).gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Address of service i, in 10.96.0.0/12. */
function vip(i: number): number {
  return 0x0a600000 + i;
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((bits) => (address >>> bits) & 255).join('.');
}

function endpoint(last: number) {
  return {
    address: `10.244.2.${last}`,
    port: 8080,
    ready: true,
    serving: true,
    terminating: false,
    local: false,
    nodeName: 'node-2',
    zone: '',
    target: `web/pod-${last}`,
  };
}

function servicePort(i: number): ServicePort {
  const endpoints = [10, 11, 12].map(endpoint);
  return {
    name: `web/svc-${i}:http`,
    namespace: 'web',
    service: `svc-${i}`,
    portName: 'http',
    version: 4,
    protocol: 6,
    clusterIp: dotted(vip(i)),
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

/** The same service port with another third endpoint. */
function changed(port: ServicePort, i: number): ServicePort {
  const endpoints = [...port.endpoints.slice(0, 2), endpoint(20 + i)];
  return { ...port, endpoints, clusterEndpoints: endpoints };
}

function tablesOf(mode: ServiceMode, services: readonly ServicePort[]): Tables {
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
    endpoints: [{ id: 1, namespace: 'web', name: 'fe', addresses: [POD], mac: POD_MAC }],
    vteps: [vtep],
    routes: [
      { prefix: `${POD}/32`, target: { kind: 'endpoint', endpointId: 1 } },
      { prefix: '10.244.2.0/24', target: { kind: 'vtep', vtep } },
    ],
    services: [...services],
  };
}

function frame(flags: number): Uint8Array {
  const addresses = { src: POD, srcPort: 1, dst: dotted(vip(0)), dstPort: 80 };
  return buildTcp({ ...addresses, flags, srcMac: POD_MAC, dstMac: GATEWAY_MAC, payload: 'x'.repeat(64) });
}

// Checksums are not made anew: no node verifies those of what it forwards.
function writePort(bytes: Uint8Array, port: number): void {
  bytes[34] = port >>> 8;
  bytes[35] = port;
}

function writeVip(bytes: Uint8Array, address: number): void {
  bytes[30] = address >>> 24;
  bytes[31] = address >>> 16;
  bytes[32] = address >>> 8;
  bytes[33] = address;
}

function refuse(what: string): never {
  process.stderr.write(`Cannot use ${what}\n${USAGE}`);
  process.exit(2);
}
