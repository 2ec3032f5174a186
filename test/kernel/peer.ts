/**
 * One side of the kernel comparison, run inside a network namespace: servers that tell a client which of them it
 * reached and from which address it seemed to come, and clients that report what became of a connection.
 *
 * Lines of JSON: first the servers to run (answered by `{"ready":true}`), then one attempt a line.
 */

import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';

export type Protocol = 'tcp' | 'udp';

export interface Listen {
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
}

export interface Attempt {
  readonly id: number;
  readonly protocol: Protocol;
  /** Source address to bind. */
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly timeoutMs: number;
}

export interface Result {
  readonly id: number;
  readonly verdict: 'answered' | 'refused' | 'silent';
  /** `address port` of the server, as it knows itself. */
  readonly backend?: string;
  /** Source address that the server saw. */
  readonly seen?: string;
  /** Error code of what is none of the three. */
  readonly error?: string;
}

function say(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function listen({ protocol, address, port }: Listen): Promise<void> {
  return new Promise((resolve, reject) => {
    if (protocol === 'tcp') {
      const server = createServer((socket) => {
        socket.on('error', () => {});
        socket.end(`${address} ${port} ${socket.remoteAddress}`);
      });
      server.on('error', reject).listen({ port, host: address, backlog: 511 }, () => resolve());
      return;
    }
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.on('message', (_, from) =>
      socket.send(`${address} ${port} ${from.address}`, from.port, from.address),
    );
    socket.on('error', reject).bind(port, address, () => resolve());
  });
}

function attempt(o: Attempt): void {
  let isOver = false;
  const end = (result: Omit<Result, 'id'>): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    close();
    say({ id: o.id, ...result });
  };
  const timer = setTimeout(() => end({ verdict: 'silent' }), o.timeoutMs);
  const fail = (error: NodeJS.ErrnoException): void => {
    if (error.code === 'ECONNREFUSED') end({ verdict: 'refused' });
    // A datagram that a rule drops or refuses on its way out; a refusal is reported besides.
    else if (error.code !== 'EPERM') end({ verdict: 'silent', error: error.code ?? error.message });
  };
  const answer = (text: string): void => {
    const [address, port, seen] = text.split(' ');
    end({ verdict: 'answered', backend: `${address} ${port}`, seen });
  };
  let close: () => void;
  if (o.protocol === 'tcp') {
    const socket = connect({ host: o.to, port: o.port, localAddress: o.from });
    let text = '';
    socket.on('data', (data) => (text += data)).on('error', fail);
    socket.on('end', () => (text ? answer(text) : end({ verdict: 'silent', error: 'no answer' })));
    close = () => socket.destroy();
  } else {
    const socket = createSocket(o.to.includes(':') ? 'udp6' : 'udp4');
    socket.on('message', (data) => answer(String(data))).on('error', fail);
    socket.bind(0, o.from, () => {
      socket.connect(o.port, o.to, (error?: Error) => {
        if (error) fail(error);
        else socket.send('who are you', (failure) => failure && fail(failure));
      });
    });
    close = () => socket.close();
  }
}

let isConfigured = false;
for await (const line of createInterface({ input: process.stdin })) {
  if (isConfigured) attempt(JSON.parse(line) as Attempt);
  else {
    isConfigured = true;
    await Promise.all((JSON.parse(line) as Listen[]).map(listen));
    say({ ready: true });
  }
}
process.exit();
