/**
 * Segment arrival (RFC 9293 3.10.7), with PAWS (RFC 7323 5), the stricter checks of RFC 5961 and the
 * acknowledgment rules of RFC 5681. Nothing is sent and no user is called from here: flags and events are
 * set, and the flush that follows acts on them.
 */
import { startCongestionControl } from './congestion.ts';
import {
  EVENT_CONNECTED,
  EVENT_READABLE,
  EVENT_WRITABLE,
  LOSS_NONE,
  type TcpConnection,
} from './connection.ts';
import { replyReset, sendReset } from './output.ts';
import { detectLoss, noteDelivered, onNewAck, readSackBlocks, undoIfSpurious } from './recovery.ts';
import { addRttSample } from './rtt.ts';
import { ACK, FIN, PSH, RST, type Segment, SYN, segmentLength } from './segment.ts';
import { after, before, distance } from './sequence.ts';
import {
  CLOSE_WAIT,
  CLOSED,
  CLOSING,
  ESTABLISHED,
  FIN_WAIT_1,
  FIN_WAIT_2,
  LAST_ACK,
  SYN_RECEIVED,
  SYN_SENT,
  TIME_WAIT,
} from './state.ts';
import { timestampNow } from './timestamps.ts';

/** RFC 7323 5.5: timestamps older than this say nothing, the clock may have wrapped. */
const PAWS_IDLE_MS = 24 * 24 * 3600 * 1000;
/** RFC 5961 7: challenge acknowledgments are limited, here per connection. */
const CHALLENGE_LIMIT = 10;
const CHALLENGE_WINDOW_MS = 1000;
const MAXIMUM_SCALE = 14;

/** A segment of the connection's four-tuple arrived; its checksum is right. */
export function segmentArrives(c: TcpConnection, s: Segment): void {
  const nowMs = c.core.nowMs();
  if (c.state === SYN_SENT) {
    arrivesInSynSent(c, s, nowMs);
    return;
  }
  if (c.state === CLOSED) return;

  // Checks in the order of RFC 9293 3.10.7.4: first the sequence number, before it PAWS.
  const flags = s.flags;
  if (s.hasTimestamps && c.timestamps) {
    if (before(s.timestampValue, c.tsRecent) && (flags & RST) === 0 && nowMs - c.tsRecentMs < PAWS_IDLE_MS) {
      c.core.statistics.pawsDrops++;
      answerOutside(c, s, nowMs);
      return;
    }
  }
  if (c.state === SYN_RECEIVED && (flags & SYN) !== 0 && s.seq === c.irs) {
    if ((flags & ACK) === 0) {
      // The SYN again: our answer was lost.
      if (s.hasTimestamps && c.timestamps) c.tsRecent = s.timestampValue;
      c.ackNow = true;
      c.wantOutput();
      return;
    }
    // Simultaneous open: the peer's SYN comes again with its acknowledgment.
    s.flags &= ~SYN;
    s.seq = (s.seq + 1) | 0;
    c.ackNow = true;
  }
  if (!isAcceptable(c, s)) {
    if ((flags & RST) === 0) answerOutside(c, s, nowMs);
    return;
  }
  if ((flags & RST) !== 0) {
    arrivesReset(c, s, nowMs);
    return;
  }
  if ((s.flags & SYN) !== 0) {
    // RFC 5961 4: a SYN in the window proves nothing.
    challenge(c, nowMs);
    return;
  }
  if ((flags & ACK) === 0) return;
  if (s.hasTimestamps && c.timestamps && !after(s.seq, c.lastAckSent)) {
    // RFC 7323 4.3 (2).
    c.tsRecent = s.timestampValue;
    c.tsRecentMs = nowMs;
  }
  c.lastReceivedMs = nowMs;
  c.heardSinceTimeout = true;
  c.keepaliveProbes = 0;
  if (c.state === SYN_RECEIVED && !completeHandshake(c, s, nowMs)) return;
  if (!acknowledge(c, s, nowMs)) return;
  if (c.state === TIME_WAIT) {
    // RFC 9293 3.10.7.4: only a FIN can come again here.
    if ((flags & FIN) !== 0) {
      c.ackNow = true;
      c.setDeadline('closeDueMs', c.core.tcpSettings.timeWaitMs);
      c.wantOutput();
    }
    return;
  }
  if (s.end > s.start || (flags & FIN) !== 0) receive(c, s);
}

// RFC 9293 3.10.7.3.
function arrivesInSynSent(c: TcpConnection, s: Segment, nowMs: number): void {
  const flags = s.flags;
  const hasAck = (flags & ACK) !== 0;
  if (hasAck && s.ack !== c.sndNxt) {
    if ((flags & RST) === 0) replyReset(c.core, c.core.packet, s);
    return;
  }
  if ((flags & RST) !== 0) {
    if (hasAck) {
      c.core.statistics.attemptFails++;
      c.finish('ECONNREFUSED');
    }
    return;
  }
  if ((flags & SYN) === 0) return;
  synchronize(c, s, nowMs);
  if (hasAck) {
    c.sndUna = s.ack;
    c.sndWnd = s.window;
    c.maxSndWnd = s.window;
    c.sndWl1 = s.seq;
    c.sndWl2 = s.ack;
    if (c.retransmits === 0) sampleRtt(c, s, nowMs);
    establish(c, nowMs);
    c.ackNow = true;
    if (s.end > s.start || (flags & FIN) !== 0) {
      s.flags &= ~SYN;
      s.seq = (s.seq + 1) | 0;
      receive(c, s);
    }
  } else {
    // Simultaneous open: our SYN goes out again with an acknowledgment.
    c.state = SYN_RECEIVED;
    c.ackNow = true;
  }
  c.wantOutput();
}

/** Takes the peer's SYN: its sequence numbers and options. */
export function synchronize(c: TcpConnection, s: Segment, nowMs: number): void {
  const settings = c.core.tcpSettings;
  c.irs = s.seq;
  c.rcvNxt = c.lastAckSent = (s.seq + 1) | 0;
  c.rcvEdge = (c.rcvNxt + Math.min(settings.receiveBufferBytes, 65_535)) | 0;
  const options = s.fullOptions ? s.options : undefined;
  // RFC 9293 3.7.1: without the option 536 for IPv4, 1220 for IPv6.
  c.peerMss =
    options?.hasMaxSegmentSize === true
      ? Math.max(options.maxSegmentSize, 88)
      : c.remote.version === 4
        ? 536
        : 1220;
  c.scaling = options?.hasWindowScale === true;
  c.sndScale = c.scaling ? Math.min(options?.windowScale ?? 0, MAXIMUM_SCALE) : 0;
  if (!c.scaling) c.rcvScale = 0;
  c.sackPermitted = options?.sackPermitted === true;
  c.timestamps = s.hasTimestamps;
  if (s.hasTimestamps) {
    c.tsRecent = s.timestampValue;
    c.tsRecentMs = nowMs;
  }
  c.updateMss();
}

// After a handshake that took retransmissions no sample is taken: its answer echoes whichever SYN came first,
// and a timeout from that would haunt the connection (Karn's rule, kept although there are timestamps).
function establish(c: TcpConnection, nowMs: number): void {
  c.state = ESTABLISHED;
  c.retransmitDueMs = 0;
  c.connectDueMs = 0;
  c.retransmits = 0;
  c.backoff = 0;
  c.forceRetransmit = false;
  c.timedMs = -1;
  c.lastReceivedMs = nowMs;
  startCongestionControl(c);
  if (c.keepaliveIdleMs > 0) c.setDeadline('keepaliveDueMs', c.keepaliveIdleMs);
  if (c.finQueued) c.state = FIN_WAIT_1;
  c.raise(EVENT_CONNECTED);
}

// The third segment of the handshake. False when it is not that.
function completeHandshake(c: TcpConnection, s: Segment, nowMs: number): boolean {
  if (s.ack !== c.sndNxt) {
    replyReset(c.core, c.core.packet, s);
    return false;
  }
  c.sndUna = s.ack;
  c.sndWnd = s.window << c.sndScale;
  c.maxSndWnd = c.sndWnd;
  c.sndWl1 = s.seq;
  c.sndWl2 = s.ack;
  if (c.retransmits === 0) sampleRtt(c, s, nowMs);
  establish(c, nowMs);
  c.wantOutput();
  return true;
}

// RFC 9293 3.4, table 6.
function isAcceptable(c: TcpConnection, s: Segment): boolean {
  const length = segmentLength(s);
  const fromNext = distance(s.seq, c.rcvNxt);
  const window = Math.max(0, distance(c.rcvEdge, c.rcvNxt));
  if (length === 0) return window === 0 ? fromNext === 0 : fromNext >= 0 && fromNext < window;
  if (window === 0) {
    // Nothing fits, but its acknowledgment still counts (RFC 9293 3.10.7.4).
    return fromNext <= 0 && fromNext + length > 0;
  }
  return fromNext < window && fromNext + length > 0;
}

// A segment outside of the window is answered, so that a peer that is out of step learns where we are.
function answerOutside(c: TcpConnection, s: Segment, nowMs: number): void {
  // Old data again means that our acknowledgment was lost: that answer is owed at once.
  if (s.end > s.start || (s.flags & FIN) !== 0) {
    c.ackNow = true;
    c.wantOutput();
    // Beyond the letter of RFC 7323 5.3, R3: the answer echoes this copy, or the sender would take the time
    // since its first one for a round trip.
    const behind = distance(c.rcvNxt, s.seq);
    const recent = behind > 0 && behind <= c.core.tcpSettings.receiveBufferBytes;
    if (recent && s.hasTimestamps && c.timestamps && !before(s.timestampValue, c.tsRecent)) {
      c.tsRecent = s.timestampValue;
      c.tsRecentMs = nowMs;
    }
    if (c.state === TIME_WAIT && (s.flags & FIN) !== 0) {
      c.setDeadline('closeDueMs', c.core.tcpSettings.timeWaitMs);
    }
    return;
  }
  // A keepalive or window probe; the limit stops two stacks from answering each other for ever.
  challenge(c, nowMs);
}

function challenge(c: TcpConnection, nowMs: number): void {
  if (nowMs - c.challengeWindowMs >= CHALLENGE_WINDOW_MS) {
    c.challengeWindowMs = nowMs;
    c.challenges = 0;
  }
  if (c.challenges >= CHALLENGE_LIMIT) return;
  c.challenges++;
  c.core.statistics.challengeAcks++;
  c.ackNow = true;
  c.wantOutput();
}

// RFC 5961 3: only the exact next sequence number resets, anything else in the window is challenged.
function arrivesReset(c: TcpConnection, s: Segment, nowMs: number): void {
  if (s.seq !== c.rcvNxt) {
    challenge(c, nowMs);
    return;
  }
  switch (c.state) {
    case SYN_RECEIVED:
      c.core.statistics.attemptFails++;
      c.finish('ECONNREFUSED');
      return;
    case CLOSE_WAIT:
      c.finish('EPIPE');
      return;
    case TIME_WAIT:
    case LAST_ACK:
    case CLOSING:
      c.finish(undefined);
      return;
    default:
      c.finish('ECONNRESET');
  }
}

// RFC 9293 3.10.7.4, "fifth, check the ACK field". False when the segment is to be dropped.
function acknowledge(c: TcpConnection, s: Segment, nowMs: number): boolean {
  const ack = s.ack;
  if (after(ack, c.sndNxt)) {
    challenge(c, nowMs);
    return false;
  }
  const acked = distance(ack, c.sndUna);
  if (acked < 0) {
    // RFC 5961 5.2: far too old is an attack or a ghost; a little old is reordering.
    if (acked < -c.maxSndWnd) {
      challenge(c, nowMs);
      return false;
    }
    return true;
  }
  const sackedBefore = c.scoreboard.bytes;
  const freshSack =
    c.sackPermitted && s.fullOptions && s.options.sackCount > 0 ? readSackBlocks(c, s) : false;
  const window = s.window << c.sndScale;
  const windowChanged = window !== c.sndWnd;
  if (before(c.sndWl1, s.seq) || (c.sndWl1 === s.seq && !after(c.sndWl2, ack))) {
    if (window > c.sndWnd) c.wantOutput();
    c.sndWnd = window;
    if (window > c.maxSndWnd) c.maxSndWnd = window;
    c.sndWl1 = s.seq;
    c.sndWl2 = ack;
  }
  if (acked > 0) {
    takeAcknowledgment(c, s, acked, nowMs);
    if (c.state === CLOSED) return false;
  } else if (c.sndUna !== c.sndNxt && s.end === s.start && (s.flags & FIN) === 0 && !windowChanged) {
    // RFC 5681 2: a duplicate acknowledgment. With SACK only one that tells something new counts (RFC 6675 2).
    if (!c.sackPermitted || freshSack) c.duplicateAcks++;
  }
  if (c.lossState !== LOSS_NONE) noteDelivered(c, acked + c.scoreboard.bytes - sackedBefore, acked > 0);
  if (freshSack || c.duplicateAcks > 0) {
    detectLoss(c);
    c.wantOutput();
  }
  return true;
}

function takeAcknowledgment(c: TcpConnection, s: Segment, acked: number, nowMs: number): void {
  sampleRtt(c, s, nowMs);
  const dataEnd = (c.queueSeq + c.sendQueue.length) | 0;
  const finAcked = c.finSent && after(s.ack, dataEnd);
  const dataAcked = distance(finAcked ? dataEnd : s.ack, c.queueSeq);
  if (dataAcked > 0) {
    c.sendQueue.drop(dataAcked);
    c.queueSeq = (c.queueSeq + dataAcked) | 0;
  }
  c.sndUna = s.ack;
  c.backoff = 0;
  c.retransmits = 0;
  c.softError = undefined;
  const neighbor = c.destination.neighbor;
  if (neighbor !== undefined) c.core.neighbors.confirm(neighbor, nowMs);
  if (c.lossState !== LOSS_NONE) undoIfSpurious(c, s);
  onNewAck(c, acked, nowMs);
  // RFC 6298 (5.2) and (5.3).
  c.retransmitDueMs = 0;
  if (c.sndUna !== c.sndNxt) c.setDeadline('retransmitDueMs', c.rtt.rtoMs);
  if (c.writeBlocked && c.sendQueue.length <= c.core.tcpSettings.sendBufferBytes >> 1) {
    c.writeBlocked = false;
    c.raise(EVENT_WRITABLE);
  }
  if (finAcked) {
    if (c.state === FIN_WAIT_1) {
      c.state = FIN_WAIT_2;
      // Nobody reads any more: the peer gets a limited time for its FIN.
      if (c.user === undefined) c.setDeadline('closeDueMs', c.core.tcpSettings.finWait2Ms);
    } else if (c.state === CLOSING) enterTimeWait(c);
    else if (c.state === LAST_ACK) {
      c.finish(undefined);
      return;
    }
  }
  c.wantOutput();
}

// RFC 7323 4.1 with timestamps, else one timed segment per round trip, never a retransmitted one (Karn).
function sampleRtt(c: TcpConnection, s: Segment, nowMs: number): void {
  if (c.timestamps && s.hasTimestamps && s.timestampEcho !== 0) {
    const sampleMs = distance(timestampNow(c, nowMs), s.timestampEcho);
    if (sampleMs >= 0 && sampleMs <= c.rtt.maximumRtoMs) addRttSample(c.rtt, sampleMs);
    c.timedMs = -1;
  } else if (c.timedMs >= 0 && !before(s.ack, c.timedSeq)) {
    addRttSample(c.rtt, nowMs - c.timedMs);
    c.timedMs = -1;
  }
}

// "Seventh, process the segment text; eighth, check the FIN bit".
function receive(c: TcpConnection, s: Segment): void {
  if (c.state === CLOSE_WAIT || c.state === LAST_ACK || c.state === CLOSING) return;
  let start = s.start;
  let end = s.end;
  let seq = s.seq;
  let hasFin = (s.flags & FIN) !== 0;
  const old = distance(c.rcvNxt, seq);
  if (old > 0) {
    // The front was received before.
    start = Math.min(end, start + old);
    seq = c.rcvNxt;
    c.ackNow = true;
  }
  const beyond = distance((seq + end - start) | 0, c.rcvEdge);
  if (beyond > 0) {
    end = Math.max(start, end - beyond);
    hasFin = false;
    c.ackNow = true;
  }
  const size = end - start;
  if (size > c.rcvMss) c.rcvMss = Math.min(size, 65_535);
  if (c.user === undefined && c.listener === undefined && size > 0 && c.state >= FIN_WAIT_1) {
    // The user is gone: nobody will ever read this (RFC 2525 2.17).
    sendReset(c);
    c.finish(undefined);
    return;
  }
  if (seq !== c.rcvNxt) {
    c.core.statistics.outOfOrderSegments++;
    if (size > 0 && !c.receiveQueue.hold(seq, s.frame, start, end)) c.core.statistics.outOfOrderDrops++;
    if (hasFin) {
      c.finSeq = (seq + size) | 0;
      c.finHeld = true;
    }
    // RFC 5681 4.2: a gap is reported at once.
    c.ackNow = true;
    c.duplicateAcksOwed++;
    c.wantOutput();
    return;
  }
  if (size > 0) {
    c.receiveQueue.append(s.frame, start, end);
    c.rcvNxt = (seq + size) | 0;
    if (c.receiveQueue.hasGaps) {
      c.rcvNxt = c.receiveQueue.advance(c.rcvNxt);
      // RFC 5681 4.2: also when it fills all or part of a gap.
      c.ackNow = true;
    }
    scheduleAck(c, size, s.flags);
    c.raise(EVENT_READABLE);
  }
  if (hasFin || (c.finHeld && c.finSeq === c.rcvNxt)) receiveFin(c);
  if (c.ackNow) c.wantOutput();
}

function scheduleAck(c: TcpConnection, size: number, flags: number): void {
  c.unackedBytes += size;
  if (!c.ackNow) {
    // RFC 9293 3.8.6.3: at least every second full segment. The first few go at once, for slow start.
    if (c.unackedBytes >= 2 * c.rcvMss) c.ackNow = true;
    else if (c.quickAcks > 0 && (flags & PSH) === 0) {
      c.quickAcks--;
      c.ackNow = true;
    } else if (c.ackDueMs === 0) c.setDeadline('ackDueMs', c.core.tcpSettings.delayedAckMs);
  }
}

function receiveFin(c: TcpConnection): void {
  c.rcvNxt = (c.rcvNxt + 1) | 0;
  c.finReceived = true;
  c.finHeld = false;
  c.ackNow = true;
  switch (c.state) {
    case ESTABLISHED:
      c.state = CLOSE_WAIT;
      break;
    case FIN_WAIT_1:
      // Our FIN was not acknowledged by this segment, or the state would have moved on.
      c.state = CLOSING;
      break;
    case FIN_WAIT_2:
      enterTimeWait(c);
      break;
  }
  c.raise(EVENT_READABLE);
}

function enterTimeWait(c: TcpConnection): void {
  c.state = TIME_WAIT;
  c.retransmitDueMs = 0;
  c.persistDueMs = 0;
  c.keepaliveDueMs = 0;
  c.lossState = LOSS_NONE;
  c.sendQueue.clear();
  c.setDeadline('closeDueMs', c.core.tcpSettings.timeWaitMs);
}
