import type { Tool, ToolTable } from '../shell/tool.ts';

type Family = Record<string, unknown>;

/**
 * Every command of the built-in shell by name: the module that has it and its name there. Each module is loaded when
 * one of its commands is first called, because most pods never call most of them.
 */
const FAMILIES: readonly { load: () => Promise<Family>; tools: Readonly<Record<string, string>> }[] = [
  {
    load: () => import('./text.ts'),
    tools: { echo: 'echo', cat: 'cat', printf: 'printf', yes: 'yes', seq: 'seq' },
  },
  {
    load: () => import('./lines.ts'),
    tools: {
      head: 'head',
      tail: 'tail',
      wc: 'wc',
      sort: 'sort',
      uniq: 'uniq',
      cut: 'cut',
      tr: 'tr',
      tee: 'tee',
      rev: 'rev',
      tac: 'tac',
    },
  },
  { load: () => import('./grep.ts'), tools: { grep: 'grep', egrep: 'grep', fgrep: 'grep' } },
  { load: () => import('./sed.ts'), tools: { sed: 'sed' } },
  { load: () => import('./awk/awk.ts'), tools: { awk: 'awk', gawk: 'awk', mawk: 'awk' } },
  { load: () => import('./xargs.ts'), tools: { xargs: 'xargs' } },
  {
    load: () => import('./files.ts'),
    tools: {
      ls: 'ls',
      mkdir: 'mkdir',
      touch: 'touch',
      rm: 'rm',
      rmdir: 'rmdir',
      cp: 'cp',
      mv: 'mv',
      basename: 'basename',
      dirname: 'dirname',
      readlink: 'readlink',
      mktemp: 'mktemp',
      find: 'find',
      realpath: 'readlink',
    },
  },
  {
    load: () => import('./digests.ts'),
    tools: {
      md5sum: 'checksum',
      sha1sum: 'checksum',
      sha256sum: 'checksum',
      sha512sum: 'checksum',
      base64: 'base64',
      hexdump: 'hexdump',
    },
  },
  {
    load: () => import('./system.ts'),
    tools: {
      env: 'env',
      printenv: 'printenv',
      sleep: 'sleep',
      usleep: 'sleep',
      date: 'date',
      uname: 'uname',
      id: 'id',
      whoami: 'whoami',
      which: 'which',
      timeout: 'timeout',
      kill: 'kill',
      killall: 'byName',
      pkill: 'byName',
      pgrep: 'byName',
      pidof: 'byName',
      ps: 'ps',
      nproc: 'nproc',
      uptime: 'uptime',
      clear: 'clear',
      sync: 'succeed',
      chmod: 'succeed',
      chown: 'succeed',
      true: 'succeed',
      false: 'fail',
    },
  },
  { load: () => import('./curl/curl.ts'), tools: { curl: 'curl' } },
  { load: () => import('../agnhost/agnhost.ts'), tools: { agnhost: 'agnhost' } },
  { load: () => import('./wget.ts'), tools: { wget: 'wget' } },
  { load: () => import('./nc.ts'), tools: { nc: 'nc', netcat: 'nc', ncat: 'nc' } },
  { load: () => import('./ping.ts'), tools: { ping: 'ping', ping6: 'ping' } },
  {
    load: () => import('./traceroute.ts'),
    tools: { traceroute: 'traceroute', traceroute6: 'traceroute', tracepath: 'traceroute' },
  },
  { load: () => import('./redis-cli.ts'), tools: { 'redis-cli': 'redisCli' } },
  {
    load: () => import('./database-clients.ts'),
    tools: {
      pg_isready: 'databaseClient',
      psql: 'databaseClient',
      mysql: 'databaseClient',
      mysqladmin: 'databaseClient',
      mongosh: 'databaseClient',
      mongo: 'databaseClient',
    },
  },
  { load: () => import('./expr.ts'), tools: { expr: 'expr' } },
  { load: () => import('./jq.ts'), tools: { jq: 'jq' } },
  {
    load: () => import('./telnet.ts'),
    tools: { telnet: 'telnet', grpc_health_probe: 'grpcHealthProbe', watch: 'watch' },
  },
  { load: () => import('./dig.ts'), tools: { dig: 'dig' } },
  {
    load: () => import('./nslookup.ts'),
    tools: {
      nslookup: 'nslookup',
      host: 'host',
      getent: 'getent',
      hostname: 'hostname',
      dnsdomainname: 'hostname',
    },
  },
  {
    load: () => import('./interfaces.ts'),
    tools: { ip: 'ip', ifconfig: 'ifconfig', route: 'route', arp: 'arp', ss: 'ss', netstat: 'ss' },
  },
];

const FAMILY_OF = new Map(
  FAMILIES.flatMap((family) => Object.keys(family.tools).map((name) => [name, family] as const)),
);

export const findTool: ToolTable = async (name) => {
  const family = FAMILY_OF.get(name);
  return family && ((await family.load())[family.tools[name]!] as Tool);
};

export function hasTool(name: string): boolean {
  return FAMILY_OF.has(name);
}
