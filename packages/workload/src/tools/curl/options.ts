/** curl's command line, as far as transfers over HTTP go. */
export interface CurlOptions {
  urls: string[];
  silent: boolean;
  showError: boolean;
  fail: boolean;
  failWithBody: boolean;
  verbose: boolean;
  include: boolean;
  head: boolean;
  outputs: string[];
  remoteName: boolean;
  dumpHeader: string | undefined;
  writeOut: string;
  method: string | undefined;
  data: string[];
  get: boolean;
  upload: string | undefined;
  headers: string[];
  insecure: boolean;
  caFile: string | undefined;
  certificateFile: string | undefined;
  keyFile: string | undefined;
  follow: boolean;
  maxRedirects: number;
  maxTimeMs: number | undefined;
  connectTimeoutMs: number | undefined;
  resolve: { host: string; port: string; addresses: string[] }[];
  connectTo: { host: string; port: string; toHost: string; toPort: string }[];
  family: 4 | 6 | undefined;
  globbing: boolean;
  retries: number;
  retryDelayMs: number | undefined;
  retryConnectionRefused: boolean;
  retryAllErrors: boolean;
  user: string | undefined;
  agent: string | undefined;
  http10: boolean;
  progress: boolean;
}

/** A command line that curl refuses, with its exit code. */
export class CurlUsage extends Error {
  readonly code: number;
  constructor(message: string, code = 2) {
    super(message);
    this.code = code;
  }
}

export interface FileReader {
  read(name: string): Promise<Buffer | undefined>;
}

const SHORT_TO_LONG: Record<string, string> = {
  '0': 'http1.0',
  '4': 'ipv4',
  '6': 'ipv6',
  '#': 'progress-bar',
  A: 'user-agent',
  D: 'dump-header',
  E: 'cert',
  G: 'get',
  H: 'header',
  I: 'head',
  L: 'location',
  N: 'no-buffer',
  O: 'remote-name',
  S: 'show-error',
  T: 'upload-file',
  X: 'request',
  Z: 'parallel',
  b: 'cookie',
  d: 'data',
  e: 'referer',
  f: 'fail',
  g: 'globoff',
  i: 'include',
  j: 'junk-session-cookies',
  k: 'insecure',
  m: 'max-time',
  n: 'netrc',
  o: 'output',
  q: 'disable',
  s: 'silent',
  u: 'user',
  v: 'verbose',
  w: 'write-out',
};

/** Those that take a value. */
const WITH_VALUE = new Set(
  'user-agent dump-header cert key cacert capath header upload-file request cookie cookie-jar data data-raw data-ascii data-binary data-urlencode json referer max-time output user write-out connect-timeout resolve connect-to retry retry-delay retry-max-time max-redirs url keepalive-time limit-rate interface speed-limit speed-time'.split(
    ' ',
  ),
);
const IGNORED = new Set(
  'disable no-buffer parallel netrc junk-session-cookies compressed http1.1 http2 http2-prior-knowledge tcp-nodelay no-keepalive keepalive-time cookie-jar progress-bar no-progress-meter retry-max-time fail-early path-as-is location-trusted limit-rate speed-limit speed-time capath interface ssl-no-revoke no-sessionid tlsv1.2 tlsv1.3 styled-output no-styled-output stderr raw tr-encoding anyauth basic'.split(
    ' ',
  ),
);

/** Reads the command line. Throws CurlUsage. */
export async function parseCurl(args: readonly string[], files: FileReader): Promise<CurlOptions> {
  const o: CurlOptions = {
    urls: [],
    silent: false,
    showError: false,
    fail: false,
    failWithBody: false,
    verbose: false,
    include: false,
    head: false,
    outputs: [],
    remoteName: false,
    dumpHeader: undefined,
    writeOut: '',
    method: undefined,
    data: [],
    get: false,
    upload: undefined,
    headers: [],
    insecure: false,
    caFile: undefined,
    certificateFile: undefined,
    keyFile: undefined,
    follow: false,
    maxRedirects: 50,
    maxTimeMs: undefined,
    connectTimeoutMs: undefined,
    resolve: [],
    connectTo: [],
    family: undefined,
    globbing: true,
    retries: 0,
    retryDelayMs: undefined,
    retryConnectionRefused: false,
    retryAllErrors: false,
    user: undefined,
    agent: 'curl/8.14.1',
    http10: false,
    progress: true,
  };
  let onlyUrls = false;
  for (let i = 0; i < args.length; i++) {
    const argument = args[i]!;
    if (onlyUrls || argument === '-' || !argument.startsWith('-')) {
      o.urls.push(argument);
      continue;
    }
    if (argument === '--') {
      onlyUrls = true;
      continue;
    }
    if (argument.startsWith('--')) {
      // curl takes no `--name=value`: the `=` would be a part of the name.
      const name = argument.slice(2);
      const takes = WITH_VALUE.has(name);
      const value = takes ? args[++i] : undefined;
      if (takes && value === undefined) throw new CurlUsage(`option ${argument}: requires parameter`);
      await apply(o, name, value ?? '', argument, files);
      continue;
    }
    for (let at = 1; at < argument.length; at++) {
      const letter = argument[at]!;
      const name = SHORT_TO_LONG[letter];
      if (name === undefined) throw new CurlUsage(`option -${letter}: is unknown`);
      if (!WITH_VALUE.has(name)) {
        await apply(o, name, '', `-${letter}`, files);
        continue;
      }
      const value = at + 1 < argument.length ? argument.slice(at + 1) : args[++i];
      if (value === undefined) throw new CurlUsage(`option ${argument}: requires parameter`);
      await apply(o, name, value, `-${letter}`, files);
      break;
    }
  }
  return o;
}

function seconds(text: string, option: string): number {
  if (!/^\d+(\.\d*)?$/.test(text))
    throw new CurlUsage(`option ${option}: expected a proper numerical parameter`);
  return Number(text) * 1000;
}

async function apply(
  o: CurlOptions,
  name: string,
  value: string,
  option: string,
  files: FileReader,
): Promise<void> {
  switch (name) {
    case 'url':
      o.urls.push(value);
      return;
    case 'silent':
      o.silent = true;
      return;
    case 'no-silent':
      o.silent = false;
      return;
    case 'show-error':
      o.showError = true;
      return;
    case 'no-progress-meter':
      o.progress = false;
      return;
    case 'fail':
      o.fail = true;
      return;
    case 'fail-with-body':
      o.failWithBody = true;
      return;
    case 'verbose':
    case 'trace-time':
      o.verbose = true;
      return;
    case 'include':
    case 'show-headers':
      o.include = true;
      return;
    case 'head':
      o.head = true;
      return;
    case 'output':
      o.outputs.push(value);
      return;
    case 'remote-name':
      o.remoteName = true;
      return;
    case 'dump-header':
      o.dumpHeader = value;
      return;
    case 'write-out':
      o.writeOut = value.startsWith('@')
        ? ((await files.read(value.slice(1)))?.toString('utf8') ?? '')
        : value;
      return;
    case 'request':
      o.method = value;
      return;
    case 'data':
    case 'data-ascii':
    case 'data-binary':
    case 'json': {
      let text = value;
      if (value.startsWith('@')) {
        const content = await files.read(value.slice(1));
        if (!content) throw new CurlUsage(`Failed to open ${value.slice(1)}`, 26);
        text = content.toString('utf8');
        if (name === 'data' || name === 'data-ascii') text = text.replace(/[\r\n]/g, '');
      }
      o.data.push(text);
      if (name === 'json') o.headers.push('Content-Type: application/json', 'Accept: application/json');
      return;
    }
    case 'data-raw':
      o.data.push(value);
      return;
    case 'data-urlencode': {
      const equals = value.indexOf('=');
      const encoded = encodeURIComponent(value.slice(equals + 1));
      o.data.push(equals > 0 ? `${value.slice(0, equals)}=${encoded}` : encoded);
      return;
    }
    case 'get':
      o.get = true;
      return;
    case 'upload-file':
      o.upload = value;
      return;
    case 'header':
      o.headers.push(value);
      return;
    case 'cookie':
      o.headers.push(`Cookie: ${value}`);
      return;
    case 'referer':
      o.headers.push(`Referer: ${value}`);
      return;
    case 'insecure':
      o.insecure = true;
      return;
    case 'cacert':
      o.caFile = value;
      return;
    case 'cert':
      o.certificateFile = value;
      return;
    case 'key':
      o.keyFile = value;
      return;
    case 'location':
      o.follow = true;
      return;
    case 'max-redirs':
      o.maxRedirects = Number(value) < 0 ? Infinity : Number(value);
      return;
    case 'max-time':
      o.maxTimeMs = seconds(value, '--max-time');
      return;
    case 'connect-timeout':
      o.connectTimeoutMs = seconds(value, '--connect-timeout');
      return;
    case 'resolve': {
      const match = /^[-+]?(\[[^\]]*\]|[^:]+):(\d+|\*):(.+)$/.exec(value);
      if (!match) throw new CurlUsage(`Couldn't parse CURLOPT_RESOLVE entry '${value}'`, 49);
      const addresses = match[3]!.split(',').map((address) => address.replace(/^\[|\]$/g, ''));
      o.resolve.push({ host: match[1]!.toLowerCase(), port: match[2]!, addresses });
      return;
    }
    case 'connect-to': {
      const match = /^([^:]*):(\d*):(\[[^\]]*\]|[^:]*):(\d*)$/.exec(value);
      if (!match) throw new CurlUsage(`option --connect-to: is badly used here`);
      const [, host = '', port = '', toHost = '', toPort = ''] = match;
      o.connectTo.push({ host: host.toLowerCase(), port, toHost: toHost.replace(/^\[|\]$/g, ''), toPort });
      return;
    }
    case 'ipv4':
      o.family = 4;
      return;
    case 'ipv6':
      o.family = 6;
      return;
    case 'globoff':
      o.globbing = false;
      return;
    case 'retry':
      if (!/^\d+$/.test(value)) throw new CurlUsage('option --retry: expected a proper numerical parameter');
      o.retries = Number(value);
      return;
    case 'retry-delay':
      o.retryDelayMs = seconds(value, '--retry-delay');
      return;
    case 'retry-connrefused':
      o.retryConnectionRefused = true;
      return;
    case 'retry-all-errors':
      o.retryAllErrors = true;
      return;
    case 'user':
      o.user = value;
      return;
    case 'user-agent':
      o.agent = value;
      return;
    case 'http1.0':
      o.http10 = true;
      return;
  }
  if (!IGNORED.has(name)) throw new CurlUsage(`option ${option}: is unknown`);
}

/** curl's URL globbing: `{a,b}` and `[1-3]`, `[01-10:3]`, `[a-c]`. Undefined when there are too many. */
export function expandUrl(url: string): string[] | undefined {
  const list = /\{([^{}]*)\}/.exec(url);
  const range = /\[(?:(\d{1,9})-(\d{1,9})|([a-zA-Z])-([a-zA-Z]))(?::(\d{1,9}))?\]/.exec(url);
  const found = list && (!range || list.index < range.index) ? list : range;
  if (!found) return [url];
  let items: string[];
  if (found === list) items = list[1]!.split(',');
  else {
    const letters = range![3] !== undefined;
    const from = letters ? range![3]!.charCodeAt(0) : Number(range![1]);
    const to = letters ? range![4]!.charCodeAt(0) : Number(range![2]);
    const step = Math.max(1, Number(range![5] ?? 1));
    const width = !letters && range![1]!.startsWith('0') ? range![1]!.length : 0;
    items = [];
    for (let n = from; n <= to && items.length <= MAX_URLS; n += step)
      items.push(letters ? String.fromCharCode(n) : String(n).padStart(width, '0'));
  }
  const urls: string[] = [];
  for (const item of items) {
    const rest = expandUrl(url.slice(found.index + found[0].length));
    if (!rest || urls.length + rest.length > MAX_URLS) return undefined;
    for (const end of rest) urls.push(url.slice(0, found.index) + item + end);
  }
  return urls;
}

const MAX_URLS = 100_000;
