import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, fixtures, root, TestLab } from './lab.ts';

const hasKubectl = execaSync('kubectl', ['version', '--client'], { reject: false }).exitCode === 0;
const boutique = join(fixtures, 'online-boutique.yaml');

describe.skipIf(!hasKubectl)(
  `unmodified kubectl drives a lab of processes${hasKubectl ? '' : ' (needs kubectl)'}`,
  () => {
    const lab = new TestLab(61);

    beforeAll(async () => {
      const { exitCode, stderr } = await lab.up();
      if (exitCode !== 0) throw new Error(stderr);
    }, 120_000);
    afterAll(() => lab.down(), 60_000);

    it('says so when the lab is up already', async () => {
      const again = await lab.up();
      expect(again).toMatchObject({ exitCode: 0 });
      expect(again.stdout).toContain('is already up: 3 nodes');
    });

    it('gets nodes with zones, versions and addresses', async () => {
      const table = await lab.must('get', 'nodes', '-o', 'wide');
      expect(table).toMatch(/NAME +STATUS +ROLES +AGE +VERSION +INTERNAL-IP/);
      expect(table).toMatch(/node-1 +Ready +\S+ +\S+ +v1\.\d+\.\S+ +127\.0\.61\.11/);
      const zones = await lab.must('get', 'nodes', '-L', 'topology.kubernetes.io/zone');
      expect(zones).toMatch(/node-3 .* zone-c/);
    });

    it('applies the shop, waits, and finds it unchanged the second time', async () => {
      const file = join(root, 'deploy', 'samples', 'shop.yaml');
      await lab.must('apply', '-f', file);
      await lab.must('wait', '--for=condition=Available', 'deploy', '--all', '--timeout=60s');
      await lab.must('rollout', 'status', 'statefulset/db', '--timeout=60s');
      const again = await lab.must('apply', '-f', file);
      expect(again.split('\n').every((line) => line.endsWith('unchanged'))).toBe(true);
      const served = await lab.must('apply', '--server-side', '--force-conflicts', '-f', file);
      expect(served).toContain('deployment.apps/frontend serverside-applied');
    });

    it('shows pods as kubectl users know them, and a StatefulSet by its stable names', async () => {
      const table = await lab.must('get', 'pods', '-l', 'app=db');
      expect(table).toMatch(
        /^NAME +READY +STATUS +RESTARTS +AGE\ndb-0 +1\/1 +Running +0 +\S+\ndb-1 +1\/1 +Running/,
      );
      const described = await lab.must('describe', 'pod', 'db-0');
      expect(described).toMatch(/Status: +Running/);
      expect(described).toMatch(/Normal +Scheduled/);
      expect(described).toMatch(/Normal +Started/);
    });

    it('scales, restarts and rolls back a Deployment', async () => {
      await lab.must('scale', 'deploy/frontend', '--replicas=4');
      await lab.must('rollout', 'status', 'deploy/frontend', '--timeout=60s');
      expect((await lab.must('get', 'pods', '-l', 'app=frontend', '-o', 'name')).split('\n')).toHaveLength(4);
      const before = await lab.must('get', 'pods', '-l', 'app=frontend', '-o', 'name');
      await lab.must('rollout', 'restart', 'deploy/frontend');
      await lab.must('rollout', 'status', 'deploy/frontend', '--timeout=60s');
      await eventually('the old pods to go', async () => {
        const names = (await lab.must('get', 'pods', '-l', 'app=frontend', '-o', 'name')).split('\n');
        return names.length === 4 && names.every((name) => !before.includes(name)) ? true : undefined;
      });
      expect(await lab.must('rollout', 'history', 'deploy/frontend')).toMatch(/1 .*\n2 /);
      await lab.must('scale', 'deploy/frontend', '--replicas=2');
    }, 120_000);

    it('execs, logs, labels, annotates, patches, explains', async () => {
      const exec = await lab.kubectl([
        'exec',
        'db-0',
        '--',
        'sh',
        '-c',
        'for i in 1 2; do echo "line $i on $(hostname)"; done; exit 7',
      ]);
      expect(exec.stdout).toBe('line 1 on db-0\nline 2 on db-0');
      expect(exec.exitCode).toBe(7);
      const pod = (await lab.must('get', 'pods', '-l', 'app=frontend', '-o', 'name')).split('\n')[0]!;
      const curl = await lab.must('exec', pod, '--', 'curl', '-s', 'http://orders/');
      expect(curl).toMatch(/^pod: orders-/);
      expect(curl).toContain('DB_ADDR db-0.db:5432 -> 200 db-0');
      expect(await lab.must('logs', 'db-0')).toContain('GET / from');
      await lab.must('label', 'pod', 'db-0', 'tier=data');
      expect(await lab.must('get', 'pods', '-l', 'tier=data', '-o', 'name')).toBe('pod/db-0');
      await lab.must('annotate', 'pod', 'db-0', 'note=kept');
      await lab.must(
        'patch',
        'svc',
        'orders',
        '--type=json',
        '-p',
        '[{"op":"add","path":"/spec/ports/0/appProtocol","value":"http"}]',
      );
      expect(await lab.must('get', 'svc', 'orders', '-o', 'jsonpath={.spec.ports[0].appProtocol}')).toBe(
        'http',
      );
      expect(await lab.must('explain', 'deployment.spec.strategy')).toContain('rollingUpdate');
      expect(await lab.must('api-resources')).toMatch(/deployments +deploy +apps\/v1 +true +Deployment/);
    });

    it('creates and exposes imperatively, and watches', async () => {
      const watch = lab.kubectl(['get', 'pods', '-l', 'app=web', '-w', '--request-timeout=20s']);
      await lab.must('create', 'deployment', 'web', '--image=nginx', '--port=80', '--replicas=2');
      await lab.must('expose', 'deployment', 'web', '--port=8080', '--target-port=80');
      await lab.must('wait', '--for=condition=Available', 'deploy/web', '--timeout=60s');
      const answer = await eventually('web to answer', async () => {
        const { exitCode, stdout } = await lab.kubectl([
          'exec',
          'db-0',
          '--',
          'curl',
          '-s',
          '-m',
          '2',
          'http://web:8080/',
        ]);
        return exitCode === 0 ? String(stdout) : undefined;
      });
      expect(answer).toMatch(/^pod: web-/);
      await lab.must('create', 'namespace', 'other');
      await lab.must('create', 'configmap', 'c', '--from-literal=a=b', '-n', 'other');
      await lab.must('delete', 'namespace', 'other', '--timeout=30s');
      await lab.must('delete', 'deployment,service', 'web', '--timeout=30s');
      watch.kill();
      expect(String((await watch).stdout)).toMatch(/web-\S+ +1\/1 +Running/);
    }, 120_000);

    it('answers bad objects as the API server does', async () => {
      const apply = async (object: object) =>
        String((await lab.kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) })).stderr);
      const service = (spec: object) => ({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'bad' },
        spec,
      });
      expect(await apply(service({ ports: [{ port: 70_000 }] }))).toContain(
        'spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive',
      );
      expect(await apply(service({ prots: [] }))).toContain('unknown field "spec.prots"');
      expect(await apply(service({ clusterIP: '10.96.0.10', ports: [{ port: 1 }] }))).toContain(
        'provided IP is already allocated',
      );
      const template = {
        metadata: { labels: { app: 'y' } },
        spec: { containers: [{ name: 'c', image: 'i' }] },
      };
      const deployment = {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'bad' },
        spec: { selector: { matchLabels: { app: 'x' } }, template },
      };
      expect(await apply(deployment)).toContain('`selector` does not match template `labels`');
      expect((await lab.kubectl(['get', 'pod', 'nobody'])).stderr).toBe(
        'Error from server (NotFound): pods "nobody" not found',
      );
    });

    it('serves kinds that people define', async () => {
      const definition = {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: 'shops.example.org' },
        spec: {
          group: 'example.org',
          scope: 'Namespaced',
          names: { plural: 'shops', singular: 'shop', kind: 'Shop', shortNames: ['sh'] },
          versions: [
            {
              name: 'v1',
              served: true,
              storage: true,
              schema: {
                openAPIV3Schema: {
                  type: 'object',
                  properties: {
                    spec: { type: 'object', properties: { size: { type: 'integer', minimum: 1 } } },
                  },
                },
              },
            },
          ],
        },
      };
      await lab.kubectl(['apply', '-f', '-'], { input: JSON.stringify(definition) });
      await lab.must('wait', '--for=condition=Established', 'crd/shops.example.org', '--timeout=10s');
      const shop = (size: number) =>
        JSON.stringify({
          apiVersion: 'example.org/v1',
          kind: 'Shop',
          metadata: { name: 'one' },
          spec: { size },
        });
      expect((await lab.kubectl(['apply', '-f', '-'], { input: shop(3) })).exitCode).toBe(0);
      expect(await lab.must('get', 'sh', 'one', '-o', 'jsonpath={.spec.size}')).toBe('3');
      expect((await lab.kubectl(['apply', '-f', '-'], { input: shop(0) })).stderr).toContain(
        'spec.size: Invalid value: 0',
      );
    });

    it.skipIf(!existsSync(boutique))(
      `carries every call of the Online Boutique${existsSync(boutique) ? '' : ' (needs ../shared/fixtures)'}`,
      async () => {
        await lab.must('create', 'namespace', 'boutique');
        await lab.must('-n', 'boutique', 'apply', '-f', boutique);
        const waited = await lab.must(
          '-n',
          'boutique',
          'wait',
          '--for=condition=Available',
          'deploy',
          '--all',
          '--timeout=60s',
        );
        expect(waited.split('\n')).toHaveLength(12);
        const matrix = await lab.run(['matrix'], '-n', 'boutique', '--calls', '-o', 'json');
        const calls = JSON.parse(matrix.stdout) as {
          from: string;
          to: string;
          ok: boolean;
          error?: string;
        }[];
        // One Service that an environment variable names is not in the manifest: its name must not resolve.
        const missing = calls
          .filter((call) => !call.ok)
          .map((call) => `${call.from} ${call.to} ${call.error}`);
        expect(missing).toEqual(['frontend shoppingassistantservice:80 ENOTFOUND']);
        expect(calls.filter((call) => call.ok)).toHaveLength(calls.length - 1);
        const logs = await eventually('the load generator to have called', async () => {
          const text = await lab.must('-n', 'boutique', 'logs', 'deploy/loadgenerator');
          return text.includes('call FRONTEND_ADDR frontend:80 -> 200') ? text : undefined;
        });
        expect(logs).toContain('frontend-');
        const checkout = await lab.must('-n', 'boutique', 'logs', 'deploy/checkoutservice');
        expect(checkout).toMatch(/call PAYMENT_SERVICE_ADDR paymentservice:50051 -> 200/);
        await lab.must('delete', 'namespace', 'boutique', '--timeout=60s');
      },
      180_000,
    );
  },
);
