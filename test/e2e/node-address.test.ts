import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { execaSync } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, httpGet, TestLab } from './lab.ts';

const hasKubectl = execaSync('kubectl', ['version', '--client'], { reject: false }).exitCode === 0;

/** An address of this machine that no node has: to the lab it is a client of the outside. */
const outside = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

const PORTS = { cluster: 30_163, local: 30_164 };

/** The only endpoint is on node-2; clients are on node-1. */
const manifest = (agnhost: string) => {
  const pod = (name: string, nodeName: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: {
      nodeName,
      containers: [
        {
          name: 'main',
          image: agnhost,
          args: ['netexec', '--http-port=8080'],
          readinessProbe: { httpGet: { path: '/healthz', port: 8080 } },
        },
      ],
    },
  });
  const service = (name: string, nodePort: number, externalTrafficPolicy: string) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: {
      type: 'NodePort',
      externalTrafficPolicy,
      selector: { app: 'web' },
      ports: [{ port: 80, targetPort: 8080, nodePort }],
    },
  });
  const items = [
    pod('client', 'node-1'),
    pod('web', 'node-2'),
    service('cluster', PORTS.cluster, 'Cluster'),
    service('local', PORTS.local, 'Local'),
  ];
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
};

describe.skipIf(!hasKubectl)(`node addresses${hasKubectl ? '' : ' (needs kubectl)'}`, () => {
  const lab = new TestLab(63);
  const [node1, node2] = [`${lab.prefix}.11`, `${lab.prefix}.12`];
  const gateway: Record<string, string> = {};
  let clientIp: string;

  /** What the server says is its client's address, without the port; undefined when nothing answers. */
  const fromPod = async (address: string, port: number): Promise<string | undefined> => {
    const url = `http://${address}:${port}/clientip`;
    const { stdout, exitCode } = await lab.kubectl(['exec', 'client', '--', 'curl', '-s', '-m', '5', url]);
    return exitCode === 0 ? String(stdout).replace(/:\d+$/, '') : undefined;
  };

  beforeAll(async () => {
    const { exitCode, stderr } = await lab.up();
    if (exitCode !== 0) throw new Error(stderr);
    const applied = await lab.kubectl(['apply', '-f', '-'], {
      input: manifest('registry.k8s.io/e2e-test-images/agnhost:2.47'),
    });
    if (applied.exitCode !== 0) throw new Error(String(applied.stderr));
    await lab.must('wait', '--for=condition=Ready', 'pod', 'client', 'web', '--timeout=60s');
    clientIp = await lab.must('get', 'pod', 'client', '-o', 'jsonpath={.status.podIP}');
    for (const node of ['node-1', 'node-2']) {
      const cidr = await lab.must('get', 'node', node, '-o', 'jsonpath={.spec.podCIDR}');
      gateway[node] = cidr.replace(/\.0\/24$/, '.1');
    }
    await eventually('the endpoint to be known', () => fromPod(node1, PORTS.cluster));
  }, 120_000);
  afterAll(() => lab.down(), 60_000);

  it('answer pings and refuse ports that nothing has, from a pod', async () => {
    for (const address of [node1, node2]) {
      const ping = await lab.kubectl(['exec', 'client', '--', 'ping', '-c', '1', '-W', '5', address]);
      expect(ping.stdout).toContain('1 packets transmitted, 1 received, 0% packet loss');
      const refused = await lab.kubectl(['exec', 'client', '--', 'curl', '-s', `http://${address}:81/`]);
      expect(refused.exitCode).toBe(7);
    }
  });

  it('leave 127.0.0.1 to the pod', async () => {
    expect(await fromPod('127.0.0.1', 8080)).toBe('127.0.0.1');
  });

  describe.each(['iptables', 'ebpf'] as const)('in mode %s', (mode) => {
    beforeAll(async () => {
      await lab.must('annotate', '--overwrite', 'nodes', '--all', `podwire.dev/service-mode=${mode}`);
      for (const node of ['node-1', 'node-2']) {
        await eventually(`${node} to run in mode ${mode}`, async () => {
          const tables = await lab.must('get', '--raw', `/api/v1/nodes/${node}/proxy/podwire/tables`);
          return (JSON.parse(tables) as { mode: string }).mode === mode || undefined;
        });
      }
    });

    // kube-proxy masquerades at the node that has the address; Cilium translates where the pod connects.
    it('a pod reaches the node port of its own node', async () => {
      const expected = mode === 'iptables' ? gateway['node-1'] : clientIp;
      expect(await fromPod(node1, PORTS.cluster)).toBe(expected);
    });

    it('a pod reaches the node port of another node', async () => {
      const expected = mode === 'iptables' ? gateway['node-2'] : clientIp;
      expect(await fromPod(node2, PORTS.cluster)).toBe(expected);
    });

    it('a pod keeps its address where the policy is Local, also on a node without an endpoint', async () => {
      expect(await fromPod(node1, PORTS.local)).toBe(clientIp);
      expect(await fromPod(node2, PORTS.local)).toBe(clientIp);
    });

    it('a process of the node reaches endpoints elsewhere in spite of policy Local', async () => {
      const answer = await httpGet(`http://${node1}:${PORTS.local}/clientip`);
      expect(answer.body.replace(/:\d+$/, '')).toBe(gateway['node-1']);
    });

    describe.skipIf(outside === undefined)('a client of the outside, where the policy is Local', () => {
      /** The whole answer, the code of the error there was instead, or that there was silence. */
      const ask = (host: string, timeoutMs: number) =>
        new Promise<string | undefined>((resolve) => {
          let text = '';
          const client = connect({ host, port: PORTS.local, localAddress: outside! });
          client.setTimeout(timeoutMs, () => {
            resolve('silence');
            client.destroy();
          });
          client.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
          client.on('data', (chunk) => {
            text += chunk;
          });
          client.on('end', () => resolve(text));
          client.write('GET /clientip HTTP/1.0\r\n\r\n');
        });

      it('is answered by a node with an endpoint, which sees its address', async () => {
        expect(await ask(node2, 10_000)).toMatch(new RegExp(`\r\n\r\n${outside}:\\d+$`));
      });

      // kube-proxy drops, so that the client hears nothing; Cilium refuses.
      it(`is ${mode === 'iptables' ? 'not heard' : 'refused'} by a node without one`, async () => {
        expect(await ask(node1, mode === 'iptables' ? 1_500 : 10_000)).toBe(
          mode === 'iptables' ? 'silence' : 'ECONNRESET',
        );
      });
    });

    it('a trace shows the way to the node port of another node', async () => {
      const { stdout, exitCode } = await lab.run(['trace'], 'client', `http://${node2}:${PORTS.cluster}/`);
      expect(exitCode).toBe(0);
      expect(stdout).toContain(`VXLAN vni=1 ${node1} -> ${node2} `);
      expect(stdout).toMatch(/ node-2 +service +DNAT -> \S+:8080 /);
      const chains = /KUBE-NODEPORTS > KUBE-EXT-[A-Z2-7]{16} >/;
      if (mode === 'iptables') expect(stdout).toMatch(chains);
      else expect(stdout).not.toContain('KUBE-');
      expect(stdout).toContain('HTTP 200');
    });
  });
});
