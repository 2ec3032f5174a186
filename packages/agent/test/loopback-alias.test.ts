import { buildIcmpEcho, buildIcmpError, buildTcp, buildUdp } from '@podwire/wire/build';
import { internetChecksum } from '@podwire/wire/checksum';
import { describe as line } from '@podwire/wire/describe';
import { verifyIpv4Checksum } from '@podwire/wire/ipv4';
import { Packet } from '@podwire/wire/packet';
import { verifyTransportChecksum } from '@podwire/wire/transport-checksum';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aliasIncoming, aliasOutgoing, fromAlias, toAlias } from '../src/loopback-alias.ts';

const packet = new Packet();

function expectIntact(frame: Uint8Array): void {
  expect(packet.decode(frame)).toBe(0);
  expect(verifyIpv4Checksum(frame, packet.l3)).toBe(true);
  const { l3, version, protocol, l4, end } = packet;
  expect(verifyTransportChecksum(frame, version, l3, protocol, l4, end)).toBe(true);
}

describe('loopback aliases', () => {
  it('are names for 127/8 and nothing else', () => {
    expect(toAlias('127.0.0.11')).toBe('0.0.0.11');
    expect(fromAlias('0.0.0.11')).toBe('127.0.0.11');
    expect(fromAlias('0.0.0.0')).toBe('0.0.0.0');
    for (const address of ['10.0.0.1', '::1', '172.18.0.2', '12.7.0.1']) {
      expect([toAlias(address), fromAlias(address)]).toEqual([address, address]);
    }
  });

  it('keep every checksum right, there and back', () => {
    const address = fc.oneof(
      fc.tuple(fc.nat(255), fc.nat(255), fc.integer({ min: 1, max: 254 })).map((t) => `127.${t.join('.')}`),
      fc.tuple(fc.nat(255), fc.nat(255)).map((t) => `10.244.${t.join('.')}`),
    );
    const kind = fc.constantFrom('tcp', 'udp', 'icmp', 'error');
    fc.assert(
      fc.property(kind, address, address, fc.uint8Array({ maxLength: 64 }), (what, src, dst, payload) => {
        const ip = { src, dst };
        const tcp = buildTcp({ ...ip, srcPort: 1234, dstPort: 80, flags: 0x18, payload });
        const frame = {
          tcp: () => tcp,
          udp: () => buildUdp({ ...ip, srcPort: 1234, dstPort: 53, payload }),
          icmp: () => buildIcmpEcho({ ...ip, id: 7, sequence: 1, payload }),
          error: () => buildIcmpError({ src: dst, about: tcp, type: 3, code: 3 }),
        }[what]!();
        const original = frame.slice();
        aliasIncoming(frame);
        if (what === 'error') {
          expect(packet.decode(frame)).toBe(0);
          expect(internetChecksum(frame, packet.l4, packet.end)).toBe(0);
          expect(verifyIpv4Checksum(frame, packet.quoted)).toBe(true);
          expect(line(frame)).not.toMatch(/(^| )127\./);
        } else {
          expectIntact(frame);
          expect(packet.src3 >>> 24).not.toBe(127);
          expect(packet.dst3 >>> 24).not.toBe(127);
        }
        aliasOutgoing(frame);
        expect(frame).toEqual(original);
      }),
      { numRuns: 300 },
    );
  });

  it('leave a UDP datagram without checksum without one, and other frames alone', () => {
    const frame = buildUdp({ src: '127.0.0.1', dst: '127.0.0.2', srcPort: 1, dstPort: 2, payload: 'x' });
    frame[40] = 0;
    frame[41] = 0;
    aliasIncoming(frame);
    expect([frame[40], frame[41], frame[26], frame[30]]).toEqual([0, 0, 0, 0]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        aliasIncoming(bytes);
        aliasOutgoing(bytes);
      }),
    );
  });
});
