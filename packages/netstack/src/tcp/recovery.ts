/**
 * Loss recovery: with SACK RFC 6675, whose sending is spread over the round trip by Proportional Rate Reduction
 * (RFC 9937); without SACK NewReno (RFC 6582), where a duplicate acknowledgment stands for one segment that left
 * the network.
 */
import { growWindow, reduceThreshold } from './congestion.ts';
import { LOSS_NONE, LOSS_RECOVERY, LOSS_TIMEOUT, type TcpConnection } from './connection.ts';
import type { Segment } from './segment.ts';
import { after, before, distance } from './sequence.ts';
import { timestampNow } from './timestamps.ts';

const DUPLICATE_THRESHOLD = 3;
/** Takes the SACK blocks of a segment; true when they told something new. */
export function readSackBlocks(c: TcpConnection, s: Segment): boolean {
  const { sackCount, sackEdges } = s.options;
  let fresh = false;
  for (let i = 0; i < sackCount; i++) {
    const start = sackEdges[2 * i] | 0;
    const end = sackEdges[2 * i + 1] | 0;
    // A block at or below the acknowledgment is a D-SACK (RFC 2883); one above sndNxt is nonsense.
    if (!after(end, start) || !after(end, c.sndUna) || after(end, c.sndNxt) || before(start, c.sndUna))
      continue;
    if (c.scoreboard.add(start, end)) fresh = true;
  }
  return fresh;
}

/** `acked` bytes were acknowledged for the first time; sndUna has moved already. */
export function onNewAck(c: TcpConnection, acked: number, nowMs: number): void {
  c.scoreboard.advance(c.sndUna);
  if (before(c.highRxt, c.sndUna)) c.highRxt = c.sndUna;
  if (c.lossState === LOSS_NONE) {
    c.duplicateAcks = 0;
    growWindow(c, acked, nowMs);
    return;
  }
  if (!before(c.sndUna, c.recoveryPoint)) {
    // RFC 6582 3.2 (3): full acknowledgment. The pipe may be nearly empty, so no burst beyond it.
    if (c.lossState === LOSS_RECOVERY) c.cwnd = Math.max(c.ssthresh, c.mss);
    c.lossState = LOSS_NONE;
    c.duplicateAcks = 0;
    c.forceRetransmit = false;
    return;
  }
  if (c.lossState === LOSS_TIMEOUT) {
    growWindow(c, acked, nowMs);
    return;
  }
  if (!c.sackPermitted) {
    // RFC 6582 3.2 (4): a partial acknowledgment names the next hole.
    const segments = Math.ceil(acked / c.mss);
    c.duplicateAcks = Math.max(0, c.duplicateAcks - segments + 1);
    c.forceRetransmit = true;
  }
}

/** Looks whether duplicate acknowledgments or SACK blocks show a loss. */
export function detectLoss(c: TcpConnection): void {
  if (c.lossState !== LOSS_NONE || c.sndUna === c.sndNxt) return;
  // RFC 6582 4.1: duplicates of what was retransmitted before the last timeout start nothing.
  if (!c.sackPermitted && !after(c.sndUna, c.recoveryPoint) && c.backoff > 0) return;
  const { scoreboard } = c;
  const lost =
    c.duplicateAcks >= DUPLICATE_THRESHOLD ||
    (scoreboard.count > 0 &&
      (scoreboard.count >= DUPLICATE_THRESHOLD || scoreboard.bytes > (DUPLICATE_THRESHOLD - 1) * c.mss));
  if (!lost) return;
  rememberWindow(c);
  c.lossState = LOSS_RECOVERY;
  c.recoveryPoint = c.sndNxt;
  // `highRxt` stays: what the recovery before this one sent again, above its own end, need not go a third time.
  reduceThreshold(c);
  c.cwnd = c.ssthresh;
  c.prrFlight = distance(c.sndNxt, c.sndUna);
  c.prrDelivered = c.prrSent = c.deliveredBytes = 0;
  c.advanced = false;
  c.retransmitMark = c.sndNxt;
  // RFC 6675 5 (4.3): the first hole is sent at once.
  c.forceRetransmit = true;
  c.core.statistics.fastRecoveries++;
}

/**
 * The window during fast recovery, from what arrived since the last call (RFC 9937 5). Retransmissions go out as
 * fast as data arrives, in a burst they would be lost where the first were.
 */
export function paceRecovery(c: TcpConnection, pipe: number): void {
  const budget = c.prrDelivered - c.prrSent;
  const fresh = c.deliveredBytes;
  c.deliveredBytes = 0;
  let allowed: number;
  if (pipe > c.ssthresh) {
    allowed = Math.ceil((c.prrDelivered * c.ssthresh) / c.prrFlight) - c.prrSent;
  } else {
    // Slow start reduction bound: one segment more than arrived, as long as the cumulative point moves.
    const bound = Math.max(budget, fresh) + (c.advanced ? c.mss : 0);
    allowed = Math.min(c.ssthresh - pipe, bound);
  }
  c.advanced = false;
  c.cwnd = pipe + Math.max(0, allowed);
}

/** Counts what a segment says has arrived, in bytes; `advanced` when that was the cumulative acknowledgment. */
export function noteDelivered(c: TcpConnection, bytes: number, advanced: boolean): void {
  c.deliveredBytes += bytes;
  c.prrDelivered += bytes;
  if (advanced) c.advanced = true;
  const { scoreboard } = c;
  // Data sent after every retransmission has arrived, and there are still holes: the retransmissions were lost
  // too. Without this only the timeout would tell.
  if (
    c.lossState === LOSS_RECOVERY &&
    scoreboard.count > 0 &&
    after(c.highRxt, c.sndUna) &&
    distance(scoreboard.ends[scoreboard.count - 1], c.retransmitMark) >= DUPLICATE_THRESHOLD * c.mss
  ) {
    c.highRxt = c.sndUna;
    c.retransmitMark = c.sndNxt;
    c.core.statistics.lostRetransmits++;
  }
}

/** The retransmission timer ran out (RFC 5681 3.1, RFC 6675 5.1). */
export function onTimeout(c: TcpConnection): void {
  if (c.lossState === LOSS_NONE) rememberWindow(c);
  // RFC 5681 3.1: the threshold is set for the first timeout of a segment only.
  if (c.backoff === 0) reduceThreshold(c);
  c.cwnd = c.mss;
  c.duplicateAcks = 0;
  // A receiver may renege on what it told (RFC 2018 8): a second timeout trusts it no more.
  if (c.backoff > 0 || (c.scoreboard.count > 0 && c.scoreboard.starts[0] === c.sndUna)) c.scoreboard.clear();
  sendAgain(c);
}

function rememberWindow(c: TcpConnection): void {
  // With older retransmissions under way an acknowledgment of one of these would look like one of the original.
  c.undoCwnd = after(c.highRxt, c.sndUna) ? 0 : c.cwnd;
  c.undoSsthresh = c.ssthresh;
  c.undoTimestamp = timestampNow(c, c.core.nowMs());
}

/**
 * Eifel (RFC 3522): the first acknowledgment after a retransmission echoes an older timestamp, so the original
 * had only been late. The window is as before (RFC 4015).
 */
export function undoIfSpurious(c: TcpConnection, s: Segment): void {
  if (c.undoCwnd === 0) return;
  if (c.timestamps && s.hasTimestamps && before(s.timestampEcho, c.undoTimestamp)) {
    c.cwnd = Math.max(c.cwnd, c.undoCwnd);
    c.ssthresh = Math.max(c.ssthresh, c.undoSsthresh);
    c.lossState = LOSS_NONE;
    c.forceRetransmit = false;
    c.core.statistics.spuriousRecoveries++;
  }
  c.undoCwnd = 0;
}

/** Everything that is not known to have arrived is to be sent again. */
export function sendAgain(c: TcpConnection): void {
  c.lossState = LOSS_TIMEOUT;
  c.recoveryPoint = c.sndNxt;
  c.highRxt = c.sndUna;
  c.forceRetransmit = true;
  c.cwndLimited = true;
  c.timedMs = -1;
}

/** Bytes believed to be in the network (RFC 6675 4, SetPipe). */
export function pipeBytes(c: TcpConnection): number {
  const flight = distance(c.sndNxt, c.sndUna);
  const { scoreboard } = c;
  if (c.lossState === LOSS_NONE) {
    return c.sackPermitted ? flight - scoreboard.bytes : Math.max(0, flight - c.duplicateAcks * c.mss);
  }
  if (!c.sackPermitted && c.lossState === LOSS_RECOVERY) {
    return Math.max(0, flight - c.duplicateAcks * c.mss);
  }
  let pipe = 0;
  let hole = c.sndUna;
  let sackedAbove = scoreboard.bytes;
  for (let i = 0; i < scoreboard.count; i++) {
    const start = scoreboard.starts[i];
    pipe += holeInPipe(c, hole, start, isLost(c, sackedAbove, scoreboard.count - i));
    hole = scoreboard.ends[i];
    sackedAbove -= distance(hole, start);
  }
  if (c.lossState === LOSS_TIMEOUT && before(hole, c.recoveryPoint)) {
    pipe += holeInPipe(c, hole, c.recoveryPoint, true);
    hole = c.recoveryPoint;
  }
  return pipe + Math.max(0, distance(c.sndNxt, hole));
}

// RFC 6675 4, IsLost: enough was SACKed above it.
function isLost(c: TcpConnection, sackedAbove: number, rangesAbove: number): boolean {
  return (
    c.lossState === LOSS_TIMEOUT ||
    rangesAbove >= DUPLICATE_THRESHOLD ||
    sackedAbove > (DUPLICATE_THRESHOLD - 1) * c.mss
  );
}

function holeInPipe(c: TcpConnection, start: number, end: number, lost: boolean): number {
  let bytes = lost ? 0 : distance(end, start);
  if (after(c.highRxt, start)) bytes += distance(before(c.highRxt, end) ? c.highRxt : end, start);
  return bytes;
}

let holeStart = 0;
let holeEnd = 0;

/** Start of what `findHole` found. */
export function foundStart(): number {
  return holeStart;
}

/** End of what `findHole` found. */
export function foundEnd(): number {
  return holeEnd;
}

/** Finds the next range to retransmit (RFC 6675 4, NextSeg rules 1 and 3); false when there is none. */
export function findHole(c: TcpConnection): boolean {
  const { scoreboard } = c;
  const from = before(c.highRxt, c.sndUna) ? c.sndUna : c.highRxt;
  if (c.lossState === LOSS_RECOVERY && !c.sackPermitted) {
    if (!c.forceRetransmit) return false;
    holeStart = c.sndUna;
    holeEnd = (c.sndUna + c.mss) | 0;
    if (after(holeEnd, c.sndNxt)) holeEnd = c.sndNxt;
    return before(holeStart, holeEnd);
  }
  let hole = c.sndUna;
  for (let i = 0; i < scoreboard.count; i++) {
    if (before(from, scoreboard.starts[i])) {
      holeStart = before(hole, from) ? from : hole;
      holeEnd = scoreboard.starts[i];
      if (before(holeStart, holeEnd)) return true;
    }
    hole = scoreboard.ends[i];
  }
  // Above the highest SACKed byte nothing is known to be lost, but after a timeout or a forced start.
  if (c.lossState !== LOSS_TIMEOUT && !c.forceRetransmit) return false;
  holeStart = before(hole, from) ? from : hole;
  holeEnd = c.lossState === LOSS_TIMEOUT ? c.recoveryPoint : c.sndNxt;
  return before(holeStart, holeEnd);
}
