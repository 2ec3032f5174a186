import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import {
  GenericContainer,
  Network,
  type StartedNetwork,
  type StartedTestContainer,
  Wait,
} from 'testcontainers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasCommand, noContainers } from './engine.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const boutique = join(root, '..', 'shared', 'fixtures', 'online-boutique.yaml');
const manifest = existsSync(boutique) ? boutique : join(root, 'deploy', 'samples', 'shop.yaml');
const BASE = 'podwire-base';
const IMAGE = 'podwire:test';
const NODES = ['node-1', 'node-2', 'node-3'];

// The reaper container would come from a registry; every container here is stopped by the test itself.
process.env.TESTCONTAINERS_RYUK_DISABLED = 'true';

const why =
  noContainers() ??
  (process.getuid?.() !== 0
    ? 'needs root for debootstrap'
    : !hasCommand('debootstrap')
      ? 'needs debootstrap'
      : !hasCommand('kubectl')
        ? 'needs kubectl'
        : undefined);

describe.skipIf(why !== undefined)(`a lab of containers${why ? ` (${why})` : ''}`, () => {
  let scratch: string;
  let network: StartedNetwork;
  let controller: StartedTestContainer;
  const agents: StartedTestContainer[] = [];
  let kubeconfig: string;

  const kubectl = (...args: string[]) =>
    execa('kubectl', ['--kubeconfig', kubeconfig, ...args], { timeout: 90_000 }).then(({ stdout }) => stdout);

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'podwire-containers-'));
    const images = await execa('docker', ['images', '-q', BASE]);
    if (images.stdout === '')
      await execa(join(root, 'deploy', 'base-image.sh'), [BASE], { timeout: 400_000 });
    await execa(
      'docker',
      [
        'build',
        '-q',
        '-t',
        IMAGE,
        '-f',
        join(root, 'deploy', 'Dockerfile'),
        '--build-arg',
        `BASE=${BASE}`,
        root,
      ],
      {
        timeout: 400_000,
        env: { DOCKER_BUILDKIT: '0' },
      },
    );
    network = await new Network().start();
    const joinVolume = `podwire-join-${process.pid}`;
    controller = await new GenericContainer(IMAGE)
      .withNetwork(network)
      .withNetworkAliases('controller')
      .withCopyFilesToContainer([
        { source: join(root, 'deploy', 'compose-lab.json'), target: '/etc/podwire/lab.json' },
      ])
      .withBindMounts([{ source: joinVolume, target: '/join' }])
      .withCommand([
        'packages/controller/src/main.ts',
        '--lab',
        '/etc/podwire/lab.json',
        '--state-dir',
        '/state',
        '--join-file',
        '/join/join.json',
      ])
      .withExposedPorts(6443)
      .withWaitStrategy(Wait.forLogMessage(/"ready":true/))
      .start();
    for (const node of NODES) {
      agents.push(
        await new GenericContainer(IMAGE)
          .withNetwork(network)
          .withHostname(node)
          .withBindMounts([{ source: joinVolume, target: '/join', mode: 'ro' }])
          .withCommand([
            'packages/agent/src/main.ts',
            '--name',
            node,
            '--join',
            '/join/join.json',
            '--state-dir',
            '/state',
          ])
          .withWaitStrategy(Wait.forLogMessage(/"ready":true/))
          .start(),
      );
    }
    const { output } = await controller.exec(['cat', '/state/kubeconfig']);
    kubeconfig = join(scratch, 'kubeconfig');
    writeFileSync(
      kubeconfig,
      output.replace(/https:\/\/127\.0\.0\.1:\d+/, `https://127.0.0.1:${controller.getMappedPort(6443)}`),
      { mode: 0o600 },
    );
  }, 900_000);

  afterAll(async () => {
    for (const container of [...agents, controller])
      await container?.stop({ timeout: 1_000, removeVolumes: true });
    await network?.stop();
    if (scratch) rmSync(scratch, { recursive: true, force: true });
    await execa('docker', ['volume', 'rm', '-f', `podwire-join-${process.pid}`], { reject: false });
  }, 120_000);

  it('has three Ready nodes with addresses of the bridge', async () => {
    await kubectl('wait', '--for=condition=Ready', 'node', '--all', '--timeout=30s');
    const addresses = await kubectl(
      'get',
      'nodes',
      '-o',
      'jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}',
    );
    const ofContainers = agents.map((agent) => agent.getIpAddress(network.getName()));
    expect(addresses.split(' ').sort()).toEqual(ofContainers.sort());
  }, 60_000);

  it(`makes ${manifest.split('/').at(-1)} Available`, async () => {
    await kubectl('apply', '-f', manifest);
    const waited = await kubectl('wait', '--for=condition=Available', 'deploy', '--all', '--timeout=60s');
    expect(waited.split('\n').every((line) => line.endsWith('condition met'))).toBe(true);
  }, 90_000);

  it('carries the calls of every pod across containers, in VXLAN on the bridge', async () => {
    const bridge = `br-${network.getId().slice(0, 12)}`;
    const capture = hasCommand('tcpdump') && hasCommand('tshark');
    const file = join(scratch, 'bridge.pcap');
    const tcpdump = capture
      ? execa('tcpdump', ['-i', bridge, '-U', '--immediate-mode', '-w', file, 'udp port 8472'], {
          reject: false,
        })
      : undefined;
    if (tcpdump)
      await new Promise<void>((resolve) =>
        tcpdump.stderr.on(
          'data',
          (text: Buffer) => void (String(text).includes('listening on') && resolve()),
        ),
      );
    const matrix = await execa(
      join(root, 'podwire'),
      ['matrix', '--calls', '--kubeconfig', kubeconfig, '-o', 'json'],
      { timeout: 90_000, reject: false },
    );
    const calls = JSON.parse(matrix.stdout) as { ok: boolean; to: string; error?: string }[];
    // The boutique names one Service, shoppingassistantservice, that its manifest does not contain.
    expect(calls.filter((call) => !call.ok && !call.to.startsWith('shoppingassistantservice'))).toEqual([]);
    expect(calls.filter((call) => call.ok).length).toBeGreaterThan(3);
    if (!tcpdump) return;
    tcpdump.kill('SIGINT');
    await tcpdump;
    const { stdout } = await execa(
      'tshark',
      [
        '-r',
        file,
        '-d',
        'udp.port==8472,vxlan',
        '-o',
        'tcp.check_checksum:TRUE',
        '-T',
        'fields',
        '-e',
        'vxlan.vni',
        '-e',
        'ip.src',
        '-e',
        'tcp.checksum.status',
      ],
      { timeout: 60_000 },
    );
    const rows = stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split('\t'));
    expect(rows.length).toBeGreaterThan(10);
    expect(new Set(rows.map(([vni]) => vni))).toEqual(new Set(['1']));
    expect(rows.every(([, source]) => source!.split(',').length === 2)).toBe(true);
    expect(rows.filter(([, , status]) => status === '0')).toEqual([]);
  }, 180_000);
});

const compose = hasCommand('docker-compose') ? ['docker-compose'] : undefined;

describe.skipIf(why !== undefined || compose === undefined)(
  `deploy/compose.yaml${why ? ` (${why})` : compose ? '' : ' (needs docker-compose)'}`,
  () => {
    const project = `podwire-${process.pid}`;
    const env = {
      PODWIRE_IMAGE: IMAGE,
      PODWIRE_API_PORT: '26443',
      PODWIRE_NODEPORT: '26080',
      COMPOSE_PROJECT_NAME: project,
    };
    const run = (...args: string[]) =>
      execa('docker-compose', ['-f', join(root, 'deploy', 'compose.yaml'), ...args], {
        env,
        timeout: 120_000,
      });

    afterAll(async () => {
      await run('down', '-v', '--timeout', '2');
    }, 120_000);

    it('brings up controller and nodes that a kubectl of the host can use', async () => {
      await run('up', '-d');
      const scratch = mkdtempSync(join(tmpdir(), 'podwire-compose-'));
      const kubeconfig = join(scratch, 'kubeconfig');
      for (let tries = 0; ; tries++) {
        const { stdout, exitCode } = await execa(
          'docker-compose',
          [
            '-f',
            join(root, 'deploy', 'compose.yaml'),
            'exec',
            '-T',
            'controller',
            'cat',
            '/state/kubeconfig',
          ],
          { env, reject: false },
        );
        if (exitCode === 0 && stdout.includes('clusters')) {
          writeFileSync(kubeconfig, stdout.replace(':16443', ':26443'), { mode: 0o600 });
          break;
        }
        if (tries > 100) throw new Error('the controller wrote no kubeconfig');
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      for (let tries = 0; tries < 100; tries++) {
        const { stdout } = await execa(
          'kubectl',
          ['--kubeconfig', kubeconfig, 'get', 'nodes', '-o', 'name'],
          { reject: false },
        );
        if (stdout.split('\n').filter(Boolean).length === 3) break;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      const { stdout } = await execa('kubectl', [
        '--kubeconfig',
        kubeconfig,
        'wait',
        '--for=condition=Ready',
        'node',
        '--all',
        '--timeout=30s',
      ]);
      expect(stdout.trim().split('\n')).toHaveLength(3);
      rmSync(scratch, { recursive: true, force: true });
    }, 180_000);
  },
);
