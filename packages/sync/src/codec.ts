import type { KubeObject } from '@podwire/kube/object';
import { Reader, Writer } from 'protobufjs/minimal.js';
import {
  type ClientFrame,
  type Delta,
  decodeClientFrame,
  decodeServerFrame,
  encodeClientFrame,
  encodeDelta,
  encodeResource,
  encodeServerFrame,
  type ServerFrame,
} from './gen/sync-proto.ts';

/*
 * Frames to bytes and back. Elements of `resources` are encoded once and then spliced into the frames of every peer, which is why
 * SnapshotChunk and Delta give that field the same number:
 *
 *   ServerFrame: tag of snapshot_chunk or delta, length | header fields … | element | element | …
 *   element:     tag of resources (8 << 3 | 2), length  | Resource
 */

const SNAPSHOT_CHUNK_TAG = (3 << 3) | 2;
const DELTA_TAG = (5 << 3) | 2;
const RESOURCES_TAG = (8 << 3) | 2;

/** One encoded element of `resources`, tag and length included. */
export type EncodedResource = Uint8Array;

/** Undefined for bytes that are no ClientFrame; never throws. */
export function parseClientFrame(bytes: Uint8Array): ClientFrame | undefined {
  return parse(bytes, decodeClientFrame);
}

/** Undefined for bytes that are no ServerFrame; never throws. */
export function parseServerFrame(bytes: Uint8Array): ServerFrame | undefined {
  return parse(bytes, decodeServerFrame);
}

function parse<T>(bytes: Uint8Array, decode: (reader: Reader, end: number) => T | undefined): T | undefined {
  try {
    const reader = Reader.create(bytes);
    return decode(reader, reader.len);
  } catch {
    return undefined;
  }
}

export function emitClientFrame(frame: ClientFrame): Uint8Array {
  return encodeClientFrame(frame).finish();
}

export function emitServerFrame(frame: ServerFrame): Uint8Array {
  return encodeServerFrame(frame).finish();
}

/** `object` as it shall look at the peer; its metadata names it. */
export function emitResource(resource: string, object: KubeObject): EncodedResource {
  const { namespace = '', name = '', resourceVersion = '0' } = object.metadata;
  const value = {
    resource,
    namespace,
    name,
    revision: Number(resourceVersion),
    object: Buffer.from(JSON.stringify(object)),
  };
  return encodeResource(value, Writer.create().uint32(RESOURCES_TAG).fork()).ldelim().finish();
}

export function emitSnapshotChunk(resources: readonly EncodedResource[]): Uint8Array {
  return splice(SNAPSHOT_CHUNK_TAG, undefined, resources);
}

export function emitDelta(
  delta: Omit<Delta, 'resources'>,
  resources: readonly EncodedResource[],
): Uint8Array {
  return splice(DELTA_TAG, delta, resources);
}

function splice(
  tag: number,
  header: Omit<Delta, 'resources'> | undefined,
  resources: readonly EncodedResource[],
): Uint8Array {
  const writer = Writer.create().uint32(tag).fork();
  if (header) encodeDelta({ ...header, resources: [] }, writer);
  for (const element of resources) writer.raw(element);
  return writer.ldelim().finish();
}

/** JSON text in a bytes field. Throws SyntaxError. */
export function parseJson<T>(bytes: Uint8Array): T {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')) as T;
}

export function emitJson(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
