import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { formatIpv4, formatIpv6 } from '@podwire/wire/address';
import { buildTcp } from '@podwire/wire/build';
import { describe as describeFrame } from '@podwire/wire/describe';
import { Packet } from '@podwire/wire/packet';
import { parseTcp, type TcpHeader, type TcpOptions } from '@podwire/wire/tcp';
import { expect } from 'vitest';
import { NetStack, type StackOptions } from '../src/stack.ts';
import { FakeClock } from './fake-clock.ts';

const PEER_MAC = '02:00:00:00:00:99';
const STACK_MAC = '02:00:00:00:00:01';
/** The peer's initial sequence number; sequence numbers in scripts are relative to each side's own. */
export const PEER_ISN = 0xfffff000;

/**
 * The far end of one connection, played by a test line by line, as packetdrill does. A line names flags
 * (S F R P and . for ACK), `first:last(length)`, `ack N`, `win N` and options `<mss N,sackOK,wscale N,TS v:e,
 * sack a:b c:d>`; sequence numbers start at 0 for the SYN.
 */
export class ScriptedPeer {
  readonly clock = new FakeClock();
  readonly stack: NetStack;
  readonly sent: Uint8Array[] = [];
  stackPort = 80;
  peerPort = 40_000;
  /** The stack's initial sequence number, known from its first SYN. */
  stackIsn: number | undefined;
  readonly #v6: boolean;

  constructor(o: Partial<StackOptions> & { v6?: boolean } = {}) {
    this.#v6 = o.v6 === true;
    this.stack = new NetStack({
      nowMs: () => this.clock.nowMs,
      random32: seededRandom32(1),
      setTimer: this.clock.setTimer,
      defer: this.clock.defer,
      interface: {
        name: 'eth0',
        mac: STACK_MAC,
        mtu: 1500,
        neighborMac: PEER_MAC,
        transmit: (frame) => this.sent.push(frame.slice()),
      },
      addresses: [
        { address: '10.0.0.1', prefixLength: 24 },
        { address: 'fd00::1', prefixLength: 64 },
      ],
      ...o,
    });
  }

  get peerAddress(): string {
    return this.#v6 ? 'fd00::99' : '10.0.0.99';
  }

  get stackAddress(): string {
    return this.#v6 ? 'fd00::1' : '10.0.0.1';
  }

  /** The frame of a line of the peer. */
  frame(line: string): Uint8Array {
    const match =
      /^(?<flags>[SFRP.]+)(?: (?<first>-?\d+):(?<last>-?\d+)\((?<length>\d+)\))?(?: ack (?<ack>-?\d+))?(?: win (?<win>\d+))?(?: <(?<options>.*)>)?$/.exec(
        line,
      );
    if (match?.groups === undefined) throw new Error(`cannot read script line "${line}"`);
    const { flags, first, length, ack, win, options } = match.groups;
    return buildTcp({
      src: this.peerAddress,
      dst: this.stackAddress,
      srcMac: PEER_MAC,
      dstMac: STACK_MAC,
      srcPort: this.peerPort,
      dstPort: this.stackPort,
      flags: parseFlags(flags),
      sequence: (PEER_ISN + Number(first ?? 0)) >>> 0,
      acknowledgment: ack === undefined ? 0 : ((this.stackIsn ?? 0) + Number(ack)) >>> 0,
      window: Number(win ?? 65_535),
      options: this.#parseOptions(options),
      payload: new Uint8Array(Number(length ?? 0)).fill(0x61),
    });
  }

  /** The peer sends the lines, one after the other, before the stack acts on any. */
  inject(...lines: string[]): void {
    for (const line of lines) this.stack.receive(this.frame(line));
    this.clock.settle();
  }

  /**
   * What the stack sent since the last call is exactly this. Windows and options count only where the
   * expected line names them.
   */
  expect(...lines: string[]): void {
    this.clock.settle();
    const frames = this.sent.splice(0);
    const got = frames.map((frame, i) => this.#line(frame, lines[i] ?? ''));
    expect(got).toEqual(lines);
  }

  timestampsOf(frame: Uint8Array): { value: number; echo: number } {
    return header(frame).options.timestamps!;
  }

  /** Sequence number, relative to the stack's own, of a segment of the stack. */
  seqOf(frame: Uint8Array): number {
    return (header(frame).sequence - (this.stackIsn ?? 0)) | 0;
  }

  /** Acknowledgment, relative to the peer's own numbers, and unscaled window of a segment of the stack. */
  ackOf(frame: Uint8Array): { ack: number; window: number } {
    const { acknowledgment, window } = header(frame);
    return { ack: (acknowledgment - PEER_ISN) | 0, window };
  }

  /** Lets the stack send what it will and forgets it. */
  discard(): void {
    this.clock.settle();
    this.sent.length = 0;
  }

  /** Opens a connection from the stack's listener's point of view and gives it past the handshake. */
  handshake(options = '<mss 1460>', win = 65_535): void {
    this.inject(`S 0:0(0) win ${win} ${options}`);
    const frames = this.sent.splice(0);
    expect(frames).toHaveLength(1);
    expect(this.#line(frames[0], '')).toBe('S. 0:0(0) ack 1');
    this.inject(`. 1:1(0) ack 1 win ${win}`);
    this.expect();
  }

  #parseOptions(text: string | undefined): TcpOptions {
    const options: TcpOptions = {};
    for (const option of text?.split(',') ?? []) {
      const [name, ...values] = option.trim().split(' ');
      if (name === 'mss') options.maxSegmentSize = Number(values[0]);
      else if (name === 'wscale') options.windowScale = Number(values[0]);
      else if (name === 'sackOK') options.sackPermitted = true;
      else if (name === 'TS') {
        const [value, echo] = values[0].split(':').map(Number);
        options.timestamps = { value, echo };
      } else if (name === 'sack') {
        options.sackBlocks = values.map((block) => {
          const [left, right] = block.split(':').map((edge) => ((this.stackIsn ?? 0) + Number(edge)) >>> 0);
          return { left, right };
        });
      } else throw new Error(`unknown option "${option}"`);
    }
    return options;
  }

  #line(frame: Uint8Array, like: string): string {
    const packet = new Packet();
    if (packet.decode(frame) !== 0 || packet.l3 < 0 || packet.protocol !== 6) return describeFrame(frame);
    const header = parseTcp(frame, packet.l4, packet.end)!;
    if ((header.flags & 2) !== 0) this.stackIsn = header.sequence;
    const to = packet.version === 4 ? formatIpv4(packet.dst3) : formatIpv6(frame, packet.l3 + 24);
    expect(to).toBe(this.peerAddress);
    const length = packet.end - packet.payload;
    const first = (header.sequence - (this.stackIsn ?? 0)) | 0;
    let line = `${formatFlags(header.flags)} ${first}:${first + length}(${length})`;
    if ((header.flags & 16) !== 0) line += ` ack ${(header.acknowledgment - PEER_ISN) | 0}`;
    if (like.includes(' win ')) line += ` win ${header.window}`;
    if (like.includes('<')) line += ` <${formatOptions(header.options)}>`;
    return line;
  }
}

function header(frame: Uint8Array): TcpHeader {
  const packet = new Packet();
  packet.decode(frame);
  return parseTcp(frame, packet.l4, packet.end)!;
}

function parseFlags(text: string): number {
  let flags = 0;
  for (const letter of text) flags |= { F: 1, S: 2, R: 4, P: 8, '.': 16 }[letter] ?? 0;
  return flags;
}

function formatFlags(flags: number): string {
  let text = '';
  for (const [letter, bit] of [
    ['S', 2],
    ['F', 1],
    ['R', 4],
    ['P', 8],
    ['.', 16],
  ] as const) {
    if ((flags & bit) !== 0) text += letter;
  }
  return text;
}

function formatOptions(options: TcpOptions): string {
  const parts: string[] = [];
  if (options.maxSegmentSize !== undefined) parts.push(`mss ${options.maxSegmentSize}`);
  if (options.sackPermitted) parts.push('sackOK');
  if (options.timestamps !== undefined) parts.push('TS');
  if (options.windowScale !== undefined) parts.push(`wscale ${options.windowScale}`);
  if (options.sackBlocks !== undefined && options.sackBlocks.length > 0) {
    const edge = (n: number) => (n - PEER_ISN) | 0;
    parts.push(`sack ${options.sackBlocks.map((b) => `${edge(b.left)}:${edge(b.right)}`).join(' ')}`);
  }
  return parts.join(',');
}
