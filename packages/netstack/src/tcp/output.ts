/**
 * What a connection sends. Called from the stack's flush only, never while a frame is being received, so that
 * everything that arrived and was written in one turn is answered together.
 */
import { internetChecksum } from '@podwire/wire/checksum';
import type { Packet } from '@podwire/wire/packet';
import { PROTOCOL_TCP } from '@podwire/wire/protocol';
import type { Core } from '../core.ts';
import { readAddress, writeI32 } from '../ip-address.ts';
import { DEFAULT_TTL, pseudoSum, sendFrame, upperOffset, writeIpHeader } from '../ip-output.ts';
import { initialWindow } from './congestion.ts';
import { LOSS_NONE, LOSS_RECOVERY, type TcpConnection } from './connection.ts';
import { findHole, foundEnd, foundStart, paceRecovery, pipeBytes } from './recovery.ts';
import { backedOffRto } from './rtt.ts';
import { ACK, FIN, PSH, RST, type Segment, SYN, segmentLength } from './segment.ts';
import { after, before, distance } from './sequence.ts';
import { CLOSED, ESTABLISHED, SYN_RECEIVED, SYN_SENT } from './state.ts';
import { timestampNow } from './timestamps.ts';

const MAXIMUM_DUPLICATE_ACKS = 8;
const sackEdges = new Int32Array(8);

/** Sends what the connection may and must send now. */
export function output(c: TcpConnection): void {
  if (c.state === CLOSED) return;
  if (c.state < ESTABLISHED && c.sndUna === c.iss) {
    outputHandshake(c);
    return;
  }
  if (c.core.routes.mtuOf(c.destination, c.core.nowMs()) !== c.mtu) c.updateMss();
  if (c.lossState !== LOSS_NONE) retransmitHoles(c);
  sendNewData(c);
  if (c.probeDue) sendProbe(c);
  if (c.ackNow) sendAcks(c);
  if (c.state !== CLOSED) armTimers(c);
}

// SYN, or SYN and ACK: the first time, and again when a deadline or a repeated SYN asks for it.
function outputHandshake(c: TcpConnection): void {
  const first = c.sndNxt === c.iss;
  if (!first && !c.forceRetransmit && !c.ackNow) return;
  c.forceRetransmit = false;
  c.ackNow = false;
  c.sndNxt = (c.iss + 1) | 0;
  if (first) {
    c.timedMs = c.core.nowMs();
    c.timedSeq = c.sndNxt;
  } else {
    c.timedMs = -1;
    c.core.statistics.retransmits++;
  }
  sendSegment(c, c.iss, 0, c.state === SYN_SENT ? SYN : SYN | ACK);
  if (c.retransmitDueMs === 0) c.setDeadline('retransmitDueMs', backedOffRto(c.rtt, c.backoff));
}

function retransmitHoles(c: TcpConnection): void {
  let pipe = pipeBytes(c);
  if (c.lossState === LOSS_RECOVERY && c.sackPermitted) paceRecovery(c, pipe);
  while (c.forceRetransmit || c.cwnd - pipe >= c.mss) {
    const found = findHole(c);
    c.forceRetransmit = false;
    if (!found) return;
    const start = foundStart();
    const dataEnd = (c.queueSeq + c.sendQueue.length) | 0;
    const room = Math.min(distance(foundEnd(), start), payloadRoom(c));
    const length = Math.min(room, distance(dataEnd, start));
    const withFin = c.finSent && ((start + length) | 0) === dataEnd && after(foundEnd(), dataEnd);
    const end = (start + length + (withFin ? 1 : 0)) | 0;
    if (end === start) return;
    if (after(end, c.highRxt)) c.highRxt = end;
    c.retransmitMark = c.sndNxt;
    c.prrSent += distance(end, start);
    pipe += distance(end, start);
    c.timedMs = -1;
    c.core.statistics.retransmits++;
    sendSegment(c, start, length, ACK | (withFin ? FIN : 0) | (length > 0 && end === c.sndNxt ? PSH : 0));
    if (c.lossState === LOSS_NONE) return;
  }
}

function sendNewData(c: TcpConnection): void {
  const dataEnd = (c.queueSeq + c.sendQueue.length) | 0;
  if (c.finSent || (c.sndNxt === dataEnd && !c.finQueued)) return;
  // RFC 5681 4.1: after an idle timeout's time the old window says nothing about the path.
  const nowMs = c.core.nowMs();
  if (c.sndUna === c.sndNxt && nowMs - c.lastSentMs > c.rtt.rtoMs) {
    c.cwnd = Math.min(c.cwnd, initialWindow(c.mss));
  }
  c.lastSentMs = nowMs;
  let pipe = pipeBytes(c);
  while (before(c.sndNxt, dataEnd)) {
    const unsent = distance(dataEnd, c.sndNxt);
    const window = distance((c.sndUna + c.sndWnd) | 0, c.sndNxt);
    const full = payloadRoom(c);
    const length = Math.min(unsent, window, full);
    if (length <= 0) return;
    if (length < full) {
      // RFC 9293 3.8.6.2.1: no silly windows. The persist timer overrides.
      if (length < unsent && length < c.maxSndWnd >> 1 && c.probes === 0) return;
      // Nagle as Minshall changed it: one small segment in flight at a time.
      if (length === unsent && !c.noDelay && !c.finQueued && after(c.smallEnd, c.sndUna)) return;
    }
    if (c.cwnd - pipe < length) {
      c.cwndLimited = true;
      return;
    }
    const last = length === unsent;
    const withFin = last && c.finQueued;
    const seq = c.sndNxt;
    c.sndNxt = (seq + length + (withFin ? 1 : 0)) | 0;
    if (withFin) c.finSent = true;
    if (length < full) c.smallEnd = c.sndNxt;
    pipe += length;
    c.prrSent += length;
    c.cwndLimited = pipe + c.mss > c.cwnd;
    if (c.timedMs < 0) {
      c.timedMs = nowMs;
      c.timedSeq = c.sndNxt;
    }
    sendSegment(c, seq, length, ACK | (last ? PSH : 0) | (withFin ? FIN : 0));
    if (withFin) return;
  }
  if (c.finQueued && !c.finSent) {
    const seq = c.sndNxt;
    c.finSent = true;
    c.sndNxt = (seq + 1) | 0;
    sendSegment(c, seq, 0, ACK | FIN);
  }
}

function sendAcks(c: TcpConnection): void {
  // With SACK one acknowledgment tells all; without it the peer counts (RFC 5681 3.2).
  const count = c.sackPermitted ? 1 : Math.min(Math.max(1, c.duplicateAcksOwed), MAXIMUM_DUPLICATE_ACKS);
  for (let i = 0; i < count; i++) sendSegment(c, c.sndNxt, 0, ACK);
}

// An acknowledgment from before the peer's window: it must answer (RFC 9293 3.8.4 and 3.8.6.1).
function sendProbe(c: TcpConnection): void {
  c.probeDue = false;
  sendSegment(c, (c.sndUna - 1) | 0, 0, ACK);
}

function armTimers(c: TcpConnection): void {
  if (c.sndUna !== c.sndNxt) {
    c.persistDueMs = 0;
    c.probes = 0;
    if (c.retransmitDueMs === 0) c.setDeadline('retransmitDueMs', backedOffRto(c.rtt, c.backoff));
    return;
  }
  c.retransmitDueMs = 0;
  const dataEnd = (c.queueSeq + c.sendQueue.length) | 0;
  if (c.sndNxt !== dataEnd && !c.finSent) {
    // RFC 9293 3.8.6.1: data waits for a window. Nothing in flight would bring news of it.
    if (c.persistDueMs === 0) c.setDeadline('persistDueMs', backedOffRto(c.rtt, c.probes));
  } else {
    c.persistDueMs = 0;
    c.probes = 0;
  }
}

/** Payload bytes of a full segment beside the options it carries now. */
function payloadRoom(c: TcpConnection): number {
  return c.receiveQueue.hasGaps && c.sackPermitted ? c.mss - sackOptionLength(c) : c.mss;
}

function sackOptionLength(c: TcpConnection): number {
  return 4 + 8 * c.receiveQueue.sackBlocks(sackEdges, c.timestamps ? 3 : 4);
}

/**
 * Builds and sends one segment: `length` bytes of the send queue from sequence number `seq`. What it
 * acknowledges and which window it offers is noted as sent.
 */
export function sendSegment(c: TcpConnection, seq: number, length: number, flags: number): void {
  const core = c.core;
  const out = core.out;
  const version = c.remote.version;
  const l4 = upperOffset(version);
  const nowMs = core.nowMs();
  const isSyn = (flags & SYN) !== 0;
  let at = l4 + 20;
  if (isSyn) at = writeSynOptions(c, out, at, nowMs, (flags & ACK) !== 0);
  else {
    if (c.timestamps) at = writeTimestamps(c, out, at, nowMs, 0x0101080a);
    if (c.sackPermitted && c.receiveQueue.hasGaps) at = writeSack(c, out, at);
  }
  if (length > 0) c.sendQueue.copy(distance(seq, c.queueSeq), length, out, at);
  const end = at + length;
  const hasAck = (flags & ACK) !== 0;
  const window = isSyn ? Math.min(core.tcpSettings.receiveBufferBytes, 65_535) : offerWindow(c);
  out[l4] = c.localPort >>> 8;
  out[l4 + 1] = c.localPort;
  out[l4 + 2] = c.remotePort >>> 8;
  out[l4 + 3] = c.remotePort;
  writeI32(out, l4 + 4, seq);
  writeI32(out, l4 + 8, hasAck ? c.rcvNxt : 0);
  out[l4 + 12] = ((at - l4) >>> 2) << 4;
  out[l4 + 13] = flags;
  out[l4 + 14] = window >>> 8;
  out[l4 + 15] = window;
  out[l4 + 16] = 0;
  out[l4 + 17] = 0;
  out[l4 + 18] = 0;
  out[l4 + 19] = 0;
  const checksum = internetChecksum(out, l4, end, pseudoSum(c.local, c.remote, PROTOCOL_TCP, end - l4));
  out[l4 + 16] = checksum >>> 8;
  out[l4 + 17] = checksum;
  writeIpHeader(core, c.local, c.remote, PROTOCOL_TCP, end - l4, DEFAULT_TTL, !c.destination.mayFragment);
  if (hasAck) {
    c.lastAckSent = c.rcvNxt;
    c.ackNow = false;
    c.ackDueMs = 0;
    c.unackedBytes = 0;
    if (c.duplicateAcksOwed > 0) c.duplicateAcksOwed--;
  }
  core.statistics.segmentsOut++;
  sendFrame(core, c.destination, end);
}

// RFC 9293 3.8.6.2.2 and 3.8.6: the right edge never moves left and opens in steps worth sending.
function offerWindow(c: TcpConnection): number {
  const buffer = c.receiveLimit;
  const offered = Math.max(0, distance(c.rcvEdge, c.rcvNxt));
  const room = buffer - c.receiveQueue.bytes;
  const scale = c.rcvScale;
  const opens = room > offered && room - offered >= Math.min(buffer >> 1, c.rcvMss);
  // Rounding should not take back a byte that was offered (RFC 7323 2.4), but a peer that sends byte by byte
  // must not stretch the buffer by it either. What was offered is accepted in any case: `rcvEdge` stays.
  let field = (opens ? room : offered) >> scale;
  if (!opens && (offered & ((1 << scale) - 1)) !== 0 && (field + 1) << scale <= room) field++;
  if (field > 65_535) field = 65_535;
  const edge = (c.rcvNxt + (field << scale)) | 0;
  if (after(edge, c.rcvEdge)) c.rcvEdge = edge;
  return field;
}

function writeSynOptions(
  c: TcpConnection,
  out: Uint8Array,
  at: number,
  nowMs: number,
  isAnswer: boolean,
): number {
  // What we can take in one segment depends on the link, not on the path (RFC 9293 3.7.1).
  const mss = Math.min(65_535, c.destination.linkMtu - (c.remote.version === 4 ? 40 : 60));
  writeI32(out, at, 0x02040000 | mss);
  at += 4;
  if (!isAnswer || c.timestamps) {
    if (!isAnswer || c.sackPermitted) at = writeTimestamps(c, out, at, nowMs, 0x0402080a);
    else at = writeTimestamps(c, out, at, nowMs, 0x0101080a);
  } else if (c.sackPermitted) {
    writeI32(out, at, 0x01010402);
    at += 4;
  }
  if (!isAnswer || c.scaling) {
    writeI32(out, at, 0x01030300 | c.rcvScale);
    at += 4;
  }
  return at;
}

function writeTimestamps(c: TcpConnection, out: Uint8Array, at: number, nowMs: number, lead: number): number {
  writeI32(out, at, lead);
  writeI32(out, at + 4, timestampNow(c, nowMs));
  writeI32(out, at + 8, c.tsRecent);
  return at + 12;
}

function writeSack(c: TcpConnection, out: Uint8Array, at: number): number {
  const count = c.receiveQueue.sackBlocks(sackEdges, c.timestamps ? 3 : 4);
  writeI32(out, at, 0x01010500 | (2 + 8 * count));
  for (let i = 0; i < 2 * count; i++) writeI32(out, at + 4 + 4 * i, sackEdges[i]);
  return at + 4 + 8 * count;
}

/** Tells the peer that the connection is gone. */
export function sendReset(c: TcpConnection): void {
  c.core.statistics.resetsOut++;
  const hasAck = c.state !== SYN_SENT;
  queueBareSegment(
    c.core,
    c.local,
    c.localPort,
    c.remote,
    c.remotePort,
    c.state === SYN_RECEIVED ? (c.iss + 1) | 0 : c.sndNxt,
    hasAck ? c.rcvNxt : 0,
    hasAck ? RST | ACK : RST,
  );
}

/** Answers a segment that belongs to no connection with a reset (RFC 9293 3.10.7.1). */
export function replyReset(core: Core, packet: Packet, s: Segment): void {
  if ((s.flags & RST) !== 0) return;
  core.statistics.resetsOut++;
  const hasAck = (s.flags & ACK) !== 0;
  const version = packet.version;
  const source = packet.l3 + (version === 4 ? 12 : 8);
  queueBareSegment(
    core,
    readAddress(packet.frame, source + (version === 4 ? 4 : 16), version),
    packet.dstPort,
    readAddress(packet.frame, source, version),
    packet.srcPort,
    hasAck ? s.ack : 0,
    hasAck ? 0 : (s.seq + segmentLength(s)) | 0,
    hasAck ? RST : RST | ACK,
  );
}

// May be called while a frame is being received: the segment goes out with the next flush.
function queueBareSegment(
  core: Core,
  local: TcpConnection['local'],
  localPort: number,
  remote: TcpConnection['remote'],
  remotePort: number,
  seq: number,
  ack: number,
  flags: number,
): void {
  const segment = new Uint8Array(20);
  segment[0] = localPort >>> 8;
  segment[1] = localPort;
  segment[2] = remotePort >>> 8;
  segment[3] = remotePort;
  writeI32(segment, 4, seq);
  writeI32(segment, 8, ack);
  segment[12] = 0x50;
  segment[13] = flags;
  const checksum = internetChecksum(segment, 0, 20, pseudoSum(local, remote, PROTOCOL_TCP, 20));
  segment[16] = checksum >>> 8;
  segment[17] = checksum;
  core.statistics.segmentsOut++;
  core.queueMessage(core.routes.lookup(remote), local, PROTOCOL_TCP, segment);
}
