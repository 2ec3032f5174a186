/** Memory of an idle stand-in pod: `node --expose-gc packages/workload/bench/idle-pods.ts [pods]`. */
import { setImmediate as turn } from 'node:timers/promises';
import { NetStack } from '@podwire/netstack/stack';
import { startContainer } from '../src/container.ts';

const COUNT = Number(process.argv[2] ?? 500);
const clock = { nowMs: () => performance.now(), random32: () => (Math.random() * 2 ** 32) >>> 0 };

function stackOf(n: number): NetStack {
  return new NetStack({
    ...clock,
    interface: {
      name: 'eth0',
      mac: `0a:58:0a:f4:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`,
      mtu: 1450,
      transmit() {},
      neighborMac: 'ee:ee:ee:ee:ee:ee',
    },
    addresses: [{ address: `10.${1 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`, prefixLength: 32 }],
  });
}

function start(n: number): NetStack {
  const stack = stackOf(n);
  const podIP = stack.addresses[0]!.address;
  startContainer(
    {
      namespace: 'default',
      podName: `pod-${n}`,
      podUid: `uid-${n}`,
      nodeName: 'node-1',
      hostname: `pod-${n}`,
      podIPs: [podIP],
      stack,
      resolvConf: { nameservers: ['10.96.0.10'], searches: ['default.svc.cluster.local'], ndots: 5 },
      hostsFile: `127.0.0.1 localhost\n${podIP} pod-${n}\n`,
      interfaceMac: '0a:58:0a:f4:01:01',
      mtu: 1450,
    },
    {
      name: 'main',
      image: 'example/app:1',
      command: [],
      args: [],
      env: { CART_ADDR: 'cart:80' },
      ports: [{ containerPort: 80 }],
      probes: {},
      files: new Map([['/etc/hosts', '127.0.0.1 localhost\n']]),
    },
    { stdout() {}, stderr() {} },
    clock,
  );
  return stack;
}

async function measure(name: string, make: (n: number) => unknown, first: number): Promise<void> {
  const before = await settled();
  const kept: unknown[] = [];
  for (let n = 0; n < COUNT; n++) kept.push(make(first + n));
  const after = await settled();
  const perPod = (key: 'heapUsed' | 'external' | 'rss'): string =>
    `${((after[key] - before[key]) / COUNT / 1024).toFixed(1)} KB`;
  console.log(
    `${name}: heap ${perPod('heapUsed')}, external ${perPod('external')}, resident ${perPod('rss')} each (${kept.length})`,
  );
}

async function settled(): Promise<NodeJS.MemoryUsage> {
  for (let i = 0; i < 20; i++) await turn();
  for (let i = 0; i < 3; i++) globalThis.gc?.();
  return process.memoryUsage();
}

for (let n = 0; n < 3; n++) start(60_000 + n);
await measure('stack alone', stackOf, 0);
await measure('stand-in with its stack', start, 10_000);
process.exit(0);
