import { expect, describe as group, it } from 'vitest';
import {
  buildArp,
  buildIcmpEcho,
  buildIcmpError,
  buildIp,
  buildNeighborAdvertisement,
  buildNeighborSolicitation,
  buildSctp,
  buildTcp,
  buildUdp,
  buildVxlan,
} from '../src/build.ts';
import { describe, describeIp } from '../src/describe.ts';
import { setIpv4Fragment } from '../src/ipv4.ts';
import { TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN, TCP_URG } from '../src/tcp.ts';
import { hex } from './hex.ts';

const v4 = { src: '10.244.1.5', dst: '10.96.0.9' };
const v6 = { src: 'fd00:10:244::5', dst: 'fd00:10:96::9' };
const ports = { srcPort: 41822, dstPort: 80 };
const syn = buildTcp({ ...v4, ...ports, flags: TCP_SYN, sequence: 1 });
const datagram = buildUdp({ ...v4, srcPort: 5000, dstPort: 53, payload: 'query' });
const datagram6 = buildUdp({ ...v6, srcPort: 5000, dstPort: 53, payload: 'query' });
const fragment = buildIp({ ...v4, protocol: 17, payload: new Uint8Array(16), identification: 7 });
setIpv4Fragment(fragment, 14, 1480, true);

const about4 = (code: number, rest = 0) =>
  buildIcmpError({ about: syn, src: '10.0.0.1', type: 3, code, rest });
const about6 = (type: number, code: number, rest = 0) =>
  buildIcmpError({ about: datagram6, src: 'fd00::1', type, code, rest });

const cases: [string, Uint8Array][] = [
  ['IP 10.244.1.5.41822 > 10.96.0.9.80: Flags [S], seq 1, win 64240, length 0', syn],
  [
    'IP 10.244.1.5.41822 > 10.96.0.9.80: Flags [S], seq 1, win 64240, options [mss 1410,sackOK,TS val 1 ecr 0,wscale 7], length 0',
    buildTcp({
      ...v4,
      ...ports,
      flags: TCP_SYN,
      sequence: 1,
      options: {
        maxSegmentSize: 1410,
        sackPermitted: true,
        windowScale: 7,
        timestamps: { value: 1, echo: 0 },
      },
    }),
  ],
  [
    'IP 10.244.1.5.41822 > 10.96.0.9.80: Flags [P.], seq 4294967295:4, ack 7, win 500, length 5',
    buildTcp({
      ...v4,
      ...ports,
      flags: TCP_PSH | TCP_ACK,
      sequence: 0xffffffff,
      acknowledgment: 7,
      window: 500,
      payload: 'hello',
    }),
  ],
  [
    'IP6 fd00:10:244::5.41822 > fd00:10:96::9.80: Flags [.], ack 9, win 64240, options [sack 1 {5:6}], length 0',
    buildTcp({
      ...v6,
      ...ports,
      flags: TCP_ACK,
      acknowledgment: 9,
      options: { sackBlocks: [{ left: 5, right: 6 }] },
    }),
  ],
  [
    'IP 10.244.1.5.41822 > 10.96.0.9.80: Flags [FRU], seq 0, win 64240, urg 3, length 0',
    buildTcp({ ...v4, ...ports, flags: TCP_FIN | TCP_RST | TCP_URG, urgentPointer: 3 }),
  ],
  [
    'IP 10.244.1.5.41822 > 10.96.0.9.80: Flags [none], win 64240, length 0',
    buildTcp({ ...v4, ...ports, flags: 0 }),
  ],
  ['IP 10.244.1.5.5000 > 10.96.0.9.53: UDP, length 5', datagram],
  [
    'IP 10.244.1.5 > 10.96.0.9: ICMP echo request, id 1, seq 2, length 13',
    buildIcmpEcho({ ...v4, id: 1, sequence: 2, payload: 'hello' }),
  ],
  [
    'IP 10.244.1.5 > 10.96.0.9: ICMP echo reply, id 1, seq 2, length 8',
    buildIcmpEcho({ ...v4, reply: true, id: 1, sequence: 2 }),
  ],
  [
    'IP6 fd00:10:244::5 > fd00:10:96::9: ICMP6, echo reply, id 1, seq 2, length 8',
    buildIcmpEcho({ ...v6, reply: true, id: 1, sequence: 2 }),
  ],
  ['IP 10.0.0.1 > 10.244.1.5: ICMP net 10.96.0.9 unreachable, length 48', about4(0)],
  ['IP 10.0.0.1 > 10.244.1.5: ICMP host 10.96.0.9 unreachable, length 48', about4(1)],
  ['IP 10.0.0.1 > 10.244.1.5: ICMP 10.96.0.9 protocol 6 unreachable, length 48', about4(2)],
  ['IP 10.0.0.1 > 10.244.1.5: ICMP 10.96.0.9 tcp port 80 unreachable, length 48', about4(3)],
  [
    'IP 10.0.0.1 > 10.244.1.5: ICMP 10.96.0.9 unreachable - need to frag (mtu 1400), length 48',
    about4(4, 1400),
  ],
  [
    'IP 10.0.0.1 > 10.244.1.5: ICMP host 10.96.0.9 unreachable - admin prohibited filter, length 48',
    about4(13),
  ],
  [
    'IP 10.0.0.1 > 10.244.1.5: ICMP time exceeded in-transit for 10.96.0.9, length 48',
    buildIcmpError({ about: syn, src: '10.0.0.1', type: 11, code: 0 }),
  ],
  [
    'IP6 fd00::1 > fd00:10:244::5: ICMP6, destination unreachable, unreachable port, fd00:10:96::9 udp port 53, length 61',
    about6(1, 4),
  ],
  [
    'IP6 fd00::1 > fd00:10:244::5: ICMP6, destination unreachable, unreachable route fd00:10:96::9, length 61',
    about6(1, 0),
  ],
  ['IP6 fd00::1 > fd00:10:244::5: ICMP6, packet too big, mtu 1280, length 61', about6(2, 0, 1280)],
  [
    'IP6 fd00::1 > fd00:10:244::5: ICMP6, time exceeded in-transit for fd00:10:96::9, length 61',
    about6(3, 0),
  ],
  [
    'IP6 fe80::2 > ff02::1:ff00:1: ICMP6, neighbor solicitation, who has fe80::1, length 32',
    buildNeighborSolicitation({ srcMac: '02:00:00:00:00:02', src: 'fe80::2', target: 'fe80::1' }),
  ],
  [
    'IP6 fe80::1 > fe80::2: ICMP6, neighbor advertisement, tgt is fe80::1, length 32',
    buildNeighborAdvertisement({
      srcMac: 'ee:ee:ee:ee:ee:ee',
      dstMac: '02:00:00:00:00:02',
      src: 'fe80::1',
      dst: 'fe80::2',
      target: 'fe80::1',
    }),
  ],
  [
    'ARP, Request who-has 169.254.1.1 tell 10.244.1.5, length 28',
    buildArp({
      operation: 1,
      senderMac: '02:00:00:00:00:02',
      senderIp: '10.244.1.5',
      targetIp: '169.254.1.1',
    }),
  ],
  [
    'ARP, Reply 169.254.1.1 is-at ee:ee:ee:ee:ee:ee, length 28',
    buildArp({
      operation: 2,
      senderMac: 'ee:ee:ee:ee:ee:ee',
      senderIp: '169.254.1.1',
      targetMac: '02:00:00:00:00:02',
      targetIp: '10.244.1.5',
    }),
  ],
  [
    'IP 127.0.0.11.50000 > 127.0.0.12.8472: VXLAN, flags [I] (0x08), vni 1: IP 10.244.1.5.5000 > 10.96.0.9.53: UDP, length 5',
    buildVxlan({ src: '127.0.0.11', dst: '127.0.0.12', srcPort: 50000, vni: 1, inner: datagram }),
  ],
  [
    'IP 127.0.0.11.50000 > 127.0.0.12.6081: Geneve, vni 9: IP 10.244.1.5.5000 > 10.96.0.9.53: UDP, length 5',
    buildUdp({
      src: '127.0.0.11',
      dst: '127.0.0.12',
      srcPort: 50000,
      dstPort: 6081,
      payload: Buffer.concat([hex('00 00 6558 000009 00'), datagram]),
    }),
  ],
  [
    'IP 10.244.1.5.9003 > 10.96.0.9.9005: sctp [COOKIE ACK] [DATA], length 21',
    buildSctp({
      ...v4,
      srcPort: 9003,
      dstPort: 9005,
      verificationTag: 1,
      chunks: hex('0b000004 00030005 00'),
    }),
  ],
  ['IP 10.244.1.5 > 10.96.0.9: udp, length 16 (frag 7:16@1480+)', fragment],
  ['IP 10.244.1.5 > 10.96.0.9: esp, length 8', buildIp({ ...v4, protocol: 50, payload: new Uint8Array(8) })],
  [
    '02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 0x88cc, length 15',
    hex('020000000002 020000000001 88cc 00'),
  ],
  ['IP malformed: IP total length below the header length or past the frame, length 53', syn.subarray(0, 53)],
  ['IP6 malformed: frame ends inside the IP header, length 40', datagram6.subarray(0, 40)],
  ['Ethernet malformed: frame shorter than an Ethernet header, length 3', hex('010203')],
  ['ARP malformed, length 2', hex('020000000002 020000000001 0806 0001')],
];

group('describe', () => {
  it.each(cases)('%s', (text, frame) => {
    expect(describe(frame)).toBe(text);
  });

  it('takes a length, and an IP packet alone', () => {
    const buffer = new Uint8Array(2000);
    buffer.set(datagram);
    expect(describe(buffer, datagram.length)).toBe(describe(datagram));
    expect(describeIp(datagram, 14, datagram.length)).toBe(describe(datagram));
    expect(describeIp(datagram, 14, 20)).toBe('IP malformed: frame ends inside the IP header, length 6');
  });

  it('says that TCP options are malformed', () => {
    const frame = buildTcp({ ...v4, ...ports, flags: TCP_ACK, options: { maxSegmentSize: 1 } });
    frame[55] = 0;
    expect(describe(frame)).toBe(
      'IP 10.244.1.5.41822 > 10.96.0.9.80: Flags [.], malformed options, length 0',
    );
  });

  it('opens three tunnels and no more', () => {
    let frame = datagram;
    for (let i = 0; i < 6; i++)
      frame = buildVxlan({ src: '127.0.0.1', dst: '127.0.0.2', srcPort: 1, vni: i, inner: frame });
    expect(describe(frame).match(/VXLAN/g)).toHaveLength(3);
  });
});
