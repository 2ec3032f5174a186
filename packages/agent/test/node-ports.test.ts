import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { TcpSocket } from '@podwire/netstack/tcp-socket';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import type { Event } from 'kubernetes-types/core/v1.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EventRecorder } from '../src/events.ts';
import { NodePorts } from '../src/node-ports.ts';
import { systemTimer } from '../src/timer.ts';
import { EmulatedCluster, type EmulatedPod } from './emulated-cluster.ts';
import { FakeClock } from './fake-clock.ts';

const NODE = '127.0.9.21';
const PORT = 30_080;

let cluster: EmulatedCluster;
let ports: NodePorts;
let clock: FakeClock | undefined;
let events: Event[];

beforeEach(() => {
  clock = undefined;
  events = [];
});
afterEach(() => {
  ports.close();
  cluster.close();
});

function start(): EmulatedPod {
  cluster = new EmulatedCluster({ nodes: [NODE, '127.0.9.22'] });
  const node = cluster.node(1);
  ports = new NodePorts({
    addresses: [NODE],
    host: node.host,
    events: new EventRecorder({
      nodeName: 'node-1',
      nowMs: cluster.nowMs,
      random32: seededRandom32(3),
      send: (event) => events.push(event),
    }),
    setTimer: clock?.setTimer ?? systemTimer,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    serviceUid: () => 'uid',
  });
  node.hasUdp = (address, port) => ports.hasUdp(address, port);
  node.onTables = (tables) => ports.update(tables.services);
  return cluster.node(2).addPod('c');
}

const nodePort = (spec: object = {}) => ({
  type: 'NodePort' as const,
  clusterIP: '10.96.0.9',
  ports: [{ port: 80, nodePort: PORT }],
  ...spec,
});

async function client(from?: string): Promise<Socket> {
  const options = { host: NODE, port: PORT, allowHalfOpen: true };
  const socket = connect(from === undefined ? options : { ...options, localAddress: from });
  await once(socket, 'connect');
  return socket;
}

async function listening(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

async function read(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe('a node port of the real host', () => {
  it('carries a kernel connection into a pod of another node, half-close and all', async () => {
    const pod = start();
    pod.stack.listenTcp({ port: 8080 }, (socket) => {
      let text = '';
      socket.on('data', (chunk) => (text += chunk));
      socket.on('end', () => socket.end(`got ${text.length} from ${socket.remoteAddress}`));
    });
    cluster.expose('np', nodePort(), [{ pod, port: 8080 }]);
    await listening();
    const socket = await client();
    socket.end('x'.repeat(300_000));
    expect(await read(socket)).toBe('got 300000 from 10.244.1.1');
    while (ports.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('resets the client when the pod refuses, and when there is no endpoint', async () => {
    const pod = start();
    cluster.expose('np', nodePort(), [{ pod, port: 8080 }]);
    await listening();
    const refused = await client();
    await expect(read(refused)).rejects.toMatchObject({ code: 'ECONNRESET' });
    cluster.slices = [];
    cluster.program();
    const nobody = await client();
    await expect(read(nobody)).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  it('hands resets on, both ways', async () => {
    const pod = start();
    const connections: TcpSocket[] = [];
    pod.stack.listenTcp({ port: 8080 }, (socket) => {
      connections.push(socket);
      socket.once('data', (chunk) => {
        if (String(chunk) === 'reset me') socket.resetAndDestroy();
        else socket.write('hello');
      });
    });
    cluster.expose('np', nodePort(), [{ pod, port: 8080 }]);
    await listening();
    const one = await client();
    one.write('reset me');
    await expect(read(one)).rejects.toMatchObject({ code: 'ECONNRESET' });
    const two = await client();
    two.write('hello');
    await once(two, 'data');
    const seen = once(connections[1]!, 'error');
    two.resetAndDestroy();
    expect(((await seen) as [NodeJS.ErrnoException])[0].code).toBe('ECONNRESET');
  });

  it('pushes back on a client that sends more than the pod reads', async () => {
    const pod = start();
    pod.stack.listenTcp({ port: 8080 }, (socket) => socket.pause());
    cluster.expose('np', nodePort(), [{ pod, port: 8080 }]);
    await listening();
    const socket = await client();
    const megabyte = Buffer.alloc(1 << 20);
    for (let i = 0; i < 64; i++) socket.write(megabyte);
    const sent = () => 64 - socket.writableLength / megabyte.length;
    for (let before = -1; before < sent(); ) {
      before = sent();
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    // What the kernel, the relay and both stacks hold; without pushing back it would be all 64 MB.
    expect(sent()).toBeLessThan(32);
    socket.destroy();
  });

  it('carries datagrams and their answers', async () => {
    const pod = start();
    const server = pod.stack.bindUdp({ port: 5353 });
    server.on('message', (data, peer) => server.send(`re: ${data}`, peer.port, peer.address));
    const spec = nodePort({ ports: [{ port: 53, nodePort: PORT, protocol: 'UDP' }] });
    cluster.expose('udp', spec, [{ pod, port: 5353 }]);
    await listening();
    const socket = createSocket('udp4');
    socket.send('one', PORT, NODE);
    expect(String((await once(socket, 'message'))[0])).toBe('re: one');
    socket.send('two', PORT, NODE);
    expect(String((await once(socket, 'message'))[0])).toBe('re: two');
    socket.close();
  });

  it('closes with its service, but for connections that are open', async () => {
    const pod = start();
    pod.stack.listenTcp({ port: 8080 }, (socket) => socket.pipe(socket));
    cluster.expose('np', nodePort(), [{ pod, port: 8080 }]);
    await listening();
    const socket = await client();
    socket.write('before ');
    await once(socket, 'data');
    cluster.services = [];
    cluster.program();
    socket.end('after');
    expect(await read(socket)).toBe('after');
    const again = connect(PORT, NODE);
    expect(((await once(again, 'error')) as [NodeJS.ErrnoException])[0].code).toBe('ECONNREFUSED');
  });

  it('that is taken is reported once, and opened when it is free', async () => {
    clock = new FakeClock();
    const taken = createServer().listen(PORT, NODE);
    await once(taken, 'listening');
    const pod = start();
    pod.stack.listenTcp({ port: 8080 }, (socket) => socket.end('here'));
    cluster.expose('np', nodePort(), [{ pod, port: 8080 }]);
    await clock.advance(10_000);
    expect(events.map(({ reason, message }) => `${reason}: ${message}`)).toEqual([
      "NodePortUnavailable: can't open node port tcp/30080 of service web/np on 127.0.9.21: address already in use; free the port or choose another nodePort",
    ]);
    expect(events[0]!.involvedObject).toMatchObject({
      kind: 'Service',
      namespace: 'web',
      name: 'np',
      uid: 'uid',
    });
    taken.close();
    await once(taken, 'close');
    await clock.advance(5_000);
    await listening();
    expect(await read(await client())).toBe('here');
  });
});
