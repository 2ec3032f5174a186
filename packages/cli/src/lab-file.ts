import { readFileSync } from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import { Complaint } from './complaint.ts';

/** How a Service's address becomes a backend's: as in one of kube-proxy's three modes, or by Cilium's eBPF maps. */
export const MODES = ['iptables', 'ipvs', 'nftables', 'ebpf'] as const;
export type Mode = (typeof MODES)[number];
export type IpFamily = 'IPv4' | 'IPv6';

export interface LabNode {
  name: string;
  /** Underlay address of the node; it owns UDP 8472 and TCP 10250 there. */
  address: string;
  zone: string;
  labels: Record<string, string>;
  taints: { key: string; value?: string; effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute' }[];
}

/** A lab file with every default filled in; this is what `lab.json` holds and what the processes read. */
export interface Lab {
  name: string;
  mode: Mode;
  ipFamilies: IpFamily[];
  podCIDRs: string[];
  serviceCIDRs: string[];
  /** First three octets of the loopback block, as a CIDR: `127.0.0.0/24`. */
  loopback: string;
  /** The lab file names no block: "podwire up" takes the first whose ports are free. */
  anyLoopback?: true;
  controller: { address: string; port: number };
  nodes: LabNode[];
  /** Multiplies initialDelaySeconds and periodSeconds of every probe. */
  probeDelayScale: number;
  /** A node whose heartbeats stop is NotReady after this long. */
  nodeGraceSeconds: number;
  /** Tolerance of pods for a NotReady node before they are evicted (300 in a real cluster). */
  evictionSeconds: number;
  vni: number;
  mtu: number;
}

const MAX_NODES = 200;
const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export interface LabOverrides {
  name?: string;
  nodes?: number;
  mode?: string;
}

/** Reads and checks a lab file. Throws a Complaint that names the file, the field and what it may be. */
export async function readLabFile(path: string | undefined, overrides: LabOverrides): Promise<Lab> {
  if (!path) return resolveLab({}, overrides, 'the command line');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Complaint(`Cannot read the lab file ${path}: ${(error as Error).message}`);
  }
  const { parse } = await import('yaml');
  let document: unknown;
  try {
    document = parse(text);
  } catch (error) {
    throw new Complaint(`Cannot read the lab file ${path}: ${(error as Error).message.split('\n')[0]}`);
  }
  if (document === null || document === undefined) document = {};
  if (typeof document !== 'object' || Array.isArray(document)) {
    throw new Complaint(`Cannot read the lab file ${path}: it must be a mapping such as "nodes: 3"`);
  }
  return resolveLab(document as Record<string, unknown>, overrides, path);
}

const FIELDS = new Set([
  'name',
  'nodes',
  'mode',
  'ipFamilies',
  'podCIDR',
  'podCIDRs',
  'serviceCIDR',
  'serviceCIDRs',
  'loopback',
  'apiPort',
  'probeDelayScale',
  'nodeGraceSeconds',
  'evictionSeconds',
  'vni',
  'mtu',
]);

export function resolveLab(file: Record<string, unknown>, overrides: LabOverrides, source: string): Lab {
  const wrong = (field: string, what: string): Complaint =>
    new Complaint(`Cannot use ${source}: ${field}: ${what}`);
  for (const field of Object.keys(file)) {
    if (!FIELDS.has(field)) throw wrong(field, `unknown field; there are ${[...FIELDS].join(', ')}`);
  }
  const name = String(overrides.name ?? file.name ?? 'lab');
  if (!NAME.test(name))
    throw wrong('name', `"${name}" must be lower-case letters, digits and dashes, 63 at most`);

  const mode = String(overrides.mode ?? file.mode ?? 'iptables');
  if (!MODES.includes(mode as Mode)) throw wrong('mode', `"${mode}" must be one of ${MODES.join(', ')}`);

  const ipFamilies = (file.ipFamilies ?? ['IPv4']) as IpFamily[];
  if (
    !Array.isArray(ipFamilies) ||
    ipFamilies.length === 0 ||
    new Set(ipFamilies).size !== ipFamilies.length ||
    ipFamilies.some((family) => family !== 'IPv4' && family !== 'IPv6')
  ) {
    throw wrong('ipFamilies', 'must be a list of IPv4 and IPv6, each once');
  }
  const podCIDRs = cidrs(
    file.podCIDRs ?? file.podCIDR,
    ipFamilies,
    ['10.244.0.0/16', 'fd00:10:244::/48'],
    'podCIDR',
    wrong,
  );
  const serviceCIDRs = cidrs(
    file.serviceCIDRs ?? file.serviceCIDR,
    ipFamilies,
    ['10.96.0.0/16', 'fd00:10:96::/112'],
    'serviceCIDR',
    wrong,
  );

  const loopback = String(file.loopback ?? '127.0.0.0/24');
  const block = /^(127\.\d{1,3}\.\d{1,3})\.0\/24$/.exec(loopback);
  if (!block || !isIPv4(`${block[1]}.1`))
    throw wrong('loopback', `"${loopback}" must be a /24 such as 127.0.1.0/24`);
  const prefix = block[1]!;

  const apiPort = number(file.apiPort ?? 6443, 'apiPort', 1, 65535, true, wrong);
  return {
    name,
    mode: mode as Mode,
    ipFamilies,
    podCIDRs,
    serviceCIDRs,
    loopback,
    ...(file.loopback === undefined && !namesAddresses(file.nodes) && { anyLoopback: true as const }),
    controller: { address: `${prefix}.10`, port: apiPort },
    nodes: nodes(overrides.nodes ?? file.nodes ?? 3, prefix, wrong),
    probeDelayScale: number(file.probeDelayScale ?? 0.02, 'probeDelayScale', 0, 100, false, wrong),
    nodeGraceSeconds: number(file.nodeGraceSeconds ?? 2, 'nodeGraceSeconds', 0.2, 3600, false, wrong),
    evictionSeconds: number(file.evictionSeconds ?? 1, 'evictionSeconds', 0, 3600, false, wrong),
    vni: number(file.vni ?? 1, 'vni', 1, 0xffffff, true, wrong),
    mtu: number(file.mtu ?? 1450, 'mtu', ipFamilies.includes('IPv6') ? 1280 : 576, 8950, true, wrong),
  };
}

/** A lab file that gives addresses of its own must not be moved to another block. */
function namesAddresses(nodes: unknown): boolean {
  return Array.isArray(nodes) && nodes.some((node) => (node as Partial<LabNode>)?.address !== undefined);
}

/** The same lab on another block of loopback addresses. */
export function moveLab(lab: Lab, loopback: string): Lab {
  const from = lab.loopback.replace(/0\/24$/, '');
  const to = loopback.replace(/0\/24$/, '');
  const move = (address: string): string =>
    address.startsWith(from) ? to + address.slice(from.length) : address;
  return {
    ...lab,
    loopback,
    controller: { ...lab.controller, address: move(lab.controller.address) },
    nodes: lab.nodes.map((node) => ({ ...node, address: move(node.address) })),
  };
}

type Wrong = (field: string, what: string) => Complaint;

function number(
  value: unknown,
  field: string,
  least: number,
  most: number,
  whole: boolean,
  wrong: Wrong,
): number {
  if (
    typeof value !== 'number' ||
    !(value >= least && value <= most) ||
    (whole && !Number.isInteger(value))
  ) {
    throw wrong(
      field,
      `${JSON.stringify(value)} must be a ${whole ? 'whole ' : ''}number from ${least} to ${most}`,
    );
  }
  return value;
}

function cidrs(
  value: unknown,
  families: IpFamily[],
  defaults: [string, string],
  field: string,
  wrong: Wrong,
): string[] {
  const given =
    value === undefined ? [] : Array.isArray(value) ? value.map(String) : String(value).split(',');
  return families.map((family) => {
    const found = given.find((text) => (family === 'IPv4' ? isIPv4 : isIPv6)(text.split('/')[0]!.trim()));
    const text = (found ?? defaults[family === 'IPv4' ? 0 : 1]!).trim();
    const length = Number(text.split('/')[1]);
    const most = family === 'IPv4' ? 32 : 128;
    if (!text.includes('/') || !Number.isInteger(length) || length < 1 || length > most) {
      throw wrong(field, `"${text}": prefix length must be 1 to ${most}`);
    }
    return text;
  });
}

/** One node: its name, underlay address and zone come from its place in the lab. */
export function labNode(index: number, prefix: string, given: Partial<LabNode> = {}): LabNode {
  return {
    name: given.name ?? `node-${index + 1}`,
    address: given.address ?? `${prefix}.${11 + index}`,
    zone: given.zone ?? `zone-${'abc'[index % 3]}`,
    labels: given.labels ?? {},
    taints: given.taints ?? [],
  };
}

function nodes(value: unknown, prefix: string, wrong: Wrong): LabNode[] {
  if (typeof value === 'number') {
    number(value, 'nodes', 1, MAX_NODES, true, wrong);
    return Array.from({ length: value }, (_, index) => labNode(index, prefix));
  }
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_NODES) {
    throw wrong('nodes', `must be a number from 1 to ${MAX_NODES} or a list of nodes`);
  }
  const seen = new Set<string>();
  return value.map((entry, index) => {
    const node = labNode(
      index,
      prefix,
      typeof entry === 'string' ? { name: entry } : (entry as Partial<LabNode>),
    );
    if (!NAME.test(node.name)) throw wrong(`nodes[${index}].name`, `"${node.name}" is not a valid node name`);
    if (seen.has(node.name)) throw wrong(`nodes[${index}].name`, `"${node.name}" stands twice`);
    if (!isIPv4(node.address))
      throw wrong(`nodes[${index}].address`, `"${node.address}" is not an IPv4 address`);
    seen.add(node.name);
    return node;
  });
}
