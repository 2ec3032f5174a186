import { fraction, seededRandom32 } from '@podwire/testkit/seeded-random';
import { NetStack, type StackOptions } from '../src/stack.ts';
import type { ConnectionUser, TcpConnection, TcpErrorCode } from '../src/tcp/connection.ts';
import type { FakeClock } from './fake-clock.ts';

export interface LinkFaults {
  /** Probability that a frame is lost. */
  loss?: number;
  /** Probability that a frame comes twice. */
  duplicate?: number;
  /** Probability that a frame is held back for up to `reorderMs`. */
  reorder?: number;
  reorderMs?: number;
  /** Probability that one bit of the frame flips. */
  corrupt?: number;
  delayMs?: number;
  /** Frames with larger IP packets are dropped; with `onTooBig` somebody hears of it. */
  mtu?: number;
  /** Takes a frame before any fault; true keeps it from going on. */
  intercept?: (frame: Uint8Array) => boolean;
}

export interface Pair {
  a: NetStack;
  b: NetStack;
  clock: FakeClock;
  /** Faults of the direction a to b; may be changed while running. */
  forth: LinkFaults;
  back: LinkFaults;
}

/** Two stacks, 10.0.0.1 and 10.0.0.2 (fd00::1 and fd00::2), joined by a link with faults. */
export function joinedStacks(
  clock: FakeClock,
  seed: number,
  faults: LinkFaults = {},
  options: { a?: Partial<StackOptions>; b?: Partial<StackOptions>; mtu?: number } = {},
): Pair {
  const random32 = seededRandom32(seed);
  const forth = { ...faults };
  const back = { ...faults };
  const make = (n: number, faultsOut: LinkFaults, peer: () => NetStack, extra?: Partial<StackOptions>) =>
    new NetStack({
      nowMs: () => clock.nowMs,
      random32: seededRandom32(seed * 1000 + n),
      setTimer: clock.setTimer,
      defer: clock.defer,
      interface: {
        name: `eth${n}`,
        mac: `02:00:00:00:00:0${n}`,
        mtu: options.mtu ?? 1500,
        transmit: (frame) => carry(clock, random32, faultsOut, frame, peer),
      },
      addresses: [
        { address: `10.0.0.${n}`, prefixLength: 24 },
        { address: `fd00::${n}`, prefixLength: 64 },
      ],
      ...extra,
    });
  const a: NetStack = make(1, forth, () => b, options.a);
  const b: NetStack = make(2, back, () => a, options.b);
  return { a, b, clock, forth, back };
}

function carry(
  clock: FakeClock,
  random32: () => number,
  faults: LinkFaults,
  frame: Uint8Array,
  to: () => NetStack,
): void {
  if (faults.intercept?.(frame)) return;
  // Resolution gives up after three questions, and ARP has no checksum: faults are for what comes after it.
  const spared = resolvesNeighbor(frame);
  if (fraction(random32) < (faults.loss ?? 0) && !spared) return;
  const copies = fraction(random32) < (faults.duplicate ?? 0) ? 2 : 1;
  for (let i = 0; i < copies; i++) {
    const copy = frame.slice();
    if (fraction(random32) < (faults.corrupt ?? 0) && !spared) {
      copy[random32() % copy.length] ^= 1 << (random32() & 7);
    }
    let delayMs = faults.delayMs ?? 0;
    if (fraction(random32) < (faults.reorder ?? 0)) {
      delayMs += fraction(random32) * (faults.reorderMs ?? 5);
    }
    clock.setTimer(() => to().receive(copy), delayMs);
  }
}

function resolvesNeighbor(frame: Uint8Array): boolean {
  if (frame[12] === 0x08 && frame[13] === 0x06) return true;
  return (
    frame[12] === 0x86 && frame[13] === 0xdd && frame[20] === 58 && (frame[54] === 135 || frame[54] === 136)
  );
}

/** A user that writes `toSend`, reads everything and notes what happens. */
export class RecordingUser implements ConnectionUser {
  connection: TcpConnection | undefined;
  readonly events: string[] = [];
  readonly chunks: Buffer[] = [];
  receivedBytes = 0;
  reading = true;
  ended = false;
  isClosed = false;
  code: TcpErrorCode | undefined;
  /** Shut down once everything is written. */
  endAfterWrite = true;
  /** Close (rather than leave half-open) when the peer has ended. */
  closeOnEnd = false;
  onReadable: (() => void) | undefined;
  #toSend: Uint8Array;
  #sent = 0;

  constructor(toSend: Uint8Array = new Uint8Array(0)) {
    this.#toSend = toSend;
  }

  get sentBytes(): number {
    return this.#sent;
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks);
  }

  send(bytes: Uint8Array): void {
    const rest = this.#toSend.subarray(this.#sent);
    this.#toSend = Buffer.concat([rest, bytes]);
    this.#sent = 0;
    this.writable();
  }

  connected(): void {
    this.events.push('connected');
    this.writable();
  }

  readable(): void {
    this.onReadable?.();
    if (this.reading) this.readAll();
  }

  readAll(): void {
    const connection = this.connection!;
    for (let chunk = connection.read(); chunk !== undefined; chunk = connection.read()) {
      this.chunks.push(chunk);
      this.receivedBytes += chunk.length;
    }
    if (connection.ended && !this.ended) {
      this.ended = true;
      this.events.push('end');
      if (this.closeOnEnd) connection.close();
    }
  }

  writable(): void {
    const connection = this.connection!;
    if (this.#sent < this.#toSend.length) this.#sent += connection.write(this.#toSend, this.#sent);
    if (this.#sent === this.#toSend.length && this.endAfterWrite) connection.shutdown();
  }

  closed(code: TcpErrorCode | undefined): void {
    this.isClosed = true;
    this.code = code;
    this.events.push(code === undefined ? 'closed' : `closed ${code}`);
  }
}

/** Connects `user` from a stack; throws when there is no way. */
export function connectUser(
  stack: NetStack,
  user: RecordingUser,
  o: { host: string; port: number; localPort?: number; connectTimeoutMs?: number },
): TcpConnection {
  const connection = stack.openConnection(o, user);
  if (typeof connection === 'string') throw new Error(`cannot connect: ${connection}`);
  user.connection = connection;
  return connection;
}

/** Gives each connection accepted on a port to a user made by `make`. */
export function listenUsers(stack: NetStack, port: number, make: () => RecordingUser): RecordingUser[] {
  const users: RecordingUser[] = [];
  stack.listenConnections({ port }, (connection) => {
    const user = make();
    user.connection = connection;
    connection.user = user;
    users.push(user);
  });
  return users;
}

/** Bytes that differ at every place and from seed to seed. */
export function patternBytes(length: number, seed: number): Uint8Array {
  const random32 = seededRandom32(seed);
  const words = new Uint32Array((length + 3) >> 2);
  for (let i = 0; i < words.length; i++) words[i] = random32();
  return new Uint8Array(words.buffer, 0, length);
}
