/**
 * Capture files in the PCAP Next Generation format (draft-ietf-opsawg-pcapng): a writer of single blocks, so
 * that a capture can be streamed, and a reader of whole files.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +---------------------------------------------------------------+
 *    |                          Block Type                           |
 *    +---------------------------------------------------------------+
 *    |                      Block Total Length                       |
 *    +---------------------------------------------------------------+
 *    |             Block Body, padded to 4 bytes, options            |
 *    +---------------------------------------------------------------+
 *    |                      Block Total Length                       |
 *    +---------------------------------------------------------------+
 */

export const LINKTYPE_ETHERNET = 1;
/** Packets begin with an IPv4 or IPv6 header. */
export const LINKTYPE_RAW = 101;

const SECTION_HEADER_BLOCK = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION_BLOCK = 1;
const SIMPLE_PACKET_BLOCK = 3;
const ENHANCED_PACKET_BLOCK = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

const OPTION_END = 0;
const OPTION_COMMENT = 1;
const OPTION_SHB_USER_APPLICATION = 4;
const OPTION_IF_NAME = 2;
const OPTION_IF_DESCRIPTION = 3;
const OPTION_IF_TIMESTAMP_RESOLUTION = 9;
const OPTION_EPB_FLAGS = 2;

const NANOSECONDS = 9;
const DEFAULT_RESOLUTION = 6;

export interface PcapngInterface {
  name?: string;
  description?: string;
  /** Default LINKTYPE_ETHERNET. */
  linkType?: number;
  /** Default 0: no limit. */
  snapLength?: number;
}

export interface PcapngPacket {
  /** Place of the interface in the file, from 0. */
  interfaceId: number;
  /** Nanoseconds since 1970-01-01 UTC. */
  timestampNs: bigint;
  data: Uint8Array;
  /** Length on the wire; default that of `data`. */
  originalLength?: number;
  /** Shown by Wireshark as the packet comment. */
  comment?: string;
  /** As seen from the interface. */
  direction?: 'inbound' | 'outbound';
}

export interface PcapngCapture {
  interfaces: Required<PcapngInterface>[];
  packets: (PcapngPacket & { originalLength: number })[];
  /** Why reading stopped before the end; what was read until then is kept. */
  error?: string;
}

interface Option {
  code: number;
  value: Uint8Array;
}

const encoder = new TextEncoder();

function pad4(length: number): number {
  return (length + 3) & ~3;
}

function optionsLength(options: Option[]): number {
  if (options.length === 0) return 0;
  return options.reduce((sum, option) => sum + 4 + pad4(option.value.length), 4);
}

// The body's fixed part is filled in by `fill`; options follow at `fixedLength`.
function block(
  type: number,
  fixedLength: number,
  options: Option[],
  fill: (view: DataView) => void,
): Uint8Array {
  const total = 12 + fixedLength + optionsLength(options);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, total, true);
  fill(view);
  let at = 8 + fixedLength;
  for (const option of options) {
    view.setUint16(at, option.code, true);
    view.setUint16(at + 2, option.value.length, true);
    bytes.set(option.value, at + 4);
    at += 4 + pad4(option.value.length);
  }
  view.setUint32(total - 4, total, true);
  return bytes;
}

// An option holds at most 65535 bytes.
function textOption(code: number, text: string): Option {
  return { code, value: encoder.encode(text).subarray(0, 0xffff) };
}

/** The block a file starts with. `application` names the program that wrote it. */
export function encodeSectionHeader(application: string): Uint8Array {
  return block(SECTION_HEADER_BLOCK, 16, [textOption(OPTION_SHB_USER_APPLICATION, application)], (view) => {
    view.setUint32(8, BYTE_ORDER_MAGIC, true);
    view.setUint16(12, 1, true);
    view.setUint16(14, 0, true);
    // Section length unknown: -1.
    view.setUint32(16, 0xffffffff, true);
    view.setUint32(20, 0xffffffff, true);
  });
}

/** Declares the next interface; packets name it by its place. Timestamps are in nanoseconds. */
export function encodeInterface(o: PcapngInterface): Uint8Array {
  const options: Option[] = [];
  if (o.name !== undefined) options.push(textOption(OPTION_IF_NAME, o.name));
  if (o.description !== undefined) options.push(textOption(OPTION_IF_DESCRIPTION, o.description));
  options.push({ code: OPTION_IF_TIMESTAMP_RESOLUTION, value: new Uint8Array([NANOSECONDS]) });
  return block(INTERFACE_DESCRIPTION_BLOCK, 8, options, (view) => {
    view.setUint16(8, o.linkType ?? LINKTYPE_ETHERNET, true);
    view.setUint32(12, o.snapLength ?? 0, true);
  });
}

/** One enhanced packet block. */
export function encodePacket(o: PcapngPacket): Uint8Array {
  const options: Option[] = [];
  if (o.comment !== undefined) options.push(textOption(OPTION_COMMENT, o.comment));
  if (o.direction !== undefined) {
    options.push({
      code: OPTION_EPB_FLAGS,
      value: new Uint8Array([o.direction === 'inbound' ? 1 : 2, 0, 0, 0]),
    });
  }
  const bytes = block(ENHANCED_PACKET_BLOCK, 20 + pad4(o.data.length), options, (view) => {
    view.setUint32(8, o.interfaceId, true);
    view.setUint32(12, Number((o.timestampNs >> 32n) & 0xffffffffn), true);
    view.setUint32(16, Number(o.timestampNs & 0xffffffffn), true);
    view.setUint32(20, o.data.length, true);
    view.setUint32(24, o.originalLength ?? o.data.length, true);
  });
  bytes.set(o.data, 28);
  return bytes;
}

/** A whole file. */
export function encodePcapng(
  application: string,
  interfaces: readonly PcapngInterface[],
  packets: readonly PcapngPacket[],
): Uint8Array {
  const blocks = [
    encodeSectionHeader(application),
    ...interfaces.map(encodeInterface),
    ...packets.map(encodePacket),
  ];
  const file = new Uint8Array(blocks.reduce((sum, b) => sum + b.length, 0));
  let at = 0;
  for (const b of blocks) {
    file.set(b, at);
    at += b.length;
  }
  return file;
}

interface SectionState {
  littleEndian: boolean;
  /** Index in `capture.interfaces` of the section's first interface. */
  firstInterface: number;
}

/**
 * Reads a file of either byte order, with any timestamp resolution, skipping block types unknown here.
 * Never throws: `error` says what was wrong, and where. `data` are views into `bytes`.
 */
export function decodePcapng(bytes: Uint8Array): PcapngCapture {
  const capture: PcapngCapture = { interfaces: [], packets: [] };
  const resolutions: number[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let section: SectionState | undefined;
  let at = 0;
  const fail = (why: string): PcapngCapture => {
    capture.error = `Cannot read the capture at byte ${at}: ${why}`;
    return capture;
  };
  while (at < bytes.length) {
    if (bytes.length - at < 12) return fail('cut inside a block header');
    if (view.getUint32(at, true) === SECTION_HEADER_BLOCK) {
      const littleEndian = view.getUint32(at + 8, true) === BYTE_ORDER_MAGIC;
      if (!littleEndian && view.getUint32(at + 8, false) !== BYTE_ORDER_MAGIC) {
        return fail('no byte-order magic in the section header; is this a pcapng file?');
      }
      section = { littleEndian, firstInterface: capture.interfaces.length };
    }
    if (!section) return fail('it does not start with a section header block; is this a pcapng file?');
    const le = section.littleEndian;
    const type = view.getUint32(at, le);
    const total = view.getUint32(at + 4, le);
    if (total < 12 || total % 4 !== 0) return fail(`block length ${total} is impossible`);
    if (total > bytes.length - at) return fail('cut inside a block');
    const body = at + 8;
    const end = at + total - 4;
    if (type === INTERFACE_DESCRIPTION_BLOCK) {
      if (end - body < 8) return fail('interface description too short');
      readInterface(bytes, view, body, end, le, capture, resolutions);
    } else if (type === ENHANCED_PACKET_BLOCK) {
      const why = readEnhancedPacket(bytes, view, body, end, section, capture, resolutions);
      if (why) return fail(why);
    } else if (type === SIMPLE_PACKET_BLOCK) {
      if (end - body < 4) return fail('simple packet block too short');
      if (capture.interfaces.length === section.firstInterface) return fail('packet before any interface');
      const originalLength = view.getUint32(body, le);
      const snapLength = capture.interfaces[section.firstInterface].snapLength || originalLength;
      const captured = Math.min(originalLength, snapLength, end - body - 4);
      capture.packets.push({
        interfaceId: section.firstInterface,
        timestampNs: 0n,
        data: bytes.subarray(body + 4, body + 4 + captured),
        originalLength,
      });
    }
    at += total;
  }
  return capture;
}

function readInterface(
  bytes: Uint8Array,
  view: DataView,
  body: number,
  end: number,
  le: boolean,
  capture: PcapngCapture,
  resolutions: number[],
): void {
  const found = {
    name: '',
    description: '',
    linkType: view.getUint16(body, le),
    snapLength: view.getUint32(body + 4, le),
  };
  let resolution = DEFAULT_RESOLUTION;
  forEachOption(bytes, view, body + 8, end, le, (code, value) => {
    if (code === OPTION_IF_NAME) found.name = new TextDecoder().decode(value);
    else if (code === OPTION_IF_DESCRIPTION) found.description = new TextDecoder().decode(value);
    else if (code === OPTION_IF_TIMESTAMP_RESOLUTION && value.length === 1) resolution = value[0];
  });
  capture.interfaces.push(found);
  resolutions.push(resolution);
}

function readEnhancedPacket(
  bytes: Uint8Array,
  view: DataView,
  body: number,
  end: number,
  section: SectionState,
  capture: PcapngCapture,
  resolutions: number[],
): string | undefined {
  const le = section.littleEndian;
  if (end - body < 20) return 'enhanced packet block too short';
  const interfaceId = section.firstInterface + view.getUint32(body, le);
  if (interfaceId >= capture.interfaces.length) return 'packet of an interface that was not declared';
  const ticks = (BigInt(view.getUint32(body + 4, le)) << 32n) | BigInt(view.getUint32(body + 8, le));
  const captured = view.getUint32(body + 12, le);
  if (captured > end - body - 20) return 'packet data longer than its block';
  const packet: PcapngCapture['packets'][number] = {
    interfaceId,
    timestampNs: ticksToNs(ticks, resolutions[interfaceId]),
    data: bytes.subarray(body + 20, body + 20 + captured),
    originalLength: view.getUint32(body + 16, le),
  };
  forEachOption(bytes, view, body + 20 + pad4(captured), end, le, (code, value) => {
    if (code === OPTION_COMMENT && packet.comment === undefined) {
      packet.comment = new TextDecoder().decode(value);
    } else if (code === OPTION_EPB_FLAGS && value.length === 4) {
      const direction = value[le ? 0 : 3] & 3;
      if (direction === 1) packet.direction = 'inbound';
      else if (direction === 2) packet.direction = 'outbound';
    }
  });
  capture.packets.push(packet);
  return undefined;
}

// if_tsresol: a power of ten, or of two when the high bit is set.
function ticksToNs(ticks: bigint, resolution: number): bigint {
  const exponent = BigInt(resolution & 0x7f);
  if ((resolution & 0x80) !== 0) return (ticks * 1_000_000_000n) >> exponent;
  return exponent <= 9n ? ticks * 10n ** (9n - exponent) : ticks / 10n ** (exponent - 9n);
}

// Stops at the end option or at the first option that does not fit.
function forEachOption(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  le: boolean,
  visit: (code: number, value: Uint8Array) => void,
): void {
  let at = start;
  while (at + 4 <= end) {
    const code = view.getUint16(at, le);
    const length = view.getUint16(at + 2, le);
    if (code === OPTION_END || at + 4 + length > end) return;
    visit(code, bytes.subarray(at + 4, at + 4 + length));
    at += 4 + pad4(length);
  }
}
