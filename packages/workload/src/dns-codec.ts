import dnsPacket from 'dns-packet';

/** The one place of this package that speaks dns-packet's dialect. */

export interface DnsReply {
  id: number;
  rcode: string;
  truncated: boolean;
  authoritative: boolean;
  recursionDesired: boolean;
  recursionAvailable: boolean;
  authenticData: boolean;
  questions: { name: string; type: string }[];
  /** UDP payload size of an OPT record, when there is one. */
  ednsBytes: number | undefined;
  answers: DnsRecord[];
  authorities: DnsRecord[];
  additionals: DnsRecord[];
}

export interface DnsRecord {
  name: string;
  type: string;
  ttlSeconds: number;
  /** The record's data as dig prints it. */
  text: string;
  /** For SRV. */
  srv?: { priority: number; weight: number; port: number; target: string };
}

export function emitQuestion(
  id: number,
  name: string,
  type: string,
  options: { recursionDesired?: boolean; edns?: boolean } = {},
): Buffer {
  return dnsPacket.encode({
    type: 'query',
    id,
    flags: (options.recursionDesired ?? true) ? dnsPacket.RECURSION_DESIRED : 0,
    questions: [{ name, type: type as dnsPacket.RecordType, class: 'IN' }],
    ...(options.edns && {
      additionals: [
        {
          type: 'OPT',
          name: '.',
          udpPayloadSize: 1232,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: [],
        },
      ],
    }),
  });
}

/** Reads a reply; undefined for what is none. Never throws. */
export function parseReply(message: Uint8Array): DnsReply | undefined {
  try {
    const packet = dnsPacket.decode(
      Buffer.from(message.buffer, message.byteOffset, message.length),
    ) as dnsPacket.DecodedPacket & { rcode?: string };
    if (packet.type !== 'response') return undefined;
    return {
      id: packet.id ?? 0,
      rcode: packet.rcode ?? 'NOERROR',
      truncated: packet.flag_tc,
      authoritative: packet.flag_aa,
      recursionDesired: packet.flag_rd,
      recursionAvailable: packet.flag_ra,
      authenticData: packet.flag_ad,
      questions: (packet.questions ?? []).map(({ name, type }) => ({ name, type })),
      ednsBytes: (packet.additionals ?? []).find((record) => record.type === 'OPT')?.udpPayloadSize,
      answers: (packet.answers ?? []).map(fromLibrary),
      authorities: (packet.authorities ?? []).map(fromLibrary),
      additionals: (packet.additionals ?? []).filter((record) => record.type !== 'OPT').map(fromLibrary),
    };
  } catch {
    return undefined;
  }
}

function fromLibrary(record: dnsPacket.Answer): DnsRecord {
  const { name, type, ttl = 0, data } = record as { name: string; type: string; ttl?: number; data: unknown };
  const base = { name, type, ttlSeconds: ttl };
  switch (type) {
    case 'SRV': {
      const srv = data as { priority: number; weight: number; port: number; target: string };
      return { ...base, srv, text: `${srv.priority} ${srv.weight} ${srv.port} ${srv.target}.` };
    }
    case 'SOA': {
      const soa = data as Record<string, string | number>;
      return {
        ...base,
        text: `${soa.mname}. ${soa.rname}. ${soa.serial} ${soa.refresh} ${soa.retry} ${soa.expire} ${soa.minimum}`,
      };
    }
    case 'TXT':
      return {
        ...base,
        text: (Array.isArray(data) ? data : [data]).map((part) => JSON.stringify(String(part))).join(' '),
      };
    case 'CNAME':
    case 'PTR':
    case 'NS':
      return { ...base, text: `${String(data)}.` };
    case 'MX': {
      const mx = data as { preference?: number; exchange?: string };
      return { ...base, text: `${mx.preference ?? 0} ${mx.exchange}.` };
    }
    default:
      return { ...base, text: typeof data === 'string' ? data : JSON.stringify(data) };
  }
}
