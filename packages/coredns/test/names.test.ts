import type { KubeObject } from '@podwire/kube/object';
import type { SyncState } from '@podwire/sync/types';
import dnsPacket from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { parseCorefile } from '../src/corefile.ts';
import { answerMessage, type Zone } from '../src/handler.ts';
import { KubernetesIndex } from '../src/plugin/kubernetes-index.ts';
import type { Plugin } from '../src/plugin.ts';
import { buildChain } from '../src/plugins.ts';

/** A small cluster, as the sync state would hold it. */
const objects: Record<string, unknown[]> = {
  namespaces: [{ metadata: { name: 'default' } }, { metadata: { name: 'shop' } }],
  services: [
    {
      metadata: { namespace: 'shop', name: 'orders' },
      spec: {
        clusterIP: '10.96.0.20',
        clusterIPs: ['10.96.0.20', 'fd00::20'],
        ports: [
          { name: 'http', port: 80, protocol: 'TCP' },
          { name: 'dns', port: 53, protocol: 'UDP' },
        ],
      },
    },
    {
      metadata: { namespace: 'shop', name: 'db' },
      spec: { clusterIP: 'None', clusterIPs: ['None'], ports: [{ name: 'sql', port: 5432 }] },
    },
    {
      metadata: { namespace: 'shop', name: 'idle' },
      spec: { clusterIP: 'None', clusterIPs: ['None'], ports: [] },
    },
    {
      metadata: { namespace: 'shop', name: 'pending' },
      spec: { clusterIP: 'None', publishNotReadyAddresses: true, ports: [{ name: 'p', port: 1 }] },
    },
    {
      metadata: { namespace: 'shop', name: 'away' },
      spec: { type: 'ExternalName', externalName: 'example.org' },
    },
  ],
  'endpointslices.discovery.k8s.io': [
    {
      metadata: { namespace: 'shop', name: 'db-abc', labels: { 'kubernetes.io/service-name': 'db' } },
      addressType: 'IPv4',
      endpoints: [
        { addresses: ['10.244.1.5'], hostname: 'db-0', conditions: { ready: true } },
        { addresses: ['10.244.2.5'], hostname: 'db-1', conditions: {} },
        { addresses: ['10.244.3.5'], conditions: { ready: true } },
        { addresses: ['10.244.3.9'], hostname: 'db-9', conditions: { ready: false } },
      ],
      ports: [{ name: 'sql', port: 5432, protocol: 'TCP' }],
    },
    {
      metadata: { namespace: 'shop', name: 'idle-abc', labels: { 'kubernetes.io/service-name': 'idle' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.244.1.7'], conditions: { ready: false } }],
    },
    {
      metadata: {
        namespace: 'shop',
        name: 'pending-abc',
        labels: { 'kubernetes.io/service-name': 'pending' },
      },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.244.1.8'], conditions: { ready: false } }],
      ports: [{ name: 'p', port: 1, protocol: 'TCP' }],
    },
  ],
};

const state: SyncState = {
  instanceId: 'x',
  revision: 1,
  synced: true,
  get: <T>(resource: string, namespace: string, name: string) =>
    (objects[resource] ?? []).find((o) => {
      const { metadata } = o as KubeObject;
      return (metadata.namespace ?? '') === namespace && metadata.name === name;
    }) as T | undefined,
  list: <T>(resource: string) => (objects[resource] ?? []) as T[],
};

function zones(corefile: string): Zone[] {
  const index = new KubernetesIndex(state);
  return parseCorefile(corefile).map((block) => ({
    zones: block.zones,
    chain: buildChain(block.directives, {
      zones: block.zones,
      index,
      write: () => {},
      nowMs: () => 0,
      random32: () => 7,
    }),
  }));
}

const blocks = zones(
  '.:53 {\n errors\n kubernetes cluster.local in-addr.arpa ip6.arpa {\n pods insecure\n }\n}\n',
);
const client = { address: '10.244.1.9', port: 5353, protocol: 'udp' as const };

async function ask(
  type: string,
  name: string,
  options: { limit?: number; blocks?: Zone[]; protocol?: 'udp' | 'tcp' } = {},
) {
  const message = dnsPacket.encode({
    type: 'query',
    id: 4711,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type: type as 'A', name }],
  });
  const bytes = await answerMessage(
    message,
    { ...client, protocol: options.protocol ?? 'udp' },
    options.blocks ?? blocks,
  );
  const reply = dnsPacket.decode(bytes!);
  return {
    rcode: (reply as unknown as { rcode: string }).rcode,
    authoritative: reply.flag_aa,
    answers: (reply.answers ?? []).map((a) =>
      typeof (a as { data: unknown }).data === 'string'
        ? `${a.type} ${(a as { data: string }).data}`
        : `${a.type} ${JSON.stringify((a as { data: unknown }).data)}`,
    ),
    authorities: (reply.authorities ?? []).map((a) => `${a.type} ${a.name}`),
    additionals: (reply.additionals ?? []).map((a) => `${a.type} ${a.name} ${(a as { data: string }).data}`),
    truncated: reply.flag_tc,
    ttls: (reply.answers ?? []).map((a) => (a as { ttl: number }).ttl),
  };
}

describe('names of the Kubernetes DNS specification', () => {
  const z = 'cluster.local';
  it.each([
    ['A', `orders.shop.svc.${z}`, ['A 10.96.0.20']],
    ['AAAA', `orders.shop.svc.${z}`, ['AAAA fd00::20']],
    ['A', `ORDERS.Shop.SVC.${z}`, ['A 10.96.0.20']],
    ['A', `db.shop.svc.${z}`, ['A 10.244.1.5', 'A 10.244.2.5', 'A 10.244.3.5']],
    ['A', `db-0.db.shop.svc.${z}`, ['A 10.244.1.5']],
    ['A', `10-244-3-5.db.shop.svc.${z}`, ['A 10.244.3.5']],
    ['A', `pending.shop.svc.${z}`, ['A 10.244.1.8']],
    ['A', `away.shop.svc.${z}`, ['CNAME example.org']],
    [
      'SRV',
      `_http._tcp.orders.shop.svc.${z}`,
      ['SRV {"priority":0,"weight":100,"port":80,"target":"orders.shop.svc.cluster.local"}'],
    ],
    ['TXT', `dns-version.${z}`, [`TXT ${JSON.stringify([Buffer.from('1.1.0')])}`]],
    ['A', `10-244-9-9.shop.pod.${z}`, ['A 10.244.9.9']],
    ['PTR', '20.0.96.10.in-addr.arpa', ['PTR orders.shop.svc.cluster.local']],
    ['PTR', '5.1.244.10.in-addr.arpa', ['PTR db-0.db.shop.svc.cluster.local']],
    ['PTR', '5.3.244.10.in-addr.arpa', ['PTR 10-244-3-5.db.shop.svc.cluster.local']],
  ])('%s %s', async (type, name, answers) => {
    const reply = await ask(type, name);
    expect(reply).toMatchObject({ rcode: 'NOERROR', authoritative: true, answers });
    expect(reply.ttls.every((ttl) => ttl === (type === 'TXT' ? 28_800 : 5))).toBe(true);
  });

  it('gives SRV of a headless Service per endpoint, with their addresses', async () => {
    const reply = await ask('SRV', `_sql._tcp.db.shop.svc.${z}`);
    expect(reply.answers).toHaveLength(3);
    expect(reply.answers[0]).toBe(
      'SRV {"priority":0,"weight":33,"port":5432,"target":"db-0.db.shop.svc.cluster.local"}',
    );
    expect(reply.additionals).toContain('A db-1.db.shop.svc.cluster.local 10.244.2.5');
  });

  it.each([
    ['A', `nobody.shop.svc.${z}`],
    ['A', `orders.nowhere.svc.${z}`],
    ['A', `idle.shop.svc.${z}`],
    ['A', `db-9.db.shop.svc.${z}`],
    ['A', `x.away.shop.svc.${z}`],
    ['A', `a.b.c.orders.shop.svc.${z}`],
    ['SRV', `_nope._tcp.orders.shop.svc.${z}`],
    ['A', `10-244-9-9.nowhere.pod.${z}`],
    ['A', `orders.${z}`],
    ['PTR', '9.9.9.10.in-addr.arpa'],
  ])('NXDOMAIN with SOA: %s %s', async (type, name) => {
    const reply = await ask(type, name);
    expect(reply).toMatchObject({ rcode: 'NXDOMAIN', authoritative: true, answers: [] });
    expect(reply.authorities[0]).toMatch(/^SOA (cluster\.local|in-addr\.arpa)$/);
  });

  it.each([
    ['MX', `orders.shop.svc.${z}`],
    ['AAAA', `db.shop.svc.${z}`],
    ['A', `svc.${z}`],
    ['A', `shop.svc.${z}`],
    ['A', `_http._tcp.orders.shop.svc.${z}`],
    ['A', z],
  ])('NODATA with SOA: %s %s', async (type, name) => {
    expect(await ask(type, name)).toMatchObject({ rcode: 'NOERROR', answers: [], authorities: [`SOA ${z}`] });
  });

  it('refuses names of no zone and of no plugin', async () => {
    expect(await ask('A', 'example.org')).toMatchObject({ rcode: 'REFUSED' });
    expect(
      await ask('A', 'example.org', { blocks: zones('cluster.local { \n kubernetes\n}\n') }),
    ).toMatchObject({ rcode: 'REFUSED' });
  });

  it('knows no pods when they are disabled', async () => {
    const disabled = zones('. { \n kubernetes cluster.local\n}\n');
    expect(await ask('A', `10-244-9-9.shop.pod.${z}`, { blocks: disabled })).toMatchObject({
      rcode: 'NXDOMAIN',
    });
  });
});

describe('messages', () => {
  it('echoes the letters of the question', async () => {
    const message = dnsPacket.encode({
      type: 'query',
      id: 1,
      questions: [{ type: 'A', name: 'OrDers.shop.svc.cluster.local' }],
    });
    const reply = dnsPacket.decode((await answerMessage(message, client, blocks))!);
    expect(reply.questions?.[0]?.name).toBe('OrDers.shop.svc.cluster.local');
  });

  it('truncates what does not fit UDP and gives all of it by TCP', async () => {
    const many = Array.from({ length: 60 }, (_, i) => ({
      addresses: [`10.244.7.${i + 1}`],
      conditions: { ready: true },
    }));
    const before = objects['endpointslices.discovery.k8s.io'];
    objects['endpointslices.discovery.k8s.io'] = [
      {
        metadata: { namespace: 'shop', name: 'm', labels: { 'kubernetes.io/service-name': 'db' } },
        addressType: 'IPv4',
        endpoints: many,
        ports: [],
      },
    ];
    const big = zones('. {\n kubernetes cluster.local\n}\n');
    objects['endpointslices.discovery.k8s.io'] = before!;
    const udp = await ask('A', 'db.shop.svc.cluster.local', { blocks: big });
    expect(udp).toMatchObject({ truncated: true, answers: [] });
    const tcp = await ask('A', 'db.shop.svc.cluster.local', { blocks: big, protocol: 'tcp' });
    expect(tcp.truncated).toBe(false);
    expect(tcp.answers).toHaveLength(60);
  });

  it('answers FORMERR and NOTIMP, and nothing to answers and scraps', async () => {
    const header = (second: number, questions: number): Uint8Array =>
      Uint8Array.of(0, 9, second, 0, 0, questions, 0, 0, 0, 0, 0, 0);
    expect((await answerMessage(header(0x10, 0), client, blocks))![3]! & 0x0f).toBe(4);
    expect((await answerMessage(header(0x00, 1), client, blocks))![3]! & 0x0f).toBe(1);
    expect(await answerMessage(header(0x80, 0), client, blocks)).toBeUndefined();
    expect(await answerMessage(Uint8Array.of(1, 2, 3), client, blocks)).toBeUndefined();
  });

  it('survives random bytes', async () => {
    let seed = 20_241;
    const next = (): number => (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0) >>> 24;
    for (let i = 0; i < 3_000; i++) {
      const message = Uint8Array.from({ length: next() % 80 }, next);
      if (message.length > 5 && i % 2 === 0) message.set([0, 0, 0, 1], 2);
      await answerMessage(message, client, blocks);
    }
  });
});

describe('the cache', () => {
  /** A chain whose last plugin counts how often it is asked. */
  function counted(cacheDirective: string) {
    const [block] = zones(`. {\n ${cacheDirective}\n kubernetes cluster.local\n}\n`);
    let asked = 0;
    const last = block!.chain.at(-1)!;
    const counting: Plugin = {
      name: 'counting',
      serve(...args) {
        asked++;
        return last.serve(...args);
      },
    };
    return { blocks: [{ ...block!, chain: [...block!.chain.slice(0, -1), counting] }], asked: () => asked };
  }

  it.each([
    ['cache 30', 'orders.shop.svc.cluster.local', 1],
    ['cache 30', 'nobody.shop.svc.cluster.local', 1],
    ['cache 0', 'orders.shop.svc.cluster.local', 2],
    ['cache 30 {\n disable success cluster.local\n }', 'orders.shop.svc.cluster.local', 2],
    ['cache 30 {\n disable success cluster.local\n }', 'nobody.shop.svc.cluster.local', 1],
    ['cache 30 {\n disable denial\n }', 'nobody.shop.svc.cluster.local', 2],
  ])('%j: two questions for %s ask the next plugin %i times', async (directive, name, times) => {
    const { blocks: chain, asked } = counted(directive);
    const first = await ask('A', name, { blocks: chain });
    expect(await ask('A', name, { blocks: chain })).toEqual(first);
    expect(asked()).toBe(times);
  });

  it('refuses properties it does not know', () => {
    expect(() => zones('. {\n cache {\n  disable everything\n }\n}')).toThrow(
      'must be "success" or "denial"',
    );
    expect(() => zones('. {\n cache {\n  frob\n }\n}')).toThrow("unknown property 'frob'");
  });
});

describe('the Corefile', () => {
  it.each([
    ['', 'no server block'],
    ['. {', 'unexpected end of file'],
    ['{ }', 'needs a zone'],
    ['. {\n frobnicate\n}', "Corefile:2 - Error during parsing: Unknown directive 'frobnicate'"],
    ['. {\n kubernetes {\n  pods maybe\n }\n}', 'pods "maybe" must be disabled, insecure or verified'],
    ['.:99999 {\n}', 'not a zone with an optional port'],
  ])('%j is refused with its line', (text, message) => {
    expect(() => zones(text)).toThrow(message);
  });

  it('puts plugins into the fixed order', () => {
    const [block] = zones('. {\n kubernetes\n cache 30\n errors\n loadbalance\n}');
    expect(block!.chain.map((plugin) => plugin.name)).toEqual([
      'errors',
      'loadbalance',
      'cache',
      'kubernetes',
    ]);
  });
});
