import { createServer as createTlsServer } from 'node:tls';
import type { TcpSocket } from '@podwire/netstack/tcp-socket';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  execIn,
  inFakeTime,
  loadEverything,
  PodNetwork,
  type RunResult,
  useFakeTime,
} from './pod-network.ts';

beforeAll(async () => {
  useFakeTime();
  await loadEverything();
});
afterAll(() => void vi.useRealTimers());

/**
 * Pods: server (10.244.1.1, agnhost on 8080 and a line service on 6379), client (10.244.1.2) where commands run.
 * Names: orders is the server, both of two versions; `alias` leads to it; `big` has a long answer.
 */
async function world() {
  const net = new PodNetwork();
  net.names.set('orders.default.svc.cluster.local', ['A 10.244.1.1']);
  net.names.set('_http._tcp.orders.default.svc.cluster.local', [
    'SRV 0 100 80 orders.default.svc.cluster.local',
  ]);
  net.names.set('both.default.svc.cluster.local', ['A 10.244.1.1', 'AAAA fd00:10:244:1::1']);
  net.names.set('alias.default.svc.cluster.local', ['CNAME orders.default.svc.cluster.local']);
  net.names.set('1.1.244.10.in-addr.arpa', ['PTR orders.default.svc.cluster.local']);
  net.names.set(
    'big.default.svc.cluster.local',
    Array.from({ length: 60 }, (_, i) => `A 10.9.0.${i}`),
  );
  net.names.set('txt.default.svc.cluster.local', ['TXT 1.1.0']);
  const server = net.pod('server', { v6: true });
  await net.start('server', { image: 'agnhost', args: ['netexec', '--http-port=8080', '--udp-port=8081'] });
  await net.start('server', { ports: [{ containerPort: 6379 }] });
  server.stack.listenTcp({ port: 7 }, (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end('what?\n'));
  });
  net.pod('client', { v6: true });
  const { container } = await net.start('client', { ports: [{ containerPort: 80 }] });
  const sh = (script: string, stdin = ''): Promise<RunResult> =>
    inFakeTime(execIn(container, ['sh', '-c', script], stdin));
  return { net, server, container, sh };
}

describe('curl', () => {
  test('writes bodies, headers and facts', async () => {
    const { sh } = await world();
    const url = 'http://orders:8080';
    expect(await sh(`curl -s ${url}/hostname`)).toEqual({ code: 0, stdout: 'server', stderr: '' });
    const inspected = await sh(
      `curl -s -o /dev/null -w '%{http_code} %{remote_ip}:%{remote_port} %{local_ip} %{size_download} %{num_connects}\\n' ${url}/hostname`,
    );
    expect(inspected.stdout).toBe('200 10.244.1.1:8080 10.244.1.2 6 1\n');
    expect((await sh(`curl -s -w '%{time_total} %{time_connect}' -o /dev/null ${url}/`)).stdout).toMatch(
      /^\d\.\d{6} \d\.\d{6}$/,
    );
    expect((await sh(`curl -sI ${url}/hostname`)).stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n(.+\r\n)+\r\n$/);
    expect((await sh(`curl -si ${url}/hostname`)).stdout).toMatch(
      /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nserver$/,
    );
    expect(
      (await sh(`curl -s -o f ${url}/hostname; cat f; curl -s -O ${url}/hostname; cat hostname`)).stdout,
    ).toBe('serverserver');
    expect((await sh(`curl -s ${url}/hostname ${url}/echo?msg=2 -w '%{num_connects}'`)).stdout).toBe(
      'server120',
    );
    expect((await sh(`curl -s '${url}/echo?msg=[1-3]'`)).stdout).toBe('123');
    expect((await sh(`curl -s -G -d msg=get ${url}/echo`)).stdout).toBe('get');
    expect(
      (
        await sh(
          `curl -s -H 'X-Thing: v1' '${url}/header?key=x-thing'; curl -s -A me '${url}/header?key=user-agent'; curl -s -u a:b '${url}/header?key=authorization'`,
        )
      ).stdout,
    ).toBe('v1meBasic YTpi');
    expect(
      (
        await sh(
          `curl -s --resolve x:8080:10.244.1.1 http://x:8080/hostname; curl -s --connect-to ::10.244.1.1:8080 http://any/hostname`,
        )
      ).stdout,
    ).toBe('serverserver');
    expect(
      (
        await sh(
          `curl -gs 'http://[fd00:10:244:1::1]:8080/hostname'; curl -6 -s both:8080/hostname; curl -4s both:8080/hostname`,
        )
      ).stdout,
    ).toBe('serverserverserver');
  });

  test('tells what it does with -v and how far it is without -s', async () => {
    const { sh } = await world();
    const verbose = await sh('curl -v -s orders:8080/hostname');
    const lines = verbose.stderr.replace(/\r/g, '').split('\n');
    expect(lines.slice(0, 9)).toEqual([
      '* Host orders:8080 was resolved.',
      '* IPv6: (none)',
      '* IPv4: 10.244.1.1',
      '*   Trying 10.244.1.1:8080...',
      '* Connected to orders (10.244.1.1) port 8080',
      '* using HTTP/1.x',
      '> GET /hostname HTTP/1.1',
      '> Host: orders:8080',
      '> User-Agent: curl/8.14.1',
    ]);
    expect(lines).toContain('< HTTP/1.1 200 OK');
    const meter = await sh('curl orders:8080/hostname');
    expect(meter.stdout).toBe('server');
    expect(meter.stderr).toMatch(/^ {2}% Total[\s\S]*\r100 {5}6 {2}100 {5}6 /);
  });

  test.each([
    [
      'curl -s -S orders:81',
      7,
      "curl: (7) Failed to connect to orders port 81 after 0 ms: Couldn't connect to server\n",
    ],
    ['curl -sS nobody', 6, 'curl: (6) Could not resolve host: nobody\n'],
    ['curl -s nobody', 6, ''],
    ['curl -sS -m 2 10.244.9.9', 28, 'curl: (28) Connection timed out after 2000 milliseconds\n'],
    [
      'curl -sS --connect-timeout 1 10.244.9.9',
      28,
      'curl: (28) Failed to connect to 10.244.9.9 port 80 after 1000 ms: Timeout was reached\n',
    ],
    ["curl -fsS 'orders:8080/echo?code=404&msg=x'", 22, 'curl: (22) The requested URL returned error: 404\n'],
    ['curl -sS ftp://orders', 1, 'curl: (1) Protocol "ftp" not supported\n'],
    ['curl -sS http://', 3, 'curl: (3) URL rejected: No host part in the URL\n'],
    [
      'curl -sS orders:99999',
      3,
      'curl: (3) URL rejected: Port number was not a decimal number between 0 and 65535\n',
    ],
    [
      "curl -sS -m 1 'http://[fd00:10:244::99]/'",
      28,
      'curl: (28) Connection timed out after 1000 milliseconds\n',
    ],
    ['curl -sS https://orders:8080', 35, 'curl: (35) TLS connect error'],
    [
      'curl',
      2,
      "curl: (2) no URL specified\ncurl: try 'curl --help' or 'curl --manual' for more information\n",
    ],
    [
      'curl --bogus',
      2,
      "curl: option --bogus: is unknown\ncurl: try 'curl --help' or 'curl --manual' for more information\n",
    ],
    [
      'curl -o',
      2,
      "curl: option -o: requires parameter\ncurl: try 'curl --help' or 'curl --manual' for more information\n",
    ],
    [
      'curl -m x orders',
      2,
      "curl: option --max-time: expected a proper numerical parameter\ncurl: try 'curl --help' or 'curl --manual' for more information\n",
    ],
    ['curl -sS orders:7', 1, 'curl: (1) Received HTTP/0.9 when not allowed\n'],
  ])('%s', async (command, code, stderr) => {
    const { sh } = await world();
    const result = await sh(command);
    expect(result.code).toBe(code);
    expect(result.stderr.startsWith(stderr) && (stderr !== '' || result.stderr === ''), result.stderr).toBe(
      true,
    );
  });

  test('--fail-with-body keeps the body; a refused port shows 000', async () => {
    const { sh } = await world();
    expect(await sh("curl -s --fail-with-body 'orders:8080/echo?code=500&msg=why'")).toMatchObject({
      code: 22,
      stdout: 'why',
    });
    expect(await sh("curl -s -o /dev/null -w '%{http_code}' orders:81")).toMatchObject({
      code: 7,
      stdout: '000',
    });
  });

  test('retries what may pass', async () => {
    const { sh } = await world();
    const began = Date.now();
    const result = await sh('curl -sS --retry 2 --retry-connrefused orders:81');
    expect(result.code).toBe(7);
    expect(result.stderr.match(/Will retry/g)).toHaveLength(2);
    expect(Date.now() - began).toBeGreaterThanOrEqual(3_000);
  });

  test('tells an empty reply from a reset and posts data', async () => {
    const { net, sh } = await world();
    const odd = net.pod('odd').stack;
    odd.listenTcp({ port: 1 }, (socket) => socket.once('data', () => socket.end()).on('error', () => {}));
    odd.listenTcp({ port: 2 }, (socket) =>
      socket.once('data', () => socket.resetAndDestroy()).on('error', () => {}),
    );
    let seen = '';
    odd.listenTcp({ port: 3 }, (socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        seen += chunk.toString();
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort');
      });
    });
    expect(await sh('curl -sS 10.244.1.3:1')).toMatchObject({
      code: 52,
      stderr: 'curl: (52) Empty reply from server\n',
    });
    expect(await sh('curl -sS 10.244.1.3:2')).toMatchObject({
      code: 56,
      stderr: 'curl: (56) Recv failure: Connection reset by peer\n',
    });
    expect(await sh('curl -sS -X PUT -d a=1 --data b=2 10.244.1.3:3/p')).toMatchObject({
      code: 18,
      stdout: 'short',
      stderr: 'curl: (18) end of response with 4 bytes missing\n',
    });
    expect(seen).toMatch(
      /^PUT \/p HTTP\/1\.1\r\nHost: 10\.244\.1\.3:3\r\n[\s\S]*Content-Type: application\/x-www-form-urlencoded\r\n\r\na=1&b=2$/,
    );
  });

  test('speaks TLS', async () => {
    const { net, sh } = await world();
    const secure = createTlsServer({ key: KEY, cert: CERTIFICATE }, (socket) => {
      socket.on('error', () => {});
      socket.once('data', () =>
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret'),
      );
    });
    net.pod('tls').stack.listenTcp({ port: 443 }, (socket: TcpSocket) => secure.emit('connection', socket));
    expect(await sh('curl -sk https://10.244.1.3/')).toMatchObject({ code: 0, stdout: 'secret' });
    expect(await sh('curl -sS https://10.244.1.3/')).toMatchObject({
      code: 60,
      stderr: expect.stringMatching(/^curl: \(60\) SSL certificate problem/),
    });
    expect(await sh('wget -q -O- --no-check-certificate https://10.244.1.3/')).toMatchObject({
      code: 0,
      stdout: 'secret',
    });
  });

  test('telnet:// looks at a port', async () => {
    const { sh } = await world();
    expect(await sh('echo PING | curl -s -m 1 telnet://orders:6379')).toMatchObject({
      code: 28,
      stdout: '+PONG\r\n',
    });
    expect(await sh('curl -sS telnet://orders:81')).toMatchObject({ code: 7 });
  });
});

describe('wget', () => {
  test.each([
    ['wget -q -O- orders:8080/hostname', 0, 'server', ''],
    ['wget -qO - http://orders:8080/hostname', 0, 'server', ''],
    ['wget -O- nobody', 1, '', "wget: bad address 'nobody'\n"],
    [
      'wget -O- http://orders:81/',
      1,
      '',
      "Connecting to orders:81 (10.244.1.1:81)\nwget: can't connect to remote host (10.244.1.1): Connection refused\n",
    ],
    ['wget -q -T 2 -O- 10.244.9.9', 1, '', 'wget: download timed out\n'],
    [
      "wget -q -O- 'orders:8080/echo?code=404'",
      1,
      '',
      'wget: server returned error: HTTP/1.1 404 Not Found\n',
    ],
    [
      'wget --spider orders:8080/hostname',
      0,
      '',
      'Connecting to orders:8080 (10.244.1.1:8080)\nremote file exists\n',
    ],
    ["wget -qO- --header 'X-A: b' 'orders:8080/header?key=x-a'", 0, 'b', ''],
    ["wget -qO- 'orders:8080/redirect?location=/hostname'", 0, 'server', ''],
    ['wget -q orders:8080/hostname && cat hostname', 0, 'server', ''],
    ['wget -O- orders:7', 1, '', 'Connecting to orders:7 (10.244.1.1:7)\nwget: error getting response\n'],
    ['wget', 1, '', 'wget: missing URL\nUsage: wget [OPTION]... [URL]...\n'],
    ['wget --bogus x', 1, '', "wget: unrecognized option '--bogus'\n"],
  ])('%s', async (command, code, stdout, stderr) => {
    const { sh } = await world();
    expect(await sh(command)).toEqual({ code, stdout, stderr });
  });

  test('shows where it saves and what the server said', async () => {
    const { sh } = await world();
    expect((await sh('wget orders:8080/hostname')).stderr).toMatch(
      /^Connecting to orders:8080 \(10\.244\.1\.1:8080\)\nsaving to 'hostname'\nhostname +100% \|\*+\| +6 {2}0:00:00 ETA\n'hostname' saved\n$/,
    );
    expect((await sh('wget -S -q -O /dev/null orders:8080/hostname')).stderr).toMatch(
      /^ {2}HTTP\/1\.1 200 OK\n/,
    );
  });
});

describe('nc', () => {
  test.each([
    ['nc -zv orders 8080', 0, 'Connection to orders (10.244.1.1) 8080 port [tcp/http-alt] succeeded!\n'],
    ['nc -z -v -w 2 10.244.1.1 6379', 0, 'Connection to 10.244.1.1 6379 port [tcp/redis] succeeded!\n'],
    ['nc -zv orders 81', 1, 'nc: connect to orders (10.244.1.1) port 81 (tcp) failed: Connection refused\n'],
    ['nc -z orders 81', 1, ''],
    [
      'nc -zv -w 1 10.244.9.9 80',
      1,
      'nc: connect to 10.244.9.9 port 80 (tcp) timed out: Operation now in progress\n',
    ],
    ['nc -zv nobody 80', 1, 'nc: getaddrinfo for host "nobody" port 80: Name or service not known\n'],
    ['nc -zvu orders 8081', 0, 'Connection to orders (10.244.1.1) 8081 port [udp/*] succeeded!\n'],
    ['nc -zvu orders 9', 1, ''],
    [
      'nc -zv orders 8079-8080',
      0,
      'nc: connect to orders (10.244.1.1) port 8079 (tcp) failed: Connection refused\nConnection to orders (10.244.1.1) 8080 port [tcp/http-alt] succeeded!\n',
    ],
    ['nc --zz', 1, "nc: unrecognized option '--zz'\n"],
  ])('%s', async (command, code, stderr) => {
    const { sh } = await world();
    expect(await sh(command)).toEqual({ code, stdout: '', stderr });
  });

  test('carries what is typed and what comes back', async () => {
    const { sh } = await world();
    expect(await sh('echo PING | nc -w 1 orders 6379')).toMatchObject({ code: 0, stdout: '+PONG\r\n' });
    expect(await sh('echo PING | nc -N orders 6379')).toMatchObject({ code: 0, stdout: '+PONG\r\n' });
    expect(
      await sh('redis-cli -h orders ping; redis-cli -h orders set a b; redis-cli -h orders -p 81 ping'),
    ).toEqual({
      code: 1,
      stdout: 'PONG\nOK\n',
      stderr: 'Could not connect to Redis at orders:81: Connection refused\n',
    });
  });

  test('telnet talks, grpc_health_probe asks, jq looks into what came back', async () => {
    const { sh } = await world();
    expect(await sh('echo PING | telnet orders 6379')).toMatchObject({
      code: 1,
      stdout: "Trying 10.244.1.1...\nConnected to orders.\nEscape character is '^]'.\n+PONG\r\n",
    });
    expect(await sh('telnet orders 81')).toMatchObject({
      code: 1,
      stderr: 'telnet: Unable to connect to remote host: Connection refused\n',
    });
    expect(await sh('grpc_health_probe -addr=:80')).toMatchObject({ code: 0, stderr: 'status: SERVING\n' });
    expect((await sh('grpc_health_probe -addr=:81')).code).toBe(2);
    expect(await sh("curl -s -H 'Accept: application/json' localhost | jq -r .pod")).toMatchObject({
      stdout: 'client\n',
    });
    expect(await sh(`echo '{"a":[{"b":1},{"b":"x"}]}' | jq -c '.a[] | .b'`)).toMatchObject({
      stdout: '1\n"x"\n',
    });
    expect(await sh(`echo '{"a":[1,2]}' | jq '.a'; echo '[1]' | jq length; echo x | jq .`)).toMatchObject({
      code: 2,
      stdout: '[\n  1,\n  2\n]\n1\n',
    });
    expect((await sh('timeout 5 watch -n 2 echo tick')).stdout.match(/^tick$/gm)).toHaveLength(3);
  });

  test('listens, once or for ever, and serves a program', async () => {
    const { net, sh } = await world();
    const { container } = await net.start('listener');
    const once = execIn(container, ['nc', '-l', '-p', '9000', '-v']);
    for (let i = 0; i < 20; i++) await new Promise((next) => setImmediate(next));
    await sh('echo hello | nc -N 10.244.1.3 9000');
    expect(await inFakeTime(once)).toMatchObject({ code: 0, stdout: 'hello\n' });
    const abort = new AbortController();
    const served = execIn(
      container,
      ['nc', '-lk', '-p', '9001', '-e', 'sh', '-c', 'read x; echo "got $x"'],
      '',
      { signal: abort.signal },
    );
    for (let i = 0; i < 20; i++) await new Promise((next) => setImmediate(next));
    expect((await sh('echo 1 | nc -w 5 10.244.1.3 9001; echo 2 | nc -w 5 10.244.1.3 9001')).stdout).toBe(
      'got 1\ngot 2\n',
    );
    expect((await inFakeTime(execIn(container, ['nc', '-l', '-p', '9001']))).stderr).toBe(
      'nc: Address already in use\n',
    );
    abort.abort();
    expect((await inFakeTime(served)).code).toBe(130);
  });
});

describe('ping', () => {
  test('counts echoes and their times', async () => {
    const { sh } = await world();
    const result = await sh('ping -c 2 orders');
    expect(result.code).toBe(0);
    expect(result.stdout).toBe(
      'PING orders (10.244.1.1) 56(84) bytes of data.\n' +
        '64 bytes from orders (10.244.1.1): icmp_seq=1 ttl=64 time=0.000 ms\n' +
        '64 bytes from orders (10.244.1.1): icmp_seq=2 ttl=64 time=0.000 ms\n' +
        '\n--- orders ping statistics ---\n' +
        '2 packets transmitted, 2 received, 0% packet loss, time 1000ms\n' +
        'rtt min/avg/max/mdev = 0.000/0.000/0.000/0.000 ms\n',
    );
    expect((await sh('ping -6 -c 1 both')).stdout).toContain(
      '64 bytes from both (fd00:10:244:1::1): icmp_seq=1',
    );
    expect((await sh('ping -q -c 1 10.244.1.1')).stdout).not.toContain('icmp_seq');
  });

  test('says what did not come back', async () => {
    const { sh, net } = await world();
    const lost = await sh('ping -c 2 -W 1 10.244.9.9');
    expect(lost.code).toBe(1);
    expect(lost.stdout).toMatch(/2 packets transmitted, 0 received, 100% packet loss, time \d+ms\n\n$/);
    net.unreachable.set('10.244.8.8', 13);
    expect((await sh('ping -c 1 10.244.8.8')).stdout).toContain(
      'From 10.0.0.254 icmp_seq=1 Packet filtered\n',
    );
    expect(await sh('ping -c 1 nobody')).toEqual({
      code: 2,
      stdout: '',
      stderr: 'ping: nobody: Name or service not known\n',
    });
    expect(await sh('ping -c x orders')).toMatchObject({ code: 1, stderr: "ping: invalid argument: 'x'\n" });
    expect(await sh('ping')).toMatchObject({ code: 1 });
  });

  test('traceroute names the routers on the way', async () => {
    const { sh, net } = await world();
    net.hops.push('169.254.1.1', '10.244.0.1');
    expect(await sh('traceroute -n -q 1 orders')).toEqual({
      code: 0,
      stdout:
        'traceroute to orders (10.244.1.1), 30 hops max, 60 byte packets\n' +
        ' 1  169.254.1.1  0.000 ms\n 2  10.244.0.1  0.000 ms\n 3  10.244.1.1  0.000 ms\n',
      stderr: '',
    });
    net.hops.length = 0;
    expect((await sh('traceroute -w 1 -q 2 -m 2 10.244.9.9')).stdout).toContain(' 1  * *\n 2  * *\n');
  });
});

describe('names', () => {
  test('dig shows the whole answer', async () => {
    const { sh } = await world();
    const { stdout, code } = await sh('dig orders.default.svc.cluster.local');
    expect(code).toBe(0);
    expect(
      stdout
        .replace(/id: \d+/, 'id: 1')
        .replace(/rcvd: \d+/, 'rcvd: 1')
        .replace(/WHEN: Fri Jan 02 03:\d\d:\d\d/, 'WHEN: Fri Jan 02 03:04:05'),
    ).toBe(
      `
; <<>> DiG 9.18.28 <<>> orders.default.svc.cluster.local
;; global options: +cmd
;; Got answer:
;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1
;; flags: qr aa rd; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0
;; WARNING: recursion requested but not available

;; QUESTION SECTION:
;orders.default.svc.cluster.local. IN\tA

;; ANSWER SECTION:
orders.default.svc.cluster.local. 5 IN\tA\t10.244.1.1

;; Query time: 0 msec
;; SERVER: 10.96.0.10#53(10.96.0.10) (UDP)
;; WHEN: Fri Jan 02 03:04:05 UTC 2026
;; MSG SIZE  rcvd: 1

`,
    );
  });

  test.each([
    ['dig +short orders.default.svc.cluster.local', 0, '10.244.1.1\n'],
    ['dig +short orders', 0, ''],
    ['dig +search +short orders', 0, '10.244.1.1\n'],
    [
      'dig +short _http._tcp.orders.default.svc.cluster.local SRV',
      0,
      '0 100 80 orders.default.svc.cluster.local.\n',
    ],
    [
      'dig +short -t SRV _http._tcp.orders.default.svc.cluster.local',
      0,
      '0 100 80 orders.default.svc.cluster.local.\n',
    ],
    ['dig +short -x 10.244.1.1', 0, 'orders.default.svc.cluster.local.\n'],
    ['dig +short txt.default.svc.cluster.local TXT', 0, '"1.1.0"\n'],
    ['dig +short @10.96.0.10 both.default.svc.cluster.local AAAA', 0, 'fd00:10:244:1::1\n'],
    [
      'dig +noall +answer +tcp orders.default.svc.cluster.local A',
      0,
      'orders.default.svc.cluster.local. 5 IN\tA\t10.244.1.1\n',
    ],
    ['dig +short alias.default.svc.cluster.local', 0, 'orders.default.svc.cluster.local.\n10.244.1.1\n'],
    [
      'dig +short +time=1 +tries=1 @10.244.9.9 x',
      9,
      ';; communications error to 10.244.9.9#53: timed out\n;; no servers could be reached\n',
    ],
    [
      'dig +short +tries=1 @10.244.1.1 x',
      9,
      ';; communications error to 10.244.1.1#53: connection refused\n;; no servers could be reached\n',
    ],
    ['dig +notcp +noall +answer +search +timeout=2 orders A | wc -l', 0, '1\n'],
    ['dig +short big.default.svc.cluster.local | wc -l', 0, '60\n'],
  ])('%s', async (command, code, stdout) => {
    const { sh } = await world();
    expect(await sh(command)).toEqual({ code, stdout, stderr: '' });
  });

  test('dig refuses what it does not know', async () => {
    const { sh } = await world();
    expect(await sh('dig +bogus x')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Invalid option: \+bogus\n/),
    });
    expect((await sh('dig nobody.default.svc.cluster.local')).stdout).toContain('status: NXDOMAIN');
    expect((await sh('dig nobody.default.svc.cluster.local')).stdout).toMatch(
      /cluster\.local\.\t\t5\tIN\tSOA\tns\.dns\.cluster\.local\. hostmaster/,
    );
  });

  test('nslookup, host and getent', async () => {
    const { sh } = await world();
    expect(await sh('nslookup orders')).toEqual({
      code: 0,
      stdout:
        'Server:\t\t10.96.0.10\nAddress:\t10.96.0.10#53\n\nName:\torders.default.svc.cluster.local\nAddress: 10.244.1.1\n\n',
      stderr: '',
    });
    expect(await sh('nslookup both.default')).toMatchObject({
      stdout: expect.stringContaining(
        'Address: 10.244.1.1\nName:\tboth.default.svc.cluster.local\nAddress: fd00:10:244:1::1\n',
      ),
    });
    expect(await sh('nslookup nobody')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining("** server can't find nobody: NXDOMAIN\n"),
    });
    expect(await sh('nslookup 10.244.1.1')).toMatchObject({
      code: 0,
      stdout: '1.1.244.10.in-addr.arpa\tname = orders.default.svc.cluster.local.\n\n',
    });
    expect(await sh('nslookup -type=srv _http._tcp.orders.default')).toMatchObject({
      stdout: expect.stringContaining('service = 0 100 80 orders'),
    });
    expect(await sh('nslookup alias')).toMatchObject({
      stdout: expect.stringContaining(
        'alias.default.svc.cluster.local\tcanonical name = orders.default.svc.cluster.local.\nName:\torders',
      ),
    });
    expect(await sh('nslookup -timeout=1 -retry=1 orders 10.244.9.9')).toMatchObject({
      code: 1,
      stdout: ';; communications error to 10.244.9.9#53: timed out\n;; no servers could be reached\n\n',
    });
    expect(await sh('host orders')).toMatchObject({
      code: 0,
      stdout: 'orders.default.svc.cluster.local has address 10.244.1.1\n',
    });
    expect(await sh('host nobody')).toMatchObject({
      code: 1,
      stdout: 'Host nobody not found: 3(NXDOMAIN)\n',
    });
    expect(await sh('host 10.244.1.1')).toMatchObject({
      stdout: '1.1.244.10.in-addr.arpa domain name pointer orders.default.svc.cluster.local.\n',
    });
    expect(await sh('getent hosts orders')).toMatchObject({
      code: 0,
      stdout: '10.244.1.1      orders.default.svc.cluster.local orders\n',
    });
    expect(await sh('getent hosts nobody')).toMatchObject({ code: 2, stdout: '' });
    expect(await sh('getent ahosts orders')).toMatchObject({
      stdout:
        '10.244.1.1      STREAM orders.default.svc.cluster.local\n10.244.1.1      DGRAM  \n10.244.1.1      RAW    \n',
    });
    expect(await sh('getent hosts localhost client')).toMatchObject({
      stdout: '127.0.0.1       localhost\n10.244.1.2      client\n',
    });
  });

  test('a name without dots is asked along the search list', async () => {
    const { sh, net } = await world();
    net.questions.length = 0;
    await sh('curl -s nobody');
    expect(net.questions.filter((question) => question.endsWith(' A'))).toEqual([
      'nobody.default.svc.cluster.local A',
      'nobody.svc.cluster.local A',
      'nobody.cluster.local A',
      'nobody A',
    ]);
  });

  test('hostname', async () => {
    const { sh } = await world();
    expect((await sh('hostname; hostname -i; hostname -I; hostname -f; hostname -s')).stdout).toBe(
      'client\n10.244.1.2\n10.244.1.2 fd00:10:244:1::2 \nclient\nclient\n',
    );
  });
});

describe('the interface', () => {
  test('ip addr, link, route, neigh', async () => {
    const { sh } = await world();
    expect((await sh('ip addr show eth0')).stdout).toBe(
      '2: eth0@if3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UP group default qlen 1000\n' +
        '    link/ether 0a:58:0a:f4:01:02 brd ff:ff:ff:ff:ff:ff link-netnsid 0\n' +
        '    inet 10.244.1.2/32 scope global eth0\n       valid_lft forever preferred_lft forever\n' +
        '    inet6 fd00:10:244:1::2/128 scope global \n       valid_lft forever preferred_lft forever\n',
    );
    expect((await sh("ip -4 -o addr | awk '{print $2, $4}'")).stdout).toBe(
      'lo 127.0.0.1/8\neth0 10.244.1.2/32\n',
    );
    expect((await sh('ip -br a')).stdout).toContain(
      'eth0@if3         UP             10.244.1.2/32 fd00:10:244:1::2/128 \n',
    );
    expect((await sh('ip route')).stdout).toBe(
      'default via 169.254.1.1 dev eth0 \n169.254.1.1 dev eth0 scope link \n',
    );
    expect((await sh('ip route get 10.96.0.1')).stdout).toBe(
      '10.96.0.1 via 169.254.1.1 dev eth0 src 10.244.1.2 uid 0 \n    cache \n',
    );
    expect((await sh('ip route get 10.244.1.2')).stdout).toMatch(/^local 10\.244\.1\.2 dev lo/);
    expect((await sh('ip -6 route')).stdout).toContain('default via fe80::1 dev eth0');
    expect((await sh('ip neigh')).stdout).toContain(
      '169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee REACHABLE',
    );
    expect((await sh('ip link show lo')).stdout).toMatch(/^1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536/);
    expect(await sh('ip addr show eth9')).toMatchObject({
      code: 1,
      stderr: 'Device "eth9" does not exist.\n',
    });
    expect(await sh('ip foo')).toMatchObject({
      code: 1,
      stderr: 'Object "foo" is unknown, try "ip help".\n',
    });
    expect(await sh('ip route add default via 1.2.3.4')).toMatchObject({
      code: 2,
      stderr: 'RTNETLINK answers: Operation not permitted\n',
    });
    expect((await sh('ifconfig eth0')).stdout).toContain('inet 10.244.1.2  netmask 255.255.255.255');
    expect((await sh('route -n')).stdout).toContain('0.0.0.0         169.254.1.1     0.0.0.0         UG');
  });

  test('ss and netstat list the sockets', async () => {
    const { sh } = await world();
    expect((await sh('ss -tlnH')).stdout).toMatch(/^LISTEN +0 +511 +\*:80 +\*:\*\n$/);
    expect((await sh('netstat -tlnp')).stdout).toMatch(
      /tcp +0 +0 0\.0\.0\.0:80 +0\.0\.0\.0:\* +LISTEN +1\/app/,
    );
  });
});

// A self-signed certificate for "test" that is valid until 2126; its key is used nowhere else.
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgR6KHRjY6pvs6HFEz
zY0qcr6XTY0GIQBsvopwB4gbSO+hRANCAASkvwu6qJvB3+CdSPlBYazG/oGlzf2D
9j9vYjN9rDHhRoShQVgZONvYL1/FspWgx4zHYACibFIiJ/jFcNrL1mRx
-----END PRIVATE KEY-----`;
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBdjCCARugAwIBAgIUG1wyKQYNS32RKWMkP1mC15NgOvswCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjMwODA5NTJaGA8yMTI2MTAzMDA4MDk1
MlowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKS/
C7qom8Hf4J1I+UFhrMb+gaXN/YP2P29iM32sMeFGhKFBWBk429gvX8WylaDHjMdg
AKJsUiIn+MVw2svWZHGjUzBRMB0GA1UdDgQWBBRLvhneheAhm8hNThXUJkXjLLqm
NDAfBgNVHSMEGDAWgBRLvhneheAhm8hNThXUJkXjLLqmNDAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0kAMEYCIQCJ7bBHdcv9C/XKEO2pSsdj21u49aKd6UAF
UDl4JCY9pAIhAJqCFNT8bGNFRWvSLgtDQSDKYle6DqUKFKvNypK22FC7
-----END CERTIFICATE-----`;
