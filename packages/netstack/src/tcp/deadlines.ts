/** What happens when a deadline of a connection passes. Anything to send goes out with the next flush. */

import type { TcpConnection } from './connection.ts';
import { sendReset } from './output.ts';
import { onTimeout } from './recovery.ts';
import { backedOffRto } from './rtt.ts';
import { ESTABLISHED, SYN_RECEIVED, SYN_SENT, TIME_WAIT } from './state.ts';

/** Linux net.ipv4.tcp_synack_retries. */
const SYN_ACK_RETRIES = 5;
/** Linux net.ipv4.tcp_orphan_retries: a connection without a user is given up sooner. */
const ORPHAN_RETRIES = 8;
/** As Node sets TCP_KEEPINTVL and TCP_KEEPCNT. */
const KEEPALIVE_INTERVAL_MS = 1000;
const KEEPALIVE_PROBES = 10;

/** The heap woke the connection: acts on what is due and names the next time. */
export function expireDeadlines(c: TcpConnection, nowMs: number): void {
  if (isDue(c.closeDueMs, nowMs)) {
    c.finish(undefined);
    return;
  }
  if (isDue(c.connectDueMs, nowMs)) {
    c.connectDueMs = 0;
    if (c.state === SYN_SENT || c.state === SYN_RECEIVED) {
      c.finish('ETIMEDOUT');
      return;
    }
  }
  if (isDue(c.ackDueMs, nowMs)) {
    c.ackDueMs = 0;
    c.ackNow = true;
    c.wantOutput();
  }
  if (isDue(c.retransmitDueMs, nowMs) && !retransmit(c)) return;
  if (isDue(c.persistDueMs, nowMs) && !probeWindow(c)) return;
  if (isDue(c.keepaliveDueMs, nowMs) && !keepAlive(c, nowMs)) return;
  const next = earliest(c);
  if (next > 0) c.core.timers.wake(c, next);
}

function isDue(atMs: number, nowMs: number): boolean {
  return atMs > 0 && atMs <= nowMs;
}

function earliest(c: TcpConnection): number {
  let next = 0;
  next = sooner(next, c.closeDueMs);
  next = sooner(next, c.connectDueMs);
  next = sooner(next, c.ackDueMs);
  next = sooner(next, c.retransmitDueMs);
  next = sooner(next, c.persistDueMs);
  return sooner(next, c.keepaliveDueMs);
}

function sooner(a: number, b: number): number {
  if (a === 0) return b;
  return b === 0 || a < b ? a : b;
}

// RFC 6298 (5.4) to (5.6).
function retransmit(c: TcpConnection): boolean {
  const settings = c.core.tcpSettings;
  c.retransmitDueMs = 0;
  if (c.sndUna === c.sndNxt) return true;
  const handshake = c.sndUna === c.iss;
  const isOrphan = c.user === undefined && c.listener === undefined;
  let limit = settings.maxRetransmits;
  if (handshake) limit = c.state === SYN_SENT ? settings.maxSynRetransmits : SYN_ACK_RETRIES;
  else if (isOrphan) limit = Math.min(limit, ORPHAN_RETRIES);
  // A peer that answers but keeps its window shut is alive (RFC 9293 3.8.6.1). It may keep a user waiting for
  // ever, but not a connection whose user has gone.
  if (c.heardSinceTimeout && c.sndWnd === 0 && !isOrphan) c.retransmits = 0;
  if (c.retransmits >= limit) {
    if (handshake) c.core.statistics.attemptFails++;
    else sendReset(c);
    c.finish(c.softError ?? 'ETIMEDOUT');
    return false;
  }
  c.core.statistics.timeouts++;
  if (handshake) c.forceRetransmit = true;
  else onTimeout(c);
  c.retransmits++;
  c.backoff++;
  c.heardSinceTimeout = false;
  c.setDeadline('retransmitDueMs', backedOffRto(c.rtt, c.backoff));
  c.wantOutput();
  return true;
}

function probeWindow(c: TcpConnection): boolean {
  c.persistDueMs = 0;
  if (c.state < ESTABLISHED) return true;
  if (c.heardSinceTimeout) c.retransmits = 0;
  c.heardSinceTimeout = false;
  const isOrphan = c.user === undefined && c.listener === undefined;
  if (c.retransmits >= c.core.tcpSettings.maxRetransmits || (isOrphan && c.probes >= ORPHAN_RETRIES)) {
    sendReset(c);
    c.finish('ETIMEDOUT');
    return false;
  }
  c.retransmits++;
  c.probes++;
  c.core.statistics.zeroWindowProbes++;
  // Either the small window is used after all, or a probe asks whether it opened.
  if (c.sndWnd === 0) c.probeDue = true;
  c.setDeadline('persistDueMs', backedOffRto(c.rtt, c.probes));
  c.wantOutput();
  return true;
}

function keepAlive(c: TcpConnection, nowMs: number): boolean {
  c.keepaliveDueMs = 0;
  if (c.keepaliveIdleMs === 0 || c.state < ESTABLISHED || c.state === TIME_WAIT) return true;
  const idleSinceMs = c.lastReceivedMs + c.keepaliveIdleMs;
  if (nowMs < idleSinceMs || c.sndUna !== c.sndNxt) {
    c.keepaliveProbes = 0;
    c.setDeadline('keepaliveDueMs', Math.max(idleSinceMs - nowMs, KEEPALIVE_INTERVAL_MS));
    return true;
  }
  if (c.keepaliveProbes >= KEEPALIVE_PROBES) {
    sendReset(c);
    c.finish('ETIMEDOUT');
    return false;
  }
  c.keepaliveProbes++;
  c.probeDue = true;
  c.wantOutput();
  c.setDeadline('keepaliveDueMs', KEEPALIVE_INTERVAL_MS);
  return true;
}
