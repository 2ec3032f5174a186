import { execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestServer } from './rest-harness.ts';

const run = promisify(execFile);
const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0;

describe.skipIf(!hasKubectl)('kubectl', () => {
  const directory = mkdtempSync(join(tmpdir(), 'rest-kubectl-'));
  let server: TestServer;
  let environment: NodeJS.ProcessEnv;

  beforeAll(async () => {
    server = await TestServer.start();
    // Its own HOME: kubectl keeps what it discovered there, by address.
    environment = { ...process.env, KUBECONFIG: server.kubeconfig(directory), HOME: directory };
  });
  afterAll(() => {
    expect(server.errors).toEqual([]);
    server.close();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Standard output of a kubectl that succeeds. */
  async function kubectl(...args: string[]): Promise<string> {
    const { stdout } = await run('kubectl', args, { env: environment });
    return stdout;
  }

  /** Standard error and code of a kubectl that fails. */
  async function failing(...args: string[]): Promise<{ code: number; stderr: string; stdout: string }> {
    try {
      const stdout = await kubectl(...args);
      return { code: 0, stderr: '', stdout };
    } catch (error) {
      return error as { code: number; stderr: string; stdout: string };
    }
  }

  function file(name: string, text: string): string {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  }

  const web = (replicas: number, image: string) => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, image: ${image}, ports: [{containerPort: 80}]}]
`;

  test('applies, says what did not change, shows differences and applies them', async () => {
    const path = file('web.yaml', web(2, 'nginx'));
    expect(await kubectl('apply', '-f', path)).toBe('deployment.apps/web created\n');
    expect(await kubectl('apply', '-f', path)).toBe('deployment.apps/web unchanged\n');
    file('web.yaml', web(3, 'nginx'));
    const difference = await failing('diff', '-f', path);
    expect(difference.code).toBe(1);
    expect(difference.stdout).toMatch(/-\s+replicas: 2\n\+\s+replicas: 3/);
    expect(await kubectl('apply', '-f', path)).toBe('deployment.apps/web configured\n');
    expect(await kubectl('get', 'deploy', 'web', '-o', 'jsonpath={.spec.replicas}')).toBe('3');
  });

  test('applies on the server, and conflicts with whoever else wrote the field', async () => {
    const path = file(
      'config.yaml',
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ssa}\ndata: {a: "1"}\n',
    );
    expect(await kubectl('apply', '--server-side', '-f', path)).toBe('configmap/ssa serverside-applied\n');
    await kubectl('patch', 'cm', 'ssa', '--type=merge', '-p', '{"data":{"a":"2"}}');
    const { stderr } = await failing('apply', '--server-side', '-f', path);
    expect(stderr).toContain('conflict with "kubectl-patch" using v1: .data.a');
    await kubectl('apply', '--server-side', '--force-conflicts', '-f', path);
    expect(await kubectl('get', 'cm', 'ssa', '-o', 'jsonpath={.data.a}')).toBe('1');
  });

  test('scales, labels, annotates, sets images, restarts and edits', async () => {
    expect(await kubectl('scale', 'deploy/web', '--replicas=4')).toBe('deployment.apps/web scaled\n');
    const wrong = await failing('scale', 'deploy/web', '--current-replicas=9', '--replicas=5');
    expect(wrong.stderr).toContain('Expected replicas to be 9, was 4');
    await kubectl('label', 'deploy', 'web', 'tier=front');
    await kubectl('annotate', 'deploy', 'web', 'note=hello');
    await kubectl('set', 'image', 'deploy/web', 'c=nginx:2');
    await kubectl('rollout', 'restart', 'deploy/web');
    environment.KUBE_EDITOR = 'sed -i s/hello/bye/';
    expect(await kubectl('edit', 'deploy', 'web')).toBe('deployment.apps/web edited\n');
    const shown = JSON.parse(await kubectl('get', 'deploy', 'web', '-o', 'json'));
    expect(shown.metadata.labels.tier).toBe('front');
    expect(shown.metadata.annotations.note).toBe('bye');
    expect(shown.spec.template.spec.containers[0].image).toBe('nginx:2');
    expect(shown.spec.template.metadata.annotations['kubectl.kubernetes.io/restartedAt']).toBeDefined();
  });

  test('lists with the columns of the real server', async () => {
    expect(await kubectl('get', 'deploy')).toMatch(
      /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +0\/4 +0 +0 +\d+s\n$/,
    );
    expect(await kubectl('get', 'ns', '-l', 'kubernetes.io/metadata.name=default', '--no-headers')).toMatch(
      /^default +Active +\d+s\n$/,
    );
    const names = await kubectl('get', 'deploy,cm', '-A', '-o', 'name', '--sort-by=.metadata.name');
    expect(names.split('\n').filter((each) => each !== '')).toEqual(['configmap/ssa', 'deployment.apps/web']);
    expect(await kubectl('get', 'cm', '--chunk-size=1', '-o', 'name')).toBe('configmap/ssa\n');
  });

  test('describes, explains and lists resources', async () => {
    const described = await kubectl('describe', 'deploy', 'web');
    expect(described).toMatch(/^Name: +web\n/);
    expect(described).toContain('StrategyType:           RollingUpdate');
    expect(await kubectl('explain', 'deployment.spec.replicas')).toMatch(/FIELD: replicas <integer>/);
    const resources = await kubectl('api-resources', '--no-headers');
    expect(resources).toMatch(/^deployments +deploy +apps\/v1 +true +Deployment$/m);
  });

  test('creates with typed clients, which send protobuf', async () => {
    expect(await kubectl('create', 'namespace', 'proto')).toBe('namespace/proto created\n');
    expect(await kubectl('create', 'deployment', 'd', '--image=nginx', '-n', 'proto')).toBe(
      'deployment.apps/d created\n',
    );
    expect(await kubectl('auth', 'can-i', 'delete', 'pods')).toBe('yes\n');
    expect(await kubectl('auth', 'whoami', '-o', 'jsonpath={.status.userInfo.groups[0]}')).toBe(
      'system:masters',
    );
    expect(
      await kubectl('create', 'token', 'default', '-n', 'proto').catch((error) => error.stderr),
    ).toContain('serviceaccounts "default" not found');
  });

  test('refuses with the words of the real server', async () => {
    const typo = file('typo.yaml', web(1, 'nginx').replace('replicas', 'replicaz'));
    const strict = await failing('apply', '-f', typo);
    expect(strict.stderr).toContain('unknown field "spec.replicaz"');
    const invalid = file(
      'service.yaml',
      'apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 70000, targetPort: 80}]}\n',
    );
    expect((await failing('create', '-f', invalid)).stderr).toContain(
      'The Service "s" is invalid: spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive',
    );
    expect((await failing('get', 'pod', 'nobody')).stderr).toBe(
      'Error from server (NotFound): pods "nobody" not found\n',
    );
    expect((await failing('create', 'ns', 'proto')).stderr).toBe(
      'Error from server (AlreadyExists): namespaces "proto" already exists\n',
    );
    expect((await failing('get', 'nothings')).stderr).toContain(
      'the server doesn\'t have a resource type "nothings"',
    );
  });

  test('watches and waits', async () => {
    const watching = spawn('kubectl', ['get', 'cm', '-w', '-o', 'name'], { env: environment });
    const lines = createInterface(watching.stdout)[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe('configmap/ssa');
    const waiting = kubectl('wait', '--for=jsonpath={.data.ready}=yes', 'cm/ssa', '--timeout=20s');
    await kubectl('create', 'cm', 'seen');
    expect((await lines.next()).value).toBe('configmap/seen');
    await kubectl('patch', 'cm', 'ssa', '-p', '{"data":{"ready":"yes"}}');
    expect(await waiting).toBe('configmap/ssa condition met\n');
    watching.kill();
  });

  test('defines resources and uses them at once', async () => {
    const path = file(
      'crd.yaml',
      `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer, description: How big it is.}}}
`,
    );
    await kubectl('apply', '-f', path);
    await kubectl('wait', '--for=condition=established', 'crd/widgets.example.com', '--timeout=10s');
    const widget = file(
      'widget.yaml',
      'apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 3}\n',
    );
    expect(await kubectl('apply', '-f', widget)).toBe('widget.example.com/w created\n');
    expect(await kubectl('get', 'wd')).toMatch(/^NAME +SIZE\nw +3\n$/);
    expect(await kubectl('explain', 'widget.spec.size')).toContain('How big it is.');
    expect(await kubectl('delete', '-f', path)).toContain('deleted');
  });

  test('deletes and waits until it is gone', async () => {
    expect(await kubectl('delete', 'deploy', 'web')).toBe('deployment.apps "web" deleted\n');
    expect(await kubectl('delete', 'cm', '--all')).toContain('configmap "seen" deleted');
    expect((await failing('get', 'deploy', 'web')).stderr).toContain('NotFound');
  });
});
