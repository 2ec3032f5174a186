/**
 * Header blocks of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00, section 2.6.10): number of pairs, then name and value with
 * 32-bit lengths, all in one zlib stream for each direction, primed with a fixed dictionary.
 */
import { constants, createInflate, type Inflate } from 'node:zlib';
import { SpdyError } from './spdy-frames.ts';

/** The words of the dictionary; each stands in it behind its length. */
const WORDS =
  'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization cache-control connection content-base content-encoding content-language content-length content-location content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get status'
    .split(' ')
    .concat('200 OK', 'version', 'HTTP/1.1', 'url', 'public', 'set-cookie', 'keep-alive', 'origin');

const TAIL =
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.';

export const DICTIONARY = Buffer.concat([
  ...WORDS.flatMap((word) => [length32(word.length), Buffer.from(word)]),
  Buffer.from(TAIL),
]);

/** One block may not grow beyond this when it is unpacked. */
const MAX_BLOCK_BYTES = 64 * 1024;
/** A stored block of deflate holds no more. */
const MAX_STORED_BYTES = 65_535;
/** An empty stored block, as a flush writes it: without one Go's reader looks for the next block and finds an end. */
const SYNC_MARKER = Buffer.from('000000ffff', 'hex');

/** Unpacks the blocks of one direction, in their order. */
export class HeaderInflater {
  readonly #inflate: Inflate = createInflate({ dictionary: DICTIONARY, finishFlush: constants.Z_SYNC_FLUSH });
  #chunks: Buffer[] = [];
  #bytes = 0;
  #failed: Error | undefined;

  constructor() {
    this.#inflate.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length;
      if (this.#bytes <= MAX_BLOCK_BYTES) this.#chunks.push(chunk);
    });
    this.#inflate.on('error', (error) => {
      this.#failed = error;
    });
  }

  /** The pairs of a block, names in lower case. Rejects with SpdyError. */
  async read(block: Buffer): Promise<Map<string, string>> {
    this.#chunks = [];
    this.#bytes = 0;
    await new Promise<void>((resolve) => {
      if (this.#failed !== undefined) return resolve();
      this.#inflate.once('error', () => resolve());
      this.#inflate.write(block, () => this.#inflate.flush(constants.Z_SYNC_FLUSH, () => resolve()));
    });
    this.#inflate.removeAllListeners('error').on('error', (error) => {
      this.#failed = error;
    });
    if (this.#failed !== undefined)
      throw new SpdyError(`a header block is no zlib data: ${this.#failed.message}`);
    if (this.#bytes > MAX_BLOCK_BYTES)
      throw new SpdyError(`a header block is longer than ${MAX_BLOCK_BYTES} bytes`);
    return parseHeaders(Buffer.concat(this.#chunks));
  }

  close(): void {
    this.#inflate.destroy();
  }
}

/** @throws SpdyError when lengths do not fit */
export function parseHeaders(block: Buffer): Map<string, string> {
  const headers = new Map<string, string>();
  let at = 0;
  const take = (): string => {
    const length = at + 4 <= block.length ? block.readUInt32BE(at) : Number.POSITIVE_INFINITY;
    if (at + 4 + length > block.length) throw new SpdyError('a header block ends inside a header');
    const text = block.toString('utf8', at + 4, at + 4 + length);
    at += 4 + length;
    return text;
  };
  if (block.length < 4) throw new SpdyError('a header block has no number of headers');
  const count = block.readUInt32BE(0);
  at = 4;
  for (let i = 0; i < count; i++) {
    const name = take().toLowerCase();
    headers.set(name, take());
  }
  return headers;
}

/**
 * Packs the blocks of one direction. The few headers of answers are stored, not compressed: a valid zlib stream that needs
 * neither the dictionary nor any state.
 */
export class HeaderWriter {
  #isFirst = true;

  write(headers: ReadonlyMap<string, string>): Buffer {
    const parts = [length32(headers.size)];
    for (const [name, value] of headers) {
      for (const text of [name, value]) parts.push(length32(Buffer.byteLength(text)), Buffer.from(text));
    }
    const block = Buffer.concat(parts);
    if (block.length > MAX_STORED_BYTES) throw new SpdyError('headers are too long');
    // RFC 1950: 32 KB window, no dictionary. RFC 1951, 3.2.4: not final, stored, length and its complement.
    const head = Buffer.alloc(this.#isFirst ? 7 : 5);
    if (this.#isFirst) head.writeUInt16BE(0x7801, 0);
    head.writeUInt16LE(block.length, head.length - 4);
    head.writeUInt16LE(~block.length & 0xffff, head.length - 2);
    this.#isFirst = false;
    return Buffer.concat([head, block, SYNC_MARKER]);
  }
}

function length32(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}
