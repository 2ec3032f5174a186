import type { CurlError, Transfer } from './transfer.ts';

const seconds = (ms: number): string => (ms / 1000).toFixed(6);

/** `-w`: `%{name}` and the escapes `\n`, `\r`, `\t`. An unknown name is told on stderr by curl and left out. */
export function writeOut(format: string, transfer: Transfer, error: CurlError | undefined): string {
  const speed = transfer.totalMs > 0 ? Math.round(transfer.sizeDownload / (transfer.totalMs / 1000)) : 0;
  const header = (name: string): string =>
    transfer.headers.findLast(([known]) => known.toLowerCase() === name.toLowerCase())?.[1] ?? '';
  const fields: Record<string, () => string> = {
    content_type: () => header('content-type'),
    errormsg: () => error?.message ?? '',
    exitcode: () => String(error?.code ?? 0),
    filename_effective: () => '',
    http_code: () => String(transfer.status).padStart(3, '0'),
    http_connect: () => '000',
    http_version: () => transfer.httpVersion,
    local_ip: () => transfer.localIp,
    local_port: () => String(transfer.localPort),
    method: () => transfer.method,
    num_connects: () => String(transfer.connects),
    num_headers: () => String(transfer.headers.length),
    num_redirects: () => String(transfer.redirects),
    onerror: () => '',
    redirect_url: () => transfer.redirectUrl,
    remote_ip: () => transfer.remoteIp,
    remote_port: () => String(transfer.remotePort),
    response_code: () => String(transfer.status).padStart(3, '0'),
    scheme: () => transfer.url.protocol.slice(0, -1),
    size_download: () => String(transfer.sizeDownload),
    size_header: () => String(transfer.sizeHeader),
    size_request: () => '0',
    size_upload: () => String(transfer.sizeUpload),
    speed_download: () => String(speed),
    speed_upload: () => '0',
    ssl_verify_result: () => '0',
    time_appconnect: () => seconds(transfer.appConnectMs),
    time_connect: () => seconds(transfer.connectMs),
    time_namelookup: () => seconds(transfer.nameLookupMs),
    time_pretransfer: () => seconds(transfer.preTransferMs),
    time_redirect: () => seconds(transfer.redirectMs),
    time_starttransfer: () => seconds(transfer.startTransferMs),
    time_total: () => seconds(transfer.totalMs),
    url: () => transfer.url.href,
    url_effective: () => transfer.url.href,
    urlnum: () => '0',
  };
  return format.replace(
    /%%|%\{([a-z_]+)\}|%header\{([^}]*)\}|\\([nrt\\])/g,
    (whole, name?: string, wanted?: string, character?: string) => {
      if (whole === '%%') return '%';
      if (character !== undefined) return { n: '\n', r: '\r', t: '\t', '\\': '\\' }[character]!;
      if (wanted !== undefined) return header(wanted);
      if (name === 'json')
        return JSON.stringify(
          Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, value()])),
        );
      return fields[name!]?.() ?? '';
    },
  );
}

const METER_HEAD =
  '  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n                                 Dload  Upload   Total   Spent    Left  Speed\n';

/** The progress meter as it stands at the end of a transfer. */
export function progressMeter(transfer: Transfer): string {
  const size = transfer.sizeDownload;
  const speed = transfer.totalMs > 0 ? Math.round(size / (transfer.totalMs / 1000)) : 0;
  const short = (n: number): string =>
    n < 100_000 ? String(n) : n < 10_000_000 ? `${Math.floor(n / 1024)}k` : `${Math.floor(n / 1024 / 1024)}M`;
  const percent = size > 0 ? '100' : '  0';
  const columns = `${percent} ${short(size).padStart(5)}  ${percent} ${short(size).padStart(5)}    0     0 ${short(speed).padStart(6)}      0`;
  return `${METER_HEAD}\r${columns} --:--:-- --:--:-- --:--:-- ${short(speed).padStart(5)}\n`;
}
