import { randomFillSync } from 'node:crypto';
import { parseArgs } from 'node:util';
import { NetStack } from '@podwire/netstack/stack';
import { SyncClient } from '@podwire/sync/client';
import { SYNC_PATH } from '@podwire/sync/types';
import { KubernetesIndex } from './plugin/kubernetes-index.ts';
import { CorefileError } from './plugin.ts';
import { PodLink } from './pod-link.ts';
import { DnsServer } from './server.ts';

/** What the node agent tells a pod that is a process of its own (PODWIRE_POD_CONFIG). */
interface PodConfig {
  podName: string;
  addresses: string[];
  gateway: { v4?: string; v6?: string };
  loopback?: 'host' | boolean;
  mac: string;
  mtu: number;
  args: string[];
  files: Record<string, string>;
  sync: { url: string; caPem: string; token: string; nodeName: string };
}

const DEFAULT_COREFILE =
  '.:53 {\n  errors\n  health\n  ready\n  kubernetes cluster.local in-addr.arpa ip6.arpa\n}\n';

/** Builds the process in order: link, stack, state, server. Ends when the agent's socket closes. */
export function run(): void {
  const socketPath = process.env.PODWIRE_POD_SOCKET;
  const configText = process.env.PODWIRE_POD_CONFIG;
  if (!socketPath || !configText) {
    process.stderr.write(
      'coredns: PODWIRE_POD_SOCKET and PODWIRE_POD_CONFIG are not set: a node agent starts this program\n',
    );
    process.exit(2);
  }
  const config = JSON.parse(configText) as PodConfig;
  const write = (line: string): void => void process.stdout.write(`${line}\n`);
  const nowMs = (): number => performance.timeOrigin + performance.now();
  const random32 = makeRandom32();

  const link = new PodLink(socketPath, () => process.exit(0));
  const stack = new NetStack({
    nowMs,
    random32,
    interface: { name: 'eth0', mac: config.mac, mtu: config.mtu, transmit: (frame) => link.sendFrame(frame) },
    addresses: config.addresses.map((address) => ({
      address,
      prefixLength: address.includes(':') ? 128 : 32,
    })),
    gateway: config.gateway,
    ...(config.loopback !== undefined && { loopback: config.loopback }),
  });
  link.onFrame = (frame) => stack.receive(frame);

  const client = new SyncClient({
    url: syncUrl(config.sync.url),
    ca: config.sync.caPem,
    token: config.sync.token,
    role: 'dns',
    nodeName: config.sync.nodeName,
    nowMs,
    random32,
    log: {
      info: () => {},
      warn: (_fields, message) => write(`[WARNING] plugin/kubernetes: ${message}`),
    },
  });
  const index = new KubernetesIndex(client.state);
  client.on('change', (changes) => index.apply(changes));

  const corefilePath = corefileFrom(config.args);
  let corefile = config.files[corefilePath] ?? DEFAULT_COREFILE;
  const server = new DnsServer(stack, nowMs());
  const context = { index, write, nowMs, random32 };
  try {
    server.load(corefile, context);
  } catch (error) {
    if (!(error instanceof CorefileError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
  link.onControl = (message) => {
    const { type, files } = message as { type?: string; files?: Record<string, string> };
    const text = files?.[corefilePath];
    if (type !== 'files' || text === undefined || text === corefile) return;
    try {
      server.load(text, context);
      corefile = text;
      write('[INFO] Reloading complete');
    } catch (error) {
      if (!(error instanceof CorefileError)) throw error;
      write(`[ERROR] Corefile changed but reload failed: ${error.message}`);
    }
  };
  client.connect();
  write(`.:53\n[INFO] plugin/kubernetes: serving as ${config.podName}`);

  process.on('SIGTERM', () => {
    write('[INFO] SIGTERM: Shutting down servers then terminating');
    server.stop();
    client.close();
    stack.close();
    process.exit(0);
  });
}

function corefileFrom(args: string[]): string {
  const { values } = parseArgs({
    // As CoreDNS, whose flags have one dash.
    args: args
      .filter((argument) => argument.startsWith('-') || argument.startsWith('/etc'))
      .map((argument) => argument.replace(/^-(?=\w{2})/, '--')),
    options: { conf: { type: 'string' } },
    strict: false,
  });
  return typeof values.conf === 'string' ? values.conf : '/etc/coredns/Corefile';
}

/** The controller's URL as the join credential has it, turned into that of the sync endpoint. */
function syncUrl(url: string): string {
  return url.includes(SYNC_PATH) ? url : `${url.replace(/^http/, 'ws').replace(/\/$/, '')}${SYNC_PATH}`;
}

/** Uniform 32-bit numbers from the operating system, drawn in blocks. */
function makeRandom32(): () => number {
  const block = new Uint32Array(256);
  let next = block.length;
  return () => {
    if (next === block.length) {
      randomFillSync(block);
      next = 0;
    }
    return block[next++]!;
  };
}
