/**
 * The kernel as judge: the rules that the data plane dumps are loaded into a real kernel, real connections are made
 * through them, and what became of each is what the data plane decides for the same packets.
 */

import { existsSync } from 'node:fs';
import { compileTables } from '@podwire/compile/tables';
import { iptablesSave } from '@podwire/dataplane/dump/iptables-save';
import { nftList } from '@podwire/dataplane/dump/nft';
import type { Pipeline } from '@podwire/dataplane/pipeline';
import { IptablesTranslator } from '@podwire/dataplane/service/iptables';
import { NftablesTranslator } from '@podwire/dataplane/service/nftables';
import type { ServicePort, Tables } from '@podwire/dataplane/tables';
import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Case, Decider, resultText } from './decision.ts';
import { generateInput, PLAN } from './generated-services.ts';
import { Network, type Place, run } from './network.ts';

const SEED = 20_260;
const SERVICES = 110;
const CASES_PER_PORT = 3;
const OUTSTANDING = 128;
const SPREAD_CONNECTIONS = 600;
/** For what is expected to be lost, and for the rest. */
const SILENCE_MS = 400;
const PATIENCE_MS = 10_000;
/** Seconds are enough on an idle machine. */
const TEST_TIMEOUT_MS = 120_000;

/** Why the comparison cannot run here, or undefined. */
function obstacle(): string | undefined {
  if (process.platform !== 'linux') return `this is ${process.platform}, not Linux`;
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const scratch = `podwire-k-${process.pid}-scratch`;
  const attempts: [string, () => void][] = [
    ['ip netns', () => run('ip', ['netns', 'add', scratch])],
    [
      'veth pairs',
      () => run('ip', ['-n', scratch, 'link', 'add', 'podwire0', 'type', 'veth', 'peer', 'name', 'podwire1']),
    ],
    ['nft', () => run('ip', ['netns', 'exec', scratch, 'nft', 'list', 'ruleset'])],
    [
      'iptables-restore with the matches kube-proxy uses',
      () =>
        run(
          'ip',
          ['netns', 'exec', scratch, 'iptables-restore'],
          iptablesDump(new Decider(tables(1, 4), 1), 4),
        ),
    ],
    [
      'ip6tables-restore with the matches kube-proxy uses',
      () =>
        run(
          'ip',
          ['netns', 'exec', scratch, 'ip6tables-restore'],
          iptablesDump(new Decider(tables(1, 4), 1), 6),
        ),
    ],
  ];
  try {
    for (const [what, attempt] of attempts) {
      try {
        attempt();
      } catch (error) {
        const { message } = error as Error;
        const reason = message.split('\n').filter((line) => !line.startsWith('Command failed'))[0] ?? message;
        return `no ${what} here (${reason.trim() || message.split('\n')[0]})`;
      }
    }
  } finally {
    if (existsSync(`/run/netns/${scratch}`)) run('ip', ['netns', 'del', scratch]);
  }
  return undefined;
}

function tables(seed: number, count: number): Tables {
  return compileTables({ ...generateInput(seed, count), mode: 'iptables' });
}

function iptablesDump({ pipeline, tables }: { pipeline: Pipeline; tables: Tables }, version: 4 | 6): string {
  const { services } = pipeline;
  if (!(services instanceof IptablesTranslator)) throw new Error('not in iptables mode');
  return iptablesSave(services.ruleSet(version), tables, version);
}

/** Seeded cases for every service port: some of its frontends, each from some client. */
function casesOf(services: readonly ServicePort[], seed: number): Case[] {
  const random32 = seededRandom32(seed);
  const pick = <T>(items: readonly T[]): T => items[random32() % items.length];
  const cases: Case[] = [];
  const node: Place = { ...PLAN.node, addresses: [...PLAN.node.addresses, ...PLAN.gateways] };
  const places = [...PLAN.pods, PLAN.outside, PLAN.outside, node, node];
  for (const port of services) {
    const ofFamily = (addresses: readonly string[]): string[] =>
      addresses.filter((address) => address.includes(':') === (port.version === 6));
    const unallocated = port.version === 4 ? '10.96.200.7' : 'fd00:10:96::c807';
    const frontends: [string, string, number][] = [
      ['clusterIP', port.clusterIp, port.port],
      ['another port of clusterIP', port.clusterIp, 9999],
      ['unallocated clusterIP', unallocated, port.port],
    ];
    for (const address of port.externalIps) frontends.push(['externalIP', address, port.port]);
    for (const address of port.loadBalancerIps) frontends.push(['loadBalancerIP', address, port.port]);
    if (port.nodePort !== 0) {
      for (const address of ofFamily(node.addresses)) frontends.push(['nodePort', address, port.nodePort]);
    }
    for (let i = 0; i < CASES_PER_PORT; i++) {
      const [frontend, to, number] = pick(frontends);
      const onlyEndpoint =
        port.clusterEndpoints.length === 1 && PLAN.pods.find(isAt(port.clusterEndpoints[0].address));
      // Hairpin is rare among random pairs.
      const place = i === 0 && onlyEndpoint ? onlyEndpoint : pick(places);
      const { protocol, affinitySeconds, name: service } = port;
      const from = pick(ofFamily(place.addresses));
      const words = protocol === 6 ? 'tcp' : 'udp';
      cases.push({ service, frontend, place, from, protocol: words, to, port: number, affinitySeconds });
    }
  }
  return cases;
}

function isAt(address: string): (place: Place) => boolean {
  return ({ addresses }) => addresses.includes(address);
}

interface Compared {
  /** How many connections went which way, of the kernel's. */
  readonly seen: Record<'answered' | 'refused' | 'silent' | 'masqueraded' | 'hairpin', number>;
  readonly disagreements: readonly string[];
}

/** Makes every case's connections and says where the kernel and the data plane differ. */
async function compare(
  network: Network,
  decider: Decider,
  cases: readonly Case[],
  patienceMs = PATIENCE_MS,
): Promise<Compared> {
  const seen = { answered: 0, refused: 0, silent: 0, masqueraded: 0, hairpin: 0 };
  const disagreements: string[] = [];
  const decided = new Map(cases.map((what) => [what, decider.possible(what)]));
  const judge = async (what: Case): Promise<void> => {
    const possible = decided.get(what)!;
    const isLost = possible.size === 1 && possible.has('silent');
    const timeoutMs = isLost ? SILENCE_MS : patienceMs;
    const { protocol, from, to, port, place } = what;
    const about = `${what.service} ${what.frontend}: ${place.name} ${from} -> ${protocol} ${to} ${port}`;
    const isAnswered = [...possible].some((text) => text.startsWith('answered'));
    const results = new Set<string>();
    for (let i = 0; i < (what.affinitySeconds > 0 && isAnswered ? 4 : 1); i++) {
      const result = await network.attempt(place.name, { protocol, from, to, port, timeoutMs });
      const text = resultText(result);
      results.add(text);
      seen[result.verdict]++;
      if (result.verdict === 'answered' && result.seen !== from) seen.masqueraded++;
      if (result.backend?.split(' ')[0] === from) seen.hairpin++;
      if (possible.has(text)) continue;
      disagreements.push(`${about}: the kernel: ${text}; the data plane: ${[...possible].join(' | ')}`);
    }
    if (results.size > 1) disagreements.push(`${about}: affinity not kept: ${[...results].join(' | ')}`);
  };
  // A client's first connections to a service with affinity must not race each other.
  const queues = new Map<string, Case[]>();
  cases.forEach((what, i) => {
    const key = what.affinitySeconds > 0 ? `${what.service} ${what.from}` : `${i}`;
    queues.set(key, [...(queues.get(key) ?? []), what]);
  });
  await inParallel([...queues.values()], async (queue) => {
    for (const what of queue) await judge(what);
  });
  return { seen, disagreements };
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: OUTSTANDING }, lane));
}

/** Two rows of counts: how unlikely is it that one die threw both? */
function chiSquare(a: readonly number[], b: readonly number[]): number {
  const total = (row: readonly number[]): number => row.reduce((sum, count) => sum + count, 0);
  const [totalA, totalB] = [total(a), total(b)];
  return a.reduce((sum, count, i) => {
    const share = (count + b[i]) / (totalA + totalB);
    const [expectedA, expectedB] = [share * totalA, share * totalB];
    return sum + (count - expectedA) ** 2 / expectedA + (b[i] - expectedB) ** 2 / expectedB;
  }, 0);
}
/** Chi-square that one comparison in a million exceeds, by degrees of freedom. */
const ONE_IN_A_MILLION: Readonly<Record<number, number>> = { 1: 23.93, 2: 27.63, 4: 33.38 };

/** How a mode's rules get into the kernel and out again. */
interface Judged {
  readonly mode: 'iptables' | 'nftables';
  dump(decider: Decider, version: 4 | 6): string;
  load(network: Network, version: 4 | 6, dump: string): void;
  /** The kernel's rules as text. */
  list(network: Network, version: 4 | 6): string;
  /** Lines of either text that can be compared. */
  plain(text: string): string[];
  /** Ways to spoil a dump: another backend, no masquerade, a refusal that became silence. */
  readonly spoilt: readonly (readonly [RegExp, string])[];
}

const JUDGED: readonly Judged[] = [
  {
    mode: 'iptables',
    dump: iptablesDump,
    load: (network, version, dump) => {
      network.onNode(version === 4 ? 'iptables-restore' : 'ip6tables-restore', [], dump);
    },
    list: (network, version) =>
      ['nat', 'filter']
        .map((table) => network.onNode(version === 4 ? 'iptables-save' : 'ip6tables-save', ['-t', table]))
        .join(''),
    plain: (text) =>
      text
        .split('\n')
        .filter((line) => /^[:*-]/.test(line))
        .map((line) => line.replace(/ \[\d+:\d+\]$/, '')),
    spoilt: [
      [/(--to-destination \S*:)8080$/gm, '$18081'],
      [/^-A KUBE-MARK-MASQ .*$/gm, ''],
      [/-j REJECT .*$/gm, '-j DROP'],
    ],
  },
  {
    mode: 'nftables',
    dump: ({ pipeline, tables }, version) => {
      const { services } = pipeline;
      if (!(services instanceof NftablesTranslator)) throw new Error('not in nftables mode');
      return nftList(services, tables, version);
    },
    load: (network, version, dump) => {
      const table = version === 4 ? 'ip kube-proxy' : 'ip6 kube-proxy';
      network.onNode('nft', ['-f', '-'], `table ${table}\ndelete table ${table}\n${dump}`);
    },
    list: (network, version) =>
      network.onNode('nft', ['list', 'table', version === 4 ? 'ip' : 'ip6', 'kube-proxy']),
    // Elements have no order.
    plain: (text) =>
      text
        .replaceAll(/\s+/g, ' ')
        .replaceAll(/\{ ([^{}]*) \}/g, (_, list: string) => `{ ${list.split(', ').sort().join(', ')} }`)
        .split(/ (?=(?:set|map|chain) \S+ \{)/),
    spoilt: [
      [/(dnat to \S*:)8080$/gm, '$18081'],
      [/meta mark set meta mark \| 0x00004000/g, 'continue'],
      [/goto reject-chain/g, 'drop'],
    ],
  },
];

const missing = obstacle();
const title = missing === undefined ? 'the kernel agrees' : `the kernel agrees (not compared: ${missing})`;

describe.skipIf(missing !== undefined)(title, { timeout: TEST_TIMEOUT_MS }, () => {
  let network: Network;

  beforeAll(async () => {
    network = await Network.open(PLAN);
  });
  afterAll(() => network?.close());

  describe.each(JUDGED)('$mode', ({ mode, dump, load, list, plain, spoilt }) => {
    const { spread, ...input } = generateInput(SEED, SERVICES);
    const decider = new Decider(compileTables({ ...input, mode }), SEED);
    const cases = casesOf(decider.tables.services, SEED);
    const loadBoth = (change: (text: string) => string = (text) => text): void => {
      for (const version of [4, 6] as const) load(network, version, change(dump(decider, version)));
    };
    afterAll(() => {
      if (network === undefined) return;
      if (mode === 'nftables') network.onNode('nft', ['flush', 'ruleset']);
      else for (const version of [4, 6] as const) load(network, version, NO_RULES);
    });

    it('reads the dump and writes the same', () => {
      loadBoth();
      for (const version of [4, 6] as const) {
        expect(plain(list(network, version))).toEqual(plain(dump(decider, version)));
      }
    });

    it('verdict, backend and source of hundreds of connections', async () => {
      loadBoth();
      const { seen, disagreements } = await compare(network, decider, cases);
      expect(disagreements, `seed ${SEED}`).toEqual([]);
      // The services were of every kind.
      for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(15);
    });

    it('the spread over backends', async () => {
      loadBoth();
      const pod = PLAN.pods[0];
      for (const name of spread) {
        const port = decider.tables.services.find(
          ({ service, version }) => service === name && version === 4,
        )!;
        const protocol = port.protocol === 6 ? 'tcp' : 'udp';
        const what = { protocol, from: pod.addresses[0], to: port.clusterIp, port: port.port } as const;
        const ofKernel = new Map(port.clusterEndpoints.map(({ address }) => [`${address} 8080`, 0]));
        const ofPipeline = new Map(ofKernel);
        const count = (counts: Map<string, number>, backend: string): void => {
          expect(counts.has(backend), backend).toBe(true);
          counts.set(backend, counts.get(backend)! + 1);
        };
        await inParallel(Array.from({ length: SPREAD_CONNECTIONS }), async () => {
          const result = await network.attempt(pod.name, { ...what, timeoutMs: PATIENCE_MS });
          count(ofKernel, result.backend ?? result.verdict);
          const decided = decider.decide({
            ...what,
            service: name,
            frontend: '',
            place: pod,
            affinitySeconds: 0,
          });
          count(ofPipeline, /^answered by (.*), seen/.exec(decided)?.[1] ?? decided);
        });
        const rows = [[...ofKernel.values()], [...ofPipeline.values()]] as const;
        const limit = ONE_IN_A_MILLION[port.clusterEndpoints.length - 1];
        expect(chiSquare(...rows), `${name}: ${JSON.stringify(rows)}`).toBeLessThan(limit);
      }
    });

    it('rules that differ are noticed', async () => {
      // Of ports that services have.
      const some = cases
        .filter(({ affinitySeconds, frontend }) => affinitySeconds === 0 && !frontend.includes(' '))
        .slice(0, 90);
      for (const [rule, replacement] of spoilt) {
        loadBoth((text) => text.replace(rule, replacement));
        const { disagreements } = await compare(network, decider, some, 2 * SILENCE_MS);
        expect(disagreements.length, `${rule}`).toBeGreaterThan(3);
      }
    });
  });
});

/** Empty tables that let everything pass. */
const NO_RULES = '*nat\nCOMMIT\n*filter\nCOMMIT\n';

describe('ipvs', () => {
  const hasIpvs = existsSync('/proc/net/ip_vs');
  it.skip(`is not compared with the kernel: ${hasIpvs ? 'no comparison is built' : 'this kernel has no ip_vs'}`, () => {});
});
