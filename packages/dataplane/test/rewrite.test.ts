/** Rewriting in place against building the packet anew. */

import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { buildIcmpEcho, buildSctp, buildTcp, buildUdp } from '@podwire/wire/build';
import { Packet } from '@podwire/wire/packet';
import { describe, expect, it } from 'vitest';
import { wordsOf } from '../src/address-words.ts';
import { rewriteDestination, rewriteSource } from '../src/rewrite.ts';
import { expectChecksums } from './cluster.ts';

interface Ends {
  src: string;
  srcPort: number;
  dst: string;
  dstPort: number;
}

const builders: Record<string, (ends: Ends, payload: Uint8Array) => Uint8Array> = {
  tcp: (ends, payload) => buildTcp({ ...ends, flags: 0x18, sequence: 7, payload }),
  udp: (ends, payload) => buildUdp({ ...ends, payload }),
  'udp without checksum': (ends, payload) => buildUdp({ ...ends, payload, noChecksum: true }),
  sctp: (ends, payload) => {
    const chunks = new Uint8Array((payload.length + 4) & ~3);
    return buildSctp({ ...ends, verificationTag: 5, chunks });
  },
  'icmp echo': ({ src, dst, srcPort }, payload) =>
    buildIcmpEcho({ src, dst, id: srcPort, sequence: 3, payload }),
};

describe.each(Object.keys(builders))('%s', (name) => {
  const build = builders[name];
  it.each([4, 6] as const)('IPv%s: is what a packet between the new ends would be', (version) => {
    const random = seededRandom32(version);
    const isEcho = name === 'icmp echo';
    const address = (): string =>
      version === 4
        ? `10.${random() % 256}.${random() % 256}.${random() % 256}`
        : `fd00:${(random() % 65_536).toString(16)}::${(random() % 65_536).toString(16)}:${(random() % 65_536).toString(16)}`;
    const packet = new Packet();
    for (let round = 0; round < 150; round++) {
      const port = random() % 65_536;
      const before: Ends = {
        src: address(),
        srcPort: port,
        dst: address(),
        dstPort: isEcho ? port : random() % 65_536,
      };
      const payload = Uint8Array.from({ length: random() % 40 }, () => random());
      const frame = build(before, payload);
      const after: Ends = { ...before };
      expect(packet.decode(frame)).toBe(0);
      // Sometimes nothing but the address, or nothing but the port, changes.
      if (random() % 3 > 0) after.src = address();
      if (random() % 3 > 0) after.srcPort = random() % 65_536;
      if (isEcho) after.dstPort = after.srcPort;
      expect(rewriteSource(packet, ...wordsOf(after.src), after.srcPort)).toBe(true);
      if (random() % 2 === 0) {
        after.dst = address();
        if (!isEcho) after.dstPort = random() % 65_536;
        expect(rewriteDestination(packet, ...wordsOf(after.dst), after.dstPort)).toBe(true);
      }
      const wanted = build(after, payload);
      // An Internet checksum has two zeros; verify instead of comparing it.
      if (name !== 'udp without checksum' || version === 4) expectChecksums(packet);
      expect(withoutChecksums(frame, version, name)).toEqual(withoutChecksums(wanted, version, name));
      const again = new Packet();
      again.decode(frame);
      expect([packet.src3, packet.dst3, packet.srcPort, packet.dstPort]).toEqual([
        again.src3,
        again.dst3,
        again.srcPort,
        again.dstPort,
      ]);
    }
  });
});

function withoutChecksums(frame: Uint8Array, version: 4 | 6, name: string): Uint8Array {
  const copy = frame.slice();
  if (version === 4) copy.fill(0, 24, 26);
  const l4 = version === 4 ? 34 : 54;
  const field = name === 'tcp' ? 16 : name.startsWith('udp') ? 6 : name === 'sctp' ? 8 : 2;
  if (name !== 'udp without checksum') copy.fill(0, l4 + field, l4 + field + (name === 'sctp' ? 4 : 2));
  return copy;
}

it('leaves a wrong checksum wrong', () => {
  const frame = buildUdp({ src: '10.0.0.1', srcPort: 1, dst: '10.0.0.2', dstPort: 2, payload: 'x' });
  frame[40] ^= 0x55;
  const packet = new Packet();
  packet.decode(frame);
  rewriteDestination(packet, ...wordsOf('10.0.0.3'), 3);
  expect(() => expectChecksums(packet)).toThrow();
});
