import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { SyncLog } from './client.ts';
import { emitJson, emitServerFrame, parseClientFrame } from './codec.ts';
import { Encoder } from './encoder.ts';
import {
  type ClientFrame,
  type Hello,
  type Report as ReportFrame,
  Role as RoleNumber,
} from './gen/sync-proto.ts';
import { DEFAULT_PEER_LIMITS, Peer, type PeerLimits } from './peer.ts';
import { parseReportItem } from './report-codec.ts';
import type { Interest, PeerIdentity, PeerStatus, SourceEvent, SyncSource, View } from './source.ts';
import {
  CLOSE,
  type CloseCode,
  type ClusterSettings,
  PROTOCOL_VERSION,
  type Report,
  type Role,
} from './types.ts';

export interface SyncHubOptions {
  source: SyncSource;
  settings: ClusterSettings;
  /** Whether the upgrade request carries a credential that may join. */
  authenticate(request: IncomingMessage): boolean;
  /** What the peer sees; a text instead says why it may not join. */
  interest(peer: PeerIdentity): Interest | string;
  /**
   * Applies reports and resolves once they are durable, with a text for each that never can be applied and undefined for the
   * others. A rejection leaves all of them unacknowledged; the peer sends them again.
   */
  onReport(peer: PeerIdentity, reports: readonly Report[]): Promise<readonly (string | undefined)[]>;
  onConnect?(peer: PeerIdentity): void;
  onDisconnect?(peer: PeerIdentity): void;
  /** The peer refused an update (error is its text) or accepts again (''). Told only when that changes. */
  onRefusal?(peer: PeerIdentity, error: string): void;
  nowMs: () => number;
  log: SyncLog;
  limits?: Partial<HubLimits>;
}

export interface HubLimits extends PeerLimits {
  /** A longer message from a peer ends the connection. */
  maxFrameBytes: number;
  helloMs: number;
  pingIntervalMs: number;
  /** Ping intervals without a byte from a peer after which its link counts as dead. */
  silentIntervals: number;
  /** Reports of one peer that may wait to be applied; a peer sends one batch at a time. */
  maxReportFrames: number;
}

const DEFAULT_LIMITS: HubLimits = {
  ...DEFAULT_PEER_LIMITS,
  maxFrameBytes: 4 << 20,
  helloMs: 5_000,
  pingIntervalMs: 1_000,
  silentIntervals: 10,
  maxReportFrames: 64,
};

const NODE_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

interface Link {
  socket: WebSocket;
  identity: PeerIdentity;
  peer: Peer;
  connectedAtMs: number;
  quietIntervals: number;
  reportFrames: number;
  /** What `onRefusal` was last told. */
  refusal: string;
}

/** The controller's end of all sync links. */
export class SyncHub {
  /** Shared by all peers: each object is encoded once per view. */
  readonly encoder = new Encoder();
  readonly #options: SyncHubOptions;
  readonly #limits: HubLimits;
  readonly #server: WebSocketServer;
  readonly #links = new Set<Link>();
  readonly #sockets = new Set<WebSocket>();
  readonly #stopWatch: () => void;
  readonly #timer: NodeJS.Timeout;
  readonly #settings: Uint8Array;
  #flushQueued = false;
  #closed = false;

  constructor(options: SyncHubOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#settings = emitJson(options.settings);
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: this.#limits.maxFrameBytes,
      perMessageDeflate: false,
      skipUTF8Validation: true,
    });
    this.#stopWatch = options.source.watch((event) => this.#offer(event));
    this.#timer = setInterval(() => this.#tick(), this.#limits.pingIntervalMs);
    this.#timer.unref();
  }

  /** Takes over the socket of an HTTP upgrade request for SYNC_PATH. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#closed || !this.#options.authenticate(request)) {
      const status = this.#closed ? '503 Service Unavailable' : '401 Unauthorized';
      socket.on('error', () => {});
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#accept(webSocket));
  }

  peers(): PeerStatus[] {
    return Array.from(this.#links, ({ identity, peer, connectedAtMs }) => ({
      ...identity,
      revision: peer.revision,
      pending: peer.pending,
      connectedAtMs,
      refusal: peer.refusal,
    }));
  }

  /** Ends all links; peers keep their state and look for the next controller. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopWatch();
    clearInterval(this.#timer);
    const ended = Array.from(this.#sockets, (socket) => {
      socket.close(CLOSE.goingAway, 'the controller shuts down');
      return new Promise<void>((resolve) => socket.once('close', () => resolve()));
    });
    const deadline = setTimeout(() => {
      for (const socket of this.#sockets) socket.terminate();
    }, 200);
    await Promise.all(ended);
    clearTimeout(deadline);
  }

  #offer(event: SourceEvent): void {
    const unchanged = new Map<View, boolean>();
    const unchangedIn = (view: View): boolean => {
      let answer = unchanged.get(view);
      if (answer === undefined) {
        answer = event.previous !== undefined && (view.same?.(event.previous, event.object) ?? false);
        unchanged.set(view, answer);
      }
      return answer;
    };
    for (const link of this.#links) link.peer.offer(event, unchangedIn);
    if (this.#flushQueued) return;
    this.#flushQueued = true;
    // The events of one commit come in one turn and leave in one delta.
    queueMicrotask(() => {
      this.#flushQueued = false;
      for (const link of this.#links) link.peer.flush();
    });
  }

  #tick(): void {
    for (const link of this.#links) {
      if (++link.quietIntervals > this.#limits.silentIntervals) {
        this.#end(link.socket, CLOSE.silent, 'nothing heard');
        link.socket.terminate();
        continue;
      }
      link.socket.ping();
      link.peer.tick();
    }
  }

  #accept(socket: WebSocket): void {
    this.#sockets.add(socket);
    let link: Link | undefined;
    const helloTimer = setTimeout(
      () => this.#end(socket, CLOSE.badHello, 'no Hello in time'),
      this.#limits.helloMs,
    );
    const heard = (): void => {
      if (link) link.quietIntervals = 0;
    };
    socket.on('pong', heard);
    socket.on('ping', heard);
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (socket.readyState !== socket.OPEN) return;
      heard();
      const frame = isBinary ? parseClientFrame(data) : undefined;
      if (frame === undefined) this.#end(socket, CLOSE.malformedFrame, 'not a frame of this protocol');
      else if (link) this.#receive(link, frame);
      else if (frame.kind === 'hello') {
        clearTimeout(helloTimer);
        link = this.#hello(socket, frame.value);
      } else this.#end(socket, CLOSE.unexpectedFrame, `${frame.kind} before Hello`);
    });
    socket.on('error', (error) =>
      this.#options.log.warn({ error: error.message, ...link?.identity }, 'sync link'),
    );
    socket.on('close', () => {
      clearTimeout(helloTimer);
      this.#sockets.delete(socket);
      if (link) this.#forget(link);
    });
  }

  #hello(socket: WebSocket, hello: Hello): Link | undefined {
    const { source, log } = this.#options;
    const role = roleOf(hello.role);
    if (hello.protocolVersion !== PROTOCOL_VERSION) {
      this.#end(
        socket,
        CLOSE.unsupportedVersion,
        `protocol version ${hello.protocolVersion}, not ${PROTOCOL_VERSION}`,
      );
      return undefined;
    }
    if (role === undefined || !NODE_NAME.test(hello.nodeName)) {
      this.#end(socket, CLOSE.badHello, role === undefined ? 'unknown role' : 'the node name is no DNS name');
      return undefined;
    }
    const identity: PeerIdentity = { role, nodeName: hello.nodeName, sessionId: hello.sessionId };
    const revision = source.revision();
    const interest = this.#options.interest(identity);
    if (typeof interest === 'string') {
      this.#end(socket, CLOSE.badHello, interest);
      return undefined;
    }
    this.#replace(identity);
    const peer = new Peer({
      source,
      encoder: this.encoder,
      interest,
      limits: this.#limits,
      nowMs: this.#options.nowMs,
      send: (message, sent) => socket.send(message, sent),
      close: (code, reason) => this.#end(socket, code, reason),
      onAnswer: (error) => this.#answered(link, error),
    });
    const link: Link = {
      socket,
      identity,
      peer,
      connectedAtMs: this.#options.nowMs(),
      quietIntervals: 0,
      reportFrames: 0,
      refusal: '',
    };
    const known = hello.resume?.instanceId === source.instanceId ? hello.resume.revision : undefined;
    const resumed = peer.resume(known);
    this.#links.add(link);
    const welcome = {
      protocolVersion: PROTOCOL_VERSION,
      instanceId: source.instanceId,
      revision,
      resumed,
      pingIntervalMs: this.#limits.pingIntervalMs,
      settings: this.#settings,
    };
    socket.send(emitServerFrame({ kind: 'welcome', value: welcome }));
    log.info({ ...identity, resumed, from: known, revision }, 'peer connected');
    this.#options.onConnect?.(identity);
    peer.flush();
    return link;
  }

  /** A node has one agent: a second connection means that the first is dead and does not know it yet. DNS servers are many. */
  #replace(identity: PeerIdentity): void {
    if (identity.role !== 'agent') return;
    for (const link of this.#links) {
      const { role, nodeName, sessionId } = link.identity;
      if (role !== 'agent' || nodeName !== identity.nodeName) continue;
      const sameProcess = sessionId === identity.sessionId;
      if (!sameProcess)
        this.#options.log.warn({ nodeName }, 'another process joins under the name of this node');
      this.#end(link.socket, CLOSE.replaced, 'another connection of this node took over');
      this.#forget(link);
    }
  }

  #forget(link: Link): void {
    link.peer.end();
    if (this.#links.delete(link)) this.#options.onDisconnect?.(link.identity);
  }

  #answered(link: Link, error: string): void {
    const { identity } = link;
    if (error !== '') this.#options.log.warn({ ...identity, error }, 'peer refuses an update');
    if (error === link.refusal) return;
    link.refusal = error;
    this.#options.onRefusal?.(identity, error);
  }

  #receive(link: Link, frame: ClientFrame): void {
    switch (frame.kind) {
      case 'hello':
        this.#end(link.socket, CLOSE.unexpectedFrame, 'a second Hello');
        break;
      case 'ack':
      case 'nack':
        link.peer.answered(frame.value);
        break;
      case 'report':
        void this.#report(link, frame.value);
        break;
    }
  }

  async #report(link: Link, frame: ReportFrame): Promise<void> {
    if (++link.reportFrames > this.#limits.maxReportFrames) {
      this.#end(link.socket, CLOSE.tooMany, `${link.reportFrames} reports wait`);
      return;
    }
    const refused: { item: number; error: string }[] = [];
    const reports: Report[] = [];
    const positions: number[] = [];
    for (const [position, item] of frame.items.entries()) {
      const report = parseReportItem(item);
      if (typeof report === 'string') refused.push({ item: position, error: report });
      else {
        reports.push(report);
        positions.push(position);
      }
    }
    try {
      const answers = await this.#options.onReport(link.identity, reports);
      for (const [i, error] of answers.entries()) {
        if (error !== undefined) refused.push({ item: positions[i]!, error });
      }
      if (frame.sequence !== 0 && link.socket.readyState === link.socket.OPEN) {
        const value = { sequence: frame.sequence, refused };
        link.socket.send(emitServerFrame({ kind: 'reportAck', value }));
      }
    } catch (error) {
      this.#options.log.warn({ ...link.identity, error: (error as Error).message }, 'reports not applied');
    } finally {
      link.reportFrames -= 1;
    }
  }

  #end(socket: WebSocket, code: CloseCode, reason: string): void {
    if (socket.readyState !== socket.OPEN) return;
    this.#options.log.warn({ code, reason }, 'closing a sync link');
    socket.close(code, reason.slice(0, 120));
    setTimeout(() => socket.terminate(), 500).unref();
  }
}

function roleOf(role: number): Role | undefined {
  if (role === RoleNumber.ROLE_AGENT) return 'agent';
  return role === RoleNumber.ROLE_DNS ? 'dns' : undefined;
}
