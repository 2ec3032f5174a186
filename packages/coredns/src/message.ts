import dnsPacket from 'dns-packet';

/** The one place that speaks dns-packet's dialect; everything else uses these types. */

export type RecordType = 'A' | 'AAAA' | 'CNAME' | 'SRV' | 'PTR' | 'TXT' | 'SOA' | 'NS';

export interface SrvData {
  priority: number;
  weight: number;
  port: number;
  target: string;
}

export interface SoaData {
  mname: string;
  rname: string;
  serial: number;
  refresh: number;
  retry: number;
  expire: number;
  minimum: number;
}

export interface DnsRecord {
  name: string;
  type: RecordType;
  ttlSeconds: number;
  data: string | SrvData | SoaData | string[];
}

export type Rcode = 'NOERROR' | 'FORMERR' | 'SERVFAIL' | 'NXDOMAIN' | 'NOTIMP' | 'REFUSED';

export interface Question {
  /** Lower case, without the final dot. */
  name: string;
  /** Any type's mnemonic; those unknown here are answered as names that have no such record. */
  type: string;
}

export interface Query {
  id: number;
  recursionDesired: boolean;
  /** The name as asked, with its letters' case: it is echoed (draft-vixie-dnsext-dns0x20). */
  rawName: string;
  question: Question;
  /** Bytes a UDP answer may have (RFC 6891); 512 without EDNS. */
  udpPayloadSize: number;
  edns: boolean;
}

export interface Answer {
  rcode: Rcode;
  authoritative: boolean;
  answers: DnsRecord[];
  authorities: DnsRecord[];
  additionals: DnsRecord[];
}

export const emptyAnswer = (rcode: Rcode): Answer => ({
  rcode,
  authoritative: false,
  answers: [],
  authorities: [],
  additionals: [],
});

const RCODES: Record<Rcode, number> = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
};
const FLAG_TC = 1 << 9;
const FLAG_AA = 1 << 10;
const FLAG_RD = 1 << 8;
const OUR_UDP_PAYLOAD = 1232;

/** A query as it came: the parsed one, or what to answer to a message that is none. Never throws. */
export function parseQuery(message: Uint8Array): { query: Query } | { id: number; rcode: Rcode } | undefined {
  if (message.length < 12) return undefined;
  const id = (message[0]! << 8) | message[1]!;
  // An answer sent to a server is not answered again (RFC 5625 4.3 loops).
  if ((message[2]! & 0x80) !== 0) return undefined;
  if ((message[2]! >> 3) & 0x0f) return { id, rcode: 'NOTIMP' };
  let decoded: dnsPacket.Packet;
  try {
    decoded = dnsPacket.decode(Buffer.from(message.buffer, message.byteOffset, message.length));
  } catch {
    return { id, rcode: 'FORMERR' };
  }
  const question = decoded.questions?.[0];
  if (decoded.questions?.length !== 1 || !question) return { id, rcode: 'FORMERR' };
  if (question.class !== undefined && question.class !== 'IN') return { id, rcode: 'REFUSED' };
  const opt = decoded.additionals?.find((record) => record.type === 'OPT') as
    | { udpPayloadSize?: number }
    | undefined;
  return {
    query: {
      id,
      recursionDesired: ((decoded.flags ?? 0) & FLAG_RD) !== 0,
      rawName: question.name,
      question: { name: question.name.toLowerCase().replace(/\.$/, ''), type: question.type },
      udpPayloadSize: Math.max(512, opt?.udpPayloadSize ?? 512),
      edns: opt !== undefined,
    },
  };
}

/** The answer's bytes; over `limit` the records are left out and TC is set, so that the client asks by TCP. */
export function emitAnswer(query: Query, answer: Answer, limit: number): Buffer {
  const flags =
    (answer.authoritative ? FLAG_AA : 0) | (query.recursionDesired ? FLAG_RD : 0) | RCODES[answer.rcode];
  const base = {
    type: 'response' as const,
    id: query.id,
    questions: [
      { name: query.rawName, type: query.question.type as dnsPacket.RecordType, class: 'IN' as const },
    ],
  };
  const opt = query.edns
    ? [
        {
          type: 'OPT' as const,
          name: '.',
          udpPayloadSize: OUR_UDP_PAYLOAD,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: [],
        },
      ]
    : [];
  const encoded = dnsPacket.encode({
    ...base,
    flags,
    answers: answer.answers.map(toLibrary),
    authorities: answer.authorities.map(toLibrary),
    additionals: [...answer.additionals.map(toLibrary), ...opt],
  });
  if (encoded.length <= limit) return encoded;
  return dnsPacket.encode({ ...base, flags: flags | FLAG_TC, additionals: opt });
}

/** An error for a message whose question cannot be echoed: header only. */
export function emitError(id: number, rcode: Rcode): Buffer {
  const message = Buffer.alloc(12);
  message.writeUInt16BE(id, 0);
  message.writeUInt16BE(0x8000 | RCODES[rcode], 2);
  return message;
}

function toLibrary(record: DnsRecord): dnsPacket.Answer {
  return {
    name: record.name,
    type: record.type,
    class: 'IN',
    ttl: record.ttlSeconds,
    data: record.data,
  } as dnsPacket.Answer;
}
