/** Finds the connection or the listener that a TCP segment is for. */
import { internetChecksum, pseudoHeaderSum } from '@podwire/wire/checksum';
import type { Packet } from '@podwire/wire/packet';
import { PROTOCOL_TCP } from '@podwire/wire/protocol';
import type { Core } from '../core.ts';
import type { TcpConnection } from './connection.ts';
import { segmentArrives } from './input.ts';
import { replyReset } from './output.ts';
import { ACK, RST, readSegment, type Segment, SYN } from './segment.ts';
import { after } from './sequence.ts';
import { TIME_WAIT } from './state.ts';

export function receiveTcp(core: Core, packet: Packet): void {
  const { statistics, tcp } = core;
  const frame = packet.frame;
  const l4 = packet.l4;
  const length = packet.end - l4;
  if (
    internetChecksum(
      frame,
      l4,
      packet.end,
      pseudoHeaderSum(frame, packet.l3, packet.version, PROTOCOL_TCP, length),
    ) !== 0
  ) {
    statistics.checksumErrors++;
    return;
  }
  statistics.segmentsIn++;
  const s = tcp.segment;
  readSegment(packet, s);
  const d0 = packet.dst0 | 0;
  const d1 = packet.dst1 | 0;
  const d2 = packet.dst2 | 0;
  const d3 = packet.dst3 | 0;
  const c = tcp.findWords(
    d0,
    d1,
    d2,
    d3,
    packet.src0 | 0,
    packet.src1 | 0,
    packet.src2 | 0,
    packet.src3 | 0,
    packet.dstPort,
    packet.srcPort,
  );
  if (c !== undefined && !(c.state === TIME_WAIT && isNewIncarnation(c, s))) {
    segmentArrives(c, s);
    return;
  }
  c?.finish(undefined);
  const flags = s.flags & (SYN | ACK | RST);
  if (flags === SYN && packet.srcPort !== 0) {
    const listener = tcp.findListener(d0, d1, d2, d3, packet.dstPort);
    if (listener !== undefined) {
      listener.synArrives(s);
      return;
    }
  }
  replyReset(core, packet, s);
}

// RFC 9293 3.10.7.4 and RFC 6191: a SYN later than all of the old connection may open a new one.
function isNewIncarnation(c: TcpConnection, s: Segment): boolean {
  if ((s.flags & (SYN | ACK | RST)) !== SYN) return false;
  if (c.timestamps && s.hasTimestamps && after(s.timestampValue, c.tsRecent)) return true;
  return after(s.seq, c.rcvNxt);
}
