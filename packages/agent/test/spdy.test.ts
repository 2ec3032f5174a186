import { once } from 'node:events';
import { Duplex, PassThrough } from 'node:stream';
import { connect as tlsConnect } from 'node:tls';
import { constants, createDeflate, createInflate, type Deflate } from 'node:zlib';
import { LOOPBACK_CERTIFICATE, LOOPBACK_KEY } from '@podwire/testkit/loopback-certificate';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { kubeletRoutes } from '../src/http/kubelet-routes.ts';
import { HttpServer } from '../src/http/server.ts';
import {
  controlFrame,
  dataFrame,
  FLAG_FIN,
  PING,
  RST_STREAM,
  SpdyError,
  SpdyFrameReader,
  SYN_REPLY,
  SYN_STREAM,
} from '../src/http/spdy-frames.ts';
import { DICTIONARY, HeaderInflater, HeaderWriter, parseHeaders } from '../src/http/spdy-headers.ts';
import { SpdySession } from '../src/http/spdy-session.ts';
import { byteStream } from '../src/http/websocket-bytes.ts';
import { PodManager } from '../src/pods/pod-manager.ts';
import { FakeNode, makePod } from './fake-node.ts';

/** A client as kubectl's: headers compressed with the dictionary, answers inflated. */
class SpdyClient {
  readonly connection: Duplex;
  readonly received = new Map<number, { text: string; ended: boolean }>();
  readonly replies: number[] = [];
  readonly resets: number[] = [];
  readonly pings: string[] = [];
  readonly #deflate: Deflate = createDeflate({ dictionary: DICTIONARY });
  readonly #inflate = createInflate({ dictionary: DICTIONARY });
  readonly #headers: Buffer[] = [];
  #packed: Buffer[] = [];
  #nextId = 1;
  #news: () => void = () => {};

  constructor(connection: Duplex) {
    this.connection = connection;
    this.#deflate.on('data', (chunk) => this.#packed.push(chunk));
    this.#inflate.on('data', (chunk) => this.#headers.push(chunk));
    const reader = new SpdyFrameReader();
    connection.on('error', () => {});
    connection.on('data', (chunk: Buffer) => {
      for (const frame of reader.push(chunk)) {
        if (frame.kind === 'data') {
          const stream = this.received.get(frame.streamId)!;
          stream.text += frame.data;
          stream.ended ||= (frame.flags & FLAG_FIN) !== 0;
        } else if (frame.type === SYN_REPLY) {
          this.replies.push(frame.data.readUInt32BE(0));
          this.#inflate.write(frame.data.subarray(4));
        } else if (frame.type === RST_STREAM) this.resets.push(frame.data.readUInt32BE(0));
        else if (frame.type === PING) this.pings.push(frame.data.toString('hex'));
      }
      this.#news();
    });
    connection.on('close', () => this.#news());
  }

  /** Opens a stream, half-closed from our side when `fin`. */
  async open(headers: Record<string, string>, fin = false): Promise<number> {
    const id = this.#nextId;
    this.#nextId += 2;
    this.received.set(id, { text: '', ended: false });
    const head = Buffer.alloc(10);
    head.writeUInt32BE(id, 0);
    const block = Buffer.concat([head, await this.#pack(headers)]);
    this.connection.write(controlFrame(SYN_STREAM, fin ? FLAG_FIN : 0, block));
    return id;
  }

  send(id: number, text: string, fin = false): void {
    this.connection.write(dataFrame(id, fin ? FLAG_FIN : 0, Buffer.from(text)));
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) {
      if (this.connection.destroyed) throw new Error('the server has closed the connection');
      await new Promise<void>((resolve) => {
        this.#news = resolve;
      });
    }
  }

  async ended(id: number): Promise<string> {
    await this.until(() => this.received.get(id)!.ended);
    return this.received.get(id)!.text;
  }

  async #pack(headers: Record<string, string>): Promise<Buffer> {
    const number = (value: number) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value);
      return bytes;
    };
    const parts = [number(Object.keys(headers).length)];
    for (const text of Object.entries(headers).flat()) parts.push(number(text.length), Buffer.from(text));
    this.#packed = [];
    await new Promise<void>((resolve) => {
      this.#deflate.write(Buffer.concat(parts), () =>
        this.#deflate.flush(constants.Z_SYNC_FLUSH, () => resolve()),
      );
    });
    return Buffer.concat(this.#packed);
  }
}

const ADDRESS = '127.0.0.1';
const PORT = 31_251;
const TOKEN = 'join-token';
let node: FakeNode;
let pods: PodManager;
let server: HttpServer | undefined;

afterEach(async () => {
  server?.close();
  server = undefined;
  await pods?.stop(0);
});

async function serve(): Promise<void> {
  node = new FakeNode();
  pods = new PodManager(node.context);
  server = await HttpServer.open({
    address: ADDRESS,
    port: PORT,
    keyPem: LOOPBACK_KEY,
    certPem: LOOPBACK_CERTIFICATE,
    caPem: LOOPBACK_CERTIFICATE,
    joinToken: TOKEN,
    routes: kubeletRoutes(pods, node.clock.nowMs),
    onError: (error) => console.error(error),
  });
  const pod = makePod({ containers: [{ name: 'c', image: 'i' }] });
  pods.apply([{ resource: 'pods', type: 'ADDED', object: pod as never }]);
  await node.clock.advance(0);
}

/** Upgrades a connection; the head of the answer, and a client when it was 101. */
async function upgrade(path: string, protocols: string[]): Promise<{ head: string; client: SpdyClient }> {
  const socket = tlsConnect({ host: ADDRESS, port: PORT, ca: LOOPBACK_CERTIFICATE });
  await once(socket, 'secureConnect');
  const offers = protocols.map((name) => `X-Stream-Protocol-Version: ${name}\r\n`).join('');
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n${offers}\r\n`,
  );
  let head = '';
  while (!head.includes('\r\n\r\n')) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    head += chunk.toString('latin1');
  }
  return { head, client: new SpdyClient(socket) };
}

describe('exec over SPDY', () => {
  const path = '/exec/shop/web/c?command=x&stdin=true&stdout=true&stderr=true';

  it('carries every stream and the exit code', async () => {
    await serve();
    node.process('c').execResult = async (_argv, io) => {
      let text = '';
      for await (const chunk of io.stdin!) text += chunk;
      io.stdout.write(text.toUpperCase());
      io.stderr.write('err');
      return 5;
    };
    const { head, client } = await upgrade(path, [
      'v5.channel.k8s.io',
      'v4.channel.k8s.io',
      'channel.k8s.io',
    ]);
    expect(head).toMatch(/^HTTP\/1\.1 101 /);
    expect(head).toContain('X-Stream-Protocol-Version: v4.channel.k8s.io\r\n');
    const error = await client.open({ streamType: 'error' });
    const stdin = await client.open({ streamType: 'stdin' });
    const stdout = await client.open({ streamType: 'stdout' });
    const stderr = await client.open({ streamType: 'stderr' });
    client.send(stdin, 'hello ');
    client.send(stdin, 'spdy', true);
    expect(await client.ended(stdout)).toBe('HELLO SPDY');
    expect(await client.ended(stderr)).toBe('err');
    expect(JSON.parse(await client.ended(error))).toMatchObject({
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: '5' }] },
    });
    expect(client.replies).toEqual([error, stdin, stdout, stderr]);
  });

  it('speaks older versions in plain words', async () => {
    await serve();
    node.process('c').execResult = async () => 1;
    const { client } = await upgrade('/exec/shop/web/c?command=x&stdout=true', ['v2.channel.k8s.io']);
    const error = await client.open({ streamType: 'error' });
    await client.open({ streamType: 'stdout' });
    expect(await client.ended(error)).toBe('command terminated with non-zero exit code: exit status 1');
  });

  it('with a terminal takes whichever streams the client opens', async () => {
    await serve();
    node.process('c').execResult = async (_argv, io) => {
      io.stdout.write(`tty ${io.tty}`);
      return 0;
    };
    const { client } = await upgrade('/exec/shop/web/c?command=x&tty=true&stdout=true&stderr=true', [
      'v4.channel.k8s.io',
    ]);
    const error = await client.open({ streamType: 'error' });
    const stdout = await client.open({ streamType: 'stdout' });
    await client.open({ streamType: 'stderr' });
    expect(await client.ended(stdout)).toBe('tty true');
    expect(JSON.parse(await client.ended(error)).status).toBe('Success');
  });

  it('moves a lot in both directions', async () => {
    await serve();
    node.process('c').execResult = async (_argv, io) => {
      for await (const chunk of io.stdin!) if (!io.stdout.write(chunk)) await once(io.stdout, 'drain');
      return 0;
    };
    const { client } = await upgrade('/exec/shop/web/c?command=x&stdin=1&stdout=1', ['v4.channel.k8s.io']);
    await client.open({ streamType: 'error' });
    const stdin = await client.open({ streamType: 'stdin' });
    const stdout = await client.open({ streamType: 'stdout' });
    for (let i = 0; i < 64; i++) client.send(stdin, String(i % 10).repeat(50_000), i === 63);
    const text = await client.ended(stdout);
    expect(text).toHaveLength(64 * 50_000);
    expect(text.slice(0, 50_001)).toBe(`${'0'.repeat(50_000)}1`);
  });

  it('is refused without a common version', async () => {
    await serve();
    const { head } = await upgrade(path, ['v9.channel.k8s.io']);
    expect(head).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe('port-forward over SPDY', () => {
  const echo = () => new PassThrough();

  async function forward(dial: (port: number) => Duplex, tunnelled: boolean): Promise<SpdyClient> {
    await serve();
    const { network } = pods.find('shop', 'web')!;
    network!.dial = dial;
    if (!tunnelled) return (await upgrade('/portForward/shop/web', ['portforward.k8s.io'])).client;
    // The name is no token, so the client library neither sends nor expects it; the server's answer shows it.
    const socket = new WebSocket(`wss://${ADDRESS}:${PORT}/portForward/shop/web`, {
      ca: LOOPBACK_CERTIFICATE,
      headers: {
        authorization: `Bearer ${TOKEN}`,
        'sec-websocket-protocol': 'v4.channel.k8s.io, SPDY/3.1+portforward.k8s.io',
      },
    });
    socket.on('upgrade', (response) => {
      expect(response.headers['sec-websocket-protocol']).toBe('SPDY/3.1+portforward.k8s.io');
      delete response.headers['sec-websocket-protocol'];
    });
    await once(socket, 'open');
    return new SpdyClient(byteStream(socket));
  }

  it.each([false, true])('carries connections (inside a WebSocket: %s)', async (tunnelled) => {
    const ports: number[] = [];
    const client = await forward((port) => {
      ports.push(port);
      return echo();
    }, tunnelled);
    for (const request of ['0', '1']) {
      const headers = { port: '8080', requestID: request };
      const error = await client.open({ streamType: 'error', ...headers }, true);
      const data = await client.open({ streamType: 'data', ...headers });
      client.send(data, `request ${request}`, true);
      expect(await client.ended(data)).toBe(`request ${request}`);
      expect(await client.ended(error)).toBe('');
    }
    expect(ports).toEqual([8080, 8080]);
    client.connection.destroy();
  });

  it('says why a connection failed, and goes on', async () => {
    const client = await forward((port) => {
      const socket = echo();
      if (port === 1)
        process.nextTick(() => socket.destroy(Object.assign(new Error('x'), { code: 'ECONNREFUSED' })));
      return socket;
    }, false);
    const refused = await client.open({ streamType: 'error', port: '1', requestID: '0' }, true);
    await client.open({ streamType: 'data', port: '1', requestID: '0' });
    expect(await client.ended(refused)).toBe('error forwarding port 1: ECONNREFUSED');
    const invalid = await client.open({ streamType: 'error', port: 'x', requestID: '1' }, true);
    await client.open({ streamType: 'data', port: 'x', requestID: '1' });
    expect(await client.ended(invalid)).toBe('invalid port "x"');
    await client.open({ streamType: 'error', port: '2', requestID: '2' }, true);
    const data = await client.open({ streamType: 'data', port: '2', requestID: '2' });
    client.send(data, 'ok', true);
    expect(await client.ended(data)).toBe('ok');
    client.connection.write(controlFrame(PING, 0, Buffer.from('00000007', 'hex')));
    await client.until(() => client.pings.length > 0);
    expect(client.pings).toEqual(['00000007']);
    client.connection.destroy();
  });
});

describe('SPDY header blocks', () => {
  it('know the dictionary of the draft', () => {
    let a = 1;
    let b = 0;
    for (const byte of DICTIONARY) {
      a = (a + byte) % 65_521;
      b = (b + a) % 65_521;
    }
    expect([DICTIONARY.length, (b * 65_536 + a).toString(16)]).toEqual([1423, 'e3c6a7c2']);
  });

  it('that are written are read by zlib', async () => {
    const inflate = createInflate({ dictionary: DICTIONARY, finishFlush: constants.Z_SYNC_FLUSH });
    const writer = new HeaderWriter();
    for (const headers of [new Map(), new Map([['a', 'ü']]), new Map([['b', 'x'.repeat(1000)]])]) {
      inflate.write(writer.write(headers));
      const [block] = (await once(inflate, 'data')) as [Buffer];
      expect(parseHeaders(block)).toEqual(headers);
    }
  });

  it('of any bytes are headers or an error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
        expect(() => {
          try {
            parseHeaders(Buffer.from(bytes));
          } catch (error) {
            if (!(error instanceof SpdyError)) throw error;
          }
        }).not.toThrow();
        await expect(new HeaderInflater().read(Buffer.from(bytes))).rejects.toThrow(SpdyError);
      }),
      { numRuns: 60 },
    );
  });

  it('that grow too large are refused', async () => {
    const deflate = createDeflate({ dictionary: DICTIONARY });
    deflate.end(Buffer.alloc(1_000_000));
    const chunks: Buffer[] = [];
    for await (const chunk of deflate) chunks.push(chunk);
    await expect(new HeaderInflater().read(Buffer.concat(chunks))).rejects.toThrow('longer than');
  });
});

describe('a SPDY session', () => {
  it('ends on any nonsense and never throws', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 }),
        async (chunks) => {
          const incoming = new PassThrough();
          const connection = Duplex.from({
            readable: incoming,
            writable: new PassThrough().resume(),
          } as never);
          const closed = new Promise<void>((resolve) => {
            new SpdySession({ connection, onStream: (stream) => stream.resume(), onClose: resolve });
          });
          for (const chunk of chunks) incoming.write(chunk);
          incoming.end();
          await closed;
        },
      ),
      { numRuns: 60 },
    );
  });

  it('names what is not version 3 or too long', () => {
    const read = (hex: string) => [...new SpdyFrameReader().push(Buffer.from(hex, 'hex'))];
    expect(() => read('8002000100000000')).toThrow('version 2 is not 3');
    expect(() => read('0000000100ffffff')).toThrow('a frame of 16777215 bytes is too long');
    expect(read('800300010000000000000001')).toHaveLength(1);
  });
});
