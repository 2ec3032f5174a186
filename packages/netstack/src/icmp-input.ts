/**
 * ICMP (RFC 792, RFC 1122 3.2.2) and ICMPv6 (RFC 4443): echo, Neighbour Discovery, and errors, which find the
 * socket whose packet they quote.
 */
import { internetChecksum, pseudoHeaderSum } from '@podwire/wire/checksum';
import { Packet } from '@podwire/wire/packet';
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP } from '@podwire/wire/protocol';
import type { Core } from './core.ts';
import type { NetworkErrorCode } from './errors.ts';
import { replyEcho } from './icmp-output.ts';
import { formatIpAddress, type IpAddress, readAddress, readI32 } from './ip-address.ts';
import type { TcpErrorCode } from './tcp/connection.ts';
import { sendAgain } from './tcp/recovery.ts';
import { after, before } from './tcp/sequence.ts';
import { CLOSED, ESTABLISHED, TIME_WAIT } from './tcp/state.ts';

const ECHO_REPLY_4 = 0;
const UNREACHABLE_4 = 3;
const ECHO_REQUEST_4 = 8;
const TIME_EXCEEDED_4 = 11;
const PARAMETER_PROBLEM_4 = 12;
const FRAGMENTATION_NEEDED = 4;
const UNREACHABLE_6 = 1;
const PACKET_TOO_BIG_6 = 2;
const TIME_EXCEEDED_6 = 3;
const PARAMETER_PROBLEM_6 = 4;
const ECHO_REQUEST_6 = 128;
const ECHO_REPLY_6 = 129;

const quoted = new Packet();

/** Takes the ICMP message of `packet`; `ours` says that it was sent to this stack alone. */
export function receiveIcmp(core: Core, packet: Packet, ours: boolean): void {
  const { frame, l4, end, version } = packet;
  const seed = version === 4 ? 0 : pseudoHeaderSum(frame, packet.l3, version, PROTOCOL_ICMPV6, end - l4);
  if (internetChecksum(frame, l4, end, seed) !== 0) {
    core.statistics.checksumErrors++;
    return;
  }
  core.statistics.icmpIn++;
  const type = packet.icmpType;
  if (version === 4) {
    if (type === ECHO_REQUEST_4) {
      if (ours) replyEcho(core, packet);
    } else if (type === ECHO_REPLY_4) echoReply(core, packet);
    else if (type === UNREACHABLE_4) unreachable4(core, packet);
    else if (type === TIME_EXCEEDED_4) failed(core, packet, 'EHOSTUNREACH', 0);
    else if (type === PARAMETER_PROBLEM_4) failed(core, packet, 'EPROTO', 0);
    return;
  }
  if (type === ECHO_REQUEST_6) {
    // A request to a group comes to all-nodes; see replyEcho.
    if (ours || frame[packet.l3 + 24] === 0xff) replyEcho(core, packet);
  } else if (type === ECHO_REPLY_6) echoReply(core, packet);
  else if (type === 135 || type === 136) core.neighbors.receiveNeighborDiscovery(frame, l4, end);
  else if (type === UNREACHABLE_6) unreachable6(core, packet);
  else if (type === PACKET_TOO_BIG_6) failed(core, packet, 'EMSGSIZE', readI32(frame, l4 + 4) >>> 0);
  else if (type === TIME_EXCEEDED_6) failed(core, packet, 'EHOSTUNREACH', 0);
  else if (type === PARAMETER_PROBLEM_6) failed(core, packet, 'EPROTO', 0);
}

function echoReply(core: Core, packet: Packet): void {
  const { frame, l4 } = packet;
  const socket = core.icmp.find(packet.version, packet.srcPort);
  if (socket === undefined) return;
  const version = packet.version;
  const source = readAddress(frame, packet.l3 + (version === 4 ? 12 : 8), version);
  const seq = (frame[l4 + 6] << 8) | frame[l4 + 7];
  socket.replyArrives(source, packet.srcPort, seq, packet.ttl, frame, l4 + 8, packet.end);
}

// Linux icmp_err_convert: which errno an unreachable code means.
function unreachable4(core: Core, packet: Packet): void {
  const code = packet.icmpCode;
  if (code === FRAGMENTATION_NEEDED) {
    const mtu = (packet.frame[packet.l4 + 6] << 8) | packet.frame[packet.l4 + 7];
    failed(core, packet, 'EMSGSIZE', mtu);
  } else if (code === 2 || code === 3) failed(core, packet, 'ECONNREFUSED', 0);
  else if (code === 0 || code === 6 || code === 9 || code === 11) failed(core, packet, 'ENETUNREACH', 0);
  else failed(core, packet, 'EHOSTUNREACH', 0);
}

function unreachable6(core: Core, packet: Packet): void {
  const code = packet.icmpCode;
  if (code === 4) failed(core, packet, 'ECONNREFUSED', 0);
  else if (code === 0) failed(core, packet, 'ENETUNREACH', 0);
  else failed(core, packet, 'EHOSTUNREACH', 0);
}

function failed(core: Core, packet: Packet, code: NetworkErrorCode, mtu: number): void {
  const { frame, l4, end, icmpType, icmpCode, version } = packet;
  const reporter = readAddress(frame, packet.l3 + (version === 4 ? 12 : 8), version);
  reportQuoted(core, frame, l4 + 8, end, code, { reporter, type: icmpType, code: icmpCode, mtu });
}

/** No neighbour answered: a held frame of ours is reported as an ICMP "host unreachable" of our own. */
export function reportNoNeighbor(core: Core, frame: Uint8Array): void {
  const version = frame[14] >>> 4;
  const reporter = readAddress(frame, version === 4 ? 26 : 22, version);
  reportQuoted(core, frame, 14, frame.length, 'EHOSTUNREACH', {
    reporter,
    type: version === 4 ? 3 : 1,
    code: version === 4 ? 1 : 3,
    mtu: 0,
  });
}

interface IcmpReport {
  reporter: IpAddress;
  type: number;
  code: number;
  mtu: number;
}

function reportQuoted(
  core: Core,
  frame: Uint8Array,
  start: number,
  end: number,
  code: NetworkErrorCode,
  report: IcmpReport,
): void {
  if (quoted.decodeQuoted(frame, start, end) !== 0 || quoted.l3 < 0) return;
  const version = quoted.version;
  const at = quoted.l3 + (version === 4 ? 12 : 8);
  const local = readAddress(frame, at, version);
  const remote = readAddress(frame, at + (version === 4 ? 4 : 16), version);
  if (!core.acceptAnyAddress && !core.routes.isLocal(local)) return;
  if (report.mtu === 0 && code === 'EMSGSIZE') {
    // RFC 1191 5: an old router tells no MTU; the next plateau below the packet's own length.
    report.mtu = plateauBelow(quoted.totalLength);
  }
  const l4 = quoted.l4;
  if (l4 < 0) return;
  if (quoted.protocol === PROTOCOL_TCP) {
    tcpFailed(core, local, quoted.srcPort, remote, quoted.dstPort, readI32(frame, l4 + 4), code, report.mtu);
  } else if (quoted.protocol === PROTOCOL_UDP) {
    const socket = core.udp.find(local, quoted.srcPort, remote, quoted.dstPort);
    if (socket === undefined) return;
    if (code === 'EMSGSIZE') core.routes.learnMtu(core.routes.lookup(remote), report.mtu, core.nowMs());
    else socket.unreachable(code, remote, quoted.dstPort);
  } else if (quoted.protocol === (version === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6)) {
    const socket = core.icmp.find(version, quoted.srcPort);
    if (socket === undefined) return;
    if (code === 'EMSGSIZE') core.routes.learnMtu(core.routes.lookup(remote), report.mtu, core.nowMs());
    socket.failureArrives({
      address: formatIpAddress(report.reporter),
      destination: formatIpAddress(remote),
      id: quoted.srcPort,
      seq: (frame[l4 + 6] << 8) | frame[l4 + 7],
      type: report.type,
      code: report.code,
      mtu: report.mtu,
    });
  }
}

const PLATEAUS = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296];

function plateauBelow(length: number): number {
  for (const plateau of PLATEAUS) if (plateau < length) return plateau;
  return 68;
}

function tcpFailed(
  core: Core,
  local: IpAddress,
  localPort: number,
  remote: IpAddress,
  remotePort: number,
  seq: number,
  code: NetworkErrorCode,
  mtu: number,
): void {
  const c = core.tcp.find(local, localPort, remote, remotePort);
  if (c === undefined || c.state === CLOSED || c.state === TIME_WAIT) return;
  // RFC 5927 4.1: only about data that is in flight.
  if (before(seq, c.sndUna) || !before(seq, c.sndNxt)) return;
  if (code === 'EMSGSIZE') {
    if (!core.routes.learnMtu(c.destination, mtu, core.nowMs())) return;
    core.statistics.pathMtuChanges++;
    if (c.state < ESTABLISHED) return;
    // RFC 1191 6.4: what was too big was dropped; it goes again at once, and that is no congestion.
    if (after(c.sndNxt, c.sndUna)) sendAgain(c);
    c.wantOutput();
    return;
  }
  const reason: TcpErrorCode = code === 'ECONNREFUSED' || code === 'ENETUNREACH' ? code : 'EHOSTUNREACH';
  if (c.state < ESTABLISHED) {
    core.statistics.attemptFails++;
    c.finish(reason);
  } else {
    // RFC 5461: on an established connection the error is remembered, should it time out.
    c.softError = reason;
  }
}
