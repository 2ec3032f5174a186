import { isIP } from 'node:net';
import { posix } from 'node:path';
import { contains, parseCidr } from '@podwire/wire/cidr';
import type { Tool, ToolContext } from '../shell/tool.ts';
import { OptionProblem, parseOptions } from './options.ts';

/** What the data plane answers for as every pod's next hop, and with which MAC address. */
const GATEWAYS = { 4: '169.254.1.1', 6: 'fe80::1' } as const;
const GATEWAY_MAC = 'ee:ee:ee:ee:ee:ee';

interface Interface {
  index: number;
  name: string;
  flags: string;
  mtu: number;
  discipline: string;
  state: string;
  kind: string;
  mac: string;
  broadcast: string;
  addresses: { address: string; prefixLength: number; scope: string }[];
}

function interfacesOf(context: ToolContext): Interface[] {
  const { sandbox } = context;
  const hasV6 = sandbox.stack.addresses.some(({ address }) => address.includes(':'));
  return [
    {
      index: 1,
      name: 'lo',
      flags: 'LOOPBACK,UP,LOWER_UP',
      mtu: 65_536,
      discipline: 'noqueue',
      state: 'UNKNOWN',
      kind: 'loopback',
      mac: '00:00:00:00:00:00',
      broadcast: '00:00:00:00:00:00',
      addresses: [
        { address: '127.0.0.1', prefixLength: 8, scope: 'host' },
        ...(hasV6 ? [{ address: '::1', prefixLength: 128, scope: 'host' }] : []),
      ],
    },
    {
      index: 2,
      name: 'eth0',
      flags: 'BROADCAST,MULTICAST,UP,LOWER_UP',
      mtu: sandbox.mtu,
      discipline: 'noqueue',
      state: 'UP',
      kind: 'ether',
      mac: sandbox.interfaceMac,
      broadcast: 'ff:ff:ff:ff:ff:ff',
      addresses: sandbox.stack.addresses.map((own) => ({
        ...own,
        scope: own.address.startsWith('fe80:') ? 'link' : 'global',
      })),
    },
  ];
}

interface IpOptions {
  family: 4 | 6 | undefined;
  brief: boolean;
  oneLine: boolean;
  json: boolean;
  statistics: boolean;
}

/** `ip` of iproute2 for a look at addresses, links, routes and neighbours. What would change them is refused, as in a pod without NET_ADMIN. */
export const ip: Tool = async (context) => {
  const { stdout, stderr } = context;
  const options: IpOptions = {
    family: undefined,
    brief: false,
    oneLine: false,
    json: false,
    statistics: false,
  };
  const words: string[] = [];
  for (const argument of context.argv.slice(1)) {
    if (words.length > 0 || !argument.startsWith('-')) words.push(argument);
    else if (argument === '-4') options.family = 4;
    else if (argument === '-6') options.family = 6;
    else if (/^--?br(ief)?$/.test(argument)) options.brief = true;
    else if (/^--?o(neline)?$/.test(argument)) options.oneLine = true;
    else if (/^--?j(son)?$/.test(argument)) options.json = true;
    else if (/^--?s(tat(istic)?s?)?$/.test(argument)) options.statistics = true;
    else if (/^-(c|color.*|d|details|p|pretty|n|r)$/.test(argument)) continue;
    else if (argument === '-V') {
      await stdout.write('ip utility, iproute2-6.1.0, libbpf 1.1.2\n');
      return 0;
    } else {
      await stderr.write(`Option "${argument}" is unknown, try "ip -help".\n`);
      return 255;
    }
  }
  const [object = '', verb = 'show', ...rest] = words;
  const is = (full: string): boolean => object !== '' && full.startsWith(object);
  const known = ['address', 'link', 'route', 'neighbour', 'neighbor'].find(is);
  if (object === '' || object === 'help') {
    await stderr.write('Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }\n');
    return object === '' ? 255 : 0;
  }
  if (!known) {
    if (is('rule') && (verb === 'show' || verb === 'list')) {
      await stdout.write(
        '0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n',
      );
      return 0;
    }
    await stderr.write(`Object "${object}" is unknown, try "ip help".\n`);
    return 1;
  }
  if (known === 'route' && (verb === 'get' || verb === 'g')) return routeGet(context, rest, options.family);
  if (!['show', 'list', 'ls', 'l', 's', 'sh', 'lst'].includes(verb)) {
    const changes = /^(add|del|delete|change|replace|set|flush|append|a|d)$/.test(verb);
    await stderr.write(
      changes
        ? 'RTNETLINK answers: Operation not permitted\n'
        : `Command "${verb}" is unknown, try "ip ${known} help".\n`,
    );
    return changes ? 2 : 255;
  }
  switch (known) {
    case 'address':
      return showAddresses(context, options, rest);
    case 'link':
      return showLinks(context, options, rest);
    case 'route':
      return showRoutes(context, options);
    default:
      return showNeighbors(context, options);
  }
};

function wantedDevice(words: readonly string[]): string | undefined {
  const at = words.indexOf('dev');
  return at >= 0
    ? words[at + 1]
    : words.find((word) => !['up', 'dynamic', 'scope', 'global', 'link', 'host', 'permanent'].includes(word));
}

async function selected(context: ToolContext, words: readonly string[]): Promise<Interface[] | undefined> {
  const all = interfacesOf(context);
  const name = wantedDevice(words);
  if (name === undefined) return all;
  const found = all.filter((link) => link.name === name);
  if (found.length > 0) return found;
  await context.stderr.write(`Device "${name}" does not exist.\n`);
  return undefined;
}

function displayName(link: Interface): string {
  return link.name === 'eth0' ? 'eth0@if3' : link.name;
}

function headLine(link: Interface, mode: boolean): string {
  return `${link.index}: ${displayName(link)}: <${link.flags}> mtu ${link.mtu} qdisc ${link.discipline} state ${link.state} ${mode ? 'mode DEFAULT ' : ''}group default qlen 1000`;
}

function linkLine(link: Interface): string {
  return `    link/${link.kind} ${link.mac} brd ${link.broadcast}${link.name === 'eth0' ? ' link-netnsid 0' : ''}`;
}

async function showAddresses(
  context: ToolContext,
  options: IpOptions,
  words: readonly string[],
): Promise<number> {
  const links = await selected(context, words);
  if (!links) return 1;
  const { stdout } = context;
  const scope = words.includes('scope') ? words[words.indexOf('scope') + 1] : undefined;
  const shown = (link: Interface): Interface['addresses'] =>
    link.addresses.filter(
      ({ address, scope: own }) =>
        (!options.family || isIP(address) === options.family) && (scope === undefined || own === scope),
    );
  if (options.json) {
    const rows = links.map((link) => ({
      ifindex: link.index,
      ifname: link.name,
      flags: link.flags.split(','),
      mtu: link.mtu,
      operstate: link.state,
      link_type: link.kind,
      address: link.mac,
      addr_info: shown(link).map((own) => ({
        family: isIP(own.address) === 6 ? 'inet6' : 'inet',
        local: own.address,
        prefixlen: own.prefixLength,
        scope: own.scope,
      })),
    }));
    await stdout.write(`${JSON.stringify(rows)}\n`);
    return 0;
  }
  for (const link of links) {
    const addresses = shown(link);
    if (addresses.length === 0 && (options.family || scope !== undefined)) continue;
    if (options.brief) {
      const list = addresses.map((own) => `${own.address}/${own.prefixLength} `).join('');
      await stdout.write(`${displayName(link).padEnd(16)} ${link.state.padEnd(14)} ${list}\n`);
      continue;
    }
    if (!options.oneLine) {
      await stdout.write(`${headLine(link, false)}\n`);
      if (!options.family) await stdout.write(`${linkLine(link)}\n`);
    }
    for (const own of addresses) {
      const isV6 = isIP(own.address) === 6;
      const label = `${isV6 ? 'inet6' : 'inet'} ${own.address}/${own.prefixLength} scope ${own.scope} ${isV6 ? '' : link.name}`;
      await stdout.write(
        options.oneLine
          ? `${link.index}: ${link.name.padEnd(5)} ${label}\\       valid_lft forever preferred_lft forever\n`
          : `    ${label}\n       valid_lft forever preferred_lft forever\n`,
      );
    }
  }
  return 0;
}

async function showLinks(
  context: ToolContext,
  options: IpOptions,
  words: readonly string[],
): Promise<number> {
  const links = await selected(context, words);
  if (!links) return 1;
  const { statistics } = context.sandbox.stack;
  for (const link of links) {
    if (options.brief) {
      await context.stdout.write(
        `${displayName(link).padEnd(16)} ${link.state.padEnd(14)} ${link.mac} <${link.flags}> \n`,
      );
      continue;
    }
    const text = `${headLine(link, true)}${options.oneLine ? '\\' : '\n'}${linkLine(link)}\n`;
    await context.stdout.write(text);
    if (!options.statistics) continue;
    const own = link.name === 'eth0' ? statistics : undefined;
    const row = (...columns: number[]): string =>
      columns.map((n, i) => String(n).padStart(i === 0 ? 14 : 7)).join(' ');
    await context.stdout.write(
      `    RX:  bytes packets errors dropped  missed   mcast           \n${row(own?.bytesIn ?? 0, own?.framesIn ?? 0, own?.checksumErrors ?? 0, own?.queueDrops ?? 0, 0, 0)} \n` +
        `    TX:  bytes packets errors dropped carrier collsns           \n${row(own?.bytesOut ?? 0, own?.framesOut ?? 0, 0, 0, 0, 0)} \n`,
    );
  }
  return 0;
}

function versionsOf(context: ToolContext): (4 | 6)[] {
  const own = context.sandbox.stack.addresses.map(({ address }) => isIP(address));
  return ([4, 6] as const).filter((version) => own.includes(version));
}

async function showRoutes(context: ToolContext, options: IpOptions): Promise<number> {
  const version = options.family ?? 4;
  if (!versionsOf(context).includes(version)) return 0;
  const [gateway, own] = [
    GATEWAYS[version],
    context.sandbox.stack.addresses.filter(({ address }) => isIP(address) === version),
  ];
  if (version === 4) {
    await context.stdout.write(`default via ${gateway} dev eth0 \n${gateway} dev eth0 scope link \n`);
    return 0;
  }
  const lines = own.map(
    ({ address, prefixLength }) =>
      `${address}${prefixLength === 128 ? '' : `/${prefixLength}`} dev eth0 proto kernel metric 256 pref medium\n`,
  );
  await context.stdout.write(`${lines.join('')}default via ${gateway} dev eth0 metric 1024 pref medium\n`);
  return 0;
}

async function routeGet(
  context: ToolContext,
  words: readonly string[],
  family: 4 | 6 | undefined,
): Promise<number> {
  const { stdout, stderr, sandbox } = context;
  const target = words.find((word) => isIP(word) !== 0 || parseCidr(word) !== undefined)?.replace(/\/.*/, '');
  if (target === undefined) {
    await stderr.write(
      words.length === 0
        ? 'need at least a destination address\n'
        : `Error: any valid prefix is expected rather than "${words[0]}".\n`,
    );
    return 1;
  }
  const version = isIP(target) as 4 | 6;
  const own = sandbox.stack.addresses.filter(({ address }) => isIP(address) === version);
  if ((family && family !== version) || own.length === 0) {
    await stderr.write('RTNETLINK answers: Network is unreachable\n');
    return 2;
  }
  const local =
    own.some(({ address }) => address === target) ||
    target === '::1' ||
    contains(parseCidr('127.0.0.0/8')!, target);
  if (local) await stdout.write(`local ${target} dev lo src ${target} uid 0 \n    cache <local> \n`);
  else if (target === GATEWAYS[version])
    await stdout.write(`${target} dev eth0 src ${own[0]!.address} uid 0 \n    cache \n`);
  else
    await stdout.write(
      `${target} via ${GATEWAYS[version]} dev eth0 src ${own[0]!.address} uid 0 \n    cache \n`,
    );
  return 0;
}

async function showNeighbors(context: ToolContext, options: IpOptions): Promise<number> {
  for (const version of versionsOf(context)) {
    if (options.family && options.family !== version) continue;
    await context.stdout.write(
      `${GATEWAYS[version]} dev eth0 lladdr ${GATEWAY_MAC} ${version === 6 ? 'router ' : ''}REACHABLE \n`,
    );
  }
  return 0;
}

function netmask(prefixLength: number): string {
  const bits = prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0;
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join('.');
}

/** ifconfig of net-tools. */
export const ifconfig: Tool = async (context) => {
  const name = context.argv.slice(1).find((argument) => !argument.startsWith('-'));
  const links = interfacesOf(context).filter((link) => name === undefined || link.name === name);
  if (links.length === 0) {
    await context.stderr.write(`${name}: error fetching interface information: Device not found\n`);
    return 1;
  }
  const { statistics } = context.sandbox.stack;
  for (const link of links.reverse()) {
    const isLoopback = link.name === 'lo';
    const lines = [
      `${link.name}: flags=${isLoopback ? '73<UP,LOOPBACK,RUNNING>' : '4163<UP,BROADCAST,RUNNING,MULTICAST>'}  mtu ${link.mtu}`,
    ];
    for (const { address, prefixLength, scope } of link.addresses) {
      lines.push(
        isIP(address) === 4
          ? `        inet ${address}  netmask ${netmask(prefixLength)}${isLoopback ? '' : '  broadcast 0.0.0.0'}`
          : `        inet6 ${address}  prefixlen ${prefixLength}  scopeid ${scope === 'host' ? '0x10<host>' : '0x0<global>'}`,
      );
    }
    lines.push(
      isLoopback
        ? '        loop  txqueuelen 1000  (Local Loopback)'
        : `        ether ${link.mac}  txqueuelen 1000  (Ethernet)`,
    );
    const s = isLoopback ? undefined : statistics;
    lines.push(
      `        RX packets ${s?.framesIn ?? 0}  bytes ${s?.bytesIn ?? 0}`,
      `        RX errors ${s?.checksumErrors ?? 0}  dropped ${s?.queueDrops ?? 0}  overruns 0  frame 0`,
    );
    lines.push(
      `        TX packets ${s?.framesOut ?? 0}  bytes ${s?.bytesOut ?? 0}`,
      '        TX errors 0  dropped 0 overruns 0  carrier 0  collisions 0',
    );
    await context.stdout.write(`${lines.join('\n')}\n\n`);
  }
  return 0;
};

/** route -n of net-tools. */
export const route: Tool = async (context) => {
  const row = (...columns: string[]): string =>
    `${columns[0]!.padEnd(16)}${columns[1]!.padEnd(16)}${columns[2]!.padEnd(16)}${columns[3]!.padEnd(6)}0      0        0 eth0\n`;
  await context.stdout.write(
    `Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n${row('0.0.0.0', GATEWAYS[4], '0.0.0.0', 'UG')}${row(GATEWAYS[4], '0.0.0.0', '255.255.255.255', 'UH')}`,
  );
  return 0;
};

/** arp -n of net-tools. */
export const arp: Tool = async (context) => {
  await context.stdout.write(
    `Address                  HWtype  HWaddress           Flags Mask            Iface\n${GATEWAYS[4].padEnd(24)} ether   ${GATEWAY_MAC}   C                     eth0\n`,
  );
  return 0;
};

/** ss of iproute2 and netstat of net-tools, from the stack's own table of sockets. */
export const ss: Tool = async (context) => {
  const name = posix.basename(context.argv[0]!);
  let options: ReturnType<typeof parseOptions>;
  try {
    options = parseOptions(context.argv.slice(1), 'tulnpaiesmHorW46xrO', {
      tcp: 't',
      udp: 'u',
      listening: 'l',
      numeric: 'n',
      processes: 'p',
      program: 'p',
      all: 'a',
      route: 'r',
      summary: 's',
      'no-header': 'H',
    });
  } catch (error) {
    if (!(error instanceof OptionProblem)) throw error;
    await context.stderr.write(`${name}: ${error.text}\n`);
    return 255;
  }
  if (name === 'netstat' && options.has('r')) return route(context);
  const wants = (protocol: string): boolean =>
    (!options.has('t') && !options.has('u')) ||
    (protocol === 'tcp' && options.has('t')) ||
    (protocol === 'udp' && options.has('u'));
  const rows = context.sandbox.stack.sockets().filter(({ protocol, state }) => {
    if (protocol === 'icmp' || !wants(protocol)) return false;
    const listening = state === 'LISTEN' || state === 'UNCONN';
    return options.has('a') || (options.has('l') ? listening : !listening);
  });
  if (options.has('s')) {
    const all = context.sandbox.stack.sockets().filter(({ protocol }) => protocol !== 'icmp');
    await context.stdout.write(
      `Total: ${all.length}\nTCP:   ${all.filter(({ protocol }) => protocol === 'tcp').length}\nUDP:   ${all.filter(({ protocol }) => protocol === 'udp').length}\n`,
    );
    return 0;
  }
  const end = (address: string, port: number): string =>
    `${address === '*' ? (name === 'netstat' ? '0.0.0.0' : '*') : address.includes(':') ? `[${address}]` : address}:${port === 0 ? '*' : port}`;
  if (name === 'netstat') {
    const servers = options.has('l')
      ? 'only servers'
      : options.has('a')
        ? 'servers and established'
        : 'w/o servers';
    await context.stdout.write(
      `Active Internet connections (${servers})\nProto Recv-Q Send-Q Local Address           Foreign Address         State       ${options.has('p') ? 'PID/Program name' : ''}\n`,
    );
    for (const row of rows) {
      const state =
        row.protocol === 'udp'
          ? ''
          : ({
              ESTAB: 'ESTABLISHED',
              'SYN-SENT': 'SYN_SENT',
              'TIME-WAIT': 'TIME_WAIT',
              'CLOSE-WAIT': 'CLOSE_WAIT',
            }[row.state] ?? row.state);
      const queue = row.state === 'LISTEN' ? 0 : row.sendQueueBytes;
      await context.stdout.write(
        `${row.protocol.padEnd(5)} ${String(row.receiveQueueBytes).padStart(6)} ${String(queue).padStart(6)} ${end(row.localAddress, row.localPort).padEnd(23)} ${end(row.remoteAddress, row.remotePort).padEnd(23)} ${state.padEnd(11)} ${options.has('p') ? '1/app' : ''}\n`,
      );
    }
    return 0;
  }
  const both = options.has('t') === options.has('u');
  if (!options.has('H'))
    await context.stdout.write(
      `${both ? 'Netid ' : ''}State     Recv-Q Send-Q  Local Address:Port   Peer Address:Port ${options.has('p') ? 'Process' : ''}\n`,
    );
  for (const row of rows) {
    const text = `${row.state.padEnd(9)} ${String(row.receiveQueueBytes).padEnd(6)} ${String(row.sendQueueBytes).padEnd(7)} ${end(row.localAddress, row.localPort).padStart(19)} ${end(row.remoteAddress, row.remotePort).padStart(19)} ${options.has('p') ? 'users:(("app",pid=1,fd=3))' : ''}`;
    await context.stdout.write(`${both ? row.protocol.padEnd(6) : ''}${text.trimEnd()}\n`);
  }
  return 0;
};
