/** Whole packets, byte by byte, before and after: a pod asks a Service on another node and is answered. */

import { describe, expect, it } from 'vitest';
import { Pipeline } from '../src/pipeline.ts';
import { endpoint, NODES, service, tablesOf } from './cluster.ts';

const bytes = (text: string): Uint8Array =>
  Uint8Array.from(
    text
      .trim()
      .split(/\s+/)
      .map((byte) => Number.parseInt(byte, 16)),
  );
const hex = (data: Uint8Array): string =>
  [...data].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
const join = (...groups: string[]): string => groups.join(' ');

// 10.244.1.5:41822 -> 10.96.0.9:80 SYN, seq 1, window 64240.
const ASKED = join(
  'ee ee ee ee ee ee 0a 00 00 00 01 01 08 00', // to the gateway, from the pod, IPv4
  '45 00 00 28 00 01 40 00 40 06 24 6e 0a f4 01 05 0a 60 00 09', // TTL 64, TCP
  'a3 5e 00 50 00 00 00 01 00 00 00 00 50 02 fa f0 fa e0 00 00',
);
// 10.244.1.5:41822 -> 10.244.2.5:8080, TTL 63, in VXLAN.
const SENT = join(
  '08 00 00 00 00 00 01 00', // VXLAN: I flag, VNI 1
  '66 00 00 00 00 02 66 00 00 00 00 01 08 00', // between the VTEPs
  '45 00 00 28 00 01 40 00 3f 06 22 de 0a f4 01 05 0a f4 02 05',
  'a3 5e 1f 90 00 00 00 01 00 00 00 00 50 02 fa f0 d9 10 00 00',
);
// 10.244.2.5:8080 -> 10.244.1.5:41822 SYN+ACK, TTL 63, as node 2 sends it.
const ANSWERED = join(
  '08 00 00 00 00 00 01 00',
  '66 00 00 00 00 01 66 00 00 00 00 02 08 00',
  '45 00 00 28 00 02 40 00 3f 06 22 dd 0a f4 02 05 0a f4 01 05',
  '1f 90 a3 5e 00 00 00 09 00 00 00 02 50 12 fa f0 d8 f6 00 00',
);
// 10.96.0.9:80 -> 10.244.1.5:41822, TTL 62.
const RECEIVED = join(
  '0a 00 00 00 01 01 ee ee ee ee ee ee 08 00',
  '45 00 00 28 00 02 40 00 3e 06 26 6d 0a 60 00 09 0a f4 01 05',
  '00 50 a3 5e 00 00 00 09 00 00 00 02 50 12 fa f0 fa c6 00 00',
);

// fd00:10:244:1::5 -> fd00:10:96::9, UDP 5000 -> 53, "?".
const ASKED_6 = join(
  'ee ee ee ee ee ee 0a 00 00 00 01 01 86 dd',
  '60 00 00 00 00 09 11 40',
  'fd 00 00 10 02 44 00 01 00 00 00 00 00 00 00 05',
  'fd 00 00 10 00 96 00 00 00 00 00 00 00 00 00 09',
  '13 88 00 35 00 09 b0 14 3f',
);
const SENT_6 = join(
  '08 00 00 00 00 00 01 00',
  '66 00 00 00 00 02 66 00 00 00 00 01 86 dd',
  '60 00 00 00 00 09 11 3f',
  'fd 00 00 10 02 44 00 01 00 00 00 00 00 00 00 05',
  'fd 00 00 10 02 44 00 02 00 00 00 00 00 00 00 05',
  '13 88 14 e9 00 09 99 b4 3f',
);

/** RFC 1071, the slow way, over the words of a text. */
function sumOf(...groups: string[]): number {
  const data = bytes(join(...groups));
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) sum += (data[i] << 8) | (data[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

describe.each(['iptables', 'ebpf'] as const)('golden packets, mode %s', (mode) => {
  const services = [
    service({ endpoints: [endpoint(2, 1, 8080, 4)] }),
    service({ version: 6, protocol: 17, port: 53, endpoints: [endpoint(2, 1, 5353, 6)] }),
  ];
  const pipeline = new Pipeline({
    nowMs: () => 1,
    random32: () => 1,
    tables: tablesOf(NODES[0], services, mode),
  });

  it('IPv4, TCP: request and answer', () => {
    const asked = bytes(ASKED);
    const there = pipeline.fromPod(1, asked, asked.length);
    expect(hex(there.frame)).toBe(SENT);
    expect(there).toMatchObject({
      verdict: 'encap',
      vtep: { node: 'node-2', address: '172.18.0.2', port: 8472 },
    });
    expect(there.sourcePort).toBeGreaterThanOrEqual(49_152);
    expect(hex(asked), 'the frame of the caller is left as it was').toBe(ASKED);
    const answered = bytes(ANSWERED);
    const back = pipeline.fromUnderlay(answered, answered.length, '172.18.0.2');
    expect(hex(back.frame)).toBe(RECEIVED);
    expect(back).toMatchObject({ verdict: 'deliver', endpointId: 1 });
  });

  it('IPv6, UDP: request', () => {
    const asked = bytes(ASKED_6);
    expect(hex(pipeline.fromPod(1, asked, asked.length).frame)).toBe(SENT_6);
  });

  it('the checksums written above are right by the slow way', () => {
    for (const packet of [ASKED, SENT, ANSWERED, RECEIVED]) {
      const words = packet.split(' ');
      const ip = words.slice(words.indexOf('45'));
      expect(sumOf(join(...ip.slice(0, 20)))).toBe(0xffff);
      expect(sumOf(join(...ip.slice(12, 20)), '00 06 00 14', join(...ip.slice(20)))).toBe(0xffff);
    }
    for (const packet of [ASKED_6, SENT_6]) {
      const words = packet.split(' ');
      const ip = words.slice(words.indexOf('60'));
      expect(sumOf(join(...ip.slice(8, 40)), '00 09 00 11', join(...ip.slice(40)), '00')).toBe(0xffff);
    }
  });
});
