import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tls from 'node:tls';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { afterEach, describe, expect, it } from 'vitest';
import { NetStack, type StackOptions } from '../src/stack.ts';
import type { TcpSocket } from '../src/tcp-socket.ts';
import { patternBytes } from './simulated-network.ts';
import { TEST_CERTIFICATE, TEST_KEY } from './test-certificate.ts';

const open: NetStack[] = [];
let linkUp = true;

afterEach(() => {
  // The resets of a closing stack are no error of the test.
  linkUp = false;
  for (const stack of open.splice(0)) stack.close();
});

/** Two stacks on a perfect link with the real clock: 10.0.0.1 / fd00::1 and 10.0.0.2 / fd00::2. */
function pair(o: { a?: Partial<StackOptions>; b?: Partial<StackOptions> } = {}): [NetStack, NetStack] {
  const make = (n: number, peer: () => NetStack, extra?: Partial<StackOptions>) =>
    new NetStack({
      nowMs: () => performance.now(),
      random32: seededRandom32(n),
      interface: {
        name: `eth${n}`,
        mac: `02:00:00:00:00:0${n}`,
        mtu: 1450,
        transmit: (frame) => {
          if (linkUp) peer().receive(frame);
        },
      },
      addresses: [
        { address: `10.0.0.${n}`, prefixLength: 24 },
        { address: `fd00::${n}`, prefixLength: 64 },
      ],
      ...extra,
    });
  const a: NetStack = make(1, () => b, o.a);
  const b: NetStack = make(2, () => a, o.b);
  open.push(a, b);
  linkUp = true;
  return [a, b];
}

async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The error that a socket closes with. */
function failure(socket: TcpSocket): Promise<NodeJS.ErrnoException> {
  return new Promise((resolve, reject) => {
    let error: NodeJS.ErrnoException | undefined;
    socket.on('error', (e) => {
      error = e;
    });
    socket.on('close', () => (error === undefined ? reject(new Error('closed in order')) : resolve(error)));
  });
}

function get(stack: NetStack, host: string, port: number, path: string, agent?: http.Agent) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const request = http.get(
      {
        host,
        port,
        path,
        ...(agent === undefined
          ? { createConnection: () => stack.connectTcp({ host, port }) as unknown as Duplex }
          : { agent }),
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text) => {
          body += text;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
        response.on('error', reject);
      },
    );
    request.on('error', reject);
  });
}

describe('TcpSocket', () => {
  it.each(['10.0.0.2', 'fd00::2'])('echoes over %s and ends in order', async (host) => {
    const [a, b] = pair();
    b.listenTcp({ port: 7 }, (socket) => socket.pipe(socket));
    const socket = a.connectTcp({ host, port: 7 });
    await once(socket, 'connect');
    expect(socket.remoteAddress).toBe(host);
    expect(socket.remotePort).toBe(7);
    expect(socket.localAddress).toBe(host.replace(/2$/, '1'));
    const bytes = patternBytes(300_000, 1);
    socket.end(bytes);
    const echoed = await readAll(socket);
    expect(Buffer.compare(echoed, bytes)).toBe(0);
    expect([socket.bytesRead, socket.bytesWritten]).toEqual([300_000, 300_000]);
    if (!socket.closed) await once(socket, 'close');
  });

  it('half-close: the answer comes after the end of the question', async () => {
    const [a, b] = pair();
    b.listenTcp({ port: 9 }, (socket) => {
      let count = 0;
      socket.on('data', (chunk) => {
        count += chunk.length;
      });
      socket.on('end', () => setTimeout(() => socket.end(`${count} bytes`), 5));
    });
    const socket = a.connectTcp({ host: '10.0.0.2', port: 9 });
    socket.end('hello');
    expect((await readAll(socket)).toString()).toBe('5 bytes');
  });

  it('refused: ECONNREFUSED as node:net says it', async () => {
    const [a] = pair();
    const socket = a.connectTcp({ host: '10.0.0.2', port: 81 });
    const error = await failure(socket);
    expect(error.message).toBe('connect ECONNREFUSED 10.0.0.2:81');
    expect([error.code, error.syscall]).toEqual(['ECONNREFUSED', 'connect']);
  });

  it('no route: ENETUNREACH; no address: EINVAL', async () => {
    const [a] = pair();
    expect((await failure(a.connectTcp({ host: '8.8.8.8', port: 53 }))).code).toBe('ENETUNREACH');
    expect((await failure(a.connectTcp({ host: 'example.com', port: 53 }))).code).toBe('EINVAL');
  });

  it('nobody there: EHOSTUNREACH after three questions', async () => {
    const [a] = pair({ a: { neighborRetryMs: 5 } });
    expect((await failure(a.connectTcp({ host: '10.0.0.77', port: 80 }))).code).toBe('EHOSTUNREACH');
    expect((await failure(a.connectTcp({ host: 'fd00::77', port: 80 }))).code).toBe('EHOSTUNREACH');
  });

  it('resetAndDestroy: the peer hears ECONNRESET', async () => {
    const [a, b] = pair();
    const accepted = new Promise<TcpSocket>((resolve) => b.listenTcp({ port: 80 }, resolve));
    const socket = a.connectTcp({ host: '10.0.0.2', port: 80 });
    await once(socket, 'connect');
    const server = await accepted;
    socket.resetAndDestroy();
    expect((await failure(server)).message).toBe('read ECONNRESET');
  });

  it('closing the stack closes its sockets without an error', async () => {
    const [a, b] = pair();
    const accepted = new Promise<TcpSocket>((resolve) => b.listenTcp({ port: 80 }, resolve));
    const socket = a.connectTcp({ host: '10.0.0.2', port: 80 });
    const server = await accepted;
    const reset = failure(server);
    const closed = once(socket, 'close');
    a.close();
    await closed;
    expect((await reset).code).toBe('ECONNRESET');
    expect(a.sockets()).toEqual([]);
    const late = a.connectTcp({ host: '10.0.0.2', port: 80 });
    expect((await failure(late)).code).toBe('EINVAL');
  });

  it('writes before connect are sent; end before connect too', async () => {
    const [a, b] = pair();
    const received = new Promise<Buffer>((resolve) => {
      b.listenTcp({ port: 80 }, (socket) => {
        void readAll(socket).then(resolve);
        socket.end();
      });
    });
    const socket = a.connectTcp({ host: '10.0.0.2', port: 80 });
    socket.write('one ');
    socket.write('two ');
    socket.end('three');
    expect((await received).toString()).toBe('one two three');
  });

  it('pushes back on a writer whose reader is slow, and loses nothing', async () => {
    const [a, b] = pair();
    const accepted = new Promise<TcpSocket>((resolve) => b.listenTcp({ port: 80 }, resolve));
    const socket = a.connectTcp({ host: '10.0.0.2', port: 80 });
    const server = await accepted;
    let written = 0;
    const chunk = Buffer.alloc(65_536);
    while (socket.write(chunk)) written += chunk.length;
    for (let i = 0; i < 200 && written < 20_000_000; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      while (!socket.writableNeedDrain) {
        socket.write(chunk);
        written += chunk.length;
      }
    }
    // Send buffer, receive buffer and the buffers of both streams, no more.
    expect(written).toBeLessThan(2_000_000);
    expect(written).toBeGreaterThan(900_000);
    socket.end();
    const all = await readAll(server);
    expect(all.length).toBe(socket.bytesWritten);
    server.end();
  });

  it('a chunk may be reused once its write is done', async () => {
    const [a, b] = pair();
    const received = new Promise<Buffer>((resolve) => {
      b.listenTcp({ port: 80 }, (socket) => void readAll(socket).then(resolve));
    });
    const socket = a.connectTcp({ host: '10.0.0.2', port: 80 });
    const chunk = Buffer.alloc(40_000);
    for (let i = 0; i < 50; i++) {
      chunk.fill(i);
      await new Promise<void>((resolve, reject) => {
        socket.write(chunk, (error) => (error ? reject(error) : resolve()));
      });
    }
    socket.end();
    const all = await received;
    for (let i = 0; i < 50; i++) {
      expect(all.subarray(i * 40_000, (i + 1) * 40_000).every((byte) => byte === i)).toBe(true);
    }
  });

  it('setTimeout: timeout event after silence', async () => {
    const [a, b] = pair();
    b.listenTcp({ port: 80 }, () => {});
    const socket = a.connectTcp({ host: '10.0.0.2', port: 80 });
    socket.setTimeout(20);
    await once(socket, 'timeout');
    socket.destroy();
  });

  it('listening twice is EADDRINUSE, on two addresses is not', () => {
    const [a] = pair();
    a.listenTcp({ port: 80, host: '10.0.0.1' }, () => {});
    a.listenTcp({ port: 80, host: 'fd00::1' }, () => {});
    a.listenTcp({ port: 80, host: '127.0.0.1' }, () => {});
    const code = (host?: string) => {
      try {
        a.listenTcp({ port: 80, ...(host === undefined ? {} : { host }) }, () => {}).close();
        return 'ok';
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
    };
    expect(code()).toBe('EADDRINUSE');
    expect(code('10.0.0.1')).toBe('EADDRINUSE');
    expect(code('0.0.0.0')).toBe('EADDRINUSE');
    expect(code('10.0.0.99')).toBe('EADDRNOTAVAIL');
    expect(code('127.0.0.2')).toBe('ok');
  });

  it('a closed listener refuses, its connections live on', async () => {
    const [a, b] = pair();
    const accepted = new Promise<TcpSocket>((resolve) => {
      const listener = b.listenTcp({ port: 80 }, (socket) => {
        listener.close();
        resolve(socket);
      });
    });
    const first = a.connectTcp({ host: '10.0.0.2', port: 80 });
    const server = await accepted;
    expect((await failure(a.connectTcp({ host: '10.0.0.2', port: 80 }))).code).toBe('ECONNREFUSED');
    server.end('still here');
    expect((await readAll(first)).toString()).toBe('still here');
    first.end();
  });
});

describe('loopback', () => {
  it.each(['127.0.0.1', '127.3.2.1', '::1', '10.0.0.1', 'fd00::1', '0.0.0.0'])('reaches %s', async (host) => {
    const [a] = pair();
    a.listenTcp({ port: 80 }, (socket) => {
      socket.end(`${socket.remoteAddress} to ${socket.localAddress}`);
      socket.resume();
    });
    const socket = a.connectTcp({ host, port: 80 });
    socket.end();
    const target = host === '0.0.0.0' ? '127.0.0.1' : host;
    const source = host.startsWith('127.') || host === '0.0.0.0' ? '127.0.0.1' : host;
    expect((await readAll(socket)).toString()).toBe(`${source} to ${target}`);
  });

  it('moves megabytes', async () => {
    const [a] = pair();
    const bytes = patternBytes(5_000_000, 3);
    a.listenTcp({ port: 80 }, (socket) => socket.end(bytes));
    const socket = a.connectTcp({ host: '127.0.0.1', port: 80 });
    socket.end();
    expect(Buffer.compare(await readAll(socket), bytes)).toBe(0);
  });
});

describe('node libraries over TcpSocket', () => {
  it('node:http server and client, with keep-alive', async () => {
    const [a, b] = pair();
    const server = http.createServer((request, response) => {
      let size = 0;
      request.on('data', (chunk) => {
        size += chunk.length;
      });
      request.on('end', () =>
        response.end(`${request.method} ${request.url} ${size} from ${request.socket.remoteAddress}`),
      );
    });
    let connections = 0;
    b.listenTcp({ port: 80 }, (socket) => {
      connections++;
      server.emit('connection', socket);
    });
    expect(await get(a, '10.0.0.2', 80, '/one')).toEqual({
      status: 200,
      body: 'GET /one 0 from 10.0.0.1',
    });
    class StackAgent extends http.Agent {
      override createConnection(): Duplex {
        return a.connectTcp({ host: '10.0.0.2', port: 80 });
      }
    }
    const agent = new StackAgent({ keepAlive: true, maxSockets: 1 });
    const answers = await Promise.all(['/2', '/3', '/4'].map((path) => get(a, '10.0.0.2', 80, path, agent)));
    expect(answers.map(({ body }) => body.split(' ')[1])).toEqual(['/2', '/3', '/4']);
    expect(connections).toBe(2);
    agent.destroy();
    server.close();
  });

  it('node:http with a large body both ways', async () => {
    const [a, b] = pair();
    const server = http.createServer((request, response) => void pipeline(request, response));
    b.listenTcp({ port: 80 }, (socket) => server.emit('connection', socket));
    const bytes = patternBytes(2_000_000, 5);
    const request = http.request({
      host: 'fd00::2',
      method: 'POST',
      createConnection: () => a.connectTcp({ host: 'fd00::2', port: 80 }) as unknown as Duplex,
    });
    request.end(bytes);
    const [response] = await once(request, 'response');
    expect(Buffer.compare(await readAll(response), bytes)).toBe(0);
  });

  it('node:http client hears of a refused connection', async () => {
    const [a] = pair();
    await expect(get(a, '10.0.0.2', 81, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('node:http2 without TLS, many streams', async () => {
    const [a, b] = pair();
    const server = http2.createServer();
    server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
      stream.respond({ ':status': 200 });
      stream.end(`${headers[':path']} `.repeat(1000));
    });
    b.listenTcp({ port: 80 }, (socket) => server.emit('connection', socket));
    const client = http2.connect('http://10.0.0.2', {
      createConnection: () => a.connectTcp({ host: '10.0.0.2', port: 80 }),
    });
    const bodies = await Promise.all(
      Array.from({ length: 30 }, async (_, i) =>
        (await readAll(client.request({ ':path': `/${i}` }))).toString(),
      ),
    );
    bodies.forEach((body, i) => {
      expect(body).toBe(`/${i} `.repeat(1000));
    });
    client.close();
    await once(client, 'close');
    server.close();
  });

  it('node:tls server and client', async () => {
    const [a, b] = pair();
    const bytes = patternBytes(1_000_000, 9);
    const server = tls.createServer({ key: TEST_KEY, cert: TEST_CERTIFICATE }, (socket) =>
      socket.pipe(socket),
    );
    b.listenTcp({ port: 443 }, (socket) => server.emit('connection', socket));
    const client = tls.connect({
      socket: a.connectTcp({ host: '10.0.0.2', port: 443 }),
      ca: TEST_CERTIFICATE,
      servername: 'podwire.test',
    });
    await once(client, 'secureConnect');
    expect(client.authorized).toBe(true);
    client.end(bytes);
    expect(Buffer.compare(await readAll(client), bytes)).toBe(0);
  });
});

describe('UDP', () => {
  it.each(['10.0.0.2', 'fd00::2', '127.0.0.1', '::1'])('asks and answers over %s', async (host) => {
    const [a, b] = pair();
    const server = (host.endsWith('1') ? a : b).bindUdp({ port: 53 });
    server.on('message', (data, peer) => server.send(`re: ${data}`, peer.port, peer.address));
    const client = a.bindUdp();
    client.send('hello', 53, host);
    const [data, peer] = await once(client, 'message');
    expect(data.toString()).toBe('re: hello');
    expect([peer.address, peer.port]).toEqual([host, 53]);
  });

  it.each(['10.0.0.2', 'fd00::2'])('sends 60 kB in fragments over %s', async (host) => {
    const [a, b] = pair();
    const server = b.bindUdp({ port: 9 });
    const bytes = patternBytes(60_000, 4);
    a.bindUdp().send(bytes, 9, host);
    const [data] = await once(server, 'message');
    expect(Buffer.compare(data, bytes)).toBe(0);
    expect(b.statistics.reassembled).toBe(1);
  });

  it('a connected socket hears ECONNREFUSED and only its peer', async () => {
    const [a, b] = pair();
    const client = a.bindUdp({ port: 1000 });
    client.connect(9, '10.0.0.2');
    client.send('anyone?');
    const [error] = await once(client, 'error');
    expect((error as NodeJS.ErrnoException).code).toBe('ECONNREFUSED');
    const heard: string[] = [];
    client.on('message', (data) => heard.push(data.toString()));
    b.bindUdp({ port: 10 }).send('stranger', 1000, '10.0.0.1');
    b.bindUdp({ port: 9 }).send('peer', 1000, '10.0.0.1');
    await once(client, 'message');
    expect(heard).toEqual(['peer']);
  });

  it('port in use, message too big, no route', async () => {
    const [a] = pair();
    a.bindUdp({ port: 53 });
    expect(() => a.bindUdp({ port: 53 })).toThrow(/EADDRINUSE/);
    const socket = a.bindUdp({ port: 54, host: '10.0.0.1' });
    const send = (size: number, host: string) =>
      new Promise((resolve) => {
        socket.send(new Uint8Array(size), 9, host, (error) =>
          resolve((error as NodeJS.ErrnoException | undefined)?.code),
        );
      });
    expect(await send(65_508, '10.0.0.2')).toBe('EMSGSIZE');
    expect(await send(5, '9.9.9.9')).toBe('ENETUNREACH');
    expect(await send(5, '10.0.0.2')).toBe(undefined);
  });
});

describe('ICMP echo', () => {
  it.each([
    ['10.0.0.2', 4],
    ['fd00::2', 6],
    ['127.0.0.1', 4],
    ['10.0.0.1', 4],
    ['::1', 6],
  ] as const)('%s answers', async (host, version) => {
    const [a] = pair();
    const socket = a.openIcmp(version);
    socket.send(host, { seq: 7, payload: Buffer.from('payload'), ttl: 33 });
    const [reply] = await once(socket, 'message');
    expect(reply).toMatchObject({ address: host, seq: 7, id: socket.id, ttl: 64 });
    expect(reply.payload.toString()).toBe('payload');
  });

  it('a large ping travels in fragments', async () => {
    const [a] = pair();
    const socket = a.openIcmp(4);
    const payload = patternBytes(10_000, 2);
    socket.send('10.0.0.2', { seq: 1, payload });
    const [reply] = await once(socket, 'message');
    expect(Buffer.compare(reply.payload, payload)).toBe(0);
  });

  it('says when nobody is there', async () => {
    const [a] = pair({ a: { neighborRetryMs: 5 } });
    const socket = a.openIcmp(4);
    socket.send('10.0.0.77', { seq: 1 });
    const [failed] = await once(socket, 'unreachable');
    expect(failed).toMatchObject({ address: '10.0.0.1', destination: '10.0.0.77', seq: 1, type: 3, code: 1 });
  });
});

describe('socketLb', () => {
  const lb = {
    translate: (_protocol: string, address: string, port: number) => {
      if (address === '10.96.0.1') return { address: '10.0.0.2', port: port + 1000 };
      if (address === '10.96.0.2') return { error: 'EHOSTUNREACH' as const };
      return address === '10.96.0.3' ? { error: 'EPERM' as const } : undefined;
    },
  };

  it('TCP: connects to the backend, shows the service', async () => {
    const [a, b] = pair({ a: { socketLb: lb } });
    b.listenTcp({ port: 1080 }, (socket) => socket.end('backend'));
    const socket = a.connectTcp({ host: '10.96.0.1', port: 80 });
    expect((await readAll(socket)).toString()).toBe('backend');
    expect([socket.remoteAddress, socket.remotePort]).toEqual(['10.96.0.1', 80]);
    socket.end();
    expect((await failure(a.connectTcp({ host: '10.96.0.2', port: 80 }))).code).toBe('EHOSTUNREACH');
    expect((await failure(a.connectTcp({ host: '10.96.0.3', port: 80 }))).code).toBe('EPERM');
  });

  it('UDP: answers seem to come from the service', async () => {
    const [a, b] = pair({ a: { socketLb: lb } });
    const server = b.bindUdp({ port: 1053 });
    server.on('message', (data, peer) => server.send(data, peer.port, peer.address));
    const client = a.bindUdp();
    client.send('q', 53, '10.96.0.1');
    const [, peer] = await once(client, 'message');
    expect([peer.address, peer.port]).toEqual(['10.96.0.1', 53]);
    const connected = a.bindUdp();
    connected.connect(53, '10.96.0.1');
    connected.send('q');
    const [, other] = await once(connected, 'message');
    expect([other.address, other.port]).toEqual(['10.96.0.1', 53]);
  });
});

describe('acceptAnyAddress', () => {
  it('accepts for, and connects from, addresses that are not its own', async () => {
    const [a, b] = pair({
      a: { gateway: { v4: '10.0.0.2', v6: 'fd00::2' } },
      b: { acceptAnyAddress: true, gateway: { v4: '10.0.0.1', v6: 'fd00::1' } },
    });
    b.listenTcp({ port: 80 }, (socket) => {
      socket.end(`you asked ${socket.localAddress}`);
      socket.resume();
    });
    for (const host of ['93.184.216.34', '2001:db8::5']) {
      const socket = a.connectTcp({ host, port: 80 });
      socket.end();
      expect((await readAll(socket)).toString()).toBe(`you asked ${host}`);
    }
    const accepted = new Promise<TcpSocket>((resolve) => a.listenTcp({ port: 90 }, resolve));
    const out = b.connectTcp({ host: '10.0.0.1', port: 90, localAddress: '192.0.2.7', localPort: 999 });
    const server = await accepted;
    expect([server.remoteAddress, server.remotePort]).toEqual(['192.0.2.7', 999]);
    out.destroy();
    server.destroy();
    expect((await failure(a.connectTcp({ host: '93.184.216.34', port: 81 }))).code).toBe('ECONNREFUSED');
  });

  it.each([
    ['93.184.216.34', 4],
    ['2001:db8::5', 6],
  ] as const)('answers pings to %s', async (host, version) => {
    const [a] = pair({
      a: { gateway: { v4: '10.0.0.2', v6: 'fd00::2' } },
      b: { acceptAnyAddress: true, gateway: { v4: '10.0.0.1', v6: 'fd00::1' } },
    });
    const socket = a.openIcmp(version);
    socket.send(host, { seq: 3 });
    const [reply] = await once(socket, 'message');
    expect(reply).toMatchObject({ address: host, seq: 3 });
  });

  it('anyPort takes every port nobody else listens on', async () => {
    const [a, b] = pair({ a: { gateway: { v4: '10.0.0.2' } }, b: { acceptAnyAddress: true } });
    b.listenTcp({ port: 80 }, (socket) => socket.end('eighty'));
    b.listenTcp({ port: 0, anyPort: true }, (socket) => socket.end(`any ${socket.localPort}`));
    const ask = async (port: number) => {
      const socket = a.connectTcp({ host: '1.2.3.4', port });
      socket.end();
      return (await readAll(socket)).toString();
    };
    expect(await Promise.all([ask(80), ask(81), ask(65_535)])).toEqual(['eighty', 'any 81', 'any 65535']);
  });
});
