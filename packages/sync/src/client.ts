import { EventEmitter } from 'node:events';
import type { Change, ClusterSettings, NodeDescription, Report, Role, SyncState } from './types.ts';

/** Where logs go; pino's loggers fit. */
export interface SyncLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface SyncClientOptions {
  /** `wss://127.0.0.10:6443/podwire/v1/sync` */
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
   * Sees each update before it becomes state and may refuse it by throwing: the last good state stays, and the controller is told the error's
   * message.
   */
  validate?: (changes: readonly Change[]) => void;
  nowMs: () => number;
  random32: () => number;
  log: SyncLog;
}

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

/** A peer's end of the sync link: holds the newest state, reconnects by itself, and delivers reports. */
export class SyncClient extends EventEmitter<SyncClientEvents> {
  readonly state: SyncState;
  connected = false;
  /** Undefined until the first Welcome. */
  settings: ClusterSettings | undefined;

  constructor(_options: SyncClientOptions) {
    super();
    throw new Error('not there yet');
  }

  /** Starts connecting and goes on until `close`. */
  connect(): void {}

  /** Ends the link for good, after trying for `flushMs` (default 0) to deliver the reports still waiting. */
  async close(_options?: { flushMs?: number }): Promise<void> {}

  /** Queues a report; the newest of each key wins. Heartbeats are sent at once or dropped. */
  report(_report: Report): void {}
}
