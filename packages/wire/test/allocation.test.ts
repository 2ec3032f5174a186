/** The hot path allocates nothing: the heap does not grow over many packets. */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { buildIcmpError, buildTcp, buildUdp, buildVxlan } from '../src/build.ts';
import { internetChecksum, updateChecksum32 } from '../src/checksum.ts';
import { setDstMac, swapMacs } from '../src/ethernet.ts';
import { emitIcmpError, ICMP_ERROR_FRAME_MAXIMUM_LENGTH, mayTriggerIcmpError } from '../src/icmp-error.ts';
import { getIpv4Dst, patchIpv4Dst, patchIpv4Ttl, verifyIpv4Checksum } from '../src/ipv4.ts';
import { Packet } from '../src/packet.ts';
import {
  createTcpOptionView,
  getTcpChecksum,
  readTcpOptions,
  setTcpChecksum,
  setTcpDstPort,
} from '../src/tcp.ts';
import { fillTransportChecksum, verifyTransportChecksum } from '../src/transport-checksum.ts';
import { patchUdpChecksum32 } from '../src/udp.ts';
import { isVxlan, writeVxlan } from '../src/vxlan.ts';

const PACKETS = 40_000;

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

// Bytes the heap grew by over PACKETS calls. New objects stay visible: far fewer bytes are allocated than the
// young generation holds, so that no collection hides them. The least of several rounds counts: a number above
// 2^31 that crosses a call which V8 has not (yet) inlined is boxed, 16 bytes that are not ours.
function growth(work: (n: number) => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    collectGarbage();
    const before = getHeapStatistics().used_heap_size;
    for (let i = 0; i < PACKETS; i++) work(i);
    least = Math.min(least, getHeapStatistics().used_heap_size - before);
  }
  return least;
}

// One allocation of the smallest object (16 bytes) per packet would show as 640,000 bytes.
const NOISE_BYTES = 200_000;

const mac = new Uint8Array([2, 0, 0, 0, 0, 9]);
const high = { src: '192.168.255.1', dst: '240.0.0.1' };
const tcp = buildTcp({
  ...high,
  srcPort: 65000,
  dstPort: 80,
  flags: 16,
  options: {
    timestamps: { value: 4_000_000_000, echo: 5 },
    sackBlocks: [{ left: 3_000_000_000, right: 4_000_000_000 }],
  },
  payload: 'x'.repeat(1300),
});
const udp6 = buildUdp({ src: 'fd00::1', dst: 'fd00::2', srcPort: 1, dstPort: 2, payload: 'x'.repeat(200) });
const error = buildIcmpError({ about: tcp, src: '10.0.0.1', type: 3, code: 3 });
const tunnel = buildVxlan({ src: '127.0.0.1', dst: '127.0.0.2', srcPort: 1, vni: 1, inner: udp6 });

it('would be seen by this test if it allocated', () => {
  const kept: { n: number }[] = [];
  expect(growth((n) => (kept[n % 8] = { n }))).toBeGreaterThan(NOISE_BYTES);
});

it('decodes without allocation', () => {
  const packet = new Packet();
  const quoted = new Packet();
  const frames = [tcp, udp6, error, tunnel];
  const bytes = growth((n) => {
    packet.decode(frames[n & 3]);
    if (packet.quoted >= 0) quoted.decodeQuoted(packet.frame, packet.quoted, packet.end);
  });
  expect(bytes).toBeLessThan(NOISE_BYTES);
});

it('sums, verifies and fills checksums without allocation', () => {
  const frames = [tcp, udp6, error, tunnel];
  const packets = frames.map((frame) => {
    const packet = new Packet();
    packet.decode(frame);
    return packet;
  });
  const bytes = growth((n) => {
    const p = packets[n & 3];
    fillTransportChecksum(p.frame, p.version, p.l3, p.protocol, p.l4, p.end);
    verifyTransportChecksum(p.frame, p.version, p.l3, p.protocol, p.l4, p.end);
    internetChecksum(p.frame, 0, p.length);
  });
  expect(bytes).toBeLessThan(NOISE_BYTES);
});

it('rewrites addresses, TTL and ports without allocation', () => {
  const frame = tcp.slice();
  const bytes = growth((n) => {
    const before = getIpv4Dst(frame, 14);
    const after = (before ^ (n << 20)) >>> 0;
    patchIpv4Dst(frame, 14, after);
    setTcpChecksum(frame, 34, updateChecksum32(getTcpChecksum(frame, 34), before, after));
    setTcpDstPort(frame, 34, n & 0xffff);
    patchIpv4Ttl(frame, 14, n & 255);
  });
  expect(bytes).toBeLessThan(NOISE_BYTES);
});

it('reads options, writes MACs and tunnel headers without allocation', () => {
  const frame = tcp.slice();
  const datagram = udp6.slice();
  const view = createTcpOptionView();
  const bytes = growth((n) => {
    setDstMac(frame, 0, mac);
    swapMacs(frame, 0);
    verifyIpv4Checksum(frame, 14);
    readTcpOptions(frame, 54, 78, view);
    patchUdpChecksum32(datagram, 54, n, n * 7);
    writeVxlan(datagram, 0, n & 0xffffff);
    isVxlan(datagram, 0, datagram.length);
  });
  expect(bytes).toBeLessThan(NOISE_BYTES);
});

it('writes ICMP errors with one view for each', () => {
  const packet = new Packet();
  packet.decode(tcp);
  const out = new Uint8Array(ICMP_ERROR_FRAME_MAXIMUM_LENGTH);
  const words: [number, number, number, number] = [0, 0, 0xffff, 0x0a000001];
  const report = { type: 3, code: 3, rest: 0, src: words };
  const bytes = growth(() => {
    if (mayTriggerIcmpError(packet)) emitIcmpError(packet, report, out);
  });
  // `subarray` for the bulk copy of the quote: about 100 bytes.
  expect(bytes / PACKETS).toBeLessThan(200);
});
