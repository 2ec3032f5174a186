/** Another implementation reads our bytes: tshark decodes a capture of built frames and checks every checksum. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  buildArp,
  buildIcmpEcho,
  buildIcmpError,
  buildNeighborAdvertisement,
  buildNeighborSolicitation,
  buildSctp,
  buildTcp,
  buildUdp,
  buildVxlan,
} from '../src/build.ts';
import { emitGeneve, GENEVE_PORT } from '../src/geneve.ts';
import { encodePcapng } from '../src/pcapng.ts';
import { TCP_ACK, TCP_PSH, TCP_SYN } from '../src/tcp.ts';
import { hex } from './hex.ts';

const hasTshark = spawnSync('tshark', ['--version'], { stdio: 'ignore' }).status === 0;

const v4 = { src: '10.244.1.5', dst: '10.96.0.9' };
const v6 = { src: 'fd00:10:244::5', dst: 'fd00:10:96::9' };
const outer = { src: '127.0.0.11', dst: '127.0.0.12', srcPort: 50000 };
const ports = { srcPort: 41822, dstPort: 8080 };
const everyOption = {
  maxSegmentSize: 1410,
  windowScale: 7,
  sackPermitted: true,
  timestamps: { value: 11, echo: 22 },
};
const syn = buildTcp({ ...v4, ...ports, flags: TCP_SYN, sequence: 7, options: everyOption });
const odd = buildTcp({
  ...v4,
  ...ports,
  flags: TCP_PSH | TCP_ACK,
  sequence: 8,
  acknowledgment: 9,
  payload: 'odd',
});
const data6 = buildTcp({ ...v6, ...ports, flags: TCP_PSH | TCP_ACK, payload: 'x'.repeat(1301) });
const sack6 = buildTcp({
  ...v6,
  ...ports,
  flags: TCP_ACK,
  options: { sackBlocks: [{ left: 1000, right: 2000 }] },
});
const udp4 = buildUdp({ ...v4, srcPort: 5000, dstPort: 5001, payload: 'hello' });
const udp6 = buildUdp({ ...v6, srcPort: 5000, dstPort: 5001, payload: 'hello!' });
// An INIT chunk: tag, window, 1 outbound and inbound stream, first TSN.
const sctpInit = hex('01 00 0014 00001234 00010000 0001 0001 00000001');

function geneve(inner: Uint8Array): Uint8Array {
  const payload = new Uint8Array(16 + inner.length);
  const option = { optionClass: 0x014b, type: 0x01, data: hex('01020304') };
  emitGeneve({ control: false, protocol: 0x6558, vni: 77, options: [option] }, payload, 0);
  payload.set(inner, 16);
  return buildUdp({ ...outer, dstPort: GENEVE_PORT, payload });
}

/**
 * A frame, and what tshark must say of it. A list has one value for each layer of that name, outermost first;
 * a pattern stands where tshark's versions print the same value in different ways.
 */
interface Case {
  name: string;
  frame: Uint8Array;
  fields: Record<string, string | RegExp>;
}

const cases: Case[] = [
  {
    name: 'SYN with every option',
    frame: syn,
    fields: {
      'ip.src': '10.244.1.5',
      'ip.dst': '10.96.0.9',
      'ip.checksum.status': '1',
      'tcp.checksum.status': '1',
      'tcp.srcport': '41822',
      'tcp.dstport': '8080',
      'tcp.flags': '0x0002',
      'tcp.seq_raw': '7',
      'tcp.options.mss_val': '1410',
      'tcp.options.wscale.shift': '7',
      'tcp.options.timestamp.tsval': '11',
      'tcp.options.timestamp.tsecr': '22',
    },
  },
  {
    name: 'TCP of odd length',
    frame: odd,
    fields: { 'tcp.len': '3', 'tcp.checksum.status': '1', 'tcp.ack_raw': '9' },
  },
  {
    name: 'TCP over IPv6',
    frame: data6,
    fields: { 'ipv6.src': v6.src, 'ipv6.dst': v6.dst, 'tcp.len': '1301', 'tcp.checksum.status': '1' },
  },
  {
    name: 'SACK',
    frame: sack6,
    fields: { 'tcp.options.sack_le': '1000', 'tcp.options.sack_re': '2000', 'tcp.checksum.status': '1' },
  },
  {
    name: 'UDP',
    frame: udp4,
    fields: { 'udp.length': '13', 'udp.checksum.status': '1', 'ip.checksum.status': '1' },
  },
  { name: 'UDP over IPv6', frame: udp6, fields: { 'udp.length': '14', 'udp.checksum.status': '1' } },
  {
    name: 'ICMP echo',
    frame: buildIcmpEcho({ ...v4, id: 77, sequence: 3, payload: 'abc' }),
    fields: { 'icmp.type': '8', 'icmp.ident': /^77(,|$)/, 'icmp.seq': '3', 'icmp.checksum.status': '1' },
  },
  {
    name: 'ICMPv6 echo reply',
    frame: buildIcmpEcho({ ...v6, reply: true, id: 77, sequence: 3, payload: 'abc' }),
    fields: {
      'icmpv6.type': '129',
      'icmpv6.echo.identifier': /^(77|0x004d)$/,
      'icmpv6.checksum.status': '1',
    },
  },
  {
    name: 'fragmentation needed',
    frame: buildIcmpError({ about: odd, src: '10.244.1.1', type: 3, code: 4, rest: 1450 }),
    fields: {
      'icmp.type': '3',
      'icmp.mtu': '1450',
      'icmp.checksum.status': '1',
      'tcp.srcport': '41822',
      'ip.dst': '10.244.1.5,10.96.0.9',
    },
  },
  {
    name: 'port unreachable over IPv6',
    frame: buildIcmpError({ about: udp6, src: 'fd00::1', type: 1, code: 4 }),
    fields: { 'icmpv6.type': '1', 'icmpv6.code': '4', 'icmpv6.checksum.status': '1', 'udp.dstport': '5001' },
  },
  {
    name: 'neighbor solicitation',
    frame: buildNeighborSolicitation({ srcMac: '02:00:00:00:00:02', src: 'fe80::2', target: 'fe80::1' }),
    fields: {
      'ipv6.dst': 'ff02::1:ff00:1',
      'eth.dst': '33:33:ff:00:00:01',
      'icmpv6.nd.ns.target_address': 'fe80::1',
      'icmpv6.opt.linkaddr': '02:00:00:00:00:02',
      'icmpv6.checksum.status': '1',
    },
  },
  {
    name: 'neighbor advertisement',
    frame: buildNeighborAdvertisement({
      srcMac: 'ee:ee:ee:ee:ee:ee',
      dstMac: '02:00:00:00:00:02',
      src: 'fe80::1',
      dst: 'fe80::2',
      target: 'fe80::1',
      router: true,
    }),
    fields: {
      'icmpv6.nd.na.target_address': 'fe80::1',
      'icmpv6.nd.na.flag.r': /^(1|True)$/,
      'icmpv6.checksum.status': '1',
    },
  },
  {
    name: 'ARP',
    frame: buildArp({
      operation: 2,
      senderMac: 'ee:ee:ee:ee:ee:ee',
      senderIp: '169.254.1.1',
      targetMac: '02:00:00:00:00:02',
      targetIp: '10.244.1.5',
    }),
    fields: { 'arp.opcode': '2', 'arp.src.hw_mac': 'ee:ee:ee:ee:ee:ee', 'arp.src.proto_ipv4': '169.254.1.1' },
  },
  {
    name: 'SCTP',
    frame: buildSctp({ ...v4, srcPort: 9003, dstPort: 9005, verificationTag: 0, chunks: sctpInit }),
    fields: { 'sctp.srcport': '9003', 'sctp.chunk_type': '1', 'sctp.checksum.status': '1' },
  },
  {
    name: 'VXLAN on port 8472',
    frame: buildVxlan({ ...outer, vni: 1, inner: syn }),
    fields: {
      'vxlan.vni': '1',
      'ip.src': '127.0.0.11,10.244.1.5',
      'ip.checksum.status': '1,1',
      'udp.checksum.status': '1',
      'tcp.checksum.status': '1',
      'tcp.options.mss_val': '1410',
    },
  },
  {
    name: 'VXLAN without outer checksum, IPv6 inside',
    frame: buildVxlan({ ...outer, vni: 0xabcdef, inner: udp6, noChecksum: true }),
    fields: { 'vxlan.vni': '11259375', 'ipv6.src': v6.src, 'udp.checksum.status': '3,1' },
  },
  {
    name: 'Geneve with an option',
    frame: geneve(udp4),
    fields: {
      'geneve.vni': /^(77|0x0*4d)$/,
      'geneve.option.class': /^(331|0x014b)$/,
      'udp.checksum.status': '1,1',
      'ip.dst': '127.0.0.12,10.96.0.9',
    },
  },
];

/** tshark's words about each frame of a capture: one record for each, fields joined by commas. */
function tshark(frames: Uint8Array[], fields: string[], comments: string[] = []): Record<string, string>[] {
  const directory = mkdtempSync(join(tmpdir(), 'podwire-wire-'));
  try {
    const file = join(directory, 'built.pcapng');
    const packets = frames.map((data, i) => ({
      interfaceId: 0,
      timestampNs: 1_700_000_000_123_456_789n + BigInt(i),
      data,
      comment: comments[i],
    }));
    writeFileSync(file, encodePcapng('podwire', [{ name: 'eth0' }], packets));
    const options = ['ip.check_checksum', 'tcp.check_checksum', 'udp.check_checksum'].flatMap((o) => [
      '-o',
      `${o}:TRUE`,
    ]);
    const out = execFileSync(
      'tshark',
      [
        '-n',
        '-r',
        file,
        ...options,
        '-o',
        'sctp.checksum:CRC-32c',
        '-o',
        'tcp.relative_sequence_numbers:FALSE',
        '-d',
        'udp.port==8472,vxlan',
        '-T',
        'fields',
        '-E',
        'separator=|',
        ...fields.flatMap((f) => ['-e', f]),
      ],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 60_000 },
    );
    return out
      .split('\n')
      .slice(0, -1)
      .map((line) => Object.fromEntries(line.split('|').map((value, i) => [fields[i], value])));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

describe('tshark', () => {
  it.skipIf(!hasTshark)(
    'decodes every built frame as it was meant, and finds no bad checksum (needs tshark)',
    () => {
      const always = ['_ws.malformed', 'ip.checksum.status', 'tcp.checksum.status', 'udp.checksum.status'];
      const names = [...new Set([...always, ...cases.flatMap((c) => Object.keys(c.fields))])];
      const rows = tshark(
        cases.map((c) => c.frame),
        names,
      );
      expect(rows).toHaveLength(cases.length);
      for (const [i, { name, fields }] of cases.entries()) {
        for (const [field, expected] of Object.entries(fields)) {
          const said = rows[i][field];
          if (typeof expected === 'string') expect(said, `${field} of ${name}`).toBe(expected);
          else expect(said, `${field} of ${name}`).toMatch(expected);
        }
        for (const field of always) {
          if (field.endsWith('.status')) expect(rows[i][field], `${field} of ${name}`).not.toMatch(/0/);
        }
        expect(rows[i]['_ws.malformed'], name).toBe('');
      }
    },
  );

  it.skipIf(!hasTshark)(
    'sees a checksum that is wrong, so that the test above can fail (needs tshark)',
    () => {
      const fields = ['ip.checksum.status', 'tcp.checksum.status', 'udp.checksum.status'];
      const badIp = syn.slice();
      badIp[24] ^= 1;
      const badTcp = data6.slice();
      badTcp[badTcp.length - 1] ^= 1;
      const badInner = buildVxlan({ ...outer, vni: 1, inner: badTcp });
      expect(tshark([badIp, badTcp, badInner], fields).map((row) => Object.values(row))).toEqual([
        ['0', '1', ''],
        ['', '0', ''],
        ['1', '0', '1'],
      ]);
    },
  );

  it.skipIf(!hasTshark)('reads nanoseconds and comments of our captures (needs tshark)', () => {
    const rows = tshark(
      [udp4, udp6],
      ['frame.time_epoch', 'frame.comment', 'frame.interface_name'],
      ['dropped: policy', 'ünïcode'],
    );
    expect(rows).toEqual([
      {
        'frame.time_epoch': '1700000000.123456789',
        'frame.comment': 'dropped: policy',
        'frame.interface_name': 'eth0',
      },
      {
        'frame.time_epoch': '1700000000.123456790',
        'frame.comment': 'ünïcode',
        'frame.interface_name': 'eth0',
      },
    ]);
  });
});
