import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, httpGet, root, TestLab } from './lab.ts';

const hasKubectl = execaSync('kubectl', ['version', '--client'], { reject: false }).exitCode === 0;

/** A process that has ended but that nobody has reaped yet does not run. */
function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z';
  } catch {
    return false;
  }
}

interface Pod {
  metadata: { name: string; deletionTimestamp?: string };
  spec: { nodeName: string };
  status: { podIP: string; conditions?: { type: string; status: string }[] };
}

describe.skipIf(!hasKubectl)(`processes that die${hasKubectl ? '' : ' (needs kubectl)'}`, () => {
  const lab = new TestLab(62, { nodeGraceSeconds: 1 });

  const pods = async (selector: string) =>
    (JSON.parse(await lab.must('get', 'pods', '-l', selector, '-o', 'json')) as { items: Pod[] }).items;
  const nodeStatus = async (name: string) =>
    lab.must('get', 'node', name, '-o', 'jsonpath={.status.conditions[?(@.type=="Ready")].status}');
  const curl = (pod: string, url: string) =>
    lab.kubectl(['exec', pod, '--', 'curl', '-s', '-S', '-m', '5', url]);
  const pidOf = (name: string): number =>
    (
      JSON.parse(readFileSync(join(lab.dir, 'processes.json'), 'utf8')) as { name: string; pid: number }[]
    ).find((p) => p.name === name)!.pid;

  beforeAll(async () => {
    const { exitCode, stderr } = await lab.up();
    if (exitCode !== 0) throw new Error(stderr);
    await lab.must('apply', '-f', join(root, 'deploy', 'samples', 'shop.yaml'));
    await lab.must('wait', '--for=condition=Available', 'deploy', '--all', '--timeout=60s');
    await lab.must('rollout', 'status', 'statefulset/db', '--timeout=60s');
  }, 120_000);
  afterAll(() => lab.down(), 60_000);

  it('a killed node: NotReady, out of Services, pods elsewhere, other traffic untouched, and back again', async () => {
    const all = [...(await pods('app=orders')), ...(await pods('app=frontend'))];
    const victim = 'node-3';
    const survivors = all.filter((pod) => pod.spec.nodeName !== victim);
    const [from, to] = [
      survivors[0]!,
      survivors.find((pod) => pod.spec.nodeName !== survivors[0]!.spec.nodeName)!,
    ];
    const failures: string[] = [];
    let going = true;
    const traffic = (async () => {
      while (going) {
        const { exitCode, stderr } = await curl(from.metadata.name, `http://${to.status.podIP}:8080/healthz`);
        if (exitCode !== 0) failures.push(`${exitCode}: ${stderr}`);
      }
    })();

    expect((await lab.podwire('node', 'kill', victim, '--name', lab.name)).exitCode).toBe(0);
    await eventually('NotReady', async () => ((await nodeStatus(victim)) !== 'True' ? true : undefined));
    const taints = await lab.must('get', 'node', victim, '-o', 'jsonpath={.spec.taints[*].key}');
    expect(taints).toContain('node.kubernetes.io/unreachable');
    await eventually('its endpoints to leave the Service', async () => {
      const endpoints = await lab.must(
        'get',
        'endpointslices',
        '-l',
        'kubernetes.io/service-name=orders',
        '-o',
        'json',
      );
      const ready = (
        JSON.parse(endpoints) as {
          items: { endpoints: { nodeName: string; conditions: { ready: boolean } }[] }[];
        }
      ).items.flatMap((slice) => slice.endpoints.filter((e) => e.conditions.ready));
      return ready.length > 0 && ready.every((endpoint) => endpoint.nodeName !== victim) ? true : undefined;
    });
    for (let i = 0; i < 10; i++)
      expect((await curl(from.metadata.name, 'http://orders/healthz')).exitCode).toBe(0);
    await eventually('3 Ready orders pods on other nodes', async () => {
      const now = (await pods('app=orders')).filter((pod) => !pod.metadata.deletionTimestamp);
      return now.length === 3 &&
        now.every(
          (pod) =>
            pod.spec.nodeName !== victim &&
            pod.status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'),
        )
        ? true
        : undefined;
    });
    going = false;
    await traffic;
    expect(failures).toEqual([]);

    expect((await lab.podwire('node', 'start', victim, '--name', lab.name)).exitCode).toBe(0);
    await eventually('Ready again', async () => ((await nodeStatus(victim)) === 'True' ? true : undefined));
    await eventually('the taint to go', async () =>
      (await lab.must('get', 'node', victim, '-o', 'jsonpath={.spec.taints}')) === '' ? true : undefined,
    );
    await lab.must('scale', 'deploy/orders', '--replicas=6');
    await lab.must('rollout', 'status', 'deploy/orders', '--timeout=60s');
    const there = (await pods('app=orders')).find((pod) => pod.spec.nodeName === victim);
    expect(there).toBeDefined();
    expect((await curl(from.metadata.name, `http://${there!.status.podIP}:8080/healthz`)).exitCode).toBe(0);
  }, 180_000);

  it('a killed controller: traffic goes on, nothing acknowledged is lost, agents resume', async () => {
    // Pods live on in their agents: what they say of the node port does not need the API.
    const url = `http://${lab.prefix}.11:30080/`;
    const before = (await httpGet(url)).status;
    expect(before).toBe(200);
    const written: string[] = [];
    for (let i = 0; i < 20; i++) {
      await lab.must('create', 'configmap', `kept-${i}`, `--from-literal=n=${i}`);
      written.push(`configmap/kept-${i}`);
    }
    process.kill(pidOf('controller'), 'SIGKILL');
    for (let i = 0; i < 20; i++) expect((await httpGet(url)).status).toBe(200);
    expect((await lab.run(['status'])).stdout).toContain('the controller does not run');

    const again = await lab.up();
    expect(again).toMatchObject({ exitCode: 0 });
    expect(again.stderr).toContain('is whole again: controller started');
    const kept = (await lab.must('get', 'configmaps', '-o', 'name')).split('\n');
    for (const name of written) expect(kept).toContain(name);
    for (const node of ['node-1', 'node-2', 'node-3'])
      await eventually(`${node} to resume`, async () =>
        (await nodeStatus(node)) === 'True' ? true : undefined,
      );
    await lab.must('scale', 'deploy/orders', '--replicas=2');
    await lab.must('rollout', 'status', 'deploy/orders', '--timeout=60s');
    for (let i = 0; i < 5; i++) expect((await httpGet(url)).status).toBe(200);
  }, 180_000);

  it('leaves nothing behind after down, even when its processes were killed', async () => {
    const pids = (JSON.parse(readFileSync(join(lab.dir, 'processes.json'), 'utf8')) as { pid: number }[]).map(
      (p) => p.pid,
    );
    process.kill(pidOf('node-1'), 'SIGKILL');
    const { exitCode } = await lab.podwire('down', '--name', lab.name);
    expect(exitCode).toBe(0);
    expect(pids.filter(isRunning)).toEqual([]);
    const left = execaSync('pgrep', ['-f', lab.dir], { reject: false });
    expect(left.stdout).toBe('');
  }, 60_000);
});
