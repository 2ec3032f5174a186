/**
 * One TCP connection: its variables (names as in RFC 9293 3.3.1) and what its user may do with it. What
 * arrives is in input.ts, what leaves in output.ts, loss and congestion in recovery.ts, time in deadlines.ts.
 */
import type { Core, EventSource } from '../core.ts';
import { formatIpAddress, type IpAddress } from '../ip-address.ts';
import { keyedHash } from '../keyed-hash.ts';
import type { Destination } from '../routes.ts';
import type { Deadline } from '../timers.ts';
import { type CubicState, newCubicState } from './congestion.ts';
import { expireDeadlines } from './deadlines.ts';
import type { ListenSocket } from './listen.ts';
import { sendReset } from './output.ts';
import { ReceiveQueue } from './receive-queue.ts';
import { newRttEstimator, type RttEstimator } from './rtt.ts';
import { Scoreboard } from './scoreboard.ts';
import { SendQueue } from './send-queue.ts';
import {
  CLOSE_WAIT,
  CLOSED,
  ESTABLISHED,
  FIN_WAIT_1,
  FIN_WAIT_2,
  LAST_ACK,
  STATE_NAMES,
  SYN_RECEIVED,
  SYN_SENT,
  TIME_WAIT,
} from './state.ts';

/** Error codes that a connection ends with. */
export type TcpErrorCode =
  | 'ECONNREFUSED'
  | 'ECONNRESET'
  | 'ECONNABORTED'
  | 'EPIPE'
  | 'ETIMEDOUT'
  | 'EHOSTUNREACH'
  | 'ENETUNREACH'
  | 'EADDRNOTAVAIL'
  | 'EADDRINUSE'
  | 'EPERM';

/** Whoever uses the connection. All calls come from a flush, never from inside packet input. */
export interface ConnectionUser {
  connected(): void;
  /** There are bytes to `read`, or the peer has sent its last. */
  readable(): void;
  /** There is room to `write` again after a `write` that took less than all. */
  writable(): void;
  /** The connection is over; no call follows. Without a code the end was orderly. */
  closed(code: TcpErrorCode | undefined): void;
}

export const EVENT_CONNECTED = 1;
export const EVENT_READABLE = 2;
export const EVENT_WRITABLE = 4;
export const EVENT_CLOSED = 8;

/** Not in loss recovery. */
export const LOSS_NONE = 0;
/** Fast recovery (RFC 6675, RFC 6582): ends when `recoveryPoint` is acknowledged. */
export const LOSS_RECOVERY = 1;
/** After a timeout: all that is not known to have arrived is sent again, in slow start. */
export const LOSS_TIMEOUT = 2;

const QUICK_ACKS = 8;

export class TcpConnection implements Deadline, EventSource {
  readonly core: Core;
  readonly local: IpAddress;
  readonly remote: IpAddress;
  readonly localPort: number;
  readonly remotePort: number;
  readonly cookie: number;
  readonly destination: Destination;
  user: ConnectionUser | undefined;
  /** The listener that waits for the handshake to end. */
  listener: ListenSocket | undefined = undefined;
  hash = 0;
  hashNext: TcpConnection | undefined = undefined;
  inTable = false;
  state: number = CLOSED;

  // Send sequence space. Data byte n of the stream has sequence number iss + 1 + n.
  iss = 0;
  sndUna = 0;
  /** The highest sequence number ever sent, plus one. */
  sndNxt = 0;
  sndWnd = 0;
  sndWl1 = 0;
  sndWl2 = 0;
  maxSndWnd = 0;
  sndScale = 0;
  /** Sequence number of the first byte in `sendQueue`. */
  queueSeq = 0;
  /** End of the last segment that was smaller than the MSS (Minshall's Nagle). */
  smallEnd = 0;
  finQueued = false;
  finSent = false;
  noDelay = false;
  readonly sendQueue: SendQueue;
  writeBlocked = false;

  // Receive sequence space.
  irs = 0;
  rcvNxt = 0;
  /** Right edge of the window last offered. */
  rcvEdge = 0;
  rcvScale = 0;
  lastAckSent = 0;
  finReceived = false;
  /** A FIN came beyond a gap, with sequence number `finSeq`. */
  finHeld = false;
  finSeq = 0;
  readonly receiveQueue = new ReceiveQueue();
  /** Largest segment received: what the peer seems to use as MSS. */
  rcvMss = 536;
  unackedBytes = 0;
  quickAcks = QUICK_ACKS;
  ackNow = false;
  /** Acknowledgments owed one by one, for peers that count duplicates. */
  duplicateAcksOwed = 0;
  /** A window or keepalive probe is to be sent. */
  probeDue = false;
  ackDueMs = 0;

  // Options.
  peerMss = 536;
  /** Largest payload of a segment with the options every segment carries. */
  mss = 536;
  /** Path MTU for which `mss` was computed. */
  mtu = 0;
  timestamps = false;
  timestampOffset = 0;
  tsRecent = 0;
  tsRecentMs = 0;
  sackPermitted = false;
  /** Both ends sent the window scale option. */
  scaling = false;

  // Loss recovery and congestion control.
  readonly rtt: RttEstimator;
  /** End of the segment being timed when there are no timestamps; valid while `timedMs` >= 0. */
  timedSeq = 0;
  timedMs = -1;
  readonly scoreboard = new Scoreboard();
  cwnd = 0;
  ssthresh = 0x7fffffff;
  readonly cubic: CubicState = newCubicState();
  cwndLimited = false;
  /** When data was sent last. */
  lastSentMs = 0;
  lossState: number = LOSS_NONE;
  recoveryPoint = 0;
  /** End of the highest retransmission in this recovery (RFC 6675 HighRxt). */
  highRxt = 0;
  /** One segment goes out whatever the pipe holds. */
  forceRetransmit = false;
  duplicateAcks = 0;
  // Proportional Rate Reduction (RFC 9937): bytes in flight when recovery began, arrived and sent since.
  prrFlight = 0;
  prrDelivered = 0;
  prrSent = 0;
  /** Bytes that arrived, and whether the cumulative acknowledgment moved, since the last output. */
  deliveredBytes = 0;
  advanced = false;
  /** `sndNxt` at the last retransmission: what was sent above it was sent later. */
  retransmitMark = 0;
  /** What recovery found, to be restored when it proves to have been needless (RFC 4015). */
  undoCwnd = 0;
  undoSsthresh = 0;
  /** Timestamp of the first retransmission of this recovery. */
  undoTimestamp = 0;
  backoff = 0;
  retransmits = 0;
  probes = 0;
  /** Something arrived since the last timeout. */
  heardSinceTimeout = false;

  // Deadlines; 0 means none. The connection is in the stack's heap under the earliest or an earlier one.
  dueMs = 0;
  heapIndex = -1;
  retransmitDueMs = 0;
  persistDueMs = 0;
  keepaliveDueMs = 0;
  closeDueMs = 0;
  connectDueMs = 0;
  keepaliveIdleMs = 0;
  keepaliveProbes = 0;
  lastReceivedMs = 0;
  challengeWindowMs = 0;
  challenges = 0;

  outputQueued = false;
  eventsQueued = false;
  events = 0;
  errorCode: TcpErrorCode | undefined = undefined;
  /** An ICMP error that does not end an established connection, reported if it times out. */
  softError: TcpErrorCode | undefined = undefined;

  constructor(
    core: Core,
    local: IpAddress,
    localPort: number,
    remote: IpAddress,
    remotePort: number,
    user: ConnectionUser | undefined,
  ) {
    this.core = core;
    this.local = local;
    this.localPort = localPort;
    this.remote = remote;
    this.remotePort = remotePort;
    this.user = user;
    this.cookie = core.nextCookie++;
    this.destination = core.routes.lookup(remote);
    const settings = core.tcpSettings;
    this.rtt = newRttEstimator(settings.initialRtoMs, settings.minimumRtoMs, settings.maximumRtoMs);
    this.sendQueue = new SendQueue(core.tcp.slabs);
    this.timestampOffset = core.random32() | 0;
    this.iss = initialSequence(core, local, localPort, remote, remotePort);
    this.sndUna = this.sndNxt = this.iss;
    this.queueSeq = this.smallEnd = this.highRxt = this.recoveryPoint = (this.iss + 1) | 0;
    this.rcvScale = windowScaleFor(settings.receiveBufferBytes);
    this.updateMss();
  }

  /** Sends a SYN. The caller has put the connection into the table. */
  open(connectTimeoutMs: number | undefined): void {
    this.state = SYN_SENT;
    this.core.statistics.activeOpens++;
    if (connectTimeoutMs !== undefined) this.setDeadline('connectDueMs', connectTimeoutMs);
    this.wantOutput();
  }

  /** Takes as much of chunk[start, chunk.length) as there is room for; gives the number of bytes taken. */
  write(chunk: Uint8Array, start: number): number {
    if (this.finQueued || this.state === CLOSED || this.state === TIME_WAIT) return chunk.length - start;
    const room = this.core.tcpSettings.sendBufferBytes - this.sendQueue.length;
    const size = Math.min(room, chunk.length - start);
    if (size > 0) {
      this.sendQueue.append(chunk, start, start + size);
      if (this.state >= ESTABLISHED) this.wantOutput();
    }
    if (start + size < chunk.length) this.writeBlocked = true;
    return Math.max(size, 0);
  }

  /** The next received bytes, undefined when there are none at the moment. */
  read(): Buffer | undefined {
    const chunk = this.receiveQueue.read();
    if (chunk !== undefined && this.windowGrewEnough()) {
      this.ackNow = true;
      this.wantOutput();
    }
    return chunk;
  }

  /** Whether the peer has sent its FIN and everything before it was read. */
  get ended(): boolean {
    return this.finReceived && this.receiveQueue.bytes === 0;
  }

  /** Sends a FIN after what is queued (SHUT_WR). Receiving goes on. */
  shutdown(): void {
    if (this.finQueued || this.state === CLOSED) return;
    this.finQueued = true;
    // During the handshake the FIN waits for its end.
    if (this.state === ESTABLISHED) this.state = FIN_WAIT_1;
    else if (this.state === CLOSE_WAIT) this.state = LAST_ACK;
    this.wantOutput();
  }

  /**
   * The user goes. What is queued is still delivered and the connection ended in order; bytes that nobody
   * read, or that come later, are answered with a reset (RFC 2525 2.17).
   */
  close(): void {
    this.user = undefined;
    if (this.state === CLOSED || this.state === TIME_WAIT) return;
    if (this.state === SYN_SENT) {
      this.finish(undefined);
      return;
    }
    if (this.receiveQueue.bytes > 0) {
      this.abort();
      return;
    }
    this.shutdown();
    if (this.state === FIN_WAIT_2) this.setDeadline('closeDueMs', this.core.tcpSettings.finWait2Ms);
  }

  /** Sends a reset and forgets everything. */
  abort(): void {
    if (this.state === CLOSED) return;
    if (this.state >= SYN_RECEIVED && this.state !== TIME_WAIT) sendReset(this);
    this.finish('ECONNABORTED');
  }

  setKeepAlive(enable: boolean, idleMs: number): void {
    this.keepaliveIdleMs = enable ? Math.max(1, idleMs) : 0;
    this.keepaliveDueMs = 0;
    this.keepaliveProbes = 0;
    if (enable && this.state >= ESTABLISHED) this.setDeadline('keepaliveDueMs', this.keepaliveIdleMs);
  }

  /** Leaves the table and the timers; the user hears of it in the next flush. */
  finish(code: TcpErrorCode | undefined): void {
    if (this.state === CLOSED && !this.inTable) return;
    this.listener?.handshakeEnded(this);
    this.listener = undefined;
    this.state = CLOSED;
    this.errorCode = code;
    this.core.tcp.remove(this);
    this.core.timers.cancel(this);
    this.sendQueue.clear();
    this.scoreboard.clear();
    if (this.user === undefined) this.receiveQueue.clear();
    this.raise(EVENT_CLOSED);
  }

  raise(event: number): void {
    this.events |= event;
    if (!this.eventsQueued) {
      this.eventsQueued = true;
      this.core.queueEvents(this);
    }
  }

  deliver(): void {
    this.eventsQueued = false;
    const events = this.events;
    this.events = 0;
    if ((events & EVENT_CONNECTED) !== 0) {
      if (this.listener !== undefined) this.listener.accept(this);
      this.user?.connected();
    }
    if ((events & EVENT_READABLE) !== 0) this.user?.readable();
    if ((events & EVENT_WRITABLE) !== 0) this.user?.writable();
    if ((events & EVENT_CLOSED) !== 0) {
      const user = this.user;
      this.user = undefined;
      user?.closed(this.errorCode);
    }
  }

  /** Runs `output` in the next flush. */
  wantOutput(): void {
    if (this.outputQueued) return;
    this.outputQueued = true;
    this.core.tcp.outputQueue.push(this);
    this.core.schedule();
  }

  expire(nowMs: number): void {
    expireDeadlines(this, nowMs);
  }

  /** Sets one of the deadlines `delayMs` from now. */
  setDeadline(
    name: 'retransmitDueMs' | 'ackDueMs' | 'persistDueMs' | 'keepaliveDueMs' | 'closeDueMs' | 'connectDueMs',
    delayMs: number,
  ): void {
    if (this.state === CLOSED) return;
    const atMs = this.core.nowMs() + delayMs;
    this[name] = atMs;
    this.core.timers.wake(this, atMs);
  }

  /** The MSS from the peer's option and the path MTU, without the options every segment carries. */
  updateMss(): void {
    const mtu = this.core.routes.mtuOf(this.destination, this.core.nowMs());
    this.mtu = mtu;
    const headers = this.remote.version === 4 ? 40 : 60;
    const room = Math.min(this.peerMss, mtu - headers);
    this.mss = Math.max(room - (this.timestamps ? 12 : 0), 48);
  }

  /** Largest window that can be offered: the buffer, as far as the window field and its scale reach. */
  get receiveLimit(): number {
    return Math.min(this.core.tcpSettings.receiveBufferBytes, 65_535 << this.rcvScale);
  }

  /** RFC 9293 3.8.6.2.2: worth telling when the window grew by two segments or half the buffer. */
  windowGrewEnough(): boolean {
    const buffer = this.receiveLimit;
    const offered = (this.rcvEdge - this.rcvNxt) | 0;
    const grown = buffer - this.receiveQueue.bytes - offered;
    return grown >= Math.min(buffer >> 1, 2 * this.rcvMss) && (offered < buffer >> 1 || grown >= buffer >> 2);
  }

  describe(): {
    state: string;
    localAddress: string;
    localPort: number;
    remoteAddress: string;
    remotePort: number;
    receiveQueueBytes: number;
    sendQueueBytes: number;
  } {
    return {
      state: STATE_NAMES[this.state],
      localAddress: formatIpAddress(this.local),
      localPort: this.localPort,
      remoteAddress: formatIpAddress(this.remote),
      remotePort: this.remotePort,
      receiveQueueBytes: this.receiveQueue.bytes,
      sendQueueBytes: this.sendQueue.length,
    };
  }
}

/** RFC 6528: a clock of 4 µs plus a keyed hash of the four-tuple. */
function initialSequence(
  core: Core,
  local: IpAddress,
  localPort: number,
  remote: IpAddress,
  remotePort: number,
): number {
  const hash = keyedHash(core.key, [
    local.w0,
    local.w1,
    local.w2,
    local.w3,
    remote.w0,
    remote.w1,
    remote.w2,
    remote.w3,
    (localPort << 16) | remotePort,
  ]);
  return (hash + ((core.nowMs() * 250) % 0x100000000)) | 0;
}

/** RFC 7323 2.3: the smallest shift with which the buffer can be offered, at most 14. */
export function windowScaleFor(bufferBytes: number): number {
  let scale = 0;
  while (scale < 14 && 65_535 << scale < bufferBytes) scale++;
  return scale;
}
