import { EventEmitter } from 'node:events';
import { WebSocket } from 'ws';
import { type Failure, reconnectDelayMs } from './backoff.ts';
import { ClientState } from './client-state.ts';
import { emitClientFrame, parseJson, parseServerFrame } from './codec.ts';
import {
  type ClientFrame,
  type Delta,
  type Resource,
  Role as RoleNumber,
  type ServerFrame,
  type Welcome,
} from './gen/sync-proto.ts';
import { emitReportItem } from './report-codec.ts';
import { ReportQueue } from './report-queue.ts';
import {
  type Change,
  CLOSE,
  type CloseCode,
  type ClusterSettings,
  type NodeDescription,
  PROTOCOL_VERSION,
  type Report,
  type Role,
  SYNC_PATH,
  type SyncState,
} from './types.ts';

/** Where logs go; pino's loggers fit. */
export interface SyncLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface SyncClientOptions {
  /** The controller: `https://127.0.0.10:6443`, as in join.json. */
  url: string;
  /** PEM of the authority that signed the controller's certificate. */
  ca: string;
  /** The join credential. */
  token: string;
  role: Role;
  /** Node this process is, or runs on. */
  nodeName: string;
  /** Reported at each connect when given. */
  node?: NodeDescription;
  /**
   * Sees each update before it becomes state and may refuse it by throwing: the last good state stays, and the controller is
   * told the error's message.
   */
  validate?: (changes: readonly Change[]) => void;
  nowMs: () => number;
  random32: () => number;
  log: SyncLog;
  limits?: Partial<ClientLimits>;
}

export interface ClientLimits {
  /** A longer message ends the connection. */
  maxFrameBytes: number;
  /** A snapshot or delta with more resources ends the connection. */
  maxResources: number;
  /** TLS and WebSocket handshake and Welcome must be done by then. */
  handshakeMs: number;
  /** Reports the controller does not acknowledge for so long are sent again. */
  reportRetryMs: number;
  /** Ping intervals without a byte from the controller after which the link counts as dead. */
  silentIntervals: number;
}

const DEFAULT_LIMITS: ClientLimits = {
  maxFrameBytes: 8 << 20,
  maxResources: 500_000,
  handshakeMs: 5_000,
  reportRetryMs: 5_000,
  silentIntervals: 8,
};

/** Bounds of one Report frame. */
const REPORT_BATCH = { items: 500, bytes: 256 << 10 };

export interface SyncClientEvents {
  /** Connected and let in; `resumed` says whether state goes on from where it was. */
  connected: [{ resumed: boolean; settings: ClusterSettings }];
  /** A whole snapshot, or the delta that resumes, has been applied. */
  synced: [];
  /** State has changed; `state` already shows it. All changes of one update come together. */
  change: [changes: readonly Change[]];
  /** The link is gone; the client retries by itself. */
  disconnected: [{ code: number; reason: string }];
}

/** A snapshot or delta of which parts have come. */
interface Incoming {
  kind: 'snapshot' | 'delta';
  nonce: string;
  revision: number;
  resources: Resource[];
  removed: Delta['removed'];
  replaced: string[];
}

/**
 * A peer's end of the sync link: holds the newest state, reconnects by itself, and delivers reports. It never throws for what comes
 * over the wire: a frame that may not come ends the connection with a code of CLOSE, and the next one starts from a snapshot.
 */
export class SyncClient extends EventEmitter<SyncClientEvents> {
  readonly state: SyncState;
  /** Undefined until the first Welcome. */
  settings: ClusterSettings | undefined;
  readonly #options: SyncClientOptions;
  readonly #limits: ClientLimits;
  readonly #state = new ClientState();
  readonly #reports = new ReportQueue();
  readonly #sessionId: string;
  #socket: WebSocket | undefined;
  #welcome: Welcome | undefined;
  #incoming: Incoming | undefined;
  /** The state's base is doubtful: ask for a snapshot. */
  #startOver = false;
  #closed = false;
  #attempt = 0;
  #quietIntervals = 0;
  #reconnectTimer: NodeJS.Timeout | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  #reportTimer: NodeJS.Timeout | undefined;
  #flushQueued = false;
  #drained: (() => void) | undefined;

  constructor(options: SyncClientOptions) {
    super();
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#sessionId = Array.from({ length: 4 }, () => options.random32().toString(16).padStart(8, '0')).join(
      '',
    );
    this.state = this.#state;
  }

  /** True from Welcome until the link ends. */
  get connected(): boolean {
    return this.#welcome !== undefined;
  }

  /** Reports the controller has not yet acknowledged. */
  get unacknowledgedReports(): number {
    return this.#reports.size;
  }

  /** Starts connecting and goes on until `close`. */
  connect(): void {
    if (this.#socket !== undefined || this.#closed) return;
    const { url, ca, token } = this.#options;
    const socket = new WebSocket(new URL(SYNC_PATH, url.replace(/^http/, 'ws')), {
      ca,
      headers: { authorization: `Bearer ${token}` },
      maxPayload: this.#limits.maxFrameBytes,
      perMessageDeflate: false,
      skipUTF8Validation: true,
      followRedirects: false,
    });
    this.#socket = socket;
    this.#quietIntervals = 0;
    const startedMs = this.#options.nowMs();
    const handshakeTimer = setTimeout(() => socket.terminate(), this.#limits.handshakeMs);
    let failure: Failure = 'absent';
    let trouble = '';
    socket.on('open', () => this.#hello());
    socket.on('ping', () => {
      this.#quietIntervals = 0;
    });
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (socket !== this.#socket || socket.readyState !== WebSocket.OPEN) return;
      this.#quietIntervals = 0;
      const frame = isBinary ? parseServerFrame(data) : undefined;
      if (frame === undefined) this.#fail(CLOSE.malformedFrame, 'not a frame of this protocol');
      else this.#receive(frame);
      if (this.#welcome) clearTimeout(handshakeTimer);
    });
    socket.on('unexpected-response', (request, response) => {
      if (response.statusCode !== 503) failure = 'refused';
      trouble = `the controller answers ${response.statusCode} ${response.statusMessage ?? ''}`.trim();
      request.destroy();
      response.destroy();
      socket.terminate();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      trouble ||= error.message;
      if (error.code?.startsWith('ERR_TLS') || /certificate|signature|ssl/i.test(error.message))
        failure = 'refused';
    });
    socket.on('close', (code: number, reasonBytes: Buffer) => {
      clearTimeout(handshakeTimer);
      if (code >= 4000) failure = 'refused';
      const livedMs = this.#options.nowMs() - startedMs;
      const wasIn = this.#welcome !== undefined;
      const reason = reasonBytes.toString('utf8') || trouble || 'connection lost';
      this.#lost(code, reason, wasIn, wasIn && livedMs > 2_000, failure);
    });
  }

  /** Ends the link for good, after trying for `flushMs` (default 0) to deliver the reports still waiting. */
  async close(options: { flushMs?: number } = {}): Promise<void> {
    if (this.#closed) return;
    const { flushMs = 0 } = options;
    if (flushMs > 0 && this.connected && this.#reports.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, flushMs);
        this.#drained = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#closed = true;
    clearTimeout(this.#reconnectTimer);
    const socket = this.#socket;
    if (socket === undefined) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => socket.terminate(), 200);
      socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      if (socket.readyState === WebSocket.CONNECTING) socket.terminate();
      else socket.close(CLOSE.goingAway, 'shutting down');
    });
  }

  /** Queues a report; the newest of each key wins. Heartbeats are sent at once or dropped. */
  report(report: Report): void {
    if (report.kind === 'heartbeat') {
      // What fills the kernel's and our own buffers is proof enough of no hurry: no heartbeat queues behind it.
      if (this.connected && this.#socket!.bufferedAmount < REPORT_BATCH.bytes) {
        this.#send({ kind: 'report', value: { sequence: 0, items: [emitReportItem(report)] } });
      }
      return;
    }
    if (!this.#reports.push(report)) {
      this.#options.log.warn({ kind: report.kind }, 'report dropped: too many wait for the controller');
    }
    this.#queueFlush();
  }

  #hello(): void {
    const { instanceId, revision, synced } = this.#state;
    const resume = synced && !this.#startOver ? { instanceId, revision } : undefined;
    this.#send({
      kind: 'hello',
      value: {
        protocolVersion: PROTOCOL_VERSION,
        role: this.#options.role === 'agent' ? RoleNumber.ROLE_AGENT : RoleNumber.ROLE_DNS,
        nodeName: this.#options.nodeName,
        sessionId: this.#sessionId,
        ...(resume ? { resume } : {}),
      },
    });
  }

  #receive(frame: ServerFrame): void {
    if ((frame.kind === 'welcome') === (this.#welcome !== undefined)) {
      this.#fail(CLOSE.unexpectedFrame, `${frame.kind} at this moment`);
      return;
    }
    switch (frame.kind) {
      case 'welcome':
        this.#welcomed(frame.value);
        break;
      case 'snapshotBegin': {
        const { nonce, revision, resourceCount } = frame.value;
        if (this.#incoming !== undefined) this.#fail(CLOSE.unexpectedFrame, 'snapshot inside another update');
        else if (resourceCount > this.#limits.maxResources) this.#tooMany(resourceCount);
        else this.#incoming = { kind: 'snapshot', nonce, revision, resources: [], removed: [], replaced: [] };
        break;
      }
      case 'snapshotChunk':
        if (this.#incoming?.kind !== 'snapshot')
          this.#fail(CLOSE.unexpectedFrame, 'chunk outside a snapshot');
        else this.#collect(this.#incoming, frame.value.resources);
        break;
      case 'snapshotEnd':
        if (this.#incoming?.kind !== 'snapshot' || this.#incoming.nonce !== frame.value.nonce) {
          this.#fail(CLOSE.unexpectedFrame, 'end of a snapshot that did not begin');
        } else this.#apply(this.#incoming);
        break;
      case 'delta':
        this.#receiveDelta(frame.value);
        break;
      case 'reportAck':
        this.#reportAcknowledged(frame.value.sequence, frame.value.refused);
        break;
    }
  }

  #welcomed(welcome: Welcome): void {
    if (welcome.protocolVersion !== PROTOCOL_VERSION) {
      this.#fail(CLOSE.unsupportedVersion, `protocol version ${welcome.protocolVersion}`);
      return;
    }
    let settings: ClusterSettings;
    try {
      settings = parseJson<ClusterSettings>(welcome.settings);
    } catch {
      this.#fail(CLOSE.malformedFrame, 'settings are not JSON');
      return;
    }
    this.#welcome = welcome;
    this.settings = settings;
    const intervalMs = Math.min(60_000, Math.max(20, welcome.pingIntervalMs));
    // Intervals are counted, not time: a process that was itself starved of CPU must first get to read what came meanwhile.
    this.#watchdog = setInterval(() => {
      if (++this.#quietIntervals > this.#limits.silentIntervals) this.#socket?.terminate();
    }, intervalMs);
    const { resumed } = welcome;
    this.#options.log.info({ resumed, revision: welcome.revision }, 'connected to the controller');
    if (this.#options.node) this.#reports.push({ kind: 'node', node: this.#options.node });
    this.emit('connected', { resumed, settings });
    this.#queueFlush();
  }

  #receiveDelta(delta: Delta): void {
    const { nonce, fromRevision, toRevision, replaced, removed, resources } = delta;
    if (this.#incoming === undefined) {
      if (!this.#state.synced || fromRevision !== this.#state.revision) {
        this.#fail(
          CLOSE.unexpectedFrame,
          `delta from revision ${fromRevision}, state is at ${this.#state.revision}`,
        );
        return;
      }
      this.#incoming = {
        kind: 'delta',
        nonce,
        revision: toRevision,
        resources: [],
        removed: [],
        replaced: [],
      };
    } else if (this.#incoming.kind !== 'delta' || this.#incoming.nonce !== nonce) {
      this.#fail(CLOSE.unexpectedFrame, 'delta inside another update');
      return;
    }
    const incoming = this.#incoming;
    for (const key of removed) incoming.removed.push(key);
    for (const resource of replaced) incoming.replaced.push(resource);
    if (this.#collect(incoming, resources) && !delta.more) this.#apply(incoming);
  }

  #collect(incoming: Incoming, resources: Resource[]): boolean {
    for (const resource of resources) incoming.resources.push(resource);
    const count = incoming.resources.length + incoming.removed.length;
    if (count <= this.#limits.maxResources) return true;
    this.#tooMany(count);
    return false;
  }

  #tooMany(count: number): void {
    this.#fail(CLOSE.tooMany, `${count} resources, ${this.#limits.maxResources} at most`);
  }

  #apply(incoming: Incoming): void {
    this.#incoming = undefined;
    const { kind, nonce, revision } = incoming;
    const instanceId = this.#welcome!.instanceId;
    const replaced = kind === 'snapshot' ? 'all' : incoming.replaced;
    const { removed, resources } = incoming;
    let changes: Change[];
    try {
      const plan = this.#state.plan({ instanceId, revision, replaced, removed, resources });
      changes = plan.changes;
      if (changes.length > 0) this.#options.validate?.(changes);
      this.#state.commit(plan);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.#options.log.warn({ revision, error: text }, 'update refused, the last good state stays');
      this.#send({ kind: 'nack', value: { nonce, revision: this.#state.revision, error: text } });
      return;
    }
    this.#startOver = false;
    if (changes.length > 0) this.emit('change', changes);
    this.#send({ kind: 'ack', value: { nonce, revision } });
    if (this.#syncedHere) return;
    this.#syncedHere = true;
    this.emit('synced');
  }

  /** Whether this connection has brought its first update. */
  #syncedHere = false;

  #reportAcknowledged(sequence: number, refused: readonly { item: number; error: string }[]): void {
    if (!this.#reports.acknowledge(sequence)) return;
    clearTimeout(this.#reportTimer);
    for (const { error } of refused) this.#options.log.warn({ error }, 'the controller refused a report');
    if (this.#reports.size === 0) this.#drained?.();
    this.#queueFlush();
  }

  #queueFlush(): void {
    if (this.#flushQueued || !this.connected) return;
    this.#flushQueued = true;
    // Reports of one turn share a frame.
    queueMicrotask(() => {
      this.#flushQueued = false;
      if (!this.connected) return;
      const batch = this.#reports.next(REPORT_BATCH);
      if (batch === undefined) return;
      this.#send({ kind: 'report', value: batch });
      clearTimeout(this.#reportTimer);
      this.#reportTimer = setTimeout(() => {
        this.#reports.putBack();
        this.#queueFlush();
      }, this.#limits.reportRetryMs);
    });
  }

  #send(frame: ClientFrame): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(emitClientFrame(frame));
  }

  #fail(code: CloseCode, reason: string): void {
    this.#options.log.warn({ code, reason }, 'closing the link to the controller');
    this.#startOver = true;
    this.#incoming = undefined;
    const socket = this.#socket!;
    socket.close(code, reason.slice(0, 120));
    setTimeout(() => socket.terminate(), 500).unref();
  }

  #lost(code: number, reason: string, wasIn: boolean, wasGood: boolean, failure: Failure): void {
    this.#socket = undefined;
    this.#welcome = undefined;
    this.#incoming = undefined;
    this.#syncedHere = false;
    clearInterval(this.#watchdog);
    clearTimeout(this.#reportTimer);
    this.#reports.putBack();
    if (wasGood) this.#attempt = 0;
    if (!this.#closed) {
      const delayMs = reconnectDelayMs(this.#attempt++, failure, this.#options.random32);
      if (wasIn || failure === 'refused') {
        this.#options.log.warn(
          { code, reason, retryMs: Math.round(delayMs) },
          'not connected to the controller',
        );
      }
      this.#reconnectTimer = setTimeout(() => this.connect(), delayMs);
    }
    if (wasIn) this.emit('disconnected', { code, reason });
  }
}
