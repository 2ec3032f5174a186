/**
 * How large the congestion window is: slow start (RFC 5681, with the initial window of RFC 6928) and CUBIC
 * (RFC 9438) with its Reno-friendly region. Loss itself is found in recovery.ts.
 */
import type { TcpConnection } from './connection.ts';
import { distance } from './sequence.ts';

/** RFC 6928. */
const INITIAL_WINDOW_SEGMENTS = 10;
/** RFC 9438 4.6: the window after a loss, as a share of that before. */
const CUBIC_BETA = 0.7;
/** RFC 9438 5: segments per second cubed. */
const CUBIC_C = 0.4;
/** RFC 9438 4.3: with this increase a flow with CUBIC's beta gets as much as Reno's. */
const RENO_ALPHA = (3 * (1 - CUBIC_BETA)) / (1 + CUBIC_BETA);

export function startCongestionControl(c: TcpConnection): void {
  c.cwnd = initialWindow(c.mss);
}

/** RFC 6928 2: min(10 MSS, max(2 MSS, 14600)). */
export function initialWindow(mss: number): number {
  return Math.min(INITIAL_WINDOW_SEGMENTS * mss, Math.max(2 * mss, 14_600));
}

/** `acked` bytes arrived outside of fast recovery: the window opens, if it was what held the sender back. */
export function growWindow(c: TcpConnection, acked: number, nowMs: number): void {
  if (!c.cwndLimited) return;
  if (c.cwnd < c.ssthresh) {
    // Slow start by bytes (RFC 3465), without its limit of two segments: acknowledgments come in batches.
    c.cwnd = Math.min(c.cwnd + acked, Math.max(c.ssthresh, c.cwnd));
    return;
  }
  const { cubic, mss } = c;
  if (cubic.epochMs < 0) {
    cubic.epochMs = nowMs;
    cubic.reno = c.cwnd;
    cubic.origin = Math.max(cubic.peak, c.cwnd);
    cubic.seconds = Math.cbrt((cubic.origin - c.cwnd) / mss / CUBIC_C);
  }
  const seconds = (nowMs - cubic.epochMs + Math.max(0, c.rtt.smoothedMs)) / 1000;
  const curve = cubic.origin + CUBIC_C * (seconds - cubic.seconds) ** 3 * mss;
  // RFC 9438 4.2: at most half as much again in a round trip.
  const target = Math.min(Math.max(curve, c.cwnd), 1.5 * c.cwnd);
  // RFC 9438 4.3: once the old peak is reached again, Reno's own increase.
  const alpha = cubic.reno >= cubic.peak ? 1 : RENO_ALPHA;
  cubic.reno += (alpha * mss * acked) / c.cwnd;
  const next = c.cwnd + ((target - c.cwnd) * acked) / c.cwnd;
  c.cwnd = Math.floor(Math.max(next, cubic.reno));
}

/** A loss: sets `ssthresh`, and begins a new curve. The caller sets the window. */
export function reduceThreshold(c: TcpConnection): void {
  const flight = distance(c.sndNxt, c.sndUna);
  const { cubic } = c;
  // RFC 9438 4.7, fast convergence: who loses before the old peak makes room for others.
  cubic.peak = c.cwnd < cubic.peak ? (c.cwnd * (1 + CUBIC_BETA)) / 2 : c.cwnd;
  cubic.epochMs = -1;
  c.ssthresh = Math.max(Math.floor(Math.min(flight, c.cwnd) * CUBIC_BETA), 2 * c.mss);
}

export interface CubicState {
  /** When the present curve began; -1 before the first acknowledgment on it. */
  epochMs: number;
  /** Window in bytes at the last loss. */
  peak: number;
  /** Where the curve is flat, in bytes. */
  origin: number;
  /** How long after `epochMs` that is. */
  seconds: number;
  /** What Reno would have by now, in bytes. */
  reno: number;
}

export function newCubicState(): CubicState {
  return { epochMs: -1, peak: 0, origin: 0, seconds: 0, reno: 0 };
}
