import { isIP } from 'node:net';
import { Complaint } from '../complaint.ts';

export type TraceTarget = {
  protocol: 'http' | 'tcp' | 'udp' | 'icmp';
  host: string;
  port: number;
  path: string;
};

/** Reads TO of `podwire trace`: a URL, `name:port`, `ip:port`, `[ip6]:port` or `icmp:ADDRESS`. */
export function parseTarget(text: string, udp: boolean): TraceTarget {
  const wrong = (what: string): Complaint =>
    new Complaint(`Cannot trace to "${text}": ${what}; give a URL, name:port, ip:port or icmp:ADDRESS`);
  if (text.startsWith('icmp:')) {
    const host = text.slice('icmp:'.length);
    if (host === '') throw wrong('no address after "icmp:"');
    return { protocol: 'icmp', host, port: 0, path: '' };
  }
  if (/^[a-z]+:\/\//i.test(text)) {
    let url: URL;
    try {
      url = new URL(text);
    } catch {
      throw wrong('it is not a valid URL');
    }
    if (url.protocol !== 'http:') throw wrong(`scheme "${url.protocol}//" is not http://`);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    return { protocol: 'http', host, port: Number(url.port || 80), path: url.pathname + url.search };
  }
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/\s]+)):(\d{1,5})$/i.exec(text);
  if (!match) {
    throw wrong(
      isIP(text) || !text.includes(':') ? 'the port is missing' : 'it is not of the form name:port',
    );
  }
  const port = Number(match[3]);
  if (port < 1 || port > 65535) throw wrong(`port ${port} must be 1 to 65535`);
  return { protocol: udp ? 'udp' : 'tcp', host: (match[1] ?? match[2])!, port, path: '/' };
}
