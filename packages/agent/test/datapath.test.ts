import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { buildTcp, buildUdp, buildVxlanPayload } from '@podwire/wire/build';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { EmulatedCluster, type EmulatedPod } from './emulated-cluster.ts';

const LAB = ['127.0.9.11', '127.0.9.12'];
let cluster: EmulatedCluster;
afterEach(() => {
  cluster.close();
  expect(cluster.errors).toEqual([]);
});

/** Everything a connection sends until its end. */
async function read(socket: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function serve(pod: EmulatedPod, port: number, name: string): void {
  pod.stack.listenTcp({ port }, (socket) => {
    socket.on('error', () => {});
    socket.end(`${name} ${socket.remoteAddress} ${socket.remotePort}`);
  });
}

async function ask(pod: EmulatedPod, host: string, port: number): Promise<string[]> {
  const socket = pod.stack.connectTcp({ host, port });
  const answer = (await read(socket)).toString();
  return answer.split(' ');
}

const failure = async (emitter: NodeJS.EventEmitter): Promise<string> => {
  const [error] = (await once(emitter, 'error')) as [NodeJS.ErrnoException];
  return error.code ?? error.message;
};

describe('pods', () => {
  it('reach each other on one node and across nodes', async () => {
    cluster = new EmulatedCluster({ nodes: LAB });
    const [a, b, c] = [cluster.node(1).addPod('a'), cluster.node(1).addPod('b'), cluster.node(2).addPod('c')];
    serve(b, 80, 'b');
    serve(c, 80, 'c');
    expect((await ask(a, b.addresses[0]!, 80)).slice(0, 2)).toEqual(['b', a.addresses[0]]);
    expect((await ask(a, c.addresses[0]!, 80)).slice(0, 2)).toEqual(['c', a.addresses[0]]);
    const { counters } = cluster.node(1).datapath;
    expect(counters.encapsulated).toBeGreaterThan(1);
    expect(counters.fromUnderlay).toBeGreaterThan(1);
    expect(cluster.node(2).datapath.counters.delivered).toBeGreaterThan(1);
  });

  it('transfer megabytes across nodes, unchanged, also when the tunnel loses packets', async () => {
    cluster = new EmulatedCluster({ nodes: LAB });
    const [a, c] = [cluster.node(1).addPod('a'), cluster.node(2).addPod('c')];
    let datagrams = 0;
    cluster.onDatagram = () => ++datagrams % 97 !== 0;
    const sent = Buffer.alloc(1_500_000);
    for (let i = 0; i < sent.length; i += 4) sent.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i);
    const received = new Promise<Buffer>((resolve) => {
      c.stack.listenTcp({ port: 5001 }, (socket) => {
        socket.end();
        void read(socket).then(resolve);
      });
    });
    const socket = a.stack.connectTcp({ host: c.addresses[0]!, port: 5001 });
    socket.resume();
    socket.end(sent);
    expect(Buffer.compare(await received, sent)).toBe(0);
    expect(datagrams).toBeGreaterThan(1000);
  });

  it('reach each other over IPv6', async () => {
    cluster = new EmulatedCluster({ nodes: LAB, families: ['IPv4', 'IPv6'] });
    const [a, c] = [cluster.node(1).addPod('a'), cluster.node(2).addPod('c')];
    serve(c, 80, 'c');
    expect((await ask(a, c.addresses[1]!, 80)).slice(0, 2)).toEqual(['c', a.addresses[1]]);
  });

  it('ping each other', async () => {
    cluster = new EmulatedCluster({ nodes: LAB });
    const [a, c] = [cluster.node(1).addPod('a'), cluster.node(2).addPod('c')];
    const icmp = a.stack.openIcmp(4);
    icmp.send(c.addresses[0]!, { seq: 3, payload: Buffer.from('x') });
    const [reply] = await once(icmp, 'message');
    expect(reply).toMatchObject({ address: c.addresses[0], seq: 3, ttl: 62 });
  });

  it('are refused where nobody listens, and unreachable where no pod is', async () => {
    cluster = new EmulatedCluster({ nodes: LAB });
    const [a, c] = [cluster.node(1).addPod('a'), cluster.node(2).addPod('c')];
    const to = (host: string, port: number) => failure(a.stack.connectTcp({ host, port }));
    expect(await to(c.addresses[0]!, 81)).toBe('ECONNREFUSED');
    expect(await to('10.244.1.77', 80)).toBe('EHOSTUNREACH');
    expect(await to('10.244.2.77', 80)).toBe('EHOSTUNREACH');
  });

  it('reach every node at its address, also where that is a loopback address of the machine', async () => {
    for (const nodes of [LAB, ['172.18.0.11', '172.18.0.12']]) {
      cluster = new EmulatedCluster({ nodes });
      const a = cluster.node(1).addPod('a');
      for (const node of cluster.nodes) {
        expect(await failure(a.stack.connectTcp({ host: node.address, port: 9 }))).toBe('ECONNREFUSED');
        node.host.stack.listenTcp({ port: 10 }, (socket) => socket.end(`${socket.remoteAddress}`));
        expect(await ask(a, node.address, 10)).toEqual([a.addresses[0]]);
        const icmp = a.stack.openIcmp(4);
        icmp.send(node.address, { seq: 7 });
        const [reply] = await once(icmp, 'message');
        expect(reply).toMatchObject({ seq: 7, address: node.address });
      }
    }
  });

  it('keep 127.0.0.1 to themselves, and the rest of 127/8 where no node is there', async () => {
    for (const [nodes, reached] of [
      [LAB, ['127.0.0.1']],
      [
        ['172.18.0.11', '172.18.0.12'],
        ['127.0.0.1', '127.0.9.12'],
      ],
    ] as const) {
      cluster = new EmulatedCluster({ nodes: [...nodes] });
      const a = cluster.node(1).addPod('a');
      a.stack.listenTcp({ port: 9 }, (socket) => socket.end('myself'));
      const answers = ['127.0.0.1', '127.0.9.12'].map(async (host) =>
        (await ask(a, host, 9).catch(() => []))[0] === 'myself' ? [host] : [],
      );
      expect((await Promise.all(answers)).flat()).toEqual(reached);
    }
  });

  it('cannot leave the cluster, but for what is allowed', async () => {
    cluster = new EmulatedCluster({ nodes: LAB });
    const node = cluster.node(1);
    const a = node.addPod('a');
    expect(await failure(a.stack.connectTcp({ host: '192.0.2.1', port: 443 }))).toBe('EHOSTUNREACH');
    const icmp = a.stack.openIcmp(4);
    icmp.send('192.0.2.1', { seq: 1 });
    const [refused] = await once(icmp, 'unreachable');
    expect(refused).toMatchObject({ type: 3, code: 13, address: '10.244.1.1', destination: '192.0.2.1' });
    expect(node.host.gate.prohibited).toBe(2);
    node.allowed.add('192.0.2.1 443');
    const close = node.host.listenOutside('192.0.2.1', 443, (socket) => socket.end('outside'));
    expect(await ask(a, '192.0.2.1', 443)).toEqual(['outside']);
    close();
  });

  it('that are gone get nothing', async () => {
    cluster = new EmulatedCluster({ nodes: LAB });
    const [a, b] = [cluster.node(1).addPod('a'), cluster.node(1).addPod('b')];
    b.detach();
    expect(await failure(a.stack.connectTcp({ host: b.addresses[0]!, port: 80 }))).toBe('EHOSTUNREACH');
  });
});

describe.each(['iptables', 'ebpf'] as const)('services in %s mode', (mode) => {
  it('translate ClusterIPs to pods of all nodes, and refuse without endpoints', async () => {
    cluster = new EmulatedCluster({ nodes: LAB, mode });
    const [a, b, c] = [cluster.node(1).addPod('a'), cluster.node(1).addPod('b'), cluster.node(2).addPod('c')];
    serve(b, 8080, 'b');
    serve(c, 8080, 'c');
    cluster.expose('api', { clusterIP: '10.96.0.9', ports: [{ port: 80 }] }, [
      { pod: b, port: 8080 },
      { pod: c, port: 8080 },
    ]);
    cluster.expose('none', { clusterIP: '10.96.0.8', ports: [{ port: 80 }] }, []);
    const seen = new Set<string>();
    for (let i = 0; i < 40 && seen.size < 2; i++) {
      const [name, client] = await ask(a, '10.96.0.9', 80);
      seen.add(name!);
      expect(client).toBe(a.addresses[0]);
    }
    expect(seen).toEqual(new Set(['b', 'c']));
    const code = await failure(a.stack.connectTcp({ host: '10.96.0.8', port: 80 }));
    expect(code).toBe(mode === 'ebpf' ? 'EHOSTUNREACH' : 'ECONNREFUSED');
  });

  it('carry UDP, whose answers come from the service', async () => {
    cluster = new EmulatedCluster({ nodes: LAB, mode });
    const [a, c] = [cluster.node(1).addPod('a'), cluster.node(2).addPod('c')];
    const server = c.stack.bindUdp({ port: 5353 });
    server.on('message', (data, peer) => server.send(`re: ${data}`, peer.port, peer.address));
    cluster.expose('dns', { clusterIP: '10.96.0.10', ports: [{ port: 53, protocol: 'UDP' }] }, [
      { pod: c, port: 5353 },
    ]);
    const client = a.stack.bindUdp();
    client.send('query', 53, '10.96.0.10');
    const [answer, peer] = await once(client, 'message');
    expect([String(answer), peer.address, peer.port]).toEqual(['re: query', '10.96.0.10', 53]);
  });

  it('answer on node ports of every node to connections of the host', async () => {
    cluster = new EmulatedCluster({ nodes: LAB, mode });
    const c = cluster.node(2).addPod('c');
    serve(c, 8080, 'c');
    cluster.expose(
      'np',
      { type: 'NodePort', clusterIP: '10.96.0.9', ports: [{ port: 80, nodePort: 30080 }] },
      [{ pod: c, port: 8080 }],
    );
    for (const node of cluster.nodes) {
      const socket = node.host.connectTcp({ host: node.address, port: 30080, localAddress: node.address });
      expect((await read(socket)).toString()).toMatch(/^c 10\.244\.\d\.1 /);
    }
  });

  it('answer on node ports of every node to pods', async () => {
    cluster = new EmulatedCluster({ nodes: LAB, mode });
    const [a, c] = [cluster.node(1).addPod('a'), cluster.node(2).addPod('c')];
    serve(c, 8080, 'c');
    cluster.expose(
      'np',
      { type: 'NodePort', clusterIP: '10.96.0.9', ports: [{ port: 80, nodePort: 30080 }] },
      [{ pod: c, port: 8080 }],
    );
    const clients: string[] = [];
    for (const node of cluster.nodes) {
      const [name, client] = await ask(a, node.address, 30080);
      expect(name).toBe('c');
      clients.push(client!);
    }
    // kube-proxy masquerades what comes to a node port (the policy is Cluster); a socket that Cilium translates keeps
    // its address, and so does what it passes on to a local backend.
    expect(clients).toEqual(
      mode === 'iptables' ? ['10.244.1.1', '10.244.2.1'] : [a.addresses[0], a.addresses[0]],
    );
  });

  it('keep the address of a client of the outside where the policy is Local', async () => {
    cluster = new EmulatedCluster({ nodes: LAB, mode });
    const c = cluster.node(2).addPod('c');
    serve(c, 8080, 'c');
    cluster.expose(
      'np',
      {
        type: 'NodePort',
        clusterIP: '10.96.0.9',
        externalTrafficPolicy: 'Local',
        ports: [{ port: 80, nodePort: 30080 }],
      },
      [{ pod: c, port: 8080 }],
    );
    const connect = (n: number) => {
      const { host, address } = cluster.node(n);
      return host.connectTcp({
        host: address,
        port: 30080,
        localAddress: '203.0.113.9',
        connectTimeoutMs: 200,
      });
    };
    expect((await read(connect(2))).toString()).toMatch(/^c 203\.0\.113\.9 /);
    expect(await failure(connect(1))).toBe(mode === 'iptables' ? 'ETIMEDOUT' : 'ECONNREFUSED');
  });
});

describe('the queue', () => {
  it('bounds answers to answers', async () => {
    cluster = new EmulatedCluster({ nodes: LAB });
    const { host } = cluster.node(1);
    // Nobody has the address: the data plane's ICMP error comes back to the host once, and that is all.
    expect(await failure(host.connectTcp({ host: '10.244.1.99', port: 80 }))).toBe('EHOSTUNREACH');
    expect(cluster.node(1).datapath.counters.looped).toBe(0);
  });

  it('drops what does not fit and goes on', async () => {
    cluster = new EmulatedCluster({ nodes: LAB });
    const node = cluster.node(1);
    const [a, b] = [node.addPod('a'), node.addPod('b')];
    const flood = buildUdp({
      src: a.addresses[0]!,
      dst: b.addresses[0]!,
      srcPort: 1,
      dstPort: 2,
      payload: 'x',
      srcMac: '0a:58:0a:f4:01:02',
      dstMac: 'ee:ee:ee:ee:ee:ee',
    });
    for (let i = 0; i < 10_000; i++) node.datapath.fromPod(1, flood);
    expect(node.datapath.counters.overflowed).toBe(10_000 - 8192);
    while (node.datapath.counters.delivered < 8192) await new Promise((resolve) => setImmediate(resolve));
    serve(b, 80, 'b');
    expect((await ask(a, b.addresses[0]!, 80))[0]).toBe('b');
  });

  it('survives any bytes from pods, the host and the tunnel', async () => {
    cluster = new EmulatedCluster({ nodes: LAB });
    const node = cluster.node(1);
    const [a, b] = [node.addPod('a'), node.addPod('b')];
    const valid = buildTcp({
      src: a.addresses[0]!,
      dst: b.addresses[0]!,
      srcPort: 1,
      dstPort: 2,
      flags: 2,
      srcMac: '0a:58:0a:f4:01:02',
      dstMac: 'ee:ee:ee:ee:ee:ee',
    });
    const flips = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 6 });
    const frames = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      flips.map((edits) => {
        const frame = valid.slice();
        for (const [at, value] of edits) frame[at] = value;
        return frame;
      }),
    );
    fc.assert(
      fc.property(frames, (frame) => {
        node.datapath.fromPod(1, frame);
        node.datapath.fromHost(frame);
        node.datapath.fromUnderlay(frame, LAB[1]!);
        node.datapath.fromUnderlay(buildVxlanPayload(1, frame), LAB[1]!);
      }),
      { numRuns: 400 },
    );
    serve(b, 80, 'b');
    expect((await ask(a, b.addresses[0]!, 80))[0]).toBe('b');
  });
});

describe('a trace', () => {
  it('is recorded only while armed, on every node, with what changed', async () => {
    cluster = new EmulatedCluster({ nodes: LAB });
    const [a, c] = [cluster.node(1).addPod('a'), cluster.node(2).addPod('c')];
    serve(c, 8080, 'c');
    cluster.expose('api', { clusterIP: '10.96.0.9', ports: [{ port: 80 }] }, [{ pod: c, port: 8080 }]);
    await ask(a, '10.96.0.9', 80);
    for (const { recorder } of cluster.nodes) {
      expect(recorder.armed).toBe(false);
      recorder.arm({ id: 't', windowMs: 5000, maxPackets: 100 });
    }
    await ask(a, '10.96.0.9', 80);
    const first = cluster.node(1).recorder.read('t')!.observations;
    const second = cluster.node(2).recorder.read('t')!.observations;
    const syn = first.find(({ summary }) => summary.includes('Flags [S]'))!;
    expect(syn).toMatchObject({
      hook: 'from-pod',
      podName: 'web/a',
      tupleIn: { proto: 'tcp', src: a.addresses[0], dst: '10.96.0.9', dport: 80 },
      tupleOut: { proto: 'tcp', src: a.addresses[0], dst: c.addresses[0], dport: 8080 },
      verdict: 'encap',
      outer: { src: LAB[0], dst: LAB[1], vni: 1, bytes: 50 },
      length: 60,
    });
    expect(syn.steps.map(({ stage }) => stage)).toEqual(
      expect.arrayContaining(['service', 'route', 'encap']),
    );
    const arrival = second.find(({ summary }) => summary.includes('Flags [S]'))!;
    expect(arrival).toMatchObject({
      hook: 'from-underlay',
      podName: 'web/c',
      tupleIn: syn.tupleOut,
      verdict: 'deliver',
      outer: { src: LAB[0], dst: LAB[1], vni: 1 },
    });
    expect(BigInt(arrival.timeNs)).toBeGreaterThan(BigInt(syn.timeNs));
    const reply = first.find(({ hook }) => hook === 'from-underlay')!;
    expect(reply.tupleOut).toMatchObject({ src: '10.96.0.9', sport: 80, dst: a.addresses[0] });
  });

  it('says why a packet went no further', async () => {
    cluster = new EmulatedCluster({ nodes: LAB });
    const a = cluster.node(1).addPod('a');
    const { recorder } = cluster.node(1);
    recorder.arm({ id: 't', windowMs: 5000, maxPackets: 100 });
    await failure(a.stack.connectTcp({ host: '10.244.1.77', port: 80 }));
    const [syn] = recorder.read('t')!.observations.filter(({ tupleIn }) => tupleIn?.dport === 80);
    expect(syn).toMatchObject({ verdict: 'reply', reason: 'hostUnreachable' });
    expect(syn!.tupleOut).toBeUndefined();
  });

  it('keeps the newest packets, and forgets', () => {
    cluster = new EmulatedCluster({ nodes: LAB });
    const { recorder, datapath } = cluster.node(1);
    recorder.arm({ id: 'one', windowMs: 60_000, maxPackets: 2 });
    for (let i = 0; i < 5; i++) datapath.fromUnderlay(new Uint8Array(20), LAB[1]!);
    expect(recorder.read('one')).toMatchObject({ overflow: 3, done: false });
    expect(recorder.read('one')!.observations.map(({ seq }) => seq)).toEqual([3, 4]);
    expect(recorder.read('two')).toBeUndefined();
    expect(recorder.disarm('one')).toBe(true);
    expect(recorder.armed).toBe(false);
  });
});
