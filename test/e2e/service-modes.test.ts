import { join } from 'node:path';
import { execaSync } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, httpGet, root, TestLab } from './lab.ts';

const hasKubectl = execaSync('kubectl', ['version', '--client'], { reject: false }).exitCode === 0;

describe.skipIf(!hasKubectl).each([
  ['iptables', 64],
  ['ebpf', 65],
] as const)(`Services in mode %s${hasKubectl ? '' : ' (needs kubectl)'}`, (mode, block) => {
  const lab = new TestLab(block, { mode });
  let client: string;
  let clusterIp: string;

  const sh = (script: string) => lab.kubectl(['exec', client, '--', 'sh', '-c', script]);
  const lines = async (script: string): Promise<string[]> =>
    String((await sh(script)).stdout)
      .split('\n')
      .filter(Boolean);
  const names = async (selector: string): Promise<string[]> =>
    (await lab.must('get', 'pods', '-l', selector, '-o', 'jsonpath={.items[*].metadata.name}'))
      .split(' ')
      .sort();
  const addresses = async (selector: string): Promise<string[]> =>
    (await lab.must('get', 'pods', '-l', selector, '-o', 'jsonpath={.items[*].status.podIP}'))
      .split(' ')
      .sort();

  beforeAll(async () => {
    const { exitCode, stderr } = await lab.up();
    if (exitCode !== 0) throw new Error(stderr);
    await lab.must('apply', '-f', join(root, 'deploy', 'samples', 'shop.yaml'));
    await lab.must('create', 'service', 'clusterip', 'empty', '--tcp=80:80');
    await lab.must('wait', '--for=condition=Available', 'deploy', '--all', '--timeout=60s');
    await lab.must('rollout', 'status', 'statefulset/db', '--timeout=60s');
    client = (await names('app=frontend'))[0]!;
    clusterIp = await lab.must('get', 'service', 'orders', '-o', 'jsonpath={.spec.clusterIP}');
  }, 120_000);
  afterAll(() => lab.down(), 60_000);

  it('a cluster IP leads to every backend, by name and by address', async () => {
    const seen = new Set<string>();
    await eventually('all backends to answer', async () => {
      const answers = await lines(
        `for i in 1 2 3; do curl -s -m 5 http://orders/; curl -s -m 5 http://${clusterIp}/; done`,
      );
      for (const line of answers) if (line.startsWith('pod: ')) seen.add(line.slice('pod: '.length));
      return seen.size === 3 ? true : undefined;
    });
    expect([...seen].sort()).toEqual(await names('app=orders'));
  });

  it('a Service without endpoints refuses, and a cluster IP answers no ping', async () => {
    expect((await sh('curl -s -m 5 http://empty/')).exitCode).toBe(7);
    const ping = await sh(`ping -c 1 -W 1 ${clusterIp}`);
    expect(ping.stdout).toContain('1 packets transmitted, 0 received, 100% packet loss');
    expect(ping.exitCode).toBe(1);
  });

  it('a pod reaches itself through its own Service', async () => {
    const seen = new Set<string>();
    await eventually('the client to be chosen', async () => {
      for (const line of await lines(
        'for i in 1 2 3 4; do curl -s -m 5 http://frontend/healthz -o /dev/null -w "%{http_code}\n"; curl -s -m 5 http://frontend/; done',
      )) {
        if (line.startsWith('pod: ')) seen.add(line.slice('pod: '.length));
        else if (/^\d{3}$/.test(line)) expect(line).toBe('200');
      }
      return seen.has(client) ? true : undefined;
    });
  });

  it('a node port answers a client of this machine on every node', async () => {
    const frontends = await names('app=frontend');
    for (const n of [11, 12, 13]) {
      const answer = await httpGet(`http://${lab.prefix}.${n}:30080/`);
      expect(answer.status).toBe(200);
      expect(frontends).toContain(answer.body.split('\n')[0]!.slice('pod: '.length));
    }
  });

  it('DNS tells addresses, ports and the members of a headless Service', async () => {
    expect(await lines('dig +short orders.default.svc.cluster.local')).toEqual([clusterIp]);
    expect(await lines('dig +short SRV _http._tcp.orders.default.svc.cluster.local')).toEqual([
      '0 100 80 orders.default.svc.cluster.local.',
    ]);
    expect((await lines('dig +short db.default.svc.cluster.local')).sort()).toEqual(
      await addresses('app=db'),
    );
    const answers = await lines(
      'curl -s -m 5 http://db-0.db:5432/; curl -s -m 5 http://db-1.db.default.svc:5432/',
    );
    expect(answers.filter((line) => line.startsWith('pod: '))).toEqual(['pod: db-0', 'pod: db-1']);
  });

  it('the whole way works: frontend to orders by cluster IP, orders to db by a stable name', async () => {
    const answer = (await httpGet(`http://${lab.prefix}.11:30080/`)).body;
    expect(answer).toMatch(/ORDERS_ADDR orders:80 -> 200 orders-\S+/);
    expect(answer).toMatch(/DB_ADDR db-0\.db:5432 -> 200 db-0/);
  });

  it('translates where its mode does: on the packet, or at connect', async () => {
    const { stdout, exitCode } = await lab.run(['trace'], client, `http://${clusterIp}/`);
    expect(exitCode).toBe(0);
    const leaves = /1 +node-\d +pod .*?-> +(\S+?):\d+\s+SYN/s.exec(stdout)![1];
    if (mode === 'iptables') {
      expect(leaves).toBe(clusterIp);
      expect(stdout).toMatch(/KUBE-SVC-[A-Z2-7]{16}/);
    } else {
      expect(await addresses('app=orders')).toContain(leaves);
      expect(stdout).not.toContain('KUBE-SVC-');
    }
  });

  it('every pod reaches every Service that has endpoints, the API server among them', async () => {
    const { stdout } = await lab.run(['matrix'], '-o', 'json');
    const tried = JSON.parse(stdout) as { pod: string; to: string; ok: boolean; error?: string }[];
    const failed = tried.filter(({ to, ok }) => ok !== (to !== 'empty:80'));
    expect(failed).toEqual([]);
    // 7 pods, each against db, empty, frontend, kubernetes and orders.
    expect(tried).toHaveLength(7 * 5);
  });
});
