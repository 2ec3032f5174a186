import { type FieldDescriptor, findMessage, type MessageDescriptor, packageOfGroup } from './descriptor.ts';
import { formatDuration } from './duration.ts';
import { parseApiVersion } from './object.ts';
import { setOwn } from './patch/merge-patch.ts';
import { ProtobufError, ProtobufReader, WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT } from './protobuf-reader.ts';
import { canonicalQuantity } from './quantity.ts';
import { badRequest } from './status.ts';

/**
 * Decodes `application/vnd.kubernetes.protobuf` bodies, which typed client-go clients and parts of kubectl send, into
 * the object their JSON form would parse to.
 *
 *     "k8s\0"  runtime.Unknown { 1: TypeMeta { 1: apiVersion, 2: kind }, 2: raw, 3: contentEncoding, 4: contentType }
 *
 * Go sends zero values of everything that is not a pointer; those its JSON encoder would leave out are left out here
 * too, so that defaulting sees what a JSON client would have sent.
 */
export const PROTOBUF_MEDIA_TYPE = 'application/vnd.kubernetes.protobuf';

const MAGIC = [0x6b, 0x38, 0x73, 0x00];
/** Deeper nesting than any real object has (a schema in a CustomResourceDefinition comes to about forty). */
const MAX_DEPTH = 200;

type JsonObject = Record<string, unknown>;

interface MessageIndex {
  readonly byNumber: ReadonlyMap<number, FieldDescriptor>;
}

const indices = new Map<MessageDescriptor, MessageIndex>();

function indexOf(message: MessageDescriptor): MessageIndex {
  let index = indices.get(message);
  if (!index) {
    index = { byNumber: new Map(message.fields.map((field) => [field.number, field])) };
    indices.set(message, index);
  }
  return index;
}

/** Splits a message into its fields without a description: number -> values, as the special types need. */
function rawFields(bytes: Uint8Array): Map<number, (number | Uint8Array)[]> {
  const reader = new ProtobufReader(bytes);
  const fields = new Map<number, (number | Uint8Array)[]>();
  while (!reader.done) {
    const { number, wireType } = reader.tag();
    let value: number | Uint8Array;
    if (wireType === WIRE_VARINT) value = reader.varint();
    else if (wireType === WIRE_BYTES) value = reader.chunk();
    else {
      reader.skip(wireType);
      continue;
    }
    const values = fields.get(number);
    if (values) values.push(value);
    else fields.set(number, [value]);
  }
  return fields;
}

function numberField(fields: Map<number, (number | Uint8Array)[]>, number: number): number {
  const value = fields.get(number)?.at(-1);
  return typeof value === 'number' ? value : 0;
}

function bytesField(fields: Map<number, (number | Uint8Array)[]>, number: number): Uint8Array | undefined {
  const value = fields.get(number)?.at(-1);
  return value instanceof Uint8Array ? value : undefined;
}

function textField(fields: Map<number, (number | Uint8Array)[]>, number: number): string {
  const value = bytesField(fields, number);
  return value ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString() : '';
}

function decodeTime(bytes: Uint8Array, fractionDigits: number): string | undefined {
  if (bytes.length === 0) return undefined;
  const fields = rawFields(bytes);
  const seconds = numberField(fields, 1);
  const milliseconds = seconds * 1000;
  // Date covers years -271821 to 275760; RFC 3339 has four digits.
  if (!(milliseconds >= -62135596800000 && milliseconds < 253402300800000)) {
    throw new ProtobufError(`time of ${seconds} seconds is out of range`);
  }
  const text = new Date(milliseconds).toISOString().slice(0, 19);
  if (fractionDigits === 0) return `${text}Z`;
  const micros = Math.floor(numberField(fields, 2) / 1000) % 1_000_000;
  return `${text}.${String(micros).padStart(fractionDigits, '0')}Z`;
}

function parseRaw(bytes: Uint8Array | undefined, depth: number): unknown {
  if (!bytes || bytes.length === 0) return undefined;
  if (isProtobufEnvelope(bytes)) return decodeEnvelope(bytes, depth + 1);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  try {
    return JSON.parse(text);
  } catch {
    throw new ProtobufError('a raw value is not JSON');
  }
}

/** Types whose JSON differs from their message; undefined = leave the member out. */
const SPECIAL: Record<string, (bytes: Uint8Array, depth: number) => unknown> = {
  'meta/v1.Time': (bytes) => decodeTime(bytes, 0),
  'meta/v1.MicroTime': (bytes) => decodeTime(bytes, 6),
  'meta/v1.Duration': (bytes) => formatDuration(numberField(rawFields(bytes), 1) / 1e6),
  'meta/v1.FieldsV1': (bytes, depth) => parseRaw(bytesField(rawFields(bytes), 1), depth),
  'runtime.RawExtension': (bytes, depth) => parseRaw(bytesField(rawFields(bytes), 1), depth) ?? null,
  'apiextensions/v1.JSON': (bytes, depth) => parseRaw(bytesField(rawFields(bytes), 1), depth) ?? null,
  'resource.Quantity': (bytes) => canonicalQuantity(textField(rawFields(bytes), 1) || '0'),
  'intstr.IntOrString': (bytes) => {
    const fields = rawFields(bytes);
    return numberField(fields, 1) === 0 ? numberField(fields, 2) : textField(fields, 3);
  },
  'apiextensions/v1.JSONSchemaPropsOrArray': (bytes, depth) => {
    const fields = rawFields(bytes);
    const one = bytesField(fields, 1);
    if (one) return decodeNamed('apiextensions/v1.JSONSchemaProps', one, depth);
    return (fields.get(2) ?? []).map((item) =>
      decodeNamed('apiextensions/v1.JSONSchemaProps', item as Uint8Array, depth),
    );
  },
  'apiextensions/v1.JSONSchemaPropsOrBool': (bytes, depth) => {
    const fields = rawFields(bytes);
    const schema = bytesField(fields, 2);
    return schema
      ? decodeNamed('apiextensions/v1.JSONSchemaProps', schema, depth)
      : numberField(fields, 1) !== 0;
  },
  'apiextensions/v1.JSONSchemaPropsOrStringArray': (bytes, depth) => {
    const fields = rawFields(bytes);
    const schema = bytesField(fields, 1);
    if (schema) return decodeNamed('apiextensions/v1.JSONSchemaProps', schema, depth);
    return (fields.get(2) ?? []).map((item) => Buffer.from(item as Uint8Array).toString());
  },
};

function decodeNamed(type: string, bytes: Uint8Array, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new ProtobufError(`messages are nested more than ${MAX_DEPTH} deep`);
  const special = SPECIAL[type];
  if (special) return special(bytes, depth + 1);
  const message = findMessage(type);
  if (!message) throw new ProtobufError(`type ${type} is not described`);
  const object = decodeMessage(message, bytes, depth + 1);
  return message.isAlias ? (object[(message.fields[0] as FieldDescriptor).name] ?? []) : object;
}

const ZERO: Record<string, unknown> = { string: '', bool: false, int32: 0, int64: 0, double: 0, bytes: '' };

function decodeScalar(reader: ProtobufReader, wireType: number, type: string): unknown {
  const expected =
    type === 'string' || type === 'bytes' ? WIRE_BYTES : type === 'double' ? WIRE_FIXED64 : WIRE_VARINT;
  if (wireType !== expected) throw new ProtobufError(`wire type ${wireType} does not fit a ${type}`);
  switch (type) {
    case 'string':
      return reader.text();
    case 'bytes':
      return Buffer.from(reader.chunk()).toString('base64');
    case 'double':
      return reader.double();
    case 'bool':
      return reader.varint() !== 0;
    case 'int32':
      return reader.varint() | 0;
    default:
      return reader.varint();
  }
}

function decodeValue(reader: ProtobufReader, wireType: number, type: string, depth: number): unknown {
  if (type in ZERO) return decodeScalar(reader, wireType, type);
  if (wireType !== WIRE_BYTES) throw new ProtobufError(`wire type ${wireType} does not fit a message`);
  return decodeNamed(type, reader.chunk(), depth);
}

function decodeMapEntry(object: JsonObject, bytes: Uint8Array, type: string, depth: number): void {
  const reader = new ProtobufReader(bytes);
  let key = '';
  let value: unknown = type in ZERO ? ZERO[type] : undefined;
  while (!reader.done) {
    const { number, wireType } = reader.tag();
    if (number === 1 && wireType === WIRE_BYTES) key = reader.text();
    else if (number === 2) value = decodeValue(reader, wireType, type, depth);
    else reader.skip(wireType);
  }
  setOwn(object, key, value ?? decodeNamed(type, new Uint8Array(0), depth) ?? null);
}

function decodeMessage(message: MessageDescriptor, bytes: Uint8Array, depth: number): JsonObject {
  const { byNumber } = indexOf(message);
  const reader = new ProtobufReader(bytes);
  const object: JsonObject = {};
  while (!reader.done) {
    const { number, wireType } = reader.tag();
    const field = byNumber.get(number);
    if (!field) {
      reader.skip(wireType);
      continue;
    }
    if (field.shape === 'map') {
      if (wireType !== WIRE_BYTES) throw new ProtobufError(`wire type ${wireType} does not fit a map`);
      decodeMapEntry((object[field.name] ??= {}) as JsonObject, reader.chunk(), field.type, depth);
      continue;
    }
    if (field.shape === 'list') {
      const list = (object[field.name] ??= []) as unknown[];
      list.push(decodeValue(reader, wireType, field.type, depth) ?? null);
      continue;
    }
    const value = decodeValue(reader, wireType, field.type, depth);
    if (field.inline) Object.assign(object, value);
    else if (value !== undefined && !isOmitted(field, value)) object[field.name] = value;
    else delete object[field.name];
  }
  return object;
}

/** Whether Go's JSON encoder would leave this value out. */
function isOmitted(field: FieldDescriptor, value: unknown): boolean {
  if (field.pointer) return false;
  // An unset port of a Service is the integer 0, which no port may be.
  if (field.type === 'intstr.IntOrString') return value === 0;
  return field.omitEmpty && value === ZERO[field.type];
}

/** True when a body starts like a Kubernetes protobuf envelope. */
export function isProtobufEnvelope(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, i) => bytes[i] === byte);
}

function messageOfKind(apiVersion: string, kind: string): MessageDescriptor {
  const { group, version } = parseApiVersion(apiVersion);
  const packageKey = packageOfGroup(group, version);
  const message =
    (packageKey === undefined ? undefined : findMessage(`${packageKey}.${kind}`)) ??
    findMessage(`meta/v1.${kind}`);
  if (!message?.isKind) {
    throw badRequest(
      `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)}`,
    );
  }
  return message;
}

function decodeEnvelope(bytes: Uint8Array, depth: number): JsonObject {
  const envelope = rawFields(bytes.subarray(MAGIC.length));
  const typeMeta = rawFields(bytesField(envelope, 1) ?? new Uint8Array(0));
  const apiVersion = textField(typeMeta, 1);
  const kind = textField(typeMeta, 2);
  const raw = bytesField(envelope, 2) ?? new Uint8Array(0);
  const contentType = textField(envelope, 4);
  if (textField(envelope, 3) !== '') throw new ProtobufError('the content encoding is not supported');
  if (contentType === 'application/json') {
    const parsed = parseRaw(raw, depth);
    if (typeof parsed !== 'object' || parsed === null)
      throw new ProtobufError('the JSON inside is not an object');
    return parsed as JsonObject;
  }
  return { apiVersion, kind, ...decodeMessage(messageOfKind(apiVersion, kind), raw, depth) };
}

/**
 * The object in a protobuf request body, with apiVersion and kind. Throws ApiError 400 for anything that is not one:
 * wrong magic, truncated or random bytes, unknown kinds.
 */
export function decodeProtobuf(bytes: Uint8Array): Record<string, unknown> {
  if (!isProtobufEnvelope(bytes)) {
    throw badRequest('the body does not start with the bytes of a Kubernetes protobuf message: 6b 38 73 00');
  }
  try {
    return decodeEnvelope(bytes, 0);
  } catch (error) {
    if (error instanceof ProtobufError) throw badRequest(`Cannot decode protobuf body: ${error.message}`);
    throw error;
  }
}
