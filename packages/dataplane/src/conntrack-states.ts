/**
 * Connection states and how packets move between them, after Linux (nf_conntrack_proto_tcp.c, _sctp.c): the
 * tables below are the kernel's, with the TCP window check left out (as `nf_conntrack_tcp_be_liberal` does).
 */

export const STATE_NONE = 0;
export const STATE_SYN_SENT = 1;
export const STATE_SYN_RECV = 2;
export const STATE_ESTABLISHED = 3;
export const STATE_FIN_WAIT = 4;
export const STATE_CLOSE_WAIT = 5;
export const STATE_LAST_ACK = 6;
export const STATE_TIME_WAIT = 7;
export const STATE_CLOSE = 8;
/** Simultaneous open: a SYN went each way. */
export const STATE_SYN_SENT2 = 9;
export const STATE_UDP = 10;
export const STATE_UDP_STREAM = 11;
export const STATE_ICMP = 12;
export const STATE_GENERIC = 13;
export const STATE_SCTP_CLOSED = 14;
export const STATE_SCTP_COOKIE_WAIT = 15;
export const STATE_SCTP_COOKIE_ECHOED = 16;
export const STATE_SCTP_ESTABLISHED = 17;
export const STATE_SCTP_SHUTDOWN = 18;
/** ebpf mode: the choice of a backend for a client and a frontend (CT_SERVICE). */
export const STATE_SERVICE = 19;
export const STATE_SERVICE_SYN = 20;
/** A FIN or RST was seen: a SYN may choose another backend. */
export const STATE_SERVICE_CLOSING = 21;
export const STATE_SERVICE_RESET = 22;

/** As `conntrack -L` prints them; '' for protocols without states. */
export const STATE_NAMES: readonly string[] = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
  '',
  '',
  '',
  '',
  'CLOSED',
  'COOKIE_WAIT',
  'COOKIE_ECHOED',
  'ESTABLISHED',
  'SHUTDOWN_ACK_SENT',
  'SERVICE',
  'SERVICE',
  'SERVICE',
  'SERVICE',
];

/** Seconds a flow may be silent in each state, by state number. */
export type ConntrackTimeouts = readonly number[];

/** Linux as kube-proxy sets it up: established 24 h, close-wait 1 h; the rest is the kernel's. */
export const KUBE_PROXY_TIMEOUTS: ConntrackTimeouts = [
  60, 120, 60, 86_400, 120, 3600, 30, 120, 10, 120, 30, 120, 30, 600, 10, 3, 3, 210, 3, 86_400, 60, 60, 10,
];

/**
 * Cilium (bpf/lib/conntrack.h): SYN and anything else 60 s, established TCP 8000 s, closing 10 s. A backend choice whose
 * client sent FIN lives 60 s more where Cilium leaves it to the LRU map to forget it.
 */
export const CILIUM_TIMEOUTS: ConntrackTimeouts = [
  60, 60, 60, 8000, 8000, 8000, 10, 10, 10, 60, 60, 60, 60, 60, 60, 60, 60, 60, 10, 8000, 60, 60, 10,
];

/** Next-state marks: the packet does not belong here; the packet is let pass and moves nothing. */
export const INVALID = 254;
export const IGNORE = 255;

const SYN = 0;
const SYN_ACK = 1;
const FIN = 2;
const ACK = 3;
const RST = 4;
const OTHER = 5;

const IV = INVALID;
const IG = IGNORE;
const SS = STATE_SYN_SENT;
const SR = STATE_SYN_RECV;
const ES = STATE_ESTABLISHED;
const FW = STATE_FIN_WAIT;
const CW = STATE_CLOSE_WAIT;
const LA = STATE_LAST_ACK;
const TW = STATE_TIME_WAIT;
const CL = STATE_CLOSE;
const S2 = STATE_SYN_SENT2;

// Rows: what the packet is; columns: the state it meets (NONE, SS, SR, ES, FW, CW, LA, TW, CL, S2).
const TCP_ORIGINAL: readonly (readonly number[])[] = [
  /* SYN     */ [SS, SS, IG, IG, IG, IG, IG, SS, SS, S2],
  /* SYN+ACK */ [IV, IV, SR, IV, IV, IV, IV, IV, IV, SR],
  /* FIN     */ [IV, IV, FW, FW, LA, LA, LA, TW, CL, IV],
  /* ACK     */ [ES, IV, ES, ES, CW, CW, TW, TW, CL, IV],
  /* RST     */ [IV, CL, CL, CL, CL, CL, CL, CL, CL, CL],
  /* other   */ [IV, IV, IV, IV, IV, IV, IV, IV, IV, IV],
];
const TCP_REPLY: readonly (readonly number[])[] = [
  /* SYN     */ [IV, S2, IV, IV, IV, IV, IV, SS, IV, S2],
  /* SYN+ACK */ [IV, SR, IG, IG, IG, IG, IG, IG, IG, SR],
  /* FIN     */ [IV, IV, FW, FW, LA, LA, LA, TW, CL, IV],
  /* ACK     */ [IV, IG, SR, ES, CW, CW, TW, TW, CL, IG],
  /* RST     */ [IV, CL, CL, CL, CL, CL, CL, CL, CL, CL],
  /* other   */ [IV, IV, IV, IV, IV, IV, IV, IV, IV, IV],
];

const TCP_STATES = 10;
const TCP_EVENTS = 6;

function flatten(table: readonly (readonly number[])[]): Uint8Array {
  const flat = new Uint8Array(TCP_EVENTS * TCP_STATES);
  table.forEach((row, event) => {
    flat.set(row, event * TCP_STATES);
  });
  return flat;
}
const TCP_TABLES: readonly Uint8Array[] = [flatten(TCP_ORIGINAL), flatten(TCP_REPLY)];

const FLAG_FIN = 0x01;
const FLAG_SYN = 0x02;
const FLAG_RST = 0x04;
const FLAG_ACK = 0x10;

/** True for a segment that opens a connection: SYN without ACK, RST or FIN. */
export function isTcpOpening(flags: number): boolean {
  return (flags & (FLAG_SYN | FLAG_ACK | FLAG_RST | FLAG_FIN)) === FLAG_SYN;
}

export function isTcpFin(flags: number): boolean {
  return (flags & FLAG_FIN) !== 0;
}

export function isTcpReset(flags: number): boolean {
  return (flags & FLAG_RST) !== 0;
}

/**
 * The state after a TCP segment with `flags`, or INVALID, or IGNORE.
 * @param direction 0 from the side that opened, 1 from the other
 */
export function nextTcpState(state: number, direction: number, flags: number): number {
  const event =
    (flags & FLAG_RST) !== 0
      ? RST
      : (flags & FLAG_SYN) !== 0
        ? (flags & FLAG_ACK) !== 0
          ? SYN_ACK
          : SYN
        : (flags & FLAG_FIN) !== 0
          ? FIN
          : (flags & FLAG_ACK) !== 0
            ? ACK
            : OTHER;
  return TCP_TABLES[direction][event * TCP_STATES + state];
}

const CHUNK_INIT = 1;
const CHUNK_INIT_ACK = 2;
const CHUNK_ABORT = 6;
const CHUNK_SHUTDOWN = 7;
const CHUNK_SHUTDOWN_ACK = 8;
const CHUNK_COOKIE_ECHO = 10;
const CHUNK_COOKIE_ACK = 11;
const CHUNK_SHUTDOWN_COMPLETE = 14;

/** The state after an SCTP packet whose first chunk is `chunk`, or INVALID, or IGNORE (RFC 9260 section 4). */
export function nextSctpState(state: number, direction: number, chunk: number): number {
  switch (chunk) {
    case CHUNK_INIT:
      if (direction === 1) return state === STATE_SCTP_COOKIE_WAIT ? IGNORE : INVALID;
      return state === STATE_SCTP_ESTABLISHED ? IGNORE : STATE_SCTP_COOKIE_WAIT;
    case CHUNK_INIT_ACK:
      return direction === 1 ? (state === STATE_SCTP_COOKIE_WAIT ? state : IGNORE) : INVALID;
    case CHUNK_COOKIE_ECHO:
      return state === STATE_SCTP_COOKIE_WAIT ? STATE_SCTP_COOKIE_ECHOED : IGNORE;
    case CHUNK_COOKIE_ACK:
      return state === STATE_SCTP_COOKIE_ECHOED ? STATE_SCTP_ESTABLISHED : IGNORE;
    case CHUNK_SHUTDOWN:
    case CHUNK_SHUTDOWN_ACK:
      return state === STATE_SCTP_ESTABLISHED || state === STATE_SCTP_SHUTDOWN ? STATE_SCTP_SHUTDOWN : IGNORE;
    case CHUNK_ABORT:
    case CHUNK_SHUTDOWN_COMPLETE:
      return STATE_SCTP_CLOSED;
    default:
      // Data and heartbeats of an association whose opening was not seen are picked up, as TCP's are.
      return state === STATE_NONE ? STATE_SCTP_ESTABLISHED : IGNORE;
  }
}
