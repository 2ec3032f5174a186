// Generated from proto/sync.proto by packages/sync/scripts/generate-codec.ts. Do not edit.
import { type Reader, Writer } from 'protobufjs/minimal.js';

/** A repeated field with more elements than this is malformed. */
const MAX_REPEATED = 100_000;
const EMPTY = new Uint8Array(0);

function safeInteger(reader: Reader): number {
  const value = Number(reader.uint64());
  if (!Number.isSafeInteger(value)) throw new RangeError('integer too large');
  return value;
}

function endOf(reader: Reader): number {
  const length = reader.uint32();
  const end = reader.pos + length;
  if (end > reader.len) throw new RangeError('message longer than its frame');
  return end;
}

function finish(reader: Reader, end: number): void {
  if (reader.pos !== end) throw new RangeError('field crosses the end of its message');
}

export const Role = {
  ROLE_UNSPECIFIED: 0,
  ROLE_AGENT: 1,
  ROLE_DNS: 2,
} as const;

export type ClientFrame =
  | { kind: 'hello'; value: Hello }
  | { kind: 'ack'; value: Ack }
  | { kind: 'nack'; value: Nack }
  | { kind: 'report'; value: Report };

export function encodeClientFrame(m: ClientFrame, writer: Writer = Writer.create()): Writer {
  switch (m.kind) {
    case 'hello':
      encodeHello(m.value, writer.uint32(10).fork()).ldelim();
      break;
    case 'ack':
      encodeAck(m.value, writer.uint32(18).fork()).ldelim();
      break;
    case 'nack':
      encodeNack(m.value, writer.uint32(26).fork()).ldelim();
      break;
    case 'report':
      encodeReport(m.value, writer.uint32(34).fork()).ldelim();
      break;
  }
  return writer;
}

/** Undefined when none of the known members is there. Throws when malformed. */
export function decodeClientFrame(reader: Reader, end: number): ClientFrame | undefined {
  let m: ClientFrame | undefined;
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m = { kind: 'hello', value: decodeHello(reader, endOf(reader)) };
        break;
      case 18:
        m = { kind: 'ack', value: decodeAck(reader, endOf(reader)) };
        break;
      case 26:
        m = { kind: 'nack', value: decodeNack(reader, endOf(reader)) };
        break;
      case 34:
        m = { kind: 'report', value: decodeReport(reader, endOf(reader)) };
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export type ServerFrame =
  | { kind: 'welcome'; value: Welcome }
  | { kind: 'snapshotBegin'; value: SnapshotBegin }
  | { kind: 'snapshotChunk'; value: SnapshotChunk }
  | { kind: 'snapshotEnd'; value: SnapshotEnd }
  | { kind: 'delta'; value: Delta }
  | { kind: 'reportAck'; value: ReportAck };

export function encodeServerFrame(m: ServerFrame, writer: Writer = Writer.create()): Writer {
  switch (m.kind) {
    case 'welcome':
      encodeWelcome(m.value, writer.uint32(10).fork()).ldelim();
      break;
    case 'snapshotBegin':
      encodeSnapshotBegin(m.value, writer.uint32(18).fork()).ldelim();
      break;
    case 'snapshotChunk':
      encodeSnapshotChunk(m.value, writer.uint32(26).fork()).ldelim();
      break;
    case 'snapshotEnd':
      encodeSnapshotEnd(m.value, writer.uint32(34).fork()).ldelim();
      break;
    case 'delta':
      encodeDelta(m.value, writer.uint32(42).fork()).ldelim();
      break;
    case 'reportAck':
      encodeReportAck(m.value, writer.uint32(50).fork()).ldelim();
      break;
  }
  return writer;
}

/** Undefined when none of the known members is there. Throws when malformed. */
export function decodeServerFrame(reader: Reader, end: number): ServerFrame | undefined {
  let m: ServerFrame | undefined;
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m = { kind: 'welcome', value: decodeWelcome(reader, endOf(reader)) };
        break;
      case 18:
        m = { kind: 'snapshotBegin', value: decodeSnapshotBegin(reader, endOf(reader)) };
        break;
      case 26:
        m = { kind: 'snapshotChunk', value: decodeSnapshotChunk(reader, endOf(reader)) };
        break;
      case 34:
        m = { kind: 'snapshotEnd', value: decodeSnapshotEnd(reader, endOf(reader)) };
        break;
      case 42:
        m = { kind: 'delta', value: decodeDelta(reader, endOf(reader)) };
        break;
      case 50:
        m = { kind: 'reportAck', value: decodeReportAck(reader, endOf(reader)) };
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface Hello {
  protocolVersion: number;
  role: number;
  nodeName: string;
  sessionId: string;
  resume?: Resume;
}

export function encodeHello(m: Hello, writer: Writer = Writer.create()): Writer {
  if (m.protocolVersion !== 0) writer.uint32(8).uint32(m.protocolVersion);
  if (m.role !== 0) writer.uint32(16).uint32(m.role);
  if (m.nodeName.length > 0) writer.uint32(26).string(m.nodeName);
  if (m.sessionId.length > 0) writer.uint32(34).string(m.sessionId);
  if (m.resume) encodeResume(m.resume, writer.uint32(42).fork()).ldelim();
  return writer;
}

/** Throws when malformed. */
export function decodeHello(reader: Reader, end: number): Hello {
  const m: Hello = { protocolVersion: 0, role: 0, nodeName: '', sessionId: '' };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 8:
        m.protocolVersion = reader.uint32();
        break;
      case 16:
        m.role = reader.uint32();
        break;
      case 26:
        m.nodeName = reader.stringVerify();
        break;
      case 34:
        m.sessionId = reader.stringVerify();
        break;
      case 42:
        m.resume = decodeResume(reader, endOf(reader));
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface Resume {
  instanceId: string;
  revision: number;
}

export function encodeResume(m: Resume, writer: Writer = Writer.create()): Writer {
  if (m.instanceId.length > 0) writer.uint32(10).string(m.instanceId);
  if (m.revision !== 0) writer.uint32(16).uint64(m.revision);
  return writer;
}

/** Throws when malformed. */
export function decodeResume(reader: Reader, end: number): Resume {
  const m: Resume = { instanceId: '', revision: 0 };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m.instanceId = reader.stringVerify();
        break;
      case 16:
        m.revision = safeInteger(reader);
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface Welcome {
  protocolVersion: number;
  instanceId: string;
  revision: number;
  resumed: boolean;
  pingIntervalMs: number;
  settings: Uint8Array;
}

export function encodeWelcome(m: Welcome, writer: Writer = Writer.create()): Writer {
  if (m.protocolVersion !== 0) writer.uint32(8).uint32(m.protocolVersion);
  if (m.instanceId.length > 0) writer.uint32(18).string(m.instanceId);
  if (m.revision !== 0) writer.uint32(24).uint64(m.revision);
  if (m.resumed) writer.uint32(32).bool(m.resumed);
  if (m.pingIntervalMs !== 0) writer.uint32(40).uint32(m.pingIntervalMs);
  if (m.settings.length > 0) writer.uint32(50).bytes(m.settings);
  return writer;
}

/** Throws when malformed. */
export function decodeWelcome(reader: Reader, end: number): Welcome {
  const m: Welcome = { protocolVersion: 0, instanceId: '', revision: 0, resumed: false, pingIntervalMs: 0, settings: EMPTY };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 8:
        m.protocolVersion = reader.uint32();
        break;
      case 18:
        m.instanceId = reader.stringVerify();
        break;
      case 24:
        m.revision = safeInteger(reader);
        break;
      case 32:
        m.resumed = reader.bool();
        break;
      case 40:
        m.pingIntervalMs = reader.uint32();
        break;
      case 50:
        m.settings = reader.bytes();
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface Resource {
  resource: string;
  namespace: string;
  name: string;
  revision: number;
  object: Uint8Array;
}

export function encodeResource(m: Resource, writer: Writer = Writer.create()): Writer {
  if (m.resource.length > 0) writer.uint32(10).string(m.resource);
  if (m.namespace.length > 0) writer.uint32(18).string(m.namespace);
  if (m.name.length > 0) writer.uint32(26).string(m.name);
  if (m.revision !== 0) writer.uint32(32).uint64(m.revision);
  if (m.object.length > 0) writer.uint32(42).bytes(m.object);
  return writer;
}

/** Throws when malformed. */
export function decodeResource(reader: Reader, end: number): Resource {
  const m: Resource = { resource: '', namespace: '', name: '', revision: 0, object: EMPTY };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m.resource = reader.stringVerify();
        break;
      case 18:
        m.namespace = reader.stringVerify();
        break;
      case 26:
        m.name = reader.stringVerify();
        break;
      case 32:
        m.revision = safeInteger(reader);
        break;
      case 42:
        m.object = reader.bytes();
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface ResourceKey {
  resource: string;
  namespace: string;
  name: string;
}

export function encodeResourceKey(m: ResourceKey, writer: Writer = Writer.create()): Writer {
  if (m.resource.length > 0) writer.uint32(10).string(m.resource);
  if (m.namespace.length > 0) writer.uint32(18).string(m.namespace);
  if (m.name.length > 0) writer.uint32(26).string(m.name);
  return writer;
}

/** Throws when malformed. */
export function decodeResourceKey(reader: Reader, end: number): ResourceKey {
  const m: ResourceKey = { resource: '', namespace: '', name: '' };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m.resource = reader.stringVerify();
        break;
      case 18:
        m.namespace = reader.stringVerify();
        break;
      case 26:
        m.name = reader.stringVerify();
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface SnapshotBegin {
  nonce: string;
  revision: number;
  resourceCount: number;
}

export function encodeSnapshotBegin(m: SnapshotBegin, writer: Writer = Writer.create()): Writer {
  if (m.nonce.length > 0) writer.uint32(10).string(m.nonce);
  if (m.revision !== 0) writer.uint32(16).uint64(m.revision);
  if (m.resourceCount !== 0) writer.uint32(24).uint32(m.resourceCount);
  return writer;
}

/** Throws when malformed. */
export function decodeSnapshotBegin(reader: Reader, end: number): SnapshotBegin {
  const m: SnapshotBegin = { nonce: '', revision: 0, resourceCount: 0 };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m.nonce = reader.stringVerify();
        break;
      case 16:
        m.revision = safeInteger(reader);
        break;
      case 24:
        m.resourceCount = reader.uint32();
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface SnapshotChunk {
  resources: Resource[];
}

export function encodeSnapshotChunk(m: SnapshotChunk, writer: Writer = Writer.create()): Writer {
  for (const item of m.resources) encodeResource(item, writer.uint32(66).fork()).ldelim();
  return writer;
}

/** Throws when malformed. */
export function decodeSnapshotChunk(reader: Reader, end: number): SnapshotChunk {
  const m: SnapshotChunk = { resources: [] };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 66: {
        if (m.resources.length >= MAX_REPEATED) throw new RangeError('too many elements');
        m.resources.push(decodeResource(reader, endOf(reader)));
        break;
      }
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface SnapshotEnd {
  nonce: string;
}

export function encodeSnapshotEnd(m: SnapshotEnd, writer: Writer = Writer.create()): Writer {
  if (m.nonce.length > 0) writer.uint32(10).string(m.nonce);
  return writer;
}

/** Throws when malformed. */
export function decodeSnapshotEnd(reader: Reader, end: number): SnapshotEnd {
  const m: SnapshotEnd = { nonce: '' };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m.nonce = reader.stringVerify();
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface Delta {
  nonce: string;
  fromRevision: number;
  toRevision: number;
  more: boolean;
  replaced: string[];
  removed: ResourceKey[];
  resources: Resource[];
}

export function encodeDelta(m: Delta, writer: Writer = Writer.create()): Writer {
  if (m.nonce.length > 0) writer.uint32(10).string(m.nonce);
  if (m.fromRevision !== 0) writer.uint32(16).uint64(m.fromRevision);
  if (m.toRevision !== 0) writer.uint32(24).uint64(m.toRevision);
  if (m.more) writer.uint32(32).bool(m.more);
  for (const item of m.replaced) writer.uint32(42).string(item);
  for (const item of m.removed) encodeResourceKey(item, writer.uint32(50).fork()).ldelim();
  for (const item of m.resources) encodeResource(item, writer.uint32(66).fork()).ldelim();
  return writer;
}

/** Throws when malformed. */
export function decodeDelta(reader: Reader, end: number): Delta {
  const m: Delta = { nonce: '', fromRevision: 0, toRevision: 0, more: false, replaced: [], removed: [], resources: [] };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m.nonce = reader.stringVerify();
        break;
      case 16:
        m.fromRevision = safeInteger(reader);
        break;
      case 24:
        m.toRevision = safeInteger(reader);
        break;
      case 32:
        m.more = reader.bool();
        break;
      case 42: {
        if (m.replaced.length >= MAX_REPEATED) throw new RangeError('too many elements');
        m.replaced.push(reader.stringVerify());
        break;
      }
      case 50: {
        if (m.removed.length >= MAX_REPEATED) throw new RangeError('too many elements');
        m.removed.push(decodeResourceKey(reader, endOf(reader)));
        break;
      }
      case 66: {
        if (m.resources.length >= MAX_REPEATED) throw new RangeError('too many elements');
        m.resources.push(decodeResource(reader, endOf(reader)));
        break;
      }
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface Ack {
  nonce: string;
  revision: number;
}

export function encodeAck(m: Ack, writer: Writer = Writer.create()): Writer {
  if (m.nonce.length > 0) writer.uint32(10).string(m.nonce);
  if (m.revision !== 0) writer.uint32(16).uint64(m.revision);
  return writer;
}

/** Throws when malformed. */
export function decodeAck(reader: Reader, end: number): Ack {
  const m: Ack = { nonce: '', revision: 0 };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m.nonce = reader.stringVerify();
        break;
      case 16:
        m.revision = safeInteger(reader);
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface Nack {
  nonce: string;
  revision: number;
  error: string;
}

export function encodeNack(m: Nack, writer: Writer = Writer.create()): Writer {
  if (m.nonce.length > 0) writer.uint32(10).string(m.nonce);
  if (m.revision !== 0) writer.uint32(16).uint64(m.revision);
  if (m.error.length > 0) writer.uint32(26).string(m.error);
  return writer;
}

/** Throws when malformed. */
export function decodeNack(reader: Reader, end: number): Nack {
  const m: Nack = { nonce: '', revision: 0, error: '' };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m.nonce = reader.stringVerify();
        break;
      case 16:
        m.revision = safeInteger(reader);
        break;
      case 26:
        m.error = reader.stringVerify();
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface Report {
  sequence: number;
  items: ReportItem[];
}

export function encodeReport(m: Report, writer: Writer = Writer.create()): Writer {
  if (m.sequence !== 0) writer.uint32(8).uint64(m.sequence);
  for (const item of m.items) encodeReportItem(item, writer.uint32(18).fork()).ldelim();
  return writer;
}

/** Throws when malformed. */
export function decodeReport(reader: Reader, end: number): Report {
  const m: Report = { sequence: 0, items: [] };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 8:
        m.sequence = safeInteger(reader);
        break;
      case 18: {
        if (m.items.length >= MAX_REPEATED) throw new RangeError('too many elements');
        const item = decodeReportItem(reader, endOf(reader));
        if (item) m.items.push(item);
        break;
      }
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export type ReportItem =
  | { kind: 'heartbeat'; value: Heartbeat }
  | { kind: 'node'; value: NodeReport }
  | { kind: 'podStatus'; value: PodStatusReport }
  | { kind: 'podDeleted'; value: PodDeleted }
  | { kind: 'event'; value: EventReport };

export function encodeReportItem(m: ReportItem, writer: Writer = Writer.create()): Writer {
  switch (m.kind) {
    case 'heartbeat':
      encodeHeartbeat(m.value, writer.uint32(10).fork()).ldelim();
      break;
    case 'node':
      encodeNodeReport(m.value, writer.uint32(18).fork()).ldelim();
      break;
    case 'podStatus':
      encodePodStatusReport(m.value, writer.uint32(26).fork()).ldelim();
      break;
    case 'podDeleted':
      encodePodDeleted(m.value, writer.uint32(34).fork()).ldelim();
      break;
    case 'event':
      encodeEventReport(m.value, writer.uint32(42).fork()).ldelim();
      break;
  }
  return writer;
}

/** Undefined when none of the known members is there. Throws when malformed. */
export function decodeReportItem(reader: Reader, end: number): ReportItem | undefined {
  let m: ReportItem | undefined;
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m = { kind: 'heartbeat', value: decodeHeartbeat(reader, endOf(reader)) };
        break;
      case 18:
        m = { kind: 'node', value: decodeNodeReport(reader, endOf(reader)) };
        break;
      case 26:
        m = { kind: 'podStatus', value: decodePodStatusReport(reader, endOf(reader)) };
        break;
      case 34:
        m = { kind: 'podDeleted', value: decodePodDeleted(reader, endOf(reader)) };
        break;
      case 42:
        m = { kind: 'event', value: decodeEventReport(reader, endOf(reader)) };
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface Heartbeat {
  ready: boolean;
  reason: string;
  message: string;
}

export function encodeHeartbeat(m: Heartbeat, writer: Writer = Writer.create()): Writer {
  if (m.ready) writer.uint32(8).bool(m.ready);
  if (m.reason.length > 0) writer.uint32(18).string(m.reason);
  if (m.message.length > 0) writer.uint32(26).string(m.message);
  return writer;
}

/** Throws when malformed. */
export function decodeHeartbeat(reader: Reader, end: number): Heartbeat {
  const m: Heartbeat = { ready: false, reason: '', message: '' };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 8:
        m.ready = reader.bool();
        break;
      case 18:
        m.reason = reader.stringVerify();
        break;
      case 26:
        m.message = reader.stringVerify();
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface NodeReport {
  node: Uint8Array;
}

export function encodeNodeReport(m: NodeReport, writer: Writer = Writer.create()): Writer {
  if (m.node.length > 0) writer.uint32(10).bytes(m.node);
  return writer;
}

/** Throws when malformed. */
export function decodeNodeReport(reader: Reader, end: number): NodeReport {
  const m: NodeReport = { node: EMPTY };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m.node = reader.bytes();
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface PodStatusReport {
  namespace: string;
  name: string;
  uid: string;
  status: Uint8Array;
}

export function encodePodStatusReport(m: PodStatusReport, writer: Writer = Writer.create()): Writer {
  if (m.namespace.length > 0) writer.uint32(10).string(m.namespace);
  if (m.name.length > 0) writer.uint32(18).string(m.name);
  if (m.uid.length > 0) writer.uint32(26).string(m.uid);
  if (m.status.length > 0) writer.uint32(34).bytes(m.status);
  return writer;
}

/** Throws when malformed. */
export function decodePodStatusReport(reader: Reader, end: number): PodStatusReport {
  const m: PodStatusReport = { namespace: '', name: '', uid: '', status: EMPTY };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m.namespace = reader.stringVerify();
        break;
      case 18:
        m.name = reader.stringVerify();
        break;
      case 26:
        m.uid = reader.stringVerify();
        break;
      case 34:
        m.status = reader.bytes();
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface PodDeleted {
  namespace: string;
  name: string;
  uid: string;
}

export function encodePodDeleted(m: PodDeleted, writer: Writer = Writer.create()): Writer {
  if (m.namespace.length > 0) writer.uint32(10).string(m.namespace);
  if (m.name.length > 0) writer.uint32(18).string(m.name);
  if (m.uid.length > 0) writer.uint32(26).string(m.uid);
  return writer;
}

/** Throws when malformed. */
export function decodePodDeleted(reader: Reader, end: number): PodDeleted {
  const m: PodDeleted = { namespace: '', name: '', uid: '' };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m.namespace = reader.stringVerify();
        break;
      case 18:
        m.name = reader.stringVerify();
        break;
      case 26:
        m.uid = reader.stringVerify();
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface EventReport {
  event: Uint8Array;
}

export function encodeEventReport(m: EventReport, writer: Writer = Writer.create()): Writer {
  if (m.event.length > 0) writer.uint32(10).bytes(m.event);
  return writer;
}

/** Throws when malformed. */
export function decodeEventReport(reader: Reader, end: number): EventReport {
  const m: EventReport = { event: EMPTY };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        m.event = reader.bytes();
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface ReportAck {
  sequence: number;
  refused: ReportRefusal[];
}

export function encodeReportAck(m: ReportAck, writer: Writer = Writer.create()): Writer {
  if (m.sequence !== 0) writer.uint32(8).uint64(m.sequence);
  for (const item of m.refused) encodeReportRefusal(item, writer.uint32(18).fork()).ldelim();
  return writer;
}

/** Throws when malformed. */
export function decodeReportAck(reader: Reader, end: number): ReportAck {
  const m: ReportAck = { sequence: 0, refused: [] };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 8:
        m.sequence = safeInteger(reader);
        break;
      case 18: {
        if (m.refused.length >= MAX_REPEATED) throw new RangeError('too many elements');
        m.refused.push(decodeReportRefusal(reader, endOf(reader)));
        break;
      }
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}

export interface ReportRefusal {
  item: number;
  error: string;
}

export function encodeReportRefusal(m: ReportRefusal, writer: Writer = Writer.create()): Writer {
  if (m.item !== 0) writer.uint32(8).uint32(m.item);
  if (m.error.length > 0) writer.uint32(18).string(m.error);
  return writer;
}

/** Throws when malformed. */
export function decodeReportRefusal(reader: Reader, end: number): ReportRefusal {
  const m: ReportRefusal = { item: 0, error: '' };
  while (reader.pos < end) {
    const tag = reader.tag();
    switch (tag) {
      case 8:
        m.item = reader.uint32();
        break;
      case 18:
        m.error = reader.stringVerify();
        break;
      default:
        reader.skipType(tag & 7, 0, tag >>> 3);
    }
  }
  finish(reader, end);
  return m;
}
