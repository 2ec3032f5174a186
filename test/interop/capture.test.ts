/** Another implementation reads our wire: tcpdump catches the tunnel while pods talk, tshark decodes and judges it. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, root, TestLab } from '../e2e/lab.ts';
import { decode, LoopbackCapture } from './capture.ts';

const missing = [
  ...(process.getuid?.() === 0 ? [] : ['root']),
  ...['tcpdump', 'tshark', 'kubectl'].filter(
    (name) => execaSync('which', [name], { reject: false }).exitCode !== 0,
  ),
];

const MTU = 1450;
const BULK_LINES = 600_000;
const MARKER_BYTES = 333;
const FIELDS = [
  ...['frame.number', 'frame.protocols', '_ws.malformed', 'vxlan.vni', 'vxlan.flags', 'eth.src', 'eth.dst'],
  ...['ip.src', 'ip.dst', 'ip.ttl', 'ip.len', 'ip.checksum.status', 'udp.dstport'],
  ...['ipv6.src', 'ipv6.dst', 'ipv6.hlim', 'ipv6.plen'],
  ...['tcp.checksum.status', 'udp.checksum.status', 'icmp.checksum.status', 'icmpv6.checksum.status'],
] as const;
type Row = Record<string, string[]>;

interface Inner {
  row: Row;
  version: 4 | 6;
  protocol: string;
  source: string;
  destination: string;
  ttl: number;
  length: number;
}

/** The packet inside of the tunnel. */
function innerOf(row: Row): Inner {
  const [, , , , , , , version, protocol] = row['frame.protocols']![0]!.split(':');
  const common = { row, protocol: protocol! };
  if (version === 'ip') {
    const [source, destination] = [row['ip.src']![1]!, row['ip.dst']![1]!];
    const [ttl, length] = [Number(row['ip.ttl']![1]), Number(row['ip.len']![1])];
    return { ...common, version: 4, source, destination, ttl, length };
  }
  const [source, destination] = [row['ipv6.src']![0]!, row['ipv6.dst']![0]!];
  const [ttl, length] = [Number(row['ipv6.hlim']![0]), Number(row['ipv6.plen']![0]) + 40];
  return { ...common, version: 6, source, destination, ttl, length };
}

interface Pod {
  metadata: { name: string; labels: { app: string } };
  spec: { nodeName: string };
  status: { podIP: string; podIPs: { ip: string }[] };
}

interface Node {
  metadata: { annotations: Record<string, string> };
  spec: { podCIDRs: string[] };
  status: { addresses: { type: string; address: string }[] };
}

describe.skipIf(missing.length > 0)(
  `a capture of the tunnel${missing.length ? ` (needs ${missing.join(', ')})` : ''}`,
  () => {
    const lab = new TestLab(63, { ipFamilies: ['IPv4', 'IPv6'] });
    let rows: Row[];
    let inner: Inner[];
    let dropped: number;
    let client: Pod;
    let server: Pod;
    const nodes = new Map<string, { mac: string; gateways: string[] }>();
    const bulk = Array.from({ length: BULK_LINES }, (_, i) => `${i + 1}\n`).join('');
    const arrived: string[] = [];
    const echoed: string[] = [];

    const sh = (pod: Pod, script: string) => lab.must('exec', pod.metadata.name, '--', 'sh', '-c', script);

    /** Sends the bulk to a listener in another pod; the SHA-256 of what arrived. */
    async function transfer(address: string, port: number): Promise<string> {
      const listener = sh(server, `nc -l -p ${port} | sha256sum`);
      const send = `seq 1 ${BULK_LINES} | nc -N ${address} ${port}`;
      // The listener is another process: until it listens, the connection is refused.
      await sh(client, `for i in $(seq 100); do ${send} && exit 0; sleep 0.1; done; exit 1`);
      return (await listener).split(' ')[0]!;
    }

    beforeAll(async () => {
      const { exitCode, stderr } = await lab.up();
      if (exitCode !== 0) throw new Error(stderr);
      await lab.must('apply', '-f', join(root, 'deploy', 'samples', 'shop.yaml'));
      await lab.must('wait', '--for=condition=Available', 'deploy', '--all', '--timeout=60s');
      await lab.must('rollout', 'status', 'statefulset/db', '--timeout=60s');
      const list = async <T>(kind: string): Promise<T[]> =>
        (JSON.parse(await lab.must('get', kind, '-o', 'json')) as { items: T[] }).items;
      const pods = await list<Pod>('pods');
      for (const node of await list<Node>('nodes')) {
        const address = node.status.addresses.find(({ type }) => type === 'InternalIP')!.address;
        const gateways = node.spec.podCIDRs.map((cidr) =>
          cidr.replace(/(\.0|::)\/\d+$/, (_, end) => (end === '::' ? '::1' : '.1')),
        );
        nodes.set(address, { mac: node.metadata.annotations['podwire.dev/vtep-mac']!, gateways });
      }
      const app = (name: string): Pod[] => pods.filter((pod) => pod.metadata.labels.app === name);
      client = app('frontend')[0]!;
      server = app('orders').find((pod) => pod.spec.nodeName !== client.spec.nodeName)!;

      const capture = await LoopbackCapture.start(
        join(lab.home, 'tunnel.pcap'),
        `udp port 8472 and net ${lab.prefix}.0/24`,
      );
      try {
        const [v4, v6] = server.status.podIPs.map(({ ip }) => ip) as [string, string];
        arrived.push(await transfer(v4, 9000), await transfer(v6, 9001));
        echoed.push(await sh(client, `ping -c 2 ${v4}`), await sh(client, `ping -6 -c 2 ${v6}`));
        // A port where nobody listens: the answer is an ICMP error that carries a packet.
        await sh(client, `echo anyone | nc -u -w 1 ${v4} 9; true`);
        // One pod of orders on each node: whichever nodes have the DNS servers, questions cross.
        for (const pod of app('orders')) {
          for (let i = 0; i < 4; i++)
            await sh(
              pod,
              'dig +short db-0.db.default.svc.cluster.local; dig +tcp +short orders.default.svc.cluster.local',
            );
        }
        for (let i = 0; i < 6; i++) await sh(client, 'curl -s http://orders/');
        for (const address of nodes.keys())
          await fetch(`http://${address}:30080/`).then((answer) => answer.text());
        // A packet of a length of its own comes last: when it is in the file, all before it are.
        await sh(client, `ping -c 1 -s ${MARKER_BYTES} ${v4}`);
        await eventually('the last packet to be captured', async () => {
          const last = await decode(
            capture.file,
            ['ip.len'],
            `icmp.type == 0 && ip.len == ${MARKER_BYTES + 28}`,
          );
          return last.length > 0 ? true : undefined;
        });
      } finally {
        dropped = await capture.stop();
      }
      rows = await decode(capture.file, FIELDS);
      inner = rows.map(innerOf);
    }, 180_000);
    afterAll(() => lab.down(), 60_000);

    const frames = (which: readonly Inner[]): string[] =>
      which
        .map(({ row, ...rest }) => `frame ${row['frame.number']![0]}: ${JSON.stringify(rest)}`)
        .slice(0, 5);

    it('has everything that was sent', () => {
      expect(dropped).toBe(0);
      const sum = createHash('sha256').update(bulk).digest('hex');
      expect(arrived).toEqual([sum, sum]);
      for (const text of echoed) expect(text).toContain('2 packets transmitted, 2 received, 0% packet loss');
    });

    it('decodes as VXLAN with the I flag and VNI 1, every packet', () => {
      const wrong = rows.filter(
        (row) =>
          !/^eth:ethertype:ip:udp:vxlan:eth:ethertype:ipv?6?:(tcp|udp|icmp|icmpv6)(:|$)/.test(
            row['frame.protocols']![0]!,
          ) ||
          row['vxlan.vni']!.join() !== '1' ||
          Number(row['vxlan.flags']![0]) !== 0x0800 ||
          row['udp.dstport']![0] !== '8472' ||
          row['_ws.malformed']!.length > 0,
      );
      expect(wrong.slice(0, 5)).toEqual([]);
    });

    it('runs between nodes, with their tunnel MAC addresses inside', () => {
      const wrong = rows.filter((row) => {
        const [from, to] = [nodes.get(row['ip.src']![0]!), nodes.get(row['ip.dst']![0]!)];
        return (
          !from || !to || from === to || row['eth.src']![1] !== from.mac || row['eth.dst']![1] !== to.mac
        );
      });
      expect(wrong.slice(0, 5)).toEqual([]);
    });

    it('carries packets whose every checksum is right', () => {
      const wrong = inner.filter(({ row, version, protocol }) => {
        // The outer UDP checksum is the kernel's, which leaves it to the loopback interface, which computes none.
        if (version === 4 && row['ip.checksum.status']![1] !== '1') return true;
        const status = row[`${protocol}.checksum.status`]!;
        return status[protocol === 'udp' ? 1 : 0] !== '1';
      });
      expect(frames(wrong)).toEqual([]);
    });

    it('carries packets that one router has passed on; those a node sends itself have the whole TTL', () => {
      const gateways = new Set([...nodes.values()].flatMap((node) => node.gateways));
      const wrong = inner.filter(({ source, ttl }) => ttl !== (gateways.has(source) ? 64 : 63));
      expect(frames(wrong)).toEqual([]);
      expect(inner.filter(({ source }) => gateways.has(source)).length).toBeGreaterThan(0);
    });

    it('carries no address of a Service: translation comes before the tunnel', () => {
      const wrong = inner.filter(({ source, destination }) =>
        [source, destination].some((address) => /^(10\.96\.|fd00:10:96:)/.test(address)),
      );
      expect(frames(wrong)).toEqual([]);
    });

    it('carries nothing above the MTU, and bulk in segments that fill it', () => {
      expect(frames(inner.filter(({ length }) => length > MTU))).toEqual([]);
      for (const version of [4, 6] as const) {
        const full = inner.filter(
          (packet) => packet.version === version && packet.protocol === 'tcp' && packet.length === MTU,
        );
        expect(full.length * MTU).toBeGreaterThan(bulk.length * 0.9);
      }
    });

    it.each([
      ['TCP', 4, 'tcp'],
      ['TCP', 6, 'tcp'],
      ['UDP', 4, 'udp'],
      ['ICMP', 4, 'icmp'],
      ['ICMP', 6, 'icmpv6'],
    ] as const)('has %s over IPv%i in both directions', (_, version, protocol) => {
      const seen = inner.filter((packet) => packet.version === version && packet.protocol === protocol);
      const pairs = new Set(seen.map(({ source, destination }) => `${source} ${destination}`));
      const bothWays = seen.filter(({ source, destination }) => pairs.has(`${destination} ${source}`));
      expect(bothWays.length).toBeGreaterThan(0);
    });

    it('has DNS questions with their answers, and an ICMP error about a packet', async () => {
      const file = join(lab.home, 'tunnel.pcap');
      const answers = await decode(
        file,
        ['dns.qry.name', 'dns.a'],
        'dns.flags.response == 1 && dns.count.answers > 0',
      );
      expect(new Set(answers.flatMap((row) => row['dns.qry.name']))).toContain(
        'db-0.db.default.svc.cluster.local',
      );
      const unreachable = await decode(
        file,
        ['ip.src', 'ip.dst', 'icmp.code', 'udp.dstport'],
        'icmp.type == 3',
      );
      expect(unreachable.length).toBeGreaterThan(0);
      const {
        'ip.src': sources,
        'ip.dst': destinations,
        'icmp.code': code,
        'udp.dstport': ports,
      } = unreachable[0]!;
      expect(code).toEqual(['3']);
      expect([sources[1], destinations[1]]).toEqual([server.status.podIP, client.status.podIP]);
      expect([sources[2], destinations[2], ports[1]]).toEqual([
        client.status.podIP,
        server.status.podIP,
        '9',
      ]);
    });
  },
);
