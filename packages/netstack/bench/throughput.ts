/**
 * Throughput and latency between two stacks in one process.
 * `--json` prints one line per result: {bench, case, impl, value, unit}. `--seconds N` per case, default 2.
 */
import { parseArgs } from 'node:util';
import { NetStack } from '../src/stack.ts';
import type { TcpSocket } from '../src/tcp-socket.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
  },
});
const durationMs = Number(values.seconds) * 1000;

function report(name: string, value: number, unit: string): void {
  if (values.json) {
    console.log(JSON.stringify({ bench: 'netstack', case: name, impl: 'podwire', value, unit }));
  } else {
    console.log(`${name.padEnd(34)} ${value.toFixed(value < 100 ? 2 : 0).padStart(10)} ${unit}`);
  }
}

function pair(mtu: number): [NetStack, NetStack] {
  const make = (n: number, peer: () => NetStack) =>
    new NetStack({
      nowMs: () => performance.now(),
      random32: () => (Math.random() * 0x100000000) >>> 0,
      interface: {
        name: `eth${n}`,
        mac: `02:00:00:00:00:0${n}`,
        mtu,
        transmit: (frame) => peer().receive(frame),
      },
      addresses: [
        { address: `10.0.0.${n}`, prefixLength: 24 },
        { address: `fd00::${n}`, prefixLength: 64 },
      ],
    });
  const a: NetStack = make(1, () => b);
  const b: NetStack = make(2, () => a);
  return [a, b];
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function bulk(name: string, mtu: number, host: string, connections: number, chunkBytes: number) {
  const [a, b] = pair(mtu);
  let received = 0;
  b.listenTcp({ port: 80 }, (socket) => {
    socket.on('data', (chunk) => {
      received += chunk.length;
    });
    socket.on('error', () => {});
  });
  const chunk = Buffer.alloc(chunkBytes, 0x5a);
  let running = true;
  const pump = (socket: TcpSocket) => {
    while (running && socket.write(chunk));
    if (running) socket.once('drain', () => pump(socket));
  };
  const target = host === 'loopback' ? a : b;
  if (target === a) {
    a.listenTcp({ port: 80 }, (socket) => {
      socket.on('data', (data) => {
        received += data.length;
      });
      socket.on('error', () => {});
    });
  }
  for (let i = 0; i < connections; i++) {
    const socket = a.connectTcp({ host: host === 'loopback' ? '127.0.0.1' : host, port: 80 });
    socket.on('error', () => {});
    pump(socket);
  }
  await sleep(durationMs / 4);
  const startBytes = received;
  const startMs = performance.now();
  await sleep(durationMs);
  const bits = (received - startBytes) * 8;
  const gigabits = bits / (performance.now() - startMs) / 1e6;
  running = false;
  a.close();
  b.close();
  report(name, gigabits, 'Gb/s');
}

async function requests(name: string) {
  const [a, b] = pair(1450);
  b.listenTcp({ port: 7 }, (socket) => {
    socket.setNoDelay();
    socket.on('data', (chunk) => socket.write(chunk));
    socket.on('error', () => {});
  });
  const socket = a.connectTcp({ host: '10.0.0.2', port: 7 });
  socket.setNoDelay();
  const ping = Buffer.from('ping');
  let count = 0;
  socket.on('data', () => {
    count++;
    socket.write(ping);
  });
  socket.write(ping);
  await sleep(durationMs / 4);
  const startCount = count;
  const startMs = performance.now();
  await sleep(durationMs);
  const rate = ((count - startCount) / (performance.now() - startMs)) * 1000;
  a.close();
  b.close();
  report(name, rate, 'round trips/s');
}

async function shortConnections(name: string) {
  const [a, b] = pair(1450);
  b.listenTcp({ port: 80 }, (socket) => {
    socket.on('data', () => socket.end('answer'));
    socket.on('error', () => {});
  });
  let count = 0;
  let running = true;
  const once = () => {
    const socket = a.connectTcp({ host: '10.0.0.2', port: 80 });
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      count++;
      if (running) once();
    });
    socket.write('question');
  };
  for (let i = 0; i < 10; i++) once();
  await sleep(durationMs / 4);
  const startCount = count;
  const startMs = performance.now();
  await sleep(durationMs);
  const rate = ((count - startCount) / (performance.now() - startMs)) * 1000;
  running = false;
  a.close();
  b.close();
  report(name, rate, 'connections/s');
}

async function datagrams(name: string, size: number) {
  const [a, b] = pair(1450);
  let received = 0;
  b.bindUdp({ port: 9 }).on('message', () => {
    received++;
  });
  const socket = a.bindUdp();
  const payload = Buffer.alloc(size);
  const startMs = performance.now();
  while (performance.now() - startMs < durationMs) {
    for (let i = 0; i < 256; i++) socket.send(payload, 9, '10.0.0.2');
    await new Promise((resolve) => setImmediate(resolve));
  }
  report(name, (received / (performance.now() - startMs)) * 1000, 'datagrams/s');
  a.close();
  b.close();
}

const CASES: [string, (name: string) => Promise<void>][] = [
  ['tcp bulk, mtu 1450', (name) => bulk(name, 1450, '10.0.0.2', 1, 65_536)],
  ['tcp bulk, mtu 1450, 8 connections', (name) => bulk(name, 1450, '10.0.0.2', 8, 65_536)],
  ['tcp bulk, mtu 1450, IPv6', (name) => bulk(name, 1450, 'fd00::2', 1, 65_536)],
  ['tcp bulk, mtu 1450, 1 kB writes', (name) => bulk(name, 1450, '10.0.0.2', 1, 1024)],
  ['tcp bulk, mtu 9000', (name) => bulk(name, 9000, '10.0.0.2', 1, 65_536)],
  ['tcp bulk, mtu 65535', (name) => bulk(name, 65_535, '10.0.0.2', 1, 65_536)],
  ['tcp bulk, loopback', (name) => bulk(name, 1450, 'loopback', 1, 65_536)],
  ['tcp request and response, 4 bytes', requests],
  ['tcp short connections', shortConnections],
  ['udp, 1000 bytes', (name) => datagrams(name, 1000)],
];

for (const [name, run] of CASES) if (name.includes(values.only)) await run(name);
