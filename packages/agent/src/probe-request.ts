/**
 * Opening one real connection from a pod, or from the node, on request: what `podwire trace` and `podwire matrix` use.
 */
import type { NetStack } from '@podwire/netstack/stack';
import { ipVersionOf } from '@podwire/wire/address';

export type ProbeProtocol = 'tcp' | 'udp' | 'http' | 'icmp' | 'dns';

export interface ProbeRequest {
  readonly host: string;
  readonly port: number;
  readonly protocol: ProbeProtocol;
  readonly path: string;
  readonly timeoutMs: number;
  readonly localPort?: number;
}

export interface ProbeAnswer {
  readonly ok: boolean;
  readonly localAddress?: string;
  readonly localPort?: number;
  readonly remoteAddress?: string;
  readonly remotePort?: number;
  /** Addresses the name stands for; present when `host` was a name. */
  readonly resolved?: readonly string[];
  readonly error?: string;
  readonly ms: number;
  readonly status?: number;
  readonly body?: string;
}

/** Where a probe starts. */
export interface ProbeSource {
  readonly stack: NetStack;
  /** Addresses of a name as the pod resolves it. @throws Error */
  readonly resolve: (name: string, signal: AbortSignal) => Promise<string[]>;
}

const MAX_BODY_BYTES = 64 * 1024;
const MAX_TIMEOUT_MS = 60_000;

/** Reads the body of POST /podwire/probe; a text instead when it asks for nothing that can be done. */
export function parseProbeRequest(body: unknown): (ProbeRequest & { source: ProbeFrom }) | string {
  const input = (body ?? {}) as Record<string, unknown>;
  const fromHost = input.host === true;
  const host = fromHost ? input.target : input.host;
  const protocol = (input.protocol ?? 'tcp') as ProbeProtocol;
  const port = Number(input.port ?? (protocol === 'http' ? 80 : protocol === 'dns' ? 53 : 0));
  const timeoutMs = Number(input.timeoutMs ?? 3000);
  if (typeof host !== 'string' || host === '') return 'Cannot probe: host must be a name or an address';
  if (!['tcp', 'udp', 'http', 'icmp', 'dns'].includes(protocol)) {
    return `Cannot probe with protocol "${protocol}": use tcp, udp, http, icmp or dns`;
  }
  if (
    !Number.isInteger(port) ||
    port < 0 ||
    port > 65_535 ||
    (port === 0 && ['tcp', 'udp', 'http'].includes(protocol))
  ) {
    return `Cannot probe port "${input.port}": want 1 to 65535`;
  }
  if (!(timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS)) {
    return `Cannot probe for ${input.timeoutMs} ms: want 1 to ${MAX_TIMEOUT_MS}`;
  }
  const localPort = input.localPort === undefined ? undefined : Number(input.localPort);
  if (localPort !== undefined && !(Number.isInteger(localPort) && localPort > 0 && localPort < 65_536)) {
    return `Cannot probe from port "${input.localPort}": want 1 to 65535`;
  }
  const { namespace, pod } = input;
  if (!fromHost && (typeof namespace !== 'string' || typeof pod !== 'string')) {
    return 'Cannot probe: namespace and pod must say from where, or host must be true';
  }
  return {
    source: fromHost
      ? { kind: 'host' }
      : { kind: 'pod', namespace: namespace as string, name: pod as string },
    host,
    port,
    protocol,
    path: typeof input.path === 'string' ? input.path : '/',
    timeoutMs,
    ...(localPort !== undefined && { localPort }),
  };
}

export type ProbeFrom =
  | { readonly kind: 'host' }
  | { readonly kind: 'pod'; readonly namespace: string; readonly name: string };

/** Makes the connection and says how it went. Never throws for what the network does. */
export async function runProbe(
  source: ProbeSource,
  request: ProbeRequest,
  nowMs: () => number,
): Promise<ProbeAnswer> {
  const began = nowMs();
  const deadline = AbortSignal.timeout(request.timeoutMs);
  const late = new Promise<never>((_resolve, reject) => {
    deadline.addEventListener('abort', () => reject(new Error(`timed out after ${request.timeoutMs} ms`)), {
      once: true,
    });
  });
  late.catch(() => {});
  let resolved: string[] | undefined;
  const facts: Partial<ProbeAnswer>[] = [];
  try {
    let address = request.host;
    if (request.protocol !== 'dns' && ipVersionOf(request.host) === 0) {
      resolved = await Promise.race([source.resolve(request.host, deadline), late]);
      address = resolved[0]!;
    }
    if (request.protocol !== 'dns') {
      facts.push({ remoteAddress: address, ...(request.port > 0 && { remotePort: request.port }) });
    }
    const note = (fact: Partial<ProbeAnswer>) => facts.push(fact);
    const attempt = attempts[request.protocol](source, request, address, deadline, note);
    const answer = await Promise.race([attempt, late]);
    return Object.assign({ ok: true, ms: nowMs() - began, ...(resolved && { resolved }) }, ...facts, answer);
  } catch (error) {
    const text = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    return Object.assign(
      { ok: false, ms: nowMs() - began, error: text, ...(resolved && { resolved }) },
      ...facts,
    );
  }
}

type Attempt = (
  source: ProbeSource,
  request: ProbeRequest,
  address: string,
  deadline: AbortSignal,
  /** Keeps what is known even when the attempt fails later. */
  note: (fact: Partial<ProbeAnswer>) => void,
) => Promise<Partial<ProbeAnswer>>;

const attempts: Record<ProbeProtocol, Attempt> = {
  tcp: probeTcp,
  http: probeHttp,
  udp: probeUdp,
  icmp: probeIcmp,
  dns: async (source, request, _address, deadline) => ({
    resolved: await source.resolve(request.host, deadline),
  }),
};

function connect(
  source: ProbeSource,
  request: ProbeRequest,
  address: string,
  deadline: AbortSignal,
  note: (fact: Partial<ProbeAnswer>) => void,
) {
  const socket = source.stack.connectTcp({
    host: address,
    port: request.port,
    ...(request.localPort !== undefined && { localPort: request.localPort }),
    connectTimeoutMs: request.timeoutMs,
  });
  const tell = () => {
    const { localAddress, localPort } = socket;
    note({
      ...(localAddress !== undefined && { localAddress }),
      ...(localPort !== undefined && { localPort }),
    });
  };
  tell();
  deadline.addEventListener('abort', () => socket.destroy(), { once: true });
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', () => {
      tell();
      resolve();
    });
    socket.once('error', reject);
  });
  connected.catch(() => {});
  return { socket, connected };
}

async function probeTcp(
  ...[source, request, address, deadline, note]: Parameters<Attempt>
): Promise<Partial<ProbeAnswer>> {
  const { socket, connected } = connect(source, request, address, deadline, note);
  await connected;
  socket.on('error', () => {});
  socket.end();
  socket.resume();
  return {};
}

async function probeHttp(
  ...[source, request, address, deadline, note]: Parameters<Attempt>
): Promise<Partial<ProbeAnswer>> {
  const http = await import('node:http');
  const { socket, connected } = connect(source, request, address, deadline, note);
  await connected;
  const isDefaultPort = request.port === 80;
  const name = ipVersionOf(request.host) === 6 ? `[${request.host}]` : request.host;
  return new Promise((resolve, reject) => {
    const outgoing = http.request({
      path: request.path,
      headers: {
        Host: isDefaultPort ? name : `${name}:${request.port}`,
        'User-Agent': 'podwire-probe',
        Accept: '*/*',
        Connection: 'close',
      },
      createConnection: () => socket as unknown as import('node:net').Socket,
    });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        if (bytes < MAX_BODY_BYTES) chunks.push(chunk.subarray(0, MAX_BODY_BYTES - bytes));
        bytes += chunk.length;
      });
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') });
      });
    });
    outgoing.end();
  });
}

/** A datagram that asks who answers; any answer is a success, an ICMP error or silence is not. */
async function probeUdp(
  ...[source, request, address, deadline, note]: Parameters<Attempt>
): Promise<Partial<ProbeAnswer>> {
  const socket = source.stack.bindUdp(request.localPort === undefined ? {} : { port: request.localPort });
  try {
    return await new Promise((resolve, reject) => {
      deadline.addEventListener('abort', () => reject(new Error('no answer')), { once: true });
      socket.once('error', reject);
      socket.once('message', (data, remote) => {
        const body = data.subarray(0, MAX_BODY_BYTES).toString('utf8');
        resolve({ remotePort: remote.port, body });
      });
      socket.connect(request.port, address);
      note({ ...ownAddress(source.stack, address), localPort: socket.port });
      // agnhost netexec answers this word with its name; others may answer what they like.
      socket.send(Buffer.from('hostname'));
    });
  } finally {
    socket.close();
  }
}

async function probeIcmp(
  ...[source, , address, deadline, note]: Parameters<Attempt>
): Promise<Partial<ProbeAnswer>> {
  const socket = source.stack.openIcmp(ipVersionOf(address) === 6 ? 6 : 4);
  note(ownAddress(source.stack, address));
  try {
    return await new Promise((resolve, reject) => {
      deadline.addEventListener('abort', () => reject(new Error('no answer')), { once: true });
      socket.once('message', () => resolve({}));
      socket.once('unreachable', ({ address: from, type, code }) => {
        reject(new Error(`ICMP type ${type} code ${code} from ${from}`));
      });
      socket.send(address, { seq: 1, payload: Buffer.from('podwire') });
    });
  } finally {
    socket.close();
  }
}

function ownAddress(stack: NetStack, towards: string): Partial<ProbeAnswer> {
  const version = ipVersionOf(towards);
  const own = stack.addresses.find(({ address }) => ipVersionOf(address) === version);
  return own === undefined ? {} : { localAddress: own.address };
}
