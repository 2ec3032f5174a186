/** Round-trip time and retransmission timeout (RFC 6298), in milliseconds. */

export interface RttEstimator {
  /** Smoothed round-trip time; -1 before the first sample. */
  smoothedMs: number;
  variationMs: number;
  /** Timeout before back-off. */
  rtoMs: number;
  readonly minimumRtoMs: number;
  readonly maximumRtoMs: number;
}

export function newRttEstimator(
  initialRtoMs: number,
  minimumRtoMs: number,
  maximumRtoMs: number,
): RttEstimator {
  return { smoothedMs: -1, variationMs: 0, rtoMs: initialRtoMs, minimumRtoMs, maximumRtoMs };
}

/** RFC 6298 (2.2) and (2.3), with Linux's floor instead of one second. */
export function addRttSample(rtt: RttEstimator, sampleMs: number): void {
  if (sampleMs < 0) return;
  if (rtt.smoothedMs < 0) {
    rtt.smoothedMs = sampleMs;
    rtt.variationMs = sampleMs / 2;
  } else {
    rtt.variationMs = 0.75 * rtt.variationMs + 0.25 * Math.abs(rtt.smoothedMs - sampleMs);
    rtt.smoothedMs = 0.875 * rtt.smoothedMs + 0.125 * sampleMs;
  }
  // As Linux: the variation counts for at least the floor, so that a steady path still gets some slack.
  const slack = Math.max(rtt.minimumRtoMs, 4 * rtt.variationMs);
  rtt.rtoMs = Math.min(rtt.maximumRtoMs, rtt.smoothedMs + slack);
}

/** RFC 6298 (5.5): the timeout doubles with each retransmission. */
export function backedOffRto(rtt: RttEstimator, backoff: number): number {
  return Math.min(rtt.maximumRtoMs, rtt.rtoMs * 2 ** Math.min(backoff, 20));
}
